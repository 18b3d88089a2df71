"""The forward pass of every layer, on a batch ``(n, *spatial, channels)``, for the weights it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Parallel,
    Relu,
    Residual,
    Serial,
    children,
    join,
    window_padding,
)

Weights = Mapping[str, Mapping[str, Array]]
"""Path of a weight layer in the network -> its ``"W"`` and, if it has a bias, ``"b"``."""

# TF32 on GPUs and bfloat16 on TPUs would cost three digits, and this is what kernels are checked against.
PRECISION = lax.Precision.HIGHEST


def forward(layer: Layer, path: str, weights: Weights, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Return what ``layer``, standing at ``path``, makes of a batch ``x``.

    Parameters
    ----------
    layer : Layer
        A layer or a whole network.
    path : str
        Where it stands in the network, as in :func:`ntklab.spec.infer_shapes`; ``""`` for the whole.
    weights : mapping
        The weights of all weight layers of the network, by path.
    x : array, (n, *spatial, channels)

    Returns
    -------
    array, (n, *spatial', channels')
    """
    if isinstance(layer, Serial):
        for name, part in children(layer):
            x = forward(part, join(path, name), weights, x)
        return x
    if isinstance(layer, Parallel | Residual):
        first, *others = (forward(part, join(path, name), weights, x) for name, part in children(layer))
        return sum(others, start=first)
    if isinstance(layer, Dense | Conv):
        return _affine(layer, weights[path], x)
    if isinstance(layer, AvgPool):
        return _avg_pool(layer, x)
    if isinstance(layer, Relu):
        return jax.nn.relu(x)
    if isinstance(layer, GlobalAvgPool):
        return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))
    if isinstance(layer, Flatten):
        return jnp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))
    if isinstance(layer, Identity):
        return x
    raise NotImplementedError(f"finite networks have no forward pass for {layer!r} yet")


def weight_shape(layer: Dense | Conv, channels: int) -> tuple[int, ...]:
    """Return the shape of ``W``: window sizes (Conv only), channels in, channels out."""
    assert layer.width is not None, "widths are settled before weights are made"
    window = layer.window if isinstance(layer, Conv) else ()
    return (*window, channels, layer.width)


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


def _avg_pool(layer: AvgPool, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
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
