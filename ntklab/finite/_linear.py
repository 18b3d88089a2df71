"""Linear layers on a batch ``(n, *spatial, channels)``: their weights and what they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Identity, Layer, Shape, window_padding

# TF32 on GPUs and bfloat16 on TPUs would cost three digits, and this is what kernels are checked against.
PRECISION = lax.Precision.HIGHEST

Shapes = dict[str, tuple[int, ...]]


def no_weights(layer: Any, shape: Shape) -> Shapes:
    """Return the weights of a layer without any."""
    return {}


class Finite(NamedTuple):
    """What one type of layer is in a network of finite width.

    Attributes
    ----------
    apply : callable
        ``apply(layer, weights, x)``; a :class:`~ntklab.spec.Branching` layer gets the list of what leaves its parts.
    weights : callable
        ``weights(layer, shape)``: names and shapes of its unit Gaussian weights, for inputs of that shape.
    """

    apply: Callable[[Any, Mapping[str, Array], Any], Array]
    weights: Callable[[Any, Shape], Shapes] = no_weights


def affine_weights(layer: Dense | Conv, shape: Shape) -> Shapes:
    """Return ``W`` (window sizes for Conv, channels in, channels out) and ``b``."""
    channels = shape[-1]
    assert layer.width is not None, "widths are settled before weights are made"
    assert channels is not None, "widths are settled, so every channel count is known"
    window = layer.window if isinstance(layer, Conv) else ()
    shapes: Shapes = {"W": (*window, channels, layer.width)}
    return shapes if layer.b_std is None else {**shapes, "b": (layer.width,)}


def _affine(layer: Dense | Conv, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    W = weights["W"]
    fan_in = math.prod(W.shape[:-1])
    linear = jnp.dot(x, W, precision=PRECISION) if isinstance(layer, Dense) else _convolve(layer, W, x)
    y = layer.W_std / math.sqrt(fan_in) * linear
    if layer.b_std is not None:
        y = y + layer.b_std * jnp.broadcast_to(weights["b"], y.shape)
    return y


def _convolve(layer: Conv, W: Float[Array, "..."], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    strides = _strides(layer)
    # Any letters but N, C, I and O name spatial axes; digits never run into those.
    axes = "".join(str(i) for i in range(len(layer.window)))
    if layer.padding == "CIRCULAR":
        x = _wrap(layer, x)
    return lax.conv_general_dilated(
        x,
        W,
        window_strides=strides,
        padding="SAME" if layer.padding == "SAME" else "VALID",
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        precision=PRECISION,
    )


def _avg_pool(layer: AvgPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    if layer.padding == "CIRCULAR":
        x = _wrap(layer, x)
    total = lax.reduce_window(
        x,
        np.zeros((), x.dtype),  # a NumPy zero: lax knows it as the sum's neutral element and can differentiate
        lax.add,
        window_dimensions=(1, *layer.window, 1),
        window_strides=(1, *_strides(layer), 1),
        padding="SAME" if layer.padding == "SAME" else "VALID",
    )
    return total / math.prod(layer.window)


def _wrap(layer: Conv | AvgPool, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    sizes = zip(x.shape[1:-1], layer.window, _strides(layer), strict=True)
    pads = [window_padding(n, k, s, "CIRCULAR") for n, k, s in sizes]
    return jnp.pad(x, [(0, 0), *pads, (0, 0)], mode="wrap")


def _strides(layer: Conv | AvgPool) -> tuple[int, ...]:
    assert isinstance(layer.strides, tuple), "the spec writes strides out"
    return layer.strides


def _global_avg_pool(_: GlobalAvgPool, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n C"]:
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))


def _flatten(_: Flatten, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n C"]:
    return jnp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


LINEAR: dict[type[Layer], Finite] = {
    Dense: Finite(_affine, affine_weights),
    Conv: Finite(_affine, affine_weights),
    AvgPool: Finite(_avg_pool),
    GlobalAvgPool: Finite(_global_avg_pool),
    Flatten: Finite(_flatten),
    Identity: Finite(lambda layer, weights, x: x),
}
