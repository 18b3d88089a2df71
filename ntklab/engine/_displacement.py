"""The displacement engine: convolutions on all pairs of positions, one displacement after another, in cache."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._displacement_block import run_block
from ntklab.engine._displacement_images import Images, image_maps, take
from ntklab.engine._displacement_stages import canvases, stages, unfit
from ntklab.engine._interface import Engine, Support
from ntklab.engine._known import unknown
from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Learned, PairValue, Plan

_TILE_BYTES = 1 << 20
"""What one value on one tile may take, over all pairs of a block: measured best on CPU, a few fit in a core's cache."""
_FIRST, _VECTOR = 8, 32
"""Most images of a block from the first set, and from the second: whole vectors, and maps that several pairs read."""
_JAX = (0, 12)
"""The oldest JAX that compiles this into loops faster than the reference; 0.10 fuses it into far slower ones."""


class Displacement(Engine):
    """All layers of one displacement ``q - p`` between positions at a time; one number per pair leaves the cache.

    On 32 x 32 images about twice as fast as the reference from 8 x 32 pairs on, and about as fast for a handful.
    A pooling inside the network combines neighbouring displacements: its result stays in memory, for a few pairs.
    """

    name = "displacement"

    def declines(self, plan: Plan) -> str | None:
        """Know stride-1 convolutions and poolings side by side on 1-D and 2-D inputs."""
        return _refusal(plan)

    def supports(self, plan: Plan, device: Any, dtype: np.dtype) -> Support:
        """Accept what it knows on CPUs, with a recent JAX."""
        reason = self.declines(plan)
        if reason is None and device.platform != "cpu":
            reason = "it is written and measured for CPUs"
        if reason is None and jax.__version_info__[:2] < _JAX:
            reason = f"JAX older than {'.'.join(map(str, _JAX))} compiles it into slower code than the reference"
        if reason is not None:
            return Support(False, reason)
        return Support(True, "follows one displacement between positions at a time through all convolutions, in cache")

    def run(
        self, plan: Plan, x1: Float[Array, "n1 *shape"], x2: Float[Array, "n2 *shape"] | None, learned: Learned
    ) -> list[PairValue]:
        """Compute all pairs; the learnable numbers are arguments, so that new values compile nothing."""
        return _run(x1, x2, learned, plan=replace(plan, hyper=()))

    def diagonal(self, plan: Plan, x: Float[Array, "n *shape"], learned: Learned) -> list[PairValue]:
        """Compute each input with itself."""
        return _diagonal(x, learned, plan=replace(plan, hyper=()))


def _refusal(plan: Plan) -> str | None:
    """Return why there is no code for a plan, or None."""
    reason = unknown(plan)
    if reason is not None:
        return reason
    canvas = plan.ops[0].spatial
    if len(canvas) not in (1, 2):
        return f"inputs have {len(canvas)} spatial axes, and it knows 1 and 2"
    if not any(op.kind == "pool" for op in plan.ops):
        return "without pooling only equal positions are needed, for which the reference is faster"
    for op, size in zip(plan.ops, canvases(plan), strict=True):
        if op.kind != "conv":
            continue
        assert op.window is not None
        if set(op.window.strides) != {1}:
            return f"{op.label} has a stride, which mixes displacements"
        if op.window.padding == "CIRCULAR" and flat_sizes(op.spatial) != size:
            return f"{op.label} wraps around an image that an earlier convolution made smaller"
    return unfit(plan)


class _Blocks(NamedTuple):
    """Which inputs meet in which block: ``rows x columns`` blocks of ``b1 x b2`` pairs."""

    b1: int
    b2: int
    rows: int
    columns: int
    side_by_side: bool  # few pairs: vectors hold the displacements along columns


@partial(jax.jit, static_argnames=("plan",))
def _run(x1: Array, x2: Array | None, learned: Learned, *, plan: Plan) -> list[PairValue]:
    n1, n2 = x1.shape[0], x1.shape[0] if x2 is None else x2.shape[0]
    b1, b2, rows, columns, side_by_side = _cut(plan, n1, n2, x2 is None, x1.dtype)
    first = _maps(plan, x1, learned)
    second = first if x2 is None else _maps(plan, x2, learned)

    @jax.checkpoint  # derivatives recompute a block instead of keeping all of its layers for all blocks
    def block(at: tuple[Array, Array]) -> list[PairValue]:
        row, column = at
        i = row * b1 + jnp.arange(b1)
        j = column * b2 + jnp.arange(b2)
        # symmetric: input i meets i, i + 1, .., i + n/2, counted around: every pair once, without a triangle's steps
        j = (row * b1 + j) % n1 if x2 is None else jnp.minimum(j, n2 - 1)
        left, right = take(first, jnp.minimum(i, n1 - 1)), take(second, j)
        return run_block(plan, left, right, learned, across=True, side_by_side=side_by_side)

    grid = jnp.indices((rows, columns)).reshape((2, rows * columns))
    tiles = jax.lax.map(block, (grid[0], grid[1]))

    def assemble(tile: Array) -> Array:
        band = tile.reshape((rows, columns, b1, b2)).transpose((0, 2, 1, 3)).reshape((rows * b1, columns * b2))
        if x2 is not None:
            return band[:n1, :n2]
        i, j = jnp.arange(n1)[:, None], jnp.arange(n1)[None, :]
        there, back = (j - i // b1 * b1) % n1, (i - j // b1 * b1) % n1
        width = columns * b2
        across = jnp.where(there < width, band[i, jnp.minimum(there, width - 1)], band[j, jnp.minimum(back, width - 1)])
        return jnp.where(i <= j, across, across.T)

    return jax.tree.map(assemble, tiles)


@partial(jax.jit, static_argnames=("plan",))
def _diagonal(x: Array, learned: Learned, *, plan: Plan) -> list[PairValue]:
    n = x.shape[0]
    size, side_by_side = _cut_alone(plan, n, x.dtype)
    count = -(-n // size)
    maps = _maps(plan, x, learned)

    def block(at: Array) -> list[PairValue]:
        some = take(maps, jnp.minimum(at * size + jnp.arange(size), n - 1))
        return run_block(plan, some, some, learned, across=False, side_by_side=side_by_side)

    values = jax.lax.map(jax.checkpoint(block), jnp.arange(count))
    return jax.tree.map(lambda a: a.reshape((count * size,))[:n], values)


def _maps(plan: Plan, x: Array, learned: Learned) -> Images:
    size, side_by_side = _cut_alone(plan, x.shape[0], x.dtype)
    if side_by_side:  # only a few displacements inside one image matter
        counts = [stage.count[1] for stage in stages(plan, alone=True).values()]
        size = min(x.shape[0], max(1, 2 * _VECTOR // max(counts, default=1)))
    return image_maps(plan, x, learned, size, side_by_side=side_by_side)


def _cut_alone(plan: Plan, n: int, dtype: np.dtype) -> tuple[int, bool]:
    """Return how many images meet themselves in one block, and whether displacements fill the vectors."""
    side_by_side = n < _VECTOR or _stagewise(plan)
    return min(n, _few(plan) if side_by_side else min(2 * _VECTOR, _lanes(plan, dtype))), side_by_side


def _cut(plan: Plan, n1: int, n2: int, symmetric: bool, dtype: np.dtype) -> _Blocks:
    lanes = _lanes(plan, dtype)
    most1 = min(_FIRST, max(1, lanes // _VECTOR))
    b1 = min(most1, max(1, n1 // 16)) if symmetric else min(most1, n1)
    width = min(n1, n1 // 2 + b1) if symmetric else n2
    side_by_side = width < _VECTOR or _stagewise(plan)
    most2 = _few(plan) if side_by_side else max(1, min(_VECTOR, lanes // b1))
    count = -(-width // most2)
    b2 = -(-width // count)
    if b2 > 24:
        b2 = -(-b2 // 8) * 8  # whole vectors; a few pairs are computed twice
    return _Blocks(b1, b2, -(-n1 // b1), count, side_by_side)


def _stagewise(plan: Plan) -> bool:
    """Whether poolings need all displacements along columns at once; what they leave of a few pairs is in memory."""
    return any(op.kind == "pool" and not op.squeeze for op in plan.ops)


def _lanes(plan: Plan, dtype: np.dtype) -> int:
    """Return how many pairs to compute at a time."""
    return max(1, _TILE_BYTES // (math.prod(plan.ops[0].spatial) * dtype.itemsize))


def _few(plan: Plan) -> int:
    """Return how many second images fill a few vectors with all their displacements along columns."""
    return max(1, 2 * _VECTOR // plan.ops[0].spatial[-1])
