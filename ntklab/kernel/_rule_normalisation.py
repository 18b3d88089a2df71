r"""LayerNorm and Dropout: factors on each side, which distances feel as :math:`f_p x_p - f_q x_q` does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value


class LayerNorm(Rule):
    r"""Division by the root of mean variances: :math:`\Sigma'_{pq} = f_p f_q \Sigma_{pq}`.

    Where it reads a mask, too, means are those over present positions.

    .. math:: f = (\bar v + \epsilon)^{-1/2}, \qquad D'_{pq} = f_p f_q D_{pq} + (f_p - f_q) (f_p v_p - f_q v_q)
    """

    kind = "layer_norm"

    def needs(self, op: Op) -> Needs:
        """Ask for the variances on both sides."""
        return Needs(op.pair, op.image or Carry.EQUAL, op.distance)

    def work(self, op: Op) -> int:
        """Return a few steps per number."""
        return 4 * op.numbers

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return normalised variances, and distances where there are some."""
        side, *masks = reads
        assert side.left is not None
        variance, distance = side.left.variance, side.left.distance
        factor = _factor(op, variance, *(mask.left for mask in masks))
        if distance is not None:
            factors = ImageValue(variance, variance, own=factor)
            distance = _distance(distance, side, Sides(factors, factors, side.carry, side.block))
        return image_value(variance * jnp.square(factor), distance)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return normalised covariances or distances."""
        (value, sides), *masks = reads
        ends = zip(sides.ends, *(mask.sides.ends for mask in masks), strict=True)
        left, right = (x._replace(own=_factor(op, x.variance, *mask)) for x, *mask in ends)
        factors = Sides(left, right, sides.carry, sides.block)
        p, q = factors.spread("own")
        cov = _distance(value.cov, sides, factors) if op.distance else p * q * value.cov
        return PairValue(cov, None if value.ntk is None else p * q * value.ntk)


class Dropout(Rule):
    r"""Masks of its own for each input and position: :math:`v' = v / r`, and independent of all others.

    .. math:: D'_{pq} = D_{pq} + (1 / r - 1) (v_p + v_q), but 0 at the same position of the same input.
    """

    kind = "dropout"

    def needs(self, op: Op) -> Needs:
        """Ask for distances, which alone tell equal inputs, and variances on both sides."""
        return Needs(op.pair, op.image or Carry.EQUAL, True)

    def work(self, op: Op) -> int:
        """Return a few steps per number."""
        return 3 * op.numbers

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return larger variances, and distances where there are some."""
        (side,) = reads
        assert side.left is not None
        distance = side.left.distance
        if distance is not None:
            distance = _apart(op, distance, side, _itself(distance, side, jnp.ones((), bool)))
        return image_value(side.left.variance * (1.0 / _rate(op)), distance)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return what only the same position of the same input keeps in full."""
        ((value, sides),) = reads
        itself = _itself(value.cov, sides, same)
        kept = jnp.where(itself, 1.0 / _rate(op), 1.0)
        cov = _apart(op, value.cov, sides, itself) if op.distance else kept * sides.covariance(value.cov)
        return PairValue(cov, None if value.ntk is None else kept * value.ntk)


def _factor(op: Op, variance: Float[Array, "b *P"], mask: ImageValue | None = None) -> Float[Array, "b *P"]:
    options = dict(op.options)
    over = tuple(1 + axis for axis in options["over"])
    mean = jnp.mean(variance, axis=over, keepdims=True)
    if mask is not None:
        mean = mean / jnp.maximum(jnp.mean(mask.variance, axis=over, keepdims=True), 1.0 / variance.size)
    mean = mean + options["eps"]
    factor = jnp.where(mean > 0.0, 1.0 / jnp.sqrt(jnp.where(mean > 0.0, mean, 1.0)), 0.0)
    return jnp.broadcast_to(factor, variance.shape)


def _distance(distance: Float[Array, "..."], sides: Sides, factors: Sides) -> Float[Array, "..."]:
    p, q = factors.spread("own")
    left, right = sides.spread("variance")
    return p * q * distance + (p - q) * (p * left - q * right)


def _rate(op: Op) -> float:
    return dict(op.options)["rate"]


def _apart(op: Op, distance: Float[Array, "..."], sides: Sides, itself: Bool[Array, "..."]) -> Float[Array, "..."]:
    left, right = sides.spread("variance")
    return jnp.where(itself, 1.0 / _rate(op) * distance, distance + (1.0 / _rate(op) - 1.0) * (left + right))


def _itself(distance: Float[Array, "..."], sides: Sides, same: Array) -> Bool[Array, "..."]:
    """Return which entries are of the same position of the same input."""
    n = distance.ndim - (2 if sides.block else 1)
    where = same.reshape(same.shape + (1,) * (distance.ndim - same.ndim))
    if sides.carry is not Carry.ALL:
        return jnp.broadcast_to(where, distance.shape)
    spatial = distance.shape[distance.ndim - n :]
    count = math.prod(spatial[: n // 2])
    return where & jnp.eye(count, dtype=bool).reshape((1,) * (distance.ndim - n) + spatial)
