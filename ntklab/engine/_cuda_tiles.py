"""Poolings inside a network, between two kernels of the cuda engine: tiles in memory, as JAX sees them.

Windows of ``k`` positions side by side turn a pair of positions with displacement ``m`` into one with a displacement
of ``floor(m / k)`` or one more. So the tile of a displacement behind a pooling is a sum of parts of ``(2 k - 1)**2``
tiles before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._simd_program import Program


def summed(tiles: Float[Array, "b r c h w"], before: Program, after: Program) -> Float[Array, "b r2 c2 h2 w2"]:
    """Return the sum over both windows of each pair of positions behind the pooling."""
    assert before.window is not None
    for axis, (k, size) in enumerate(zip(before.window, before.size, strict=True)):
        old, new = (program.columns if axis else program.rows for program in (before, after))
        place = {move: n for n, move in enumerate(old)}
        parts = []
        for p in range(k):  # of the first window, and q of the second
            for q in range(k):
                moves = np.array([place[(k * move + q - p) % size] for move in new])
                part = jnp.take(tiles, moves, axis=1 + axis)
                parts.append(part[:, :, :, :, p::k] if axis else part[:, :, :, p::k, :])
        tiles = sum(parts[1:], parts[0])
    return tiles


def share(before: Program) -> float:
    """Return what makes a mean of a sum over two windows."""
    assert before.window is not None
    return 1.0 / math.prod(before.window) ** 2


def distances(
    sums: Float[Array, "b r c h w"],
    before: Program,
    after: Program,
    left: Float[Array, "b h w"],
    right: Float[Array, "b h w"],
) -> Float[Array, "b r c h w"]:
    """Return distances between means: from the mean distance goes what there is within the windows of either image.

    Products come last: compilers join one with a sum behind it, and round once where it stood alone twice. An image
    and itself are at distance 0 for certain.
    """
    rows, columns = (
        (np.arange(size) + np.array(moves)[:, None]) % size
        for size, moves in zip(after.size, (after.rows, after.columns), strict=True)
    )
    moved = right[:, rows[:, None, :, None], columns[None, :, None, :]]
    return jnp.maximum(sums - left[:, None, None] - moved, 0.0) * share(before)


def within(sums: Float[Array, "b r c h w"]) -> Float[Array, "b h w"]:
    """Return half the sum of distances within each window, from images with themselves; displacement 0 comes first."""
    return 0.5 * sums[:, 0, 0]


def variances(plane: Float[Array, "b area"], before: Program, lost: Float[Array, "b h w"]) -> Float[Array, "b h w 1"]:
    """Return the variances of means, from those of positions; ``lost`` is what :func:`within` says."""
    assert before.window is not None
    (height, width), (kh, kw) = before.size, before.window
    whole = plane.reshape((-1, height // kh, kh, width // kw, kw))
    return (jnp.mean(whole, axis=(2, 4)) - lost * share(before))[..., None]


def floats(chain: Sequence[Program]) -> int:
    """Return the numbers that the tiles of a pair take between two kernels, the most of all."""
    return max(
        (2 * len(p.rows) * len(p.columns) * math.prod(p.size) for p in chain if p.window is not None),
        default=0,
    )
