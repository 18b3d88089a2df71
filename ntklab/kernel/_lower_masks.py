"""What becomes of masks: which positions are present after a layer, and which values must be zeroed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import jax
import numpy as np
from jaxtyping import Bool, Float

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.kernel._rule_positions import Matrix, Mix
from ntklab.spec import (
    ABRelu,
    Abs,
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
    ImageResize,
    Index,
    Layer,
    LayerNorm,
    LeakyRelu,
    Misfit,
    Neighbours,
    Parallel,
    Product,
    Recurrent,
    Relu,
    Residual,
    SumPool,
    window_padding,
)

Inputs = tuple[int, ...]
Maps = list[Float[np.ndarray, "positions read"]]
"""For every mask that is read: which positions after have it in them."""
ZERO_STAYS: tuple[type[Layer], ...] = (Abs, ABRelu, Concat, Dropout, Flatten, GlobalAvgPool, GlobalSumPool, Index)
ZERO_STAYS = (*ZERO_STAYS, LeakyRelu, Parallel, Product, Relu, Residual)
"""Layers that leave zeros at absent positions, exactly, if zeros were there."""


def mask_after(builder: Builder, layer: Layer, inputs: Inputs, number: int, at: Place) -> int:
    """Return what a layer made, with zeros at positions that are absent after it."""
    masks = [builder.masks[i] for i in inputs if i in builder.masks]
    if len(masks) < len(inputs):
        free = [i for i in inputs if i not in builder.masks]
        along = isinstance(layer, Concat) and builder.values[number].kind != "sum"
        if not along and not _sources(builder, free) & _sources(builder, [i for i in inputs if i in builder.masks]):
            return number  # a branch of another input, without absent positions: present everywhere
        raise SpecError(
            f"{type(layer).__name__} at {at.name} joins a branch that begins with a Mask and one that does not; put "
            f"the Mask in front of both. Network: {at.network!r}"
        )
    try:
        present = _present(builder, layer, masks, number)
    except Misfit as misfit:
        raise SpecError(
            f"{layer!r} at {at.name} cannot follow a Mask: {misfit}. Use another layer, or inputs of one length "
            f"without a Mask. Network: {at.network!r}"
        ) from None
    value = builder.values[number]
    if not (isinstance(layer, ZERO_STAYS) or (isinstance(layer, Dense) and layer.b_std is None)):
        key = ("masked", number, present)
        shared = {"spatial": value.spatial, "gaussian": builder.gaussian[number], "alike": builder.alike[number]}
        number = builder.add(key, at, kind="masked", label="masked", inputs=(number, present), **shared)
    builder.masks[number] = present
    return number


def _sources(builder: Builder, numbers: Iterable[int]) -> set[tuple[Any, ...]]:
    """Return which parts of the input some values rest on."""
    found: set[tuple[Any, ...]] = set()
    for i in numbers:
        op = builder.values[i]
        cuts = tuple(option for option in op.options if option[0] != "constant")
        found |= {cuts} if op.kind == "input" else _sources(builder, op.inputs)
    return found


def _present(builder: Builder, layer: Layer, masks: list[int], number: int) -> int:
    """Return the mask after a layer."""
    maps: Maps | None = None
    if isinstance(layer, Activation):
        maps = []
    elif type(layer) in _AFTER:
        maps = _AFTER[type(layer)](builder, layer, masks, number)
    if maps is None:
        raise Misfit("no rule says which positions are present after it")
    if not maps:
        if len(set(masks)) == 1:
            return masks[0]
        maps = [np.eye(math.prod(builder.values[m].spatial)) for m in masks]
    matrices = tuple(map(Matrix.of, maps))
    spatial = builder.values[number].spatial
    key = ("mask", matrices, *masks)
    at = Place(layer, "", "", {})
    return builder.add(
        key,
        at,
        kind="mask",
        label="present",
        inputs=tuple(masks),
        spatial=spatial,
        gaussian=False,
        alike=False,
        options=(("from", matrices),),
    )


def _kept(builder: Builder, layer: Layer, masks: list[int], number: int) -> Maps:
    return []


def _nowhere(builder: Builder, layer: Layer, masks: list[int], number: int) -> Maps:
    return [np.ones((1, math.prod(builder.values[m].spatial))) for m in masks]


def _centres(builder: Builder, layer: Any, masks: list[int], number: int) -> Maps:
    """Return, for every window, the position at its centre; all where there are as many windows as positions."""
    before, after = builder.values[masks[0]].spatial, builder.values[number].spatial
    if before == after:
        return []
    if not isinstance(layer.padding, str):
        raise Misfit(
            'padding by amounts moves its positions; use padding "SAME", or amounts and stride 1 that keep all'
        )
    steps = getattr(layer, "dilation", None) or (1,) * len(before)
    found = []
    for n, m, k, s, d in zip(before, after, layer.window, layer.strides, steps, strict=True):
        reach = (k - 1) * d + 1
        found.append((reach - 1) // 2 - window_padding(n, reach, s, cast(Any, layer.padding))[0] + s * np.arange(m))
    return [_picked(np.arange(math.prod(before)).reshape(before)[np.ix_(*found)], math.prod(before))]


def _indexed(builder: Builder, layer: Layer, masks: list[int], number: int) -> Maps:
    words = tuple(slice(*w) if isinstance(w, tuple) else w for w in dict(builder.values[number].options)["words"])
    before = builder.values[masks[0]].spatial
    return [_picked(np.arange(math.prod(before)).reshape(before)[words], math.prod(before))]


def _mixed(builder: Builder, layer: Layer, masks: list[int], number: int) -> Maps:
    """Return which positions a sum over positions has in it."""
    op = builder.values[number]
    if op.kind != Mix.kind:  # a number times everything
        return []
    size = math.prod(builder.values[masks[0]].spatial)
    found: Bool[np.ndarray, "..."] = np.eye(size, dtype=bool).reshape((size, *builder.values[masks[0]].spatial))
    for factor in dict(op.options)["factors"]:
        with jax.ensure_compile_time_eval():  # plans are made inside jax.jit, too
            matrix = np.asarray(factor.matrix.array(np.dtype("float32"))) != 0
        moved = np.moveaxis(found, [1 + a for a in factor.axes], range(-len(factor.axes), 0))
        lead = moved.shape[: found.ndim - len(factor.axes)]
        mixed = (moved.reshape((*lead, -1)).astype(float) @ matrix.T > 0).reshape((*lead, *factor.out))
        ends = range(-len(factor.out), 0)
        found = np.moveaxis(mixed, ends, [1 + a for a in factor.axes]) if len(factor.out) == len(factor.axes) else mixed
    return [found.reshape((size, -1)).T.astype(float)]


def _side_by_side(builder: Builder, layer: Concat, masks: list[int], number: int) -> Maps:
    op = builder.values[number]
    if op.kind == "sum":  # along channels
        return []
    axis, places = dict(op.options)["axis"], np.arange(math.prod(op.spatial)).reshape(op.spatial)
    sizes = [builder.values[m].spatial[axis] for m in masks]
    parts = np.split(places, np.cumsum(sizes)[:-1], axis=axis)
    return [_picked(part, places.size).T for part in parts]


def _recurrent(builder: Builder, layer: Recurrent, masks: list[int], number: int) -> Maps:
    if layer.output == "last":
        raise Misfit('its last step may be absent; use output="sequence" and GlobalAvgPool()')
    return []


def _picked(places: Any, size: int) -> Float[np.ndarray, "positions read"]:
    return np.eye(size)[np.ravel(places)]


_AFTER: dict[type[Layer], Callable[[Builder, Any, list[int], int], Maps]] = {
    Aggregate: _kept,
    AvgPool: _centres,
    Concat: _side_by_side,
    Conv: _centres,
    ConvLocal: _centres,
    Dense: _kept,
    DotGeneral: _mixed,
    Dropout: _kept,
    Flatten: _nowhere,
    GlobalAvgPool: _nowhere,
    GlobalSelfAttention: _kept,
    GlobalSumPool: _nowhere,
    ImageResize: _mixed,
    Index: _indexed,
    LayerNorm: _kept,
    Neighbours: _kept,
    Parallel: _kept,
    Product: _kept,
    Recurrent: _recurrent,
    Residual: _kept,
    SumPool: _centres,
}
"""Layer -> which masks its positions are made of; an empty list for those that stay where they are."""
