"""The steps of a chain of programs: images followed alone, then pairs of them, one kernel after another."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntklab.engine._cuda_launch import Launch
from ntklab.engine._cuda_source import Source
from ntklab.engine._cuda_tiles import distances, floats, share, summed, variances, within
from ntklab.engine._simd_program import STORE

WORDS = 2
"""32-bit numbers in a double: JAX has none by default, and only passes them on."""
THREADS = 64
"""Threads of a block where each thread does something of its own; pairs come in such numbers."""
_PAIRS = {True: 1 << 10, False: 1 << 14}
"""Pairs of one launch, with all displacements or with none: their partial sums take at most some 10 MB a tap."""
_FLOATS = 1 << 27
"""What the tiles of all pairs of a launch may take between two kernels, as long as that leaves ``THREADS`` pairs."""


class Step(NamedTuple):
    """One program of a chain, with its numbers."""

    launch: Launch
    source: Source
    numbers: Array
    units: Array


class Images(NamedTuple):
    """What each image contributes alone to one step: planes, border planes, and the taps' sums of variances.

    ``within`` is half the sum of distances within windows of the pooling behind; of no size at the end of a chain.
    """

    planes: Float[Array, "n planes"]
    borders: Float[Array, "n planes"]
    sums: Array
    within: Float[Array, "n h w"]


Tiles = tuple[Array, ...]
"""Distances of pairs, by displacement and position, and tangent kernels where they are wanted; none to begin with."""


def pairs_at_once(steps: list[Step]) -> int:
    """Return the pairs of one launch."""
    each = floats([step.source.program for step in steps])
    if each:
        return max(THREADS, min(_PAIRS[True], _FLOATS // each) // THREADS * THREADS)
    return _PAIRS[steps[-1].source.displaced]


def images(steps: list[Step], x: Float[Array, "n *shape"]) -> list[Images]:
    """Follow images through all steps."""
    if len(steps) == 1:
        return [_alone(steps[0], x)]
    n = x.shape[0]
    size = min(pairs_at_once(steps), n)

    def block(at: Array) -> list[Images]:
        return _chain(steps, x[jnp.minimum(at * size + jnp.arange(size), n - 1)])

    blocks = jax.lax.map(block, jnp.arange(-(-n // size)))
    return jax.tree.map(lambda a: a.reshape((a.shape[0] * size, *a.shape[2:]))[:n], blocks)


def _chain(steps: list[Step], x: Float[Array, "n *shape"]) -> list[Images]:
    """Follow images, each as a pair with itself: the poolings need what is within their windows."""
    found: list[Images] = []
    each = jnp.arange(x.shape[0], dtype=jnp.int32)
    tiles: Tiles = ()
    for step, after in pairwise(steps):
        own = _alone(step, x)
        sums = _summed(step, after, _walk(step, own, own, each, each, tiles)[1])
        own = own._replace(within=within(sums[0]))
        found.append(own)
        tiles = _means(step, after, sums, own.within, own.within)
        x = variances(_stored(step.source, own.planes), step.source.program, own.within)
    return [*found, _alone(steps[-1], x)]


def _alone(step: Step, x: Float[Array, "n *shape"]) -> Images:
    """Return planes, border planes and sums of variances of each image."""
    source, n = step.source, x.shape[0]
    program = source.program
    words = (program.buffers + 1) * source.plane  # doubles, one for each position
    outputs = [
        jax.ShapeDtypeStruct((n, program.planes * source.plane), jnp.float32),
        jax.ShapeDtypeStruct((n, max(1, program.border_planes) * source.plane), jnp.float32),
        jax.ShapeDtypeStruct((n, max(1, len(program.taps)), WORDS), jnp.uint32),
        jax.ShapeDtypeStruct((n, words), jnp.uint32),
    ]
    planes, borders, sums, _ = step.launch(source, "images", [x, step.numbers], outputs, grid=n, block=256)
    return Images(planes, borders, sums, jnp.zeros((n, 0, 0), jnp.float32))


def _stored(source: Source, planes: Float[Array, "n planes"]) -> Float[Array, "n area"]:
    """Return the plane of variances that the last instruction keeps for the pooling."""
    kind, plane = source.program.instructions[-1, [0, 9]]
    assert kind == STORE
    return planes[:, plane * source.plane : plane * source.plane + source.plane // 2]


def pairs(
    steps: list[Step], first: list[Images], second: list[Images], left: Int[Array, " k"], right: Int[Array, " k"]
) -> Float[Array, "k taps 2"]:
    """Return what the taps take of pairs of images, a multiple of ``THREADS``."""
    tiles: Tiles = ()
    for (step, after), x, y in zip(pairwise(steps), first, second, strict=False):  # all but the last
        sums = _summed(step, after, _walk(step, x, y, left, right, tiles)[1])
        tiles = _means(step, after, sums, x.within[left], y.within[right])
    step, x, y = steps[-1], first[-1], second[-1]
    inputs = [_walk(step, x, y, left, right, tiles)[0], x.sums, y.sums, step.units, left, right]
    means = jax.ShapeDtypeStruct((left.shape[0], len(step.source.program.taps), 2), jnp.float32)
    grid = left.shape[0] // THREADS
    return step.launch(step.source, "finish", inputs, [means], grid=grid, block=THREADS)[0]


def _summed(step: Step, after: Step, stored: Tiles) -> Tiles:
    """Return sums over the windows of the pooling between two steps."""
    return tuple(summed(a, step.source.program, after.source.program) for a in stored)


def _means(step: Step, after: Step, sums: Tiles, left: Float[Array, "k h w"], right: Float[Array, "k h w"]) -> Tiles:
    """Return the tiles behind a pooling; ``left`` and ``right`` are what each image has within windows."""
    before = step.source.program
    d, *tangent = sums
    return distances(d, before, after.source.program, left, right), *(t * share(before) for t in tangent)


def _walk(
    step: Step,
    x: Images,
    y: Images,
    left: Int[Array, " k"],
    right: Int[Array, " k"],
    tiles: Tiles,
) -> tuple[Array, Tiles]:
    """Return partial sums of the taps, and the tiles that are stored."""
    source, program = step.source, step.source.program
    count = left.shape[0]
    made = 0 if program.window is None else 1 + source.tangent
    shape = (count, len(program.rows), len(program.columns), *program.size)
    outputs = [
        jax.ShapeDtypeStruct((count, source.parts, max(1, len(program.taps)), 2, WORDS), jnp.uint32),
        *(jax.ShapeDtypeStruct(shape if n < made else (1,), jnp.float32) for n in range(2)),
    ]
    nothing = jnp.zeros(1, jnp.float32)  # stands for tiles that nobody reads
    inputs = [x.planes, x.borders, y.planes, y.borders, step.numbers, left, right, *(*tiles, nothing, nothing)[:2]]
    grid = count * source.blocks if source.displaced else count // source.warps
    partial, *stored = step.launch(source, "pairs", inputs, outputs, grid=grid, block=32 * source.warps)
    return partial, tuple(stored[:made])
