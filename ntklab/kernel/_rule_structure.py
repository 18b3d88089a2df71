r"""Branches side by side: products, and concatenation along positions (that along channels is a sum of scaled values).

A product of :math:`f` and :math:`g` has :math:`\Sigma' = \Sigma^f \Sigma^g`. With :math:`m = \tfrac12 (v_p + v_q)` and
:math:`\delta = \tfrac12 (v_p - v_q)` of each, its distance is :math:`D' = 2 \delta^f \delta^g + m^f D^g + m^g D^f
- \tfrac12 D^f D^g`: exactly zero at coinciding inputs, and nothing large is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Read, Rule
from ntklab.kernel._rule_linear import Linear
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value


class Scale(Linear):
    """A constant times the covariance."""

    kind = "scale"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Scale."""
        return dict(op.options)["factor"] * a


class Factor(NamedTuple):
    """What is known of one factor of a product, for pairs: distances and the variances of both sides."""

    distance: Float[Array, "..."]
    left: Float[Array, "..."]
    right: Float[Array, "..."]

    def times(self, other: Factor) -> Factor:
        """Return what is known of the product of two independent values."""
        mean, mean_other = (0.5 * (f.left + f.right) for f in (self, other))
        apart = 0.5 * (self.left - self.right) * (other.left - other.right)
        distance = apart + mean * other.distance + mean_other * self.distance - 0.5 * self.distance * other.distance
        return Factor(distance, self.left * other.left, self.right * other.right)


class Product(Rule):
    """The product of independent values: covariances multiply, tangent kernels follow the product rule."""

    kind = "product"

    def work(self, op: Op) -> int:
        """Return a few multiplications per number and factor."""
        return op.pair.positions(op.spatial) * len(op.inputs) * (8 * op.distance + 1 + 2 * op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the product of variances, and distances where there are some."""
        sides = [side for side in reads if side.left is not None]
        variance = reduce(jnp.multiply, (side.left.variance for side in sides if side.left is not None))
        distances = [side.left.distance for side in sides if side.left is not None]
        if any(d is None for d in distances):
            return image_value(variance)
        return image_value(variance, _multiply(distances, sides).distance)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return the product of covariances, or the distance of products."""
        covs = [r.sides.covariance(r.value.cov) if op.distance else r.value.cov for r in reads]
        cov = reduce(jnp.multiply, covs)
        ntk = None
        if op.ntk:
            terms = [
                reduce(jnp.multiply, [r.value.ntk, *covs[:i], *covs[i + 1 :]])
                for i, r in enumerate(reads)
                if r.value.ntk is not None
            ]
            ntk = reduce(jnp.add, terms)
        if op.distance:
            cov = _multiply([r.value.cov for r in reads], [r.sides for r in reads]).distance
        return PairValue(cov, ntk)


def _multiply(distances: Sequence[Float[Array, "..."] | None], sides: Sequence[Sides]) -> Factor:
    factors = [Factor(d, *s.spread("variance")) for d, s in zip(distances, sides, strict=True) if d is not None]
    return reduce(Factor.times, factors)


class ConcatPositions(Rule):
    """Values of independent branches one after another along a spatial axis: covariance zero between branches."""

    kind = "concat"

    def work(self, op: Op) -> int:
        """Return one copy per number."""
        return op.pair.positions(op.spatial) * (1 + op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances, and distances where there are some."""
        sides = [(side, side.left) for side in reads if side.left is not None]
        variance = _along(op, [value.variance for _, value in sides])
        distances = [value.distance for _, value in sides if value.distance is not None]
        if len(distances) < len(sides):
            return image_value(variance)
        return image_value(variance, _blocks(op, distances, [side for side, _ in sides], apart=True))

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return the branches' values where both positions are of one, and those of independent ones elsewhere."""
        sides = [r.sides for r in reads]
        cov = _blocks(op, [r.value.cov for r in reads], sides, apart=op.distance)
        if not op.ntk:
            return PairValue(cov, None)
        ntks = [jnp.zeros_like(r.value.cov) if r.value.ntk is None else r.value.ntk for r in reads]
        return PairValue(cov, _blocks(op, ntks, sides, apart=False))


def _along(op: Op, arrays: Sequence[Float[Array, "..."]], group: int = 0) -> Float[Array, "..."]:
    """Join arrays along the operation's axis in a group of position axes, counted from the last."""
    n = len(op.spatial)
    axis = dict(op.options)["axis"] - n * (group + 1)
    return jnp.concatenate(list(arrays), axis=axis)


def _blocks(
    op: Op, arrays: Sequence[Float[Array, "..."]], sides: Sequence[Sides], *, apart: bool
) -> Float[Array, "..."]:
    """Return all branches' values on their positions, and 0 (``apart``: the distance of independent values) between."""
    if sides[0].carry is not Carry.ALL:
        return _along(op, arrays)
    n, lead = len(op.spatial), arrays[0].ndim - 2 * len(op.spatial)
    rows = []
    for i, row in enumerate(sides):
        cells = []
        for j, column in enumerate(sides):
            if i == j:
                cells.append(arrays[i])
                continue
            shape = (*arrays[i].shape[: lead + n], *arrays[j].shape[lead + n :])
            between = Sides(row.left, column.right, Carry.ALL, row.block).spread("variance") if apart else ()
            cells.append(jnp.broadcast_to(sum(between, start=jnp.zeros((), arrays[i].dtype)), shape))
        rows.append(_along(op, cells))
    return _along(op, rows, group=1)
