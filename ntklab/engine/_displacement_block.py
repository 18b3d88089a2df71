"""One block of pairs in displacement form: the images' maps, lined up, and the loop over displacements."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.engine._displacement_border import flat_sizes
from ntklab.engine._displacement_walk import Sides, borders, needed, walk_numbers, walk_tile, wanted_maps
from ntklab.kernel import Carry, PairValue, Plan, Squares, image_pass

Images = dict[tuple[int, str], Array]
"""What is known of each image alone, by operation and name: arrays ``(n, *spatial)``, pixels ``(n, *spatial, C)``."""


def image_maps(plan: Plan, x: Float[Array, "n *shape"], squares: Squares) -> Images:
    """Return what the rules want to know of each image alone."""
    if any(op.image is Carry.ALL for op in plan.ops):  # an image's own pairs of positions: one image at a time
        own = jax.lax.map(lambda xi: jax.tree.map(lambda a: a[0], image_pass(plan, xi[None], squares)), x)
    else:
        own = image_pass(plan, x, squares)
    maps = {(0, "pixels"): x}
    for i, name in wanted_maps(plan):
        value = own[i]
        assert value is not None
        if name == "inverse":
            safe = value.std > float(jnp.finfo(x.dtype).tiny)
            maps[i, name] = jnp.where(safe, 1.0 / jnp.where(safe, value.std, 1.0), 0.0)
        else:
            maps[i, name] = getattr(value, name)
    return maps


def take(images: Images, index: Array) -> Images:
    """Return the maps of some images."""
    return {key: a[index] for key, a in images.items()}


def run_block(
    plan: Plan, first: Images, second: Images, squares: Squares, *, across: bool, side_by_side: bool
) -> list[PairValue]:
    """Return the plan's outputs for all of ``first`` with all of ``second`` (``across``), or for one with one.

    For a few pairs, ``side_by_side`` fills vectors with all displacements along columns; else these are a loop.
    """
    canvas = flat_sizes(plan.ops[0].spatial)
    spread = (-1, -2) if across else (-2, -2)
    numbers = Sides(
        *(
            {k: jnp.expand_dims(a, axis) for k, a in images.items() if not plan.ops[k[0]].spatial}
            for images, axis in zip((first, second), spread, strict=True)
        )
    )
    left, right = (
        {k: _tile(a, k, canvas, axis) for k, a in images.items() if plan.ops[k[0]].spatial}
        for images, axis in zip((first, second), spread, strict=True)
    )
    pooled: dict[int, PairValue] = {}
    poolings, flattens = ([i for i, op in enumerate(plan.ops) if op.kind == kind] for kind in ("pool", "flatten"))
    if poolings:
        pooled.update(zip(poolings, _all_displacements(plan, canvas, left, right, squares, side_by_side), strict=True))
    if flattens:
        nowhere = (jnp.zeros((), int), jnp.zeros((), int))
        found = walk_tile(plan, "flatten", canvas, nowhere, Sides(left, right), squares)
        pooled.update(zip(flattens, found, strict=True))
    same = jnp.all(left[0, "pixels"] == right[0, "pixels"], axis=(0, 1, 2))
    return walk_numbers(plan, pooled, numbers, same, squares)


def _all_displacements(
    plan: Plan, canvas: tuple[int, int], left: Images, right: Images, squares: Squares, side_by_side: bool
) -> list[PairValue]:
    """Return the mean over all pairs of positions that each global pooling takes, in the order of the plan."""
    keys = {(i, name) for i, name in right if i in needed(plan, "pool")}
    pairs = right[0, "pixels"].shape[-1]
    every = jnp.repeat(jnp.arange(canvas[1]), pairs).reshape((1, 1, 1, canvas[1] * pairs))
    if side_by_side:
        twice = {key: _twice(_beside(right[key], canvas[1]), -4) for key in keys}
        left = {key: jnp.tile(a, canvas[1] if a.shape[-1] > 1 else 1) for key, a in left.items()}
    else:
        twice = {key: _twice(_twice(right[key], -4), -3) for key in keys}

    @jax.checkpoint
    def row(di: Array) -> list[PairValue]:
        rows = {key: jax.lax.dynamic_slice_in_dim(a, di, canvas[0], axis=a.ndim - 4) for key, a in twice.items()}
        rows |= borders(plan, canvas, di, rows, 1)
        here = {**left, **borders(plan, canvas, di, left, 0)}
        if side_by_side:
            return jax.tree.map(
                lambda a: jnp.sum(a.reshape((a.shape[0], canvas[1], pairs)), axis=1),
                walk_tile(plan, "pool", canvas, (di, every), Sides(here, rows), squares),
            )

        @jax.checkpoint  # derivatives recompute a tile instead of keeping the layers of all
        def tile(dj: Array) -> list[PairValue]:
            there = {key: jax.lax.dynamic_slice_in_dim(a, dj, canvas[1], axis=a.ndim - 3) for key, a in rows.items()}
            return walk_tile(plan, "pool", canvas, (di, dj), Sides(here, there), squares)

        return jax.tree.map(lambda a: jnp.sum(a, axis=0), jax.lax.map(tile, jnp.arange(canvas[1])))

    sums = jax.tree.map(lambda a: jnp.sum(a, axis=0), jax.lax.map(row, jnp.arange(canvas[0])))
    means = []
    for op, total in zip((op for op in plan.ops if op.kind == "pool"), sums, strict=True):
        rows, columns = flat_sizes(plan.ops[op.inputs[0]].spatial)
        means.append(jax.tree.map(lambda a, n=rows * columns: a * (1.0 / n), total))
    return means


def _tile(a: Array, key: tuple[int, str], canvas: tuple[int, int], axis: int) -> Array:
    """Line up a map of some images as a tile: (channel if pixels, row, column, first images, second images)."""
    a = jnp.moveaxis(a, 0, -1)
    if key[1] == "pixels":
        a = jnp.moveaxis(a, -2, 0)
        return jnp.expand_dims(a.reshape((a.shape[0], *canvas, a.shape[-1])), axis)
    sizes = flat_sizes(a.shape[:-1])
    a = a.reshape((*sizes, a.shape[-1]))
    beyond = [(0, size - n) for size, n in zip(canvas, sizes, strict=True)]
    return jnp.expand_dims(jnp.pad(a, [*beyond, (0, 0)]), axis)


def _twice(a: Array, axis: int) -> Array:
    return jnp.concatenate((a, a), axis)


def _beside(a: Array, count: int) -> Array:
    """Return a map as seen at all displacements along columns, side by side on the last axis."""
    at = jnp.arange(count)
    a = jnp.take(a, (at[:, None] + at[None]) % count, axis=a.ndim - 3)  # (.., row, column, displacement, 1, image)
    return a.reshape((*a.shape[:-3], 1, count * a.shape[-1]))
