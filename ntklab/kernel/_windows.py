"""Sliding windows over position axes, moving together (convolution) or each alone (pooling)."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntklab.kernel._plan import Window
from ntklab.spec import window_padding


def pad_amounts(spatial: Sequence[int], window: Window) -> list[tuple[int, int]]:
    """Return what is added before and after each spatial axis."""
    if window.amounts:
        return list(window.amounts)
    reach = [(k - 1) * d + 1 for k, d in zip(window.sizes, _ones(window.dilation, window), strict=True)]
    return [window_padding(n, k, s, window.padding) for n, k, s in zip(spatial, reach, window.strides, strict=True)]


def pad(a: Float[Array, "..."], spatial: Sequence[int], window: Window, groups: int) -> Float[Array, "..."]:
    """Spread and pad the last ``groups * len(spatial)`` axes: by wrapping for CIRCULAR, else by zeros."""
    amounts = pad_amounts(spatial, window)
    n = len(amounts)
    for axis, step in enumerate(window.spread):
        for group in range(groups):
            a = _spread(a, a.ndim - (group + 1) * n + axis, step)
    if not any(map(any, amounts)):
        return a
    lead = a.ndim - groups * n
    mode = "wrap" if window.padding == "CIRCULAR" else "constant"
    return jnp.pad(a, [(0, 0)] * lead + amounts * groups, mode=mode)


def outside(spatial: Sequence[int], window: Window) -> Bool[np.ndarray, "..."]:
    """Return which positions of the padded axes lie outside the image, or between its positions."""
    inside = np.zeros([n * s for n, s in zip(spatial, _ones(window.spread, window), strict=True)], bool)
    inside[tuple(slice(None, None, s) for s in _ones(window.spread, window))] = True
    mode = "wrap" if window.padding == "CIRCULAR" else "constant"
    return ~np.pad(inside, pad_amounts(spatial, window), mode=mode)


def slide(a: Float[Array, "..."], axes: Sequence[int], size: int, stride: int, step: int = 1) -> Float[Array, "..."]:
    """Sum ``size`` neighbours, ``step`` apart, along all of ``axes`` at once: ``sum_o a[.., p + o, .., q + o, ..]``."""
    total = None
    for o in range(0, size * step, step):
        index = [slice(None)] * a.ndim
        for axis in axes:
            count = (a.shape[axis] - (size - 1) * step - 1) // stride + 1
            index[axis] = slice(o, o + (count - 1) * stride + 1, stride)
        part = a[tuple(index)]
        total = part if total is None else total + part
    assert total is not None
    return total


def together(a: Float[Array, "..."], window: Window, groups: int) -> Float[Array, "..."]:
    """Sum over a window that moves along all groups of position axes at once, as a convolution does."""
    n = len(window.sizes)
    for i, (k, s, d) in enumerate(zip(window.sizes, window.strides, _ones(window.dilation, window), strict=True)):
        a = slide(a, [a.ndim - (g + 1) * n + i for g in range(groups)], k, s, d)
    return a


def apart(a: Float[Array, "..."], window: Window, groups: int) -> Float[Array, "..."]:
    """Average over windows that move along each position axis alone, as pooling both inputs does."""
    n = len(window.sizes)
    for g in range(groups):
        for i, (k, s) in enumerate(zip(window.sizes, window.strides, strict=True)):
            axis = a.ndim - (g + 1) * n + i
            if k == a.shape[axis]:  # axis by axis, scaled between: float32 sums of 32 numbers, not of a million
                a = jnp.sum(a, axis=axis, keepdims=True) * (1.0 / k)
            else:
                a = slide(a, [axis], k, s) * (1.0 / k)
    return a


def diagonal(a: Float[Array, "..."], n: int) -> Float[Array, "..."]:
    """Keep equal positions only: the last ``2 n`` axes become ``n``."""
    if n == 0:
        return a
    lead, spatial = a.shape[: a.ndim - 2 * n], a.shape[a.ndim - n :]
    flat = a.reshape((*lead, int(np.prod(spatial)), int(np.prod(spatial))))
    return jnp.diagonal(flat, axis1=-2, axis2=-1).reshape((*lead, *spatial))


def _ones(steps: tuple[int, ...], window: Window) -> tuple[int, ...]:
    return steps or (1,) * len(window.sizes)


def _spread(a: Float[Array, "..."], axis: int, step: int) -> Float[Array, "..."]:
    """Follow each entry along an axis by ``step - 1`` zeros."""
    if step == 1:
        return a
    padded = jnp.pad(jnp.expand_dims(a, axis + 1), [(0, step - 1 if i == axis + 1 else 0) for i in range(a.ndim + 1)])
    return padded.reshape((*a.shape[:axis], a.shape[axis] * step, *a.shape[axis + 1 :]))
