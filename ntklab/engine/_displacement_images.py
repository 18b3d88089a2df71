"""What each image contributes alone, and how that lines up with the tiles of pairs."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.engine._displacement_loop import at_zero, run_stage
from ntklab.engine._displacement_stages import canvases, stages
from ntklab.engine._displacement_walk import Sides, wanted_maps
from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import ImageValue, Learned, PairValue, Plan, image_pass

Images = dict[tuple[int, str], Array]
"""What is known of each image alone, by operation and name: arrays ``(n, *spatial)``, pixels ``(n, *spatial, C)``."""


def image_maps(plan: Plan, x: Float[Array, "n *shape"], learned: Learned, size: int, *, side_by_side: bool) -> Images:
    """Return what the rules want to know of each image alone; distances inside images in blocks of ``size``."""
    n = x.shape[0]
    if not stages(plan, alone=True):
        return _maps(plan, x, image_pass(plan, x, learned, {}))

    @jax.checkpoint
    def block(at: Array) -> dict[int, Array]:
        some = x[jnp.minimum(at * size + jnp.arange(size), n - 1)]
        return _distances_within(plan, some, learned, side_by_side)

    count = -(-n // size)
    blocks = jax.lax.map(block, jnp.arange(count))
    within = jax.tree.map(lambda a: a.reshape((count * size, *a.shape[2:]))[:n], blocks)
    return _maps(plan, x, image_pass(plan, x, learned, within))


def take(images: Images, index: Array) -> Images:
    """Return the maps of some images."""
    return {key: a[index] for key, a in images.items()}


def line_up(plan: Plan, canvas: tuple[int, int], first: Images, second: Images, across: bool) -> Sides:
    """Return the maps on one canvas as tiles: (channel if pixels, row, column, first images, second images)."""
    on = canvases(plan)
    spread = (-1, -2) if across else (-2, -2)
    sides = (
        {k: _tile(a, k, canvas, axis) for k, a in images.items() if plan.ops[k[0]].spatial and on[k[0]] == canvas}
        for images, axis in zip((first, second), spread, strict=True)
    )
    return Sides(*sides)


def _distances_within(
    plan: Plan, x: Float[Array, "b *shape"], learned: Learned, side_by_side: bool
) -> dict[int, Float[Array, "b *P"]]:
    """Return half the mean distance inside each pooled window, pooling by pooling.

    Only displacements that end inside a window of the last pooling are followed.
    """
    layout = stages(plan, alone=True)
    alone = replace(plan, ops=tuple(replace(op, ntk=False) for op in plan.ops))
    same = jnp.ones((1, x.shape[0]), bool)
    within: dict[int, Array] = {}
    pooled: dict[int, PairValue] = {}
    for stage in layout.values():
        maps = _maps(plan, x, image_pass(plan, x, learned, within))
        sides = line_up(plan, stage.canvas, maps, maps, across=False)
        found = run_stage(alone, layout, stage, sides, pooled, same, learned, side_by_side=side_by_side)
        pooled |= found
        for i, value in found.items():
            op, distance = plan.ops[i], value.cov
            if not op.squeeze:
                rows, columns = flat_sizes(op.spatial)
                distance = at_zero(layout[canvases(plan)[i]], value, x.shape[0]).cov[:rows, :columns]
            within[i] = 0.5 * jnp.moveaxis(distance, -1, 0).reshape((x.shape[0], *op.spatial))
    return within


def _maps(plan: Plan, x: Float[Array, "n *shape"], own: list[ImageValue | None]) -> Images:
    maps = {(0, "pixels"): x}
    for i, name in wanted_maps(plan):
        value = own[i]
        if value is None:  # behind a pooling that is not known yet
            continue
        if name == "inverse":
            safe = value.std > float(jnp.finfo(x.dtype).tiny)
            maps[i, name] = jnp.where(safe, 1.0 / jnp.where(safe, value.std, 1.0), 0.0)
        else:
            maps[i, name] = getattr(value, name)
    return maps


def _tile(a: Array, key: tuple[int, str], canvas: tuple[int, int], axis: int) -> Array:
    a = jnp.moveaxis(a, 0, -1)
    if key[1] == "pixels":
        a = jnp.moveaxis(a, -2, 0)
        return jnp.expand_dims(a.reshape((a.shape[0], *canvas, a.shape[-1])), axis)
    sizes = flat_sizes(a.shape[:-1])
    a = a.reshape((*sizes, a.shape[-1]))
    beyond = [(0, size - n) for size, n in zip(canvas, sizes, strict=True)]
    return jnp.expand_dims(jnp.pad(a, [*beyond, (0, 0)]), axis)
