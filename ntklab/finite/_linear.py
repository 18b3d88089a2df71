"""Linear layers and poolings on a batch ``(n, *spatial, channels)``: their weights and what they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ntklab.spec import (
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    Layer,
    MaxPool,
    Shape,
    SumPool,
    window_padding,
)

# TF32 on GPUs and bfloat16 on TPUs would cost three digits, and this is what kernels are checked against.
PRECISION = lax.Precision.HIGHEST

Shapes = dict[str, tuple[int, ...]]


def no_weights(layer: Any, shape: Shape) -> Shapes:
    """Return the weights of a layer without any."""
    return {}


def unit_stds(layer: Any, shapes: Shapes) -> Mapping[str, float]:
    """Return nothing: all weights are unit Gaussians."""
    return {}


class Finite(NamedTuple):
    """What one type of layer is in a network of finite width.

    Attributes
    ----------
    apply : callable
        ``apply(layer, weights, x)``; a :class:`~ntklab.spec.Branching` layer gets the list of what leaves its parts.
    weights : callable
        ``weights(layer, shape)``: names and shapes of its Gaussian weights, for inputs of that shape.
    stds : callable
        ``stds(layer, shapes)``: their standard deviations at the start, where those are not 1.
    """

    apply: Callable[[Any, Mapping[str, Array], Any], Array]
    weights: Callable[[Any, Shape], Shapes] = no_weights
    stds: Callable[[Any, Shapes], Mapping[str, float]] = unit_stds


Affine = Dense | Conv | ConvTranspose | ConvLocal


def affine_weights(layer: Affine, shape: Shape) -> Shapes:
    """Return ``W`` (positions for ConvLocal, window sizes, channels in a group, channels out) and ``b``."""
    channels, width = shape[-1], layer.output_shape(shape)[-1]
    assert width is not None, "widths are settled before weights are made"
    assert channels is not None, "widths are settled, so every channel count is known"
    if isinstance(layer, Conv):
        channels //= layer.channel_groups(channels)
    window = () if isinstance(layer, Dense) else layer.window
    own = layer.output_shape(shape)[:-1] if isinstance(layer, ConvLocal) else ()
    positions = tuple(n for n in own if n is not None)
    shapes: Shapes = {"W": (*positions, *window, channels, width)}
    return shapes if layer.b_std is None else {**shapes, "b": (*positions, width)}


def affine_stds(layer: Affine, shapes: Shapes) -> Mapping[str, float]:
    """Return what the standard parameterisation has in the weights and the NTK parameterisation in front of them."""
    if layer.parameterization == "ntk":
        return {}
    return {"W": layer.W_std / math.sqrt(_fan_in(layer, shapes["W"]) / layer.s[0]), "b": layer.b_std or 0.0}


def _affine(layer: Affine, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    W = weights["W"]
    linear = _LINEAR_PARTS[type(layer)](layer, W, x)
    if layer.parameterization == "standard":
        y = 1.0 / math.sqrt(layer.s[0]) * linear
    else:
        y = layer.W_std / math.sqrt(_fan_in(layer, W.shape)) * linear
    if layer.b_std is not None:
        scale = 1.0 if layer.parameterization == "standard" else layer.b_std
        y = y + scale * jnp.broadcast_to(weights["b"], y.shape)
    return y


def _fan_in(layer: Affine, shape: tuple[int, ...]) -> int:
    """Return how many numbers one output is the sum of."""
    return math.prod(shape[:-1] if isinstance(layer, Dense) else shape[-len(layer.window) - 2 : -1])


def _matmul(_: Dense, W: Float[Array, "..."], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    return jnp.dot(x, W, precision=PRECISION)


def _convolve(layer: Conv, W: Float[Array, "..."], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    x, padding = _padded(x, layer.reach, layer.strides, layer.padding)
    dilation = layer.dilation
    assert dilation is None or isinstance(dilation, tuple)
    return lax.conv_general_dilated(
        x,
        W,
        window_strides=_strides(layer),
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=_axes(layer),
        feature_group_count=x.shape[-1] // W.shape[-2],
        precision=PRECISION,
    )


def _transpose(layer: ConvTranspose, W: Float[Array, "..."], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Apply JAX's transposed convolution; CIRCULAR wraps all of its result around the sizes of SAME."""
    padding = "VALID" if layer.padding == "CIRCULAR" else layer.padding
    y = lax.conv_transpose(x, W, _strides(layer), padding, dimension_numbers=_axes(layer), precision=PRECISION)
    if layer.padding != "CIRCULAR":
        return y
    for axis, stride in enumerate(_strides(layer), 1):
        whole, size = y.shape[axis], x.shape[axis] * stride
        around = (np.arange(whole) - (whole - size) // 2) % size
        y = jnp.moveaxis(y, axis, 0)
        y = jnp.moveaxis(jnp.zeros((size, *y.shape[1:]), y.dtype).at[around].add(y), 0, axis)
    return y


def _unshared(layer: ConvLocal, W: Float[Array, "..."], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Sum, tap by tap, what stands under it times the weights there."""
    x, padding = _padded(x, layer.window, layer.strides, layer.padding)
    n = len(layer.window)
    if padding == "SAME":
        sizes = zip(x.shape[1:-1], layer.window, _strides(layer), strict=True)
        x = jnp.pad(x, [(0, 0), *(window_padding(*size, "SAME") for size in sizes), (0, 0)])
    total = jnp.zeros((x.shape[0], *W.shape[:n], W.shape[-1]), x.dtype)
    for tap in np.ndindex(*layer.window):
        under = tuple(
            slice(o, o + (m - 1) * s + 1, s) for o, m, s in zip(tap, W.shape[:n], _strides(layer), strict=True)
        )
        here = W[(slice(None),) * n + tap]
        total = total + jnp.einsum("n...c,...cd->n...d", x[(slice(None), *under)], here, precision=PRECISION)
    return total


_LINEAR_PARTS = {Dense: _matmul, Conv: _convolve, ConvTranspose: _transpose, ConvLocal: _unshared}


def _axes(layer: Conv | ConvTranspose) -> tuple[str, str, str]:
    # Any letters but N, C, I and O name spatial axes; digits never run into those.
    axes = "".join(str(i) for i in range(len(layer.window)))
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def _over_windows(
    layer: AvgPool | MaxPool | SumPool, x: Float[Array, "n ..."], neutral: float, combine: Callable[[Any, Any], Array]
) -> Float[Array, "n ..."]:
    x, padding = _padded(x, layer.window, layer.strides, layer.padding)
    return lax.reduce_window(
        x,
        np.asarray(neutral, x.dtype),  # of NumPy: lax knows it as neutral and can differentiate
        combine,
        window_dimensions=(1, *layer.window, 1),
        window_strides=(1, *_strides(layer), 1),
        padding=padding,
    )


def _sum_pool(
    layer: AvgPool | SumPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]
) -> Float[Array, "n ..."]:
    return _over_windows(layer, x, 0.0, lax.add)


def _max_pool(layer: MaxPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    return _over_windows(layer, x, -math.inf, lax.max)


def _avg_pool(layer: AvgPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    total = _sum_pool(layer, weights, x)
    return total / (_sum_pool(layer, weights, jnp.ones_like(x)) if layer.normalize_edges else math.prod(layer.window))


def _padded(x: Float[Array, "n ..."], window: tuple[int, ...], strides: Any, padding: Any) -> tuple[Array, Any]:
    """Return the input, wrapped around for CIRCULAR, and the padding that is left to do."""
    if padding != "CIRCULAR":
        return x, padding
    pads = [window_padding(n, k, s, "CIRCULAR") for n, k, s in zip(x.shape[1:-1], window, strides, strict=True)]
    return jnp.pad(x, [(0, 0), *pads, (0, 0)], mode="wrap"), "VALID"


def _strides(layer: Conv | ConvTranspose | ConvLocal | AvgPool | MaxPool | SumPool) -> tuple[int, ...]:
    assert isinstance(layer.strides, tuple), "the spec writes strides out"
    return layer.strides


def _global_avg_pool(_: GlobalAvgPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n C"]:
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))


def _global_sum_pool(_: GlobalSumPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n C"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim - 1)))


def _flatten(_: Flatten, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n C"]:
    return jnp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


LINEAR: dict[type[Layer], Finite] = {
    **{layer: Finite(_affine, affine_weights, affine_stds) for layer in _LINEAR_PARTS},
    AvgPool: Finite(_avg_pool),
    SumPool: Finite(_sum_pool),
    MaxPool: Finite(_max_pool),
    GlobalAvgPool: Finite(_global_avg_pool),
    GlobalSumPool: Finite(_global_sum_pool),
    Flatten: Finite(_flatten),
    Identity: Finite(lambda layer, weights, x: x),
}
