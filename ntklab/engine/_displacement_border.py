"""Tiles: the position pairs (p, p + d) of one displacement d, and how windows move over them.

A value on all pairs of positions of two images falls apart into one tile per displacement ``d = q - p``, counted
modulo the canvas (the input's size): entry ``p`` of a tile stands for the pair ``(p, (p + d) mod canvas)``. A window
that moves both positions together stays inside its tile. What it must not do is cross a border of either image, and
within the tile the second image has one, too: the wrap. Tile arrays have axes (row, column, first images, second
images); the last may also hold several displacements along columns side by side.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Op
from ntklab.spec import window_padding


class Reach(NamedTuple):
    """One offset of a window along one axis: where ``p + offset`` and ``q + offset`` are inside; None: everywhere."""

    offset: int
    first: Float[Array, "..."] | None = None
    second: Float[Array, "..."] | None = None

    @property
    def both(self) -> Float[Array, "..."] | None:
        """Where both positions are inside."""
        if self.first is None or self.second is None:
            return None
        return self.first * self.second

    def only(self, side: int) -> Float[Array, "..."] | None:
        """Where the position in one image is inside and that in the other is not; None: nowhere."""
        if self.first is None or self.second is None:
            return None
        inside, other = (self.first, self.second)[:: -1 if side else 1]
        return inside * (1.0 - other)


def reaches(
    op: Op, spatial: Sequence[int], canvas: tuple[int, int], axis: int, d: Array, dtype: jnp.dtype
) -> list[Reach]:
    """Return what a convolution on a value of sizes ``spatial`` reads along one axis at a displacement.

    What lies outside the value's valid range is never asked for: without padding nothing needs a mask.
    """
    assert op.window is not None
    n, k, size = flat_sizes(spatial)[axis], flat_sizes(op.window.sizes)[axis], canvas[axis]
    before = window_padding(n, k, 1, op.window.padding)[0]
    offsets = range(-before, k - before)
    if op.window.padding != "SAME":
        return [Reach(o % size) for o in offsets]
    first, second = _positions(size, axis, d)
    found = [Reach(0)]  # no border between a position and itself
    for o in offsets:
        if o and abs(o) < n:
            insides = [((p + o >= 0) & (p + o < n)).astype(dtype) for p in (first, second)]
            found.append(Reach(o, *jax.lax.optimization_barrier(insides)))
    return found


def window_sum(a: Float[Array, "..."], rows: list[Reach], columns: list[Reach]) -> Float[Array, "..."]:
    """Sum a tile over windows that stop at the borders of either image."""
    a = _sum(_masked(_roll(a, r.offset, 0), r.both) for r in rows)
    if len(rows) > 1 and len(columns) > 1:
        a = jax.lax.optimization_barrier(a)  # else each column sums its neighbours' rows anew
    return _sum(_masked(_roll(a, r.offset, 1), r.both) for r in columns)


def border_rows(
    variance: Float[Array, "..."], rows: list[Reach], side: int
) -> tuple[Float[Array, "..."] | None, Float[Array, "..."]]:
    """Sum the variances of one image over rows that leave the other image (None without any), and over all inside.

    These do not depend on the displacement along columns.
    """
    broken = [_roll(variance, r.offset, 0) * only for r in rows if (only := r.only(side)) is not None]
    column = _sum(_masked(_roll(variance, r.offset, 0), (r.first, r.second)[side]) for r in rows)
    return jax.lax.optimization_barrier((_sum(broken) if broken else None, column))


def border_sum(
    broken: Float[Array, "..."] | None, column: Float[Array, "..."], columns: list[Reach], side: int
) -> Float[Array, "..."] | None:
    """Sum the variances of one image over those offsets that leave the other one; None where there are none.

    A broken row counts as far as its columns are unbroken, and a broken column counts all rows inside.
    """
    terms = [] if broken is None else [_masked(_roll(broken, r.offset, 1), r.both) for r in columns]
    terms += [_roll(column, r.offset, 1) * only for r in columns if (only := r.only(side)) is not None]
    return jax.lax.optimization_barrier(_sum(terms)) if terms else None


def tile_mean(
    a: Float[Array, "..."], spatial: Sequence[int], canvas: tuple[int, int], at: Sequence[Array]
) -> Float[Array, "b1 b2"]:
    """Sum a tile over pairs of valid positions, divided by the number of positions of one image."""
    for axis, (n, size, d) in enumerate(zip(flat_sizes(spatial), canvas, at, strict=True)):
        if n < size:
            first, second = _positions(size, axis, d)
            a = a * ((first < n) & (second < n)).astype(a.dtype)
    for axis in (1, 0):
        n = flat_sizes(spatial)[axis]
        a = jnp.sum(a, axis=axis) * (1.0 / n)
    return a


def _positions(size: int, axis: int, d: Array) -> tuple[Array, Array]:
    """Return the positions of both images along one axis of a tile."""
    first = jnp.arange(size).reshape((size, 1, 1, 1) if axis == 0 else (1, size, 1, 1))
    return first, (first + d.reshape(d.shape if d.ndim else (1, 1, 1, 1))) % size


def _roll(a: Float[Array, "..."], offset: int, axis: int) -> Float[Array, "..."]:
    """Return ``a[p + offset]``, wrapping around."""
    n = a.shape[axis]
    offset %= n
    if offset == 0:
        return a
    parts = [jax.lax.slice_in_dim(a, offset, n, axis=axis), jax.lax.slice_in_dim(a, 0, offset, axis=axis)]
    return jnp.concatenate(parts, axis)


def _masked(a: Float[Array, "..."], mask: Float[Array, "..."] | None) -> Float[Array, "..."]:
    return a if mask is None else a * mask


def _sum(terms: Iterable[Float[Array, "..."]]) -> Float[Array, "..."]:
    return reduce(operator.add, terms)
