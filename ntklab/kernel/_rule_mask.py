r"""Absent positions: which there are, zeros where they are, and means over the others.

With :math:`m_p \in \{0, 1\}` for present, :math:`\Sigma'_{pq} = m_p m'_q \Sigma_{pq}` and, without a subtraction,
:math:`D'_{pq} = m_p m'_q D_{pq} + m_p (1 - m'_q) v_p + (1 - m_p) m'_q v'_q`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._values import ImageValue, PairValue, Sides, aside, image_value, pin_same


class Mask(Rule):
    """Which positions are present: those that any present position of the masks it reads is mapped to."""

    kind = "mask"
    own = Carry.EQUAL
    aside = True

    def work(self, op: Op) -> int:
        """Return nothing: it belongs to inputs, not to pairs."""
        return 0

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return 1 for present positions and 0 for absent ones."""
        masks = [side.left.variance for side in reads if side.left is not None]
        b, dtype = masks[0].shape[0], masks[0].dtype
        counts = (
            jnp.dot(m.reshape((b, -1)), matrix.array(dtype).T)
            for m, matrix in zip(masks, dict(op.options)["from"], strict=True)
        )
        return aside((reduce(jnp.add, counts) > 0.0).astype(dtype).reshape((b, *op.spatial)))

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Never asked: masks are aside."""
        raise NotImplementedError


class Masked(Rule):
    """Zeros at absent positions; it reads a value and its mask."""

    kind = "masked"

    def needs(self, op: Op) -> Needs:
        """Ask for variances where there are distances: those to absent positions."""
        return Needs(op.pair, op.image or (Carry.EQUAL if op.distance else None), op.distance)

    def work(self, op: Op) -> int:
        """Return one product per number."""
        return op.numbers

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances of present positions, and distances where there are some."""
        value, mask = reads
        assert value.left is not None
        assert mask.left is not None
        distance = value.left.distance
        if distance is not None:
            distance = _distance(distance, value, mask)
        return image_value(mask.left.variance * value.left.variance, distance)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return covariances or distances, and tangent kernels, of present positions."""
        (value, sides), (_, mask) = reads
        p, q = mask.spread("variance")
        cov = _distance(value.cov, sides, mask) if op.distance else p * q * value.cov
        return PairValue(cov, None if value.ntk is None else p * q * value.ntk)


class MaskedPool(Rule):
    r"""The mean over present positions, with weights :math:`w_p = m_p / \sum_r m_r` of each input, or 0 without any.

    .. math:: v' = s\, w \cdot v - \tfrac12 w D_{xx} w, \quad
              D' = w D w' - \tfrac12 w D_{xx} w - \tfrac12 w' D_{x'x'} w' + (s - s') (w \cdot v - w' \cdot v'),

    with :math:`s = \sum_p w_p`, which is 1 but for inputs without present positions.
    """

    kind = "masked pool"

    def needs(self, op: Op) -> Needs:
        """Ask for all pairs of positions."""
        return Needs(Carry.ALL, op.image and Carry.ALL, op.distance)

    def work(self, op: Op) -> int:
        """Return two multiplications per pair of positions."""
        return 2 * math.prod(dict(op.options)["read"]) ** 2 * (1 + op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the variance of the mean, what is lost to it (``within``), and the mean variance (``own``)."""
        value, mask = reads
        assert value.left is not None
        assert value.left.distance is not None
        w = _weights(mask.left)
        lost = 0.5 * _mean(w, value.left.distance, w, block=False)
        mean = jnp.sum(w * value.left.variance.reshape(w.shape), axis=-1)
        variance = jnp.sum(w, axis=-1) * mean - lost
        return image_value(variance, jnp.zeros_like(variance), lost, mean)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return covariances or distances between means."""
        (value, _), (_, mask) = reads
        p, q = _weights(mask.left), _weights(mask.right)
        cov = _mean(p, value.cov, q, block=True)
        if op.distance:
            lost, mean = out.spread("within"), out.spread("own")
            s = jnp.sum(p, axis=-1)[:, None], jnp.sum(q, axis=-1)[None, :]
            cov = pin_same(cov - lost[0] - lost[1] + (s[0] - s[1]) * (mean[0] - mean[1]), same)
        return PairValue(cov, None if value.ntk is None else _mean(p, value.ntk, q, block=True))


def _distance(distance: Float[Array, "..."], sides: Sides, mask: Sides) -> Float[Array, "..."]:
    (p, q), (left, right) = mask.spread("variance"), sides.spread("variance")
    return p * q * distance + p * (1.0 - q) * left + (1.0 - p) * q * right


def _weights(mask: ImageValue | None) -> Float[Array, "b P"]:
    assert mask is not None
    m = mask.variance.reshape((mask.variance.shape[0], -1))
    return m / jnp.maximum(jnp.sum(m, axis=-1, keepdims=True), 1.0)


def _mean(
    left: Float[Array, "b P"], a: Float[Array, "..."], right: Float[Array, "b P"], *, block: bool
) -> Float[Array, "..."]:
    lead = 2 if block else 1
    flat = a.reshape((*a.shape[:lead], left.shape[-1], right.shape[-1]))
    letters = "ap,abpq,bq->ab" if block else "ap,apq,aq->a"
    return jnp.einsum(letters, left, flat, right, precision=jax.lax.Precision.HIGHEST)
