"""One stage of one block of pairs: the loops over its displacements, and what poolings and Flattens make of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ntklab.engine._displacement_border import tile_mean
from ntklab.engine._displacement_pool import add_rows, pool_columns
from ntklab.engine._displacement_stages import Layout, Stage, canvases, factors, is_inner, needed
from ntklab.engine._displacement_walk import Maps, Sides, borders, walk_tile
from ntklab.kernel import Learned, PairValue, Plan

Pooled = Mapping[int, PairValue]
"""Means over pairs of windows: arrays (displacement along rows, row, column, b1, displacements along columns * b2)."""


def run_stage(
    plan: Plan,
    layout: Layout,
    stage: Stage,
    sides: Sides,
    pooled: Pooled,
    same: Bool[Array, "b1 b2"],
    learned: Learned,
    *,
    side_by_side: bool,
) -> dict[int, PairValue]:
    """Return what ends a stage: means over pairs of windows, or over pairs of positions ``(b1, b2)``.

    ``side_by_side`` fills vectors with all displacements along columns, as inner poolings need; else these are a loop.
    """
    found: dict[int, PairValue] = {}
    if stage.pools:
        start = {i: pooled[i] for i in needed(plan, stage.pools) if i in pooled}
        found |= _all_displacements(plan, layout, stage, sides, start, same, learned, side_by_side)
    if stage.flattens:
        nowhere = (jnp.zeros((), int), jnp.zeros((), int))
        start = {i: at_zero(stage, pooled[i], same.shape[1]) for i in needed(plan, stage.flattens) if i in pooled}
        values = walk_tile(plan, stage.flattens, stage.canvas, nowhere, sides, start, same, learned)
        for i, value in zip(stage.flattens, values, strict=True):
            found[i] = _mean(plan, i, value, stage, nowhere)
    return found


def at_zero(stage: Stage, pooled: PairValue, pairs: int) -> PairValue:
    """Return the tile of equal positions."""
    row, column = stage.slot_of_zero
    return jax.tree.map(lambda a: a[row, ..., column * pairs : (column + 1) * pairs], pooled)


def _all_displacements(
    plan: Plan,
    layout: Layout,
    stage: Stage,
    sides: Sides,
    pooled: Pooled,
    same: Bool[Array, "b1 b2"],
    learned: Learned,
    side_by_side: bool,
) -> dict[int, PairValue]:
    inner = {i: layout[canvases(plan)[i]] for i in stage.pools if is_inner(plan.ops[i])}
    canvas, (b1, pairs) = stage.canvas, same.shape
    down, across = (first + jnp.arange(n) for first, n in zip(stage.first, stage.count, strict=True))
    needs = set(needed(plan, stage.pools))
    left, right = ({key: a for key, a in maps.items() if key[0] in needs} for maps in sides)
    dtype = jax.tree.leaves((left, pooled))[0].dtype
    if side_by_side:
        count = stage.count[1]
        every = jnp.repeat(across % canvas[1], pairs).reshape((1, 1, 1, count * pairs))
        twice = {key: _twice(_beside(a, across), -4) for key, a in right.items()}
        left = {key: jnp.tile(a, count if a.shape[-1] > 1 else 1) for key, a in left.items()}
        same = jnp.tile(same, count)
    else:
        assert not inner
        assert not pooled
        every = across
        twice = {key: _twice(_twice(a, -4), -3) for key, a in right.items()}

    def walk(
        at: tuple[Array, Array], left: Maps, right: Maps, some: Pooled
    ) -> tuple[dict[int, PairValue], dict[int, PairValue]]:
        """Return the tiles that inner poolings read, and the means that global ones take."""
        tiles = walk_tile(plan, stage.pools, canvas, at, Sides(left, right), some, same, learned)
        read = dict(zip(stage.pools, tiles, strict=True))
        return {i: read.pop(i) for i in inner}, {i: _mean(plan, i, value, stage, at) for i, value in read.items()}

    @jax.checkpoint
    def row(d: Array, some: Pooled) -> tuple[dict[int, PairValue], dict[int, PairValue]]:
        di = d % canvas[0]
        rows = {key: jax.lax.dynamic_slice_in_dim(a, di, canvas[0], axis=a.ndim - 4) for key, a in twice.items()}
        rows |= borders(plan, stage.pools, canvas, di, rows, 1)
        here = {**left, **borders(plan, stage.pools, canvas, di, left, 0)}
        if side_by_side:
            tiles, means = walk((di, every), here, rows, some)
            for i, value in tiles.items():
                window, slots = factors(plan.ops[i])[1], inner[i].slots(1)
                pool = partial(pool_columns, first=stage.first[1], pairs=pairs, window=window, slots=slots)
                tiles[i] = jax.tree.map(pool, value)
            return tiles, jax.tree.map(lambda a: jnp.sum(a.reshape((b1, -1, pairs)), axis=1), means)

        @jax.checkpoint  # derivatives recompute a tile instead of keeping the layers of all
        def tile(dj: Array) -> dict[int, PairValue]:
            there = {key: jax.lax.dynamic_slice_in_dim(a, dj, canvas[1], axis=a.ndim - 3) for key, a in rows.items()}
            return walk((di, dj), here, there, {})[1]

        return {}, jax.tree.map(lambda a: jnp.sum(a, axis=0), jax.lax.map(tile, across))

    def step(totals: Pooled, at: tuple[Array, Pooled]) -> tuple[Pooled, Pooled]:
        tiles, means = row(*at)
        for i, value in tiles.items():
            add = partial(add_rows, d=at[0], window=factors(plan.ops[i])[0], slots=inner[i].slots(0))
            tiles[i] = jax.tree.map(add, totals[i], value)
        return tiles, means

    start = {}
    for i, to in inner.items():
        empty = jnp.zeros((to.count[0], *to.canvas, b1, to.count[1] * pairs), dtype)
        start[i] = PairValue(empty, empty if plan.ops[i].ntk else None)
    totals, means = jax.lax.scan(step, start, (down, pooled))
    found = dict(totals)
    for i, value in means.items():
        share = 1.0 / math.prod(plan.ops[plan.ops[i].inputs[0]].spatial)
        found[i] = jax.tree.map(lambda a, share=share: jnp.sum(a, axis=0) * share, value)
    return found


def _mean(plan: Plan, i: int, value: PairValue, stage: Stage, at: tuple[Array, Array]) -> PairValue:
    """Return the sum of a tile over its pairs of positions, divided by the number of positions."""
    spatial = plan.ops[plan.ops[i].inputs[0]].spatial
    return jax.tree.map(lambda a: tile_mean(a, spatial, stage.canvas, at), value)


def _twice(a: Array, axis: int) -> Array:
    return jnp.concatenate((a, a), axis)


def _beside(a: Array, across: Array) -> Array:
    """Return a map as seen at all displacements along columns, side by side on the last axis."""
    n = a.shape[-3]
    a = jnp.take(a, (jnp.arange(n)[:, None] + across[None]) % n, axis=a.ndim - 3)
    return a.reshape((*a.shape[:-3], 1, a.shape[-3] * a.shape[-1]))  # from (.., row, column, displacement, 1, image)
