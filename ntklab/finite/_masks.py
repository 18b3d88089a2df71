"""Layers on a batch some of whose positions are absent: which are present after each, and what looks at those alone.

A mask ``(n, *spatial)`` is True at present positions. What is absent is set to zero after every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntklab.errors import SpecError
from ntklab.finite._linear import PRECISION
from ntklab.finite._positions import POSITIONS
from ntklab.finite._sequences import attend
from ntklab.spec import (
    Activation,
    Aggregate,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    Dense,
    DotGeneral,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    GlobalSumPool,
    Identity,
    ImageResize,
    Index,
    Layer,
    LayerNorm,
    Mask,
    Neighbours,
    Parallel,
    Product,
    Recurrent,
    Residual,
    SumPool,
    window_padding,
)

Batch = Float[Array, "n ..."]
Present = Bool[Array, "n *P"]
Weights = Mapping[str, Array]


class Aside(NamedTuple):
    """What goes along with a batch: its mask, or None where every position is present, and graphs, if it has some."""

    mask: Present | None = None
    graph: Float[Array, "n N N"] | None = None


def read_mask(layer: Mask, x: Batch) -> tuple[Batch, Present]:
    """Return inputs with zeros for missing numbers, and the mask."""
    missing = x == layer.constant
    return jnp.where(missing, 0.0, x), ~jnp.all(missing, axis=-1)


def sum_of_neighbours(layer: Neighbours, x: Batch, graph: Float[Array, "n N N"] | None) -> Batch:
    """Return what each node gathers from its neighbours."""
    if graph is None or x.shape[1:-1] != graph.shape[1:2]:
        raise SpecError(f"{layer!r} needs the nodes of a Graph, which is to stand first.")
    total = jnp.einsum("npr,nrc->npc", graph, x, precision=PRECISION)
    if not layer.mean:
        return total
    degree = graph.sum(axis=-1)[..., None]
    return jnp.where(degree > 0, total / jnp.where(degree > 0, degree, 1), total)


def zeroed(x: Batch, mask: Present) -> Batch:
    """Return a batch with zeros at absent positions."""
    return jnp.where(mask[..., None], x, 0.0)


def mask_after(layer: Layer, masks: Sequence[Present], y: Batch) -> Present:
    """Return the mask of what a layer made, or raise SpecError where none goes through it."""
    if isinstance(layer, Activation):
        return masks[0]
    if type(layer) not in _AFTER:
        raise SpecError(
            f"{layer!r} cannot follow a Mask: nothing says which positions are present after it; use another "
            f"layer, or inputs of one length."
        )
    return _AFTER[type(layer)](layer, masks, y)


def _same(layer: Layer, masks: Sequence[Present], y: Batch) -> Present:
    return masks[0]


def _any_branch(layer: Layer, masks: Sequence[Present], y: Batch) -> Present:
    return jnp.stack(masks).any(axis=0)


def _anywhere(layer: Layer, masks: Sequence[Present], y: Batch) -> Present:
    return masks[0].reshape((masks[0].shape[0], -1)).any(axis=1)


def _centres(layer: Any, masks: Sequence[Present], y: Batch) -> Present:
    (mask,) = masks
    if mask.shape == y.shape[:-1]:
        return mask
    if not isinstance(layer.padding, str):
        raise SpecError(f"{layer!r} cannot follow a Mask: padding by amounts moves its positions; use SAME.")
    steps = getattr(layer, "dilation", None) or (1,) * len(layer.window)
    for axis, (k, s, d) in enumerate(zip(layer.window, layer.strides, steps, strict=True), 1):
        reach = 1 + (k - 1) * d
        first = -window_padding(mask.shape[axis], reach, s, cast(Any, layer.padding))[0]
        mask = jnp.take(mask, np.array([first + s * i + (reach - 1) // 2 for i in range(y.shape[axis])]), axis=axis)
    return mask


def _contributing(layer: Layer, masks: Sequence[Present], y: Batch) -> Present:
    """Return where anything present has a weight, as unit vectors show."""
    (mask,) = masks
    spatial, after = mask.shape[1:], y.shape[1:-1]
    units = jnp.eye(math.prod(spatial), dtype=y.dtype).reshape((-1, *spatial, 1))
    weights = POSITIONS[type(layer)].apply(layer, {}, units).reshape((math.prod(spatial), -1)) != 0
    found = (mask.reshape((mask.shape[0], -1, 1)) & weights[None]).any(axis=1)
    return found.reshape((mask.shape[0], *after))


def _indexed(layer: Index, masks: Sequence[Present], y: Batch) -> Present:
    return POSITIONS[Index].apply(layer, {}, masks[0][..., None])[..., 0]


def _concatenated(layer: Concat, masks: Sequence[Present], y: Batch) -> Present:
    axis = layer.axis % (y.ndim - 1) + 1
    return _any_branch(layer, masks, y) if axis == y.ndim - 1 else jnp.concatenate(masks, axis=axis)


def _steps(layer: Recurrent, masks: Sequence[Present], y: Batch) -> Present:
    if layer.output == "last":
        raise SpecError(
            f"{layer!r} cannot follow a Mask: its last step may be absent; use output='sequence' and GlobalAvgPool()."
        )
    return masks[0]


_AFTER: dict[type[Layer], Callable[[Any, Sequence[Present], Batch], Present]] = {
    **dict.fromkeys((Aggregate, Dense, Dropout, GlobalSelfAttention, Identity, LayerNorm, Neighbours), _same),
    **dict.fromkeys((Parallel, Product, Residual), _any_branch),
    **dict.fromkeys((Flatten, GlobalAvgPool, GlobalSumPool), _anywhere),
    **dict.fromkeys((AvgPool, Conv, ConvLocal, SumPool), _centres),
    **dict.fromkeys((DotGeneral, ImageResize), _contributing),
    Concat: _concatenated,
    Index: _indexed,
    Recurrent: _steps,
}


def _mean_of_present(layer: GlobalAvgPool, weights: Weights, x: Batch, mask: Present) -> Batch:
    axes = tuple(range(1, x.ndim - 1))
    count = jnp.maximum(mask.sum(axis=axes), 1).astype(x.dtype)
    return x.sum(axis=axes) / count[:, None]


def _norm_of_present(layer: LayerNorm, weights: Weights, x: Batch, mask: Present) -> Batch:
    axes = (*(1 + axis for axis in layer.positions(x.ndim - 2)), -1)
    there = jnp.broadcast_to(mask[..., None], x.shape)
    count = jnp.maximum(there.sum(axis=axes, keepdims=True), 1).astype(x.dtype)
    centred = jnp.where(there, x - x.sum(axis=axes, keepdims=True) / count, 0.0)
    return centred / jnp.sqrt(jnp.square(centred).sum(axis=axes, keepdims=True) / count + layer.eps)


OF_PRESENT: dict[type[Layer], Callable[[Any, Weights, Batch, Present], Batch]] = {
    GlobalAvgPool: _mean_of_present,
    GlobalSelfAttention: attend,
    LayerNorm: _norm_of_present,
}
"""Layers that must know which positions are present: what they are there."""
