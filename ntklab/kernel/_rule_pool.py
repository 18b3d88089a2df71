"""Pooling and Flatten: means over positions, each moving alone or both together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read
from ntklab.kernel._rule_linear import GROUPS, Linear, pad_distance
from ntklab.kernel._values import ImageValue, PairValue, Sides, equal_positions, image_value, pin_same
from ntklab.kernel._windows import apart, diagonal, pad


class Flatten(Linear):
    """The mean over equal positions."""

    kind = "flatten"

    def needs(self, op: Op) -> Needs:
        """Ask for equal positions."""
        return Needs(Carry.EQUAL, op.image and Carry.EQUAL, op.distance)

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Average over windows; those of all positions leave none."""
        assert op.window is not None
        n = len(op.window.sizes)
        return self._mean(op, pad(a, a.shape[a.ndim - n :], op.window, GROUPS[carry]), carry)

    def _mean(self, op: Op, a: Float[Array, "..."], carry: Carry) -> Float[Array, "..."]:
        assert op.window is not None
        a = apart(a, op.window, GROUPS[carry])
        return a.reshape(a.shape[: a.ndim - len(op.window.sizes) * GROUPS[carry]]) if op.squeeze else a

    def work(self, op: Op) -> int:
        """Return one addition per position."""
        assert op.window is not None
        return math.prod(op.window.sizes) * (1 + op.ntk)


class Pool(Flatten):
    """The mean over windows of each position alone, hence over all pairs of positions in two windows."""

    kind = "pool"

    def needs(self, op: Op) -> Needs:
        """Ask for all pairs of positions."""
        return Needs(Carry.ALL, op.image and Carry.ALL, op.distance)

    def map_distance(self, op: Op, d: Float[Array, "..."], sides: Sides, learned: Learned) -> Float[Array, "..."]:
        """Return the mean distance between windows."""
        return self._mean(op, pad_distance(op, d, sides), sides.carry)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the variance of the mean, what is lost to it (``within``), and distances between means."""
        (side,) = reads
        assert side.left is not None
        distance = None
        if side.left.distance is not None:
            distance = self.map_distance(op, side.left.distance, side, learned)
            within = 0.5 * diagonal(distance, len(op.spatial))
        assert within is not None
        variance = self.variance(op, reads, learned) - within
        if distance is not None:
            pooled = ImageValue(variance, variance, None, within)
            distance = _remove_within(distance, Sides(pooled, pooled, Carry.ALL, block=False), jnp.ones((), bool))
        return image_value(variance, distance, within)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return covariances or distances between means."""
        value = super().pair(op, reads, out, same, learned)
        if op.distance:
            value = value._replace(cov=_remove_within(value.cov, out._replace(carry=Carry.ALL), same))
        return equal_positions(value, len(op.spatial)) if op.pair is Carry.EQUAL else value

    def work(self, op: Op) -> int:
        """Return one addition per pair of positions, or per row and column of both windows."""
        assert op.window is not None
        if op.squeeze:
            return math.prod(op.window.sizes) ** 2 * (1 + op.ntk)
        return op.pair.positions(op.spatial) * sum(op.window.sizes) * 2 * (1 + op.ntk)


def _remove_within(distance: Float[Array, "..."], out: Sides, same: Array) -> Float[Array, "..."]:
    """Turn a mean distance between windows into the distance between their means."""
    left, right = out.spread("within")
    n = (distance.ndim - (2 if out.block else 1)) // 2
    return pin_same(distance - left - right, same, n)
