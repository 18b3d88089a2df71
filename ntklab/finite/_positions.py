"""Layers without weights that mix, pick or rescale positions, on a batch ``(n, *spatial, channels)``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ntklab.finite._linear import PRECISION, Finite, Shapes
from ntklab.spec import Aggregate, BatchNorm, DotGeneral, Dropout, ImageResize, Index, Layer, LayerNorm, Shape

Batch = Float[Array, "n ..."]
Weights = Mapping[str, Array]
_INPUTS = "input numbers"


def _index(layer: Index, weights: Weights, x: Batch) -> Batch:
    words = (... if word == "..." else slice(*word) if isinstance(word, tuple) else word for word in layer.index)
    whole = () if "..." in layer.index else (...,)
    return x[(slice(None), *words, *whole, slice(None))]


def _dot_general(layer: DotGeneral, weights: Weights, x: Batch) -> Batch:
    constant = jnp.asarray(layer.constant, x.dtype)
    (x_contract, c_contract), (x_batch, c_batch) = layer.contract, layer.batch
    x_contract, x_batch = (tuple(1 + axis for axis in axes) for axes in (x_contract, x_batch))
    first, second = (constant, x) if layer.constant_first else (x, constant)
    contract, batch = (x_contract, c_contract), (x_batch, c_batch)
    if layer.constant_first:
        contract, batch = (c_contract, x_contract), (c_batch, x_batch)
    y = lax.dot_general(first, second, (contract, batch), precision=PRECISION)
    # inputs and channels are the first and the last free axis of x, wherever those stand
    free = x.ndim - len(x_contract) - len(x_batch)
    start = len(x_batch) + (constant.ndim - len(c_contract) - len(c_batch) if layer.constant_first else 0)
    return jnp.moveaxis(y, (start, start + free - 1), (0, -1))


def _aggregate(layer: Aggregate, weights: Weights, x: Batch) -> Batch:
    over = layer.over(x.shape[1:-1])
    tails, axes = tuple(range(len(over))), tuple(1 + axis for axis in over)
    y = jnp.tensordot(jnp.asarray(layer.adjacency, x.dtype), x, (tails, axes), precision=PRECISION)
    return jnp.moveaxis(y, tails, axes)


def _resize(layer: ImageResize, weights: Weights, x: Batch) -> Batch:
    sizes = layer.output_shape(x.shape[1:])
    shape = (x.shape[0], *(n for n in sizes if n is not None))
    return jax.image.resize(x, shape, layer.method, layer.antialias, PRECISION)


def _layer_norm(layer: LayerNorm, weights: Weights, x: Batch) -> Batch:
    return _normalised(x, (*(1 + axis for axis in layer.positions(x.ndim - 2)), -1), layer.eps)


def _batch_norm(layer: BatchNorm, weights: Weights, x: Batch) -> Batch:
    return _normalised(x, tuple(range(x.ndim - 1)), layer.eps)


def _normalised(x: Batch, axes: tuple[int, ...], eps: float) -> Batch:
    centred = x - jnp.mean(x, axis=axes, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(jnp.square(centred), axis=axes, keepdims=True) + eps)


def _dropout(layer: Dropout, weights: Weights, x: Batch) -> Batch:
    if layer.mode == "test":
        return x
    seed = lax.bitcast_convert_type(weights["seed"].astype("float32")[0], "uint32")
    key = jax.random.fold_in(jax.random.key(0), seed)
    keep = partial(jax.random.bernoulli, p=layer.rate, shape=x.shape[1:])
    kept = jax.vmap(lambda bits: keep(jax.random.fold_in(key, bits)))(weights[_INPUTS])
    return jnp.where(kept, x / layer.rate, 0.0)


def tell_inputs(weights: Mapping[str, Weights], x: Batch) -> Mapping[str, Weights]:
    """Return the weights, with a number of each of the network's inputs for the layers that draw masks for them.

    The same input has the same number in every batch; two others share one with probability ``2**-32``.
    """
    if not any("seed" in own for own in weights.values()):
        return weights
    bits = lax.bitcast_convert_type((x + 0.0).reshape((x.shape[0], -1)), "uint32").reshape((x.shape[0], -1))
    factors = jax.random.bits(jax.random.key(1), bits.shape[1:], "uint32") | np.uint32(1)
    number = jnp.sum(bits * factors[None], axis=1, dtype="uint32")
    return {path: {**own, _INPUTS: number} if "seed" in own else own for path, own in weights.items()}


def _seed(layer: Dropout, shape: Shape) -> Shapes:
    """Return the one number that all of a network's masks are drawn from."""
    return {"seed": (1,)} if layer.mode == "train" else {}


POSITIONS: dict[type[Layer], Finite] = {
    Index: Finite(_index),
    DotGeneral: Finite(_dot_general),
    Aggregate: Finite(_aggregate),
    ImageResize: Finite(_resize),
    LayerNorm: Finite(_layer_norm),
    BatchNorm: Finite(_batch_norm),
    Dropout: Finite(_dropout, _seed),
}
