"""One stage of one block of pairs: the loops over its displacements, and what poolings and Flattens make of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ntklab.engine._displacement_border import tile_mean
from ntklab.engine._displacement_pool import Slots, add_pooled
from ntklab.engine._displacement_stages import Layout, Stage, canvases, factors, is_inner, needed
from ntklab.engine._displacement_walk import Maps, Sides, borders, walk_tile
from ntklab.kernel import PairValue, Plan, Squares

Pooled = Mapping[int, PairValue]
"""Means over pairs of windows by pooling: arrays (displacement along rows, along columns, row, column, b1, b2)."""


def run_stage(
    plan: Plan,
    layout: Layout,
    stage: Stage,
    sides: Sides,
    pooled: Pooled,
    same: Bool[Array, "b1 b2"],
    squares: Squares,
    *,
    side_by_side: bool,
) -> dict[int, PairValue]:
    """Return what ends a stage: means over pairs of windows, or over pairs of positions ``(b1, b2)``.

    ``side_by_side`` fills vectors with all displacements along columns; else these are a loop.
    """
    found: dict[int, PairValue] = {}
    if stage.pools:
        start = {i: pooled[i] for i in needed(plan, stage.pools) if i in pooled}
        found |= _all_displacements(plan, layout, stage, sides, start, same, squares, side_by_side)
    if stage.flattens:
        nowhere = (jnp.zeros((), int), jnp.zeros((), int))
        start = {i: jax.tree.map(lambda a: a[stage.slot_of_zero], pooled[i]) for i in pooled}
        values = walk_tile(plan, stage.flattens, stage.canvas, nowhere, sides, start, same, squares)
        for i, value in zip(stage.flattens, values, strict=True):
            found[i] = _mean(plan, i, value, stage, nowhere)
    return found


def _all_displacements(
    plan: Plan,
    layout: Layout,
    stage: Stage,
    sides: Sides,
    pooled: Pooled,
    same: Bool[Array, "b1 b2"],
    squares: Squares,
    side_by_side: bool,
) -> dict[int, PairValue]:
    inner = [i for i in stage.pools if is_inner(plan.ops[i])]
    whole = [i for i in stage.pools if i not in inner]
    after = {i: layout[canvases(plan)[i]] for i in inner}
    canvas, (b1, pairs) = stage.canvas, same.shape
    down, across = (first + jnp.arange(n) for first, n in zip(stage.first, stage.count, strict=True))
    needs = set(needed(plan, stage.pools))
    left, right = ({key: a for key, a in maps.items() if key[0] in needs} for maps in sides)
    dtype = jax.tree.leaves((left, pooled))[0].dtype

    def zeros(*shapes: tuple[int, ...]) -> dict[int, PairValue]:
        arrays = (jnp.zeros((*shape, b1, pairs), dtype) for shape in shapes)
        return {i: PairValue(a, a if plan.ops[i].ntk else None) for i, a in zip(inner, arrays, strict=True)}

    def add(totals: Pooled, values: Pooled, axis: int, d: Array) -> dict[int, PairValue]:
        added = {}
        for i, value in values.items():
            w, to = factors(plan.ops[i])[axis], after[i]
            slots = Slots(to.first[axis], to.all(axis))
            added[i] = jax.tree.map(lambda t, a, w=w, s=slots: add_pooled(t, a, d, w, s), totals[i], value)
        return added

    def walk(at: tuple[Array, Array], left: Maps, right: Maps, some: Pooled, same: Array) -> tuple[dict, dict]:
        """Return the tiles that inner poolings read, and the means that global ones take."""
        tiles = walk_tile(plan, stage.pools, canvas, at, Sides(left, right), some, same, squares)
        read = dict(zip(stage.pools, tiles, strict=True))
        return {i: read[i] for i in inner}, {i: _mean(plan, i, read[i], stage, at) for i in whole}

    if side_by_side:
        count = stage.count[1]
        every = jnp.repeat(across % canvas[1], pairs).reshape((1, 1, 1, count * pairs))
        twice = {key: _twice(_beside(a, across), -4) for key, a in right.items()}
        left = {key: jnp.tile(a, count if a.shape[-1] > 1 else 1) for key, a in left.items()}
        same = jnp.tile(same, count)
    else:
        twice = {key: _twice(_twice(a, -4), -3) for key, a in right.items()}

    @jax.checkpoint
    def row(d: Array, some: Pooled) -> tuple[dict[int, PairValue], dict[int, PairValue]]:
        di = d % canvas[0]
        rows = {key: jax.lax.dynamic_slice_in_dim(a, di, canvas[0], axis=a.ndim - 4) for key, a in twice.items()}
        rows |= borders(plan, stage.pools, canvas, di, rows, 1)
        here = {**left, **borders(plan, stage.pools, canvas, di, left, 0)}
        start = zeros(*((after[i].count[1], canvas[0], after[i].canvas[1]) for i in inner))
        if side_by_side:
            tiles, means = walk((di, every), here, rows, jax.tree.map(_to_sides, some), same)
            means = jax.tree.map(lambda a: jnp.sum(a.reshape((b1, -1, pairs)), axis=1), means)
            tiles = jax.tree.map(lambda a: _from_sides(a, pairs), tiles)
            totals, _ = jax.lax.scan(lambda t, at: (add(t, at[1], 1, at[0]), None), start, (across, tiles))
            return totals, means

        def tile(totals: Pooled, at: tuple[Array, Pooled]) -> tuple[Pooled, Pooled]:
            d, some = at
            dj = d % canvas[1]
            there = {key: jax.lax.dynamic_slice_in_dim(a, dj, canvas[1], axis=a.ndim - 3) for key, a in rows.items()}
            # derivatives recompute a tile instead of keeping the layers of all
            tiles, means = jax.checkpoint(walk)((di, dj), here, there, some, same)
            return add(totals, tiles, 1, d), means

        totals, means = jax.lax.scan(tile, start, (across, some))
        return totals, jax.tree.map(lambda a: jnp.sum(a, axis=0), means)

    def band(totals: Pooled, at: tuple[Array, Pooled]) -> tuple[Pooled, Pooled]:
        rows, means = row(*at)
        return add(totals, rows, 0, at[0]), means

    start = zeros(*((*to.count, *to.canvas) for to in after.values()))
    totals, means = jax.lax.scan(band, start, (down, pooled))
    found = dict(totals)
    for i, value in means.items():
        share = 1.0 / math.prod(plan.ops[plan.ops[i].inputs[0]].spatial)
        found[i] = jax.tree.map(lambda a, share=share: jnp.sum(a, axis=0) * share, value)
    return found


def _mean(plan: Plan, i: int, value: PairValue, stage: Stage, at: tuple[Array, Array]) -> PairValue:
    """Return the sum of a tile over its pairs of positions, divided by the number of positions."""
    spatial = plan.ops[plan.ops[i].inputs[0]].spatial
    return jax.tree.map(lambda a: tile_mean(a, spatial, stage.canvas, at), value)


def _to_sides(a: Array) -> Array:
    """Line up the tiles of all displacements along columns side by side on the last axis."""
    a = jnp.moveaxis(a, 0, -2)
    return a.reshape((*a.shape[:-2], a.shape[-2] * a.shape[-1]))


def _from_sides(a: Array, pairs: int) -> Array:
    return jnp.moveaxis(a.reshape((*a.shape[:-1], -1, pairs)), -2, 0)


def _twice(a: Array, axis: int) -> Array:
    return jnp.concatenate((a, a), axis)


def _beside(a: Array, across: Array) -> Array:
    """Return a map as seen at all displacements along columns, side by side on the last axis."""
    n = a.shape[-3]
    a = jnp.take(a, (jnp.arange(n)[:, None] + across[None]) % n, axis=a.ndim - 3)
    return a.reshape((*a.shape[:-3], 1, a.shape[-3] * a.shape[-1]))  # from (.., row, column, displacement, 1, image)
