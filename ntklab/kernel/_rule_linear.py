r"""Linear operations: one map for covariances, distances and tangent kernels, with two differences for distances.

- Where zero padding lets only ``p`` fall inside the image, ``D`` is the variance at ``p``;
- a mean over windows ``A`` and ``B`` uses :math:`D' = \overline{D_{AB}} - \tfrac12\overline{D_{AA}}
  - \tfrac12\overline{D_{BB}}`, whose last two terms belong to one input each (``within``).
"""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import reduce

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab._core import safe_sqrt
from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Read, Rule
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value
from ntklab.kernel._windows import outside, pad, together

GROUPS = {Carry.NUMBER: 0, Carry.EQUAL: 1, Carry.ALL: 2}
"""How many copies of the position axes a value has."""


class Linear(Rule):
    """A sum of linear maps of what it reads, plus a bias."""

    @abstractmethod
    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Return what becomes of covariances or tangent kernels on these positions, without the bias."""

    def map_distance(self, op: Op, d: Float[Array, "..."], sides: Sides, learned: Learned) -> Float[Array, "..."]:
        """Return what becomes of distances, as :meth:`map` unless told otherwise."""
        return self.map(op, d, sides.carry, learned)

    def bias(self, op: Op, learned: Learned) -> Float[Array, ""] | float:
        """Return what is added to every covariance."""
        return learned[op.hyper].get("b_std", 0.0) if op.hyper is not None else 0.0

    def work(self, op: Op) -> int:
        """Return one addition per number read."""
        return op.pair.positions(op.spatial) * len(op.inputs) * (1 + op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances, and distances where there are some."""
        distance = None
        known = [(side.left.distance, side) for side in reads if side.left is not None]
        if all(d is not None for d, _ in known):
            distance = add(self.map_distance(op, d, side, learned) for d, side in known if d is not None)
        return image_value(self.variance(op, reads, learned), distance)

    def variance(self, op: Op, reads: Sequence[Sides], learned: Learned) -> Float[Array, "b *P"]:
        """Return the mapped variances; of a mean, not yet the variance of the mean."""
        variances = [(side.left.variance, side.carry) for side in reads if side.left is not None]
        flat = [Carry.NUMBER if carry is Carry.NUMBER else Carry.EQUAL for _, carry in variances]
        mapped = (self.map(op, v, carry, learned) for (v, _), carry in zip(variances, flat, strict=True))
        return add(mapped) + self.bias(op, learned)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return the mapped values; a trainable operation adds its covariance to the tangent kernel."""
        if op.distance:
            cov = add(self.map_distance(op, r.value.cov, r.sides, learned) for r in reads)
        else:
            cov = add(self.map(op, r.value.cov, r.sides.carry, learned) for r in reads) + self.bias(op, learned)
        terms = [self.map(op, r.value.ntk, r.sides.carry, learned) for r in reads if r.value.ntk is not None]
        if op.trainable and op.ntk:
            terms.append(out.covariance(cov) if op.distance else cov)
        return PairValue(cov, add(terms) if terms else None, self._correlation(op, reads, out, learned))

    def _correlation(self, op: Op, reads: Sequence[Read], out: Sides, learned: Learned) -> Float[Array, "b1 b2"] | None:
        r"""Return :math:`1 - c = \sum_i p_i q_i z_i + \tfrac12 \sum_i (p_i - q_i)^2` of a sum whose terms' is known.

        The ``p_i``, ``q_i`` are the terms' shares of the length on both sides; the bias is one, with ``z = 0``.
        """
        known = [(r.value.z, r.sides) for r in reads if r.value.z is not None]
        if not op.distance or op.spatial or len(known) < len(reads):
            return None
        if len(known) == 1 and (op.hyper is None or "b_std" not in learned[op.hyper]):
            return known[0][0]  # its share is 1, which rounding would miss
        whole, dtype = out.spread("std"), known[0][0].dtype
        gain = safe_sqrt(self.map(op, jnp.ones((), dtype), Carry.NUMBER, learned))
        bias = safe_sqrt(jnp.asarray(self.bias(op, learned), dtype))
        total = 0.5 * _turned((bias, bias), whole)[1]
        for z, sides in known:
            left, right = sides.spread("std")
            product, turned = _turned((gain * left, gain * right), whole)
            total = total + product * z + 0.5 * turned
        return total


class Dense(Linear):
    """``W_std**2`` times the covariance, plus ``b_std**2``."""

    kind = "dense"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Scale."""
        assert op.hyper is not None
        return learned[op.hyper]["W_std"] * a


class Sum(Linear):
    """The sum of independent values."""

    kind = "sum"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Leave each as it is."""
        return a


class Conv(Linear):
    """``W_std**2`` times the mean over a window that moves both positions together, plus ``b_std**2``."""

    kind = "conv"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Pad by zeros (or wrap) and sum over the window."""
        assert op.window is not None
        n = len(op.window.sizes)
        return self._sum(op, pad(a, a.shape[a.ndim - n :], op.window, GROUPS[carry]), carry, learned)

    def map_distance(self, op: Op, d: Float[Array, "..."], sides: Sides, learned: Learned) -> Float[Array, "..."]:
        """Pad by what distances to the zeros outside are, and sum over the window."""
        return self._sum(op, pad_distance(op, d, sides), sides.carry, learned)

    def _sum(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        assert op.window is not None
        assert op.hyper is not None
        scale = learned[op.hyper]["W_std"] * (1.0 / math.prod(op.window.sizes))
        return scale * together(a, op.window, GROUPS[carry])

    def work(self, op: Op) -> int:
        """Return one addition per row and column of the window."""
        assert op.window is not None
        return op.pair.positions(op.spatial) * sum(op.window.sizes) * (1 + op.ntk)


def _turned(part: tuple[Array, Array], whole: tuple[Array, Array]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return the product of a part's shares of the whole on both sides, and their squared difference."""
    p, q = (a / jnp.where(b > 0.0, b, 1.0) for a, b in zip(part, whole, strict=True))
    return p * q, jnp.square(p - q)


def pad_distance(op: Op, distance: Float[Array, "..."], sides: Sides) -> Float[Array, "..."]:
    """Pad a distance: next to the zeros outside the image, it is the other position's variance."""
    if op.window is None or sides.carry is Carry.NUMBER:
        return distance
    groups = GROUPS[sides.carry]
    spatial = distance.shape[distance.ndim - len(op.window.sizes) :]
    padded = pad(distance, spatial, op.window, groups)
    beyond = outside(spatial, op.window)
    if sides.carry is Carry.EQUAL or not beyond.any():
        return padded
    window = op.window
    left, right = sides.both(lambda value: pad(value.variance, spatial, window, 1))
    ones = (1,) * beyond.ndim
    lead = (1,) * (distance.ndim - 2 * beyond.ndim)
    q_outside = jnp.asarray(beyond.reshape((*lead, *ones, *beyond.shape)), distance.dtype)
    p_outside = jnp.asarray(beyond.reshape((*lead, *beyond.shape, *ones)), distance.dtype)
    return padded + left * q_outside + right * p_outside


def add(terms: Iterable[Float[Array, "..."]]) -> Float[Array, "..."]:
    """Return the sum of one or more arrays."""
    return reduce(operator.add, terms)
