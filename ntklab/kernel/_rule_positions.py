r"""Linear maps of positions, the same in every channel: :math:`\Sigma' = A \Sigma A^T`, and what that is for distances.

With row sums :math:`a_p = \sum_r A_{pr}` and half the mean distances inside a row,
:math:`w_p = \tfrac12 (A D_{xx} A^T)_{pp}`,

.. math::
    v'_p = a_p (A v)_p - w_p, \qquad
    D'_{pq} = (A D A^T)_{pq} + (a_p - a_q) ((A v)_p - (A v')_q) - w_p - w'_q.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs
from ntklab.kernel._rule_linear import GROUPS, Linear
from ntklab.kernel._rule_pool import Pool
from ntklab.kernel._values import ImageValue, Sides


@dataclass(frozen=True)
class Matrix:
    """A constant matrix; printed, and so hashed into a plan's key, by its contents' digest."""

    rows: int
    columns: int
    data: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, values: np.ndarray) -> Matrix:
        """Return a matrix of float64 numbers."""
        data = np.ascontiguousarray(values, np.float64).tobytes()
        rows, columns = values.shape
        return cls(rows, columns, data, hashlib.sha256(data).hexdigest())

    def array(self, dtype: np.dtype) -> Float[Array, "rows columns"]:
        """Return the numbers."""
        return jnp.asarray(np.frombuffer(self.data, np.float64).reshape((self.rows, self.columns)), dtype)


@dataclass(frozen=True)
class Resize:
    """The interpolation of one axis from ``columns`` to ``rows`` positions."""

    rows: int
    columns: int
    method: str
    antialias: bool

    def array(self, dtype: np.dtype) -> Float[Array, "rows columns"]:
        """Return the weights: what is made of unit vectors."""
        units = jnp.eye(self.columns, dtype=dtype)
        shape = (self.rows, self.columns)
        return jax.image.resize(units, shape, self.method, self.antialias, jax.lax.Precision.HIGHEST)


@dataclass(frozen=True)
class Factor:
    """A matrix on some position axes. It leaves as many axes in their places, or takes all and leaves any number."""

    axes: tuple[int, ...]
    out: tuple[int, ...]
    matrix: Matrix | Resize


class Mix(Pool):
    """Weighted sums over positions: the factors in ``op.options``, one after another."""

    kind = "mix"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Apply the matrices on both sides."""
        return _on_both(op, a)

    def map_distance(self, op: Op, d: Float[Array, "..."], sides: Sides, learned: Learned) -> Float[Array, "..."]:
        """Return mean distances between rows; rows of unequal sums differ by what that does to variances."""
        mapped = _on_both(op, d)
        row = _on_one(op, jnp.ones(_read_sizes(op), d.dtype))
        n = len(op.spatial)
        lead, ones = (1,) * (mapped.ndim - 2 * n), (1,) * n
        p, q = row.reshape((*lead, *op.spatial, *ones)), row.reshape((*lead, *ones, *op.spatial))
        every = Sides(sides.left, sides.right, Carry.ALL, sides.block)
        left, right = every.both(lambda value: _on_one(op, value.variance))
        return mapped + (p - q) * (left - right)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances and distances of the sums; what had no positions had no distance to itself."""
        (side,) = reads
        if side.carry is Carry.NUMBER and side.left is not None:
            own = side.left._replace(distance=jnp.zeros_like(side.left.variance))
            reads = [side._replace(left=own, right=own)]
        return super().image(op, reads, learned, within)

    def variance(self, op: Op, reads: Sequence[Sides], learned: Learned) -> Float[Array, "b *P"]:
        """Return the variances of the sums, but for what is lost to distances within."""
        (side,) = reads
        assert side.left is not None
        variance = side.left.variance
        return _on_one(op, jnp.ones(_read_sizes(op), variance.dtype))[None] * _on_one(op, variance)

    def work(self, op: Op) -> int:
        """Return one multiplication per pair of positions and column, on both sides."""
        count = max(math.prod(_read_sizes(op)), math.prod(op.spatial)) ** 2
        return count * sum(2 * factor.matrix.columns for factor in _factors(op)) * (1 + op.ntk)


class Index(Linear):
    """The positions that ``op.options`` picks."""

    kind = "index"

    def needs(self, op: Op) -> Needs:
        """Ask for what its own value carries; for the one position that is left of several, too."""
        least = (lambda carry: carry) if op.spatial else (lambda carry: Carry.EQUAL)
        return Needs(least(op.pair), op.image and least(op.image), op.distance)

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Pick them on each side."""
        words = tuple(slice(*word) if isinstance(word, tuple) else word for word in dict(op.options)["words"])
        lead = a.ndim - GROUPS[carry] * len(words)
        return a[(slice(None),) * lead + words * GROUPS[carry]]


def _factors(op: Op) -> tuple[Factor, ...]:
    return dict(op.options)["factors"]


def _read_sizes(op: Op) -> tuple[int, ...]:
    return dict(op.options)["read"]


def _on_both(op: Op, a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Apply the factors to both copies of the position axes, the last axes there are."""
    n_in, n_out = len(_read_sizes(op)), len(op.spatial)
    a = _swapped(_on_one(op, a), n_in, n_out)
    return _swapped(_on_one(op, a), n_out, n_out)


def _swapped(a: Float[Array, "..."], first: int, second: int) -> Float[Array, "..."]:
    """Exchange the last ``second`` axes with the ``first`` ones before them."""
    axes = tuple(range(a.ndim))
    at, end = a.ndim - first - second, a.ndim - second
    return a.transpose((*axes[:at], *axes[end:], *axes[at:end]))


def _on_one(op: Op, a: Float[Array, "..."]) -> Float[Array, "..."]:
    """Apply the factors to the last copy of the position axes."""
    n = len(_read_sizes(op))
    for factor in _factors(op):
        places = [a.ndim - n + axis for axis in factor.axes]
        end = list(range(a.ndim - len(places), a.ndim))
        moved = jnp.moveaxis(a, places, end)
        lead = moved.shape[: a.ndim - len(places)]
        matrix = factor.matrix.array(a.dtype)
        mixed = jnp.matmul(moved.reshape((*lead, matrix.shape[1])), matrix.T, precision=jax.lax.Precision.HIGHEST)
        a = mixed.reshape((*lead, *factor.out))
        if len(factor.out) == len(places):
            a = jnp.moveaxis(a, end, places)
        else:
            n = len(factor.out)
    return a
