r"""Weight layers beyond plain Dense and Conv: any window, weights of each position's own, both parameterisations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read
from ntklab.kernel._rule_linear import Conv
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value


class Weights(Conv):
    r"""As Dense (no window) and Conv, with two options.

    Under the standard parameterisation, ``("fan_in", m)``, a weight moves by its own derivative: the layer adds
    :math:`\frac{m}{k} \sum_o \Sigma_{p+o,\,q+o} + [b]` to the tangent kernel, in place of :math:`\Sigma'`.
    """

    kind = "weights"

    def map(self, op: Op, a: Float[Array, "..."], carry: Carry, learned: Learned) -> Float[Array, "..."]:
        """Sum over the window, if there is one."""
        assert op.hyper is not None
        return learned[op.hyper]["W_std"] * a if op.window is None else super().map(op, a, carry, learned)

    def map_distance(self, op: Op, d: Float[Array, "..."], sides: Sides, learned: Learned) -> Float[Array, "..."]:
        """Sum over the window, if there is one."""
        if op.window is None:
            return self.map(op, d, sides.carry, learned)
        return super().map_distance(op, d, sides, learned)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return the mapped values, with what the parameterisation adds to the tangent kernel."""
        fan_in = dict(op.options).get("fan_in")
        if fan_in is None or not (op.trainable and op.ntk):
            return super().pair(op, reads, out, same, learned)
        assert op.hyper is not None
        (read,) = reads
        value = super().pair(replace(op, trainable=False), reads, out, same, learned)
        cov = read.sides.covariance(read.value.cov) if op.distance else read.value.cov
        own = fan_in * self.map(op, cov, read.sides.carry, {op.hyper: {"W_std": jnp.ones((), cov.dtype)}})
        own = own + 1.0 if "b_std" in learned[op.hyper] else own
        return value._replace(ntk=own if value.ntk is None else value.ntk + own)

    def work(self, op: Op) -> int:
        """Return one addition per row and column of the window."""
        window = sum(op.window.sizes) if op.window is not None else 1
        return op.pair.positions(op.spatial) * window * (1 + op.ntk)


class Local(Weights):
    r"""Weights of its own at every position: different positions are independent, :math:`\Sigma'_{pq} = 0`."""

    kind = "local"

    def needs(self, op: Op) -> Needs:
        """Ask for equal positions, and variances for the distances between others."""
        return Needs(Carry.EQUAL, op.image and Carry.EQUAL, op.distance)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances, and their sums as distances between different positions."""
        value = super().image(op, reads, learned, within)
        if op.image is not Carry.ALL:
            return value
        sides = Sides(value, value, Carry.ALL, block=False)
        return image_value(value.variance, _between(jnp.zeros_like(value.variance), sides))

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return values at equal positions, and zeros or sums of variances elsewhere."""
        value = super().pair(replace(op, pair=Carry.EQUAL), reads, out._replace(carry=Carry.EQUAL), same, learned)
        if op.pair is not Carry.ALL:
            return value
        ntk = None if value.ntk is None else _spread(value.ntk, len(op.spatial))
        if op.distance:
            return PairValue(_between(value.cov, out), ntk)
        return PairValue(_spread(value.cov, len(op.spatial)), ntk)


def _spread(a: Float[Array, "... *P"], n: int) -> Float[Array, "... *P *P"]:
    """Put what is known of equal positions on the diagonal of all pairs, among zeros."""
    spatial = a.shape[a.ndim - n :]
    itself = _diagonal(spatial, a.ndim - n)
    return jnp.where(itself, a.reshape((*a.shape, *(1,) * n)), 0.0)


def _between(distance: Float[Array, "... *P"], sides: Sides) -> Float[Array, "... *P *P"]:
    n = distance.ndim - (2 if sides.block else 1)
    left, right = sides.spread("variance")
    itself = _diagonal(distance.shape[distance.ndim - n :], distance.ndim - n)
    return jnp.where(itself, distance.reshape((*distance.shape, *(1,) * n)), left + right)


def _diagonal(spatial: tuple[int, ...], lead: int) -> Array:
    return jnp.eye(math.prod(spatial), dtype=bool).reshape((1,) * lead + spatial * 2)
