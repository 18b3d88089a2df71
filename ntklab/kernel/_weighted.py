r"""Sums over positions with weights of each input's own, :math:`y_p = \sum_r G_{pr} x_r`, whose rows have any sum.

With :math:`s_p = \sum_r G_{pr}` and :math:`(Gv)_p = \sum_r G_{pr} v_r`, as for poolings but for the sums of rows,

.. math:: D'_{pq} = (G D G'^T)_{pq} - \tfrac12 (G D G^T)_{pp} - \tfrac12 (G' D G'^T)_{qq}
          + (s_p - s'_q) ((Gv)_p - (G'v')_q).

An ``ImageValue`` here has the variances *before*, the weights as ``own``, and half of :math:`(G D G^T)_{pp}` as
``within``.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Op
from ntklab.kernel._values import ImageValue, Sides, pin_same


def own(value: ImageValue) -> Array:
    """Return the weights."""
    assert value.own is not None
    return value.own


def mean_variance(value: ImageValue) -> Float[Array, "b *P"]:
    """Return the weighted sums of variances."""
    flattened = value.variance.reshape(value.variance.shape[0], -1)
    mean = jnp.einsum("bpr,br->bp", own(value), flattened, precision=jax.lax.Precision.HIGHEST)
    return mean.reshape(value.variance.shape)


def row_sums(value: ImageValue) -> Float[Array, "b *P"]:
    """Return the sums of the weights."""
    return jnp.sum(own(value), axis=-1).reshape(value.variance.shape)


def variance_of_sums(value: ImageValue) -> Float[Array, "b *P"]:
    """Return the variances of the sums."""
    assert value.within is not None
    return row_sums(value) * mean_variance(value) - value.within


def distance_of_sums(op: Op, mean: Float[Array, "..."], sides: Sides, same: Array) -> Float[Array, "..."]:
    """Turn weighted sums of distances into the distance of weighted sums."""
    within = sides.spread("within")
    total, average = sides.both(row_sums), sides.both(mean_variance)
    distance = mean - within[0] - within[1] + (total[0] - total[1]) * (average[0] - average[1])
    return pin_same(distance, same, len(op.spatial))


def weigh(
    left: Float[Array, "b P P"], a: Float[Array, "..."], right: Float[Array, "b P P"], op: Op, *, block: bool
) -> Float[Array, "..."]:
    """Return the weighted sums on both sides."""
    letters = "apr,abrs,bqs->abpq" if block else "apr,ars,aqs->apq"
    out = jnp.einsum(letters, left, flat(a, len(op.spatial)), right, precision=jax.lax.Precision.HIGHEST)
    return out.reshape(a.shape)


def flat(a: Float[Array, "..."], n: int) -> Float[Array, "... P P"]:
    """Return all pairs of positions as matrices."""
    size = math.prod(a.shape[a.ndim - n :])
    return a.reshape((*a.shape[: a.ndim - 2 * n], size, size))
