"""Self-attention: a weighted sum with weights of each input alone, or a product of three covariances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab._core import safe_sqrt
from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._rule_structure import Factor
from ntklab.kernel._values import ImageValue, PairValue, Sides, equal_positions, image_value, pin_same
from ntklab.kernel._weighted import distance_of_sums, flat, variance_of_sums, weigh
from ntklab.kernel._weighted import own as weights_of
from ntklab.kernel._windows import diagonal

MECHANISMS = {
    "SOFTMAX": jax.nn.softmax,
    "IDENTITY": lambda scores: scores,
    "ABS": jnp.abs,
    "RELU": jax.nn.relu,
}


_NOBODY = -1e20
"""A score that softmax makes 0, and where all are absent no NaN."""


class Embedded(NamedTuple):
    """Values with positional embeddings in them: ``keep * Sigma + add * R``, with ``R`` of variance 1."""

    keep: Any
    add: Any
    R: Float[Array, "*P *P"] | None

    def covariance(self, a: Float[Array, "..."], trained: bool = True) -> Float[Array, "..."]:
        """Return covariances; or tangent kernels, which the embeddings add to if they are trained."""
        if self.R is None:
            return a
        return self.keep * a + (self.add * _lined(self.R, a) if trained else 0.0)

    def distance(self, d: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return distances."""
        return d if self.R is None else self.keep * d + self.add * 2.0 * (1.0 - _lined(self.R, d))

    def variance(self, v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return variances."""
        return v if self.R is None else self.keep * v + self.add


class Attention(Rule):
    """What both sorts share: all pairs of positions, and each input's own, which weights or variances are made of."""

    own = Carry.EQUAL

    def needs(self, op: Op) -> Needs:
        """Ask for all pairs of positions, of pairs and of each input alone."""
        return Needs(Carry.ALL, Carry.ALL, op.distance)

    def work(self, op: Op) -> int:
        """Return the additions of two products by weights."""
        return 2 * math.prod(op.spatial) ** 3 * (1 + op.ntk)


class LinearAttention(Attention):
    """Scores over ``d``: each input weighs its own positions, by weights that are not random."""

    kind = "attention"

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the weights (``own``), variances, what a mean loses (``within``), and distances."""
        (value, distance), *masks = _own_distances(reads)
        p, n = _learned(op, learned), len(op.spatial)
        keys, values = _embedded(op, p, distance.dtype)
        scores = flat(safe_sqrt(p["W_query_std"] * p["W_key_std"]) * keys.covariance(reads[0].covariance(distance)), n)
        mechanism = dict(op.options)["mechanism"]
        for mask, _ in masks:
            there = mask.variance.reshape((mask.variance.shape[0], 1, -1)) > 0.0
            scores = jnp.where(there, scores, _NOBODY if mechanism == "SOFTMAX" else 0.0)
        weights = MECHANISMS[mechanism](scores)
        mean = weigh(weights, values.distance(distance), weights, op, block=False)
        bare = ImageValue(values.variance(value.variance), value.std, None, 0.5 * diagonal(mean, n), weights)
        after = image_value(_scale(p) * variance_of_sums(bare) + p.get("b_std", 0.0), None, bare.within, weights)
        if op.image is not Carry.ALL:
            return after
        apart = distance_of_sums(op, mean, Sides(bare, bare, Carry.ALL, block=False), jnp.ones((), bool))
        return after._replace(distance=_scale(p) * apart)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return attended covariances or distances, and the tangent kernel: values and the output are trained."""
        (value, sides), *_ = reads
        p, n, bias = _learned(op, learned), len(op.spatial), _learned(op, learned).get("b_std", 0.0)
        _, values = _embedded(op, p, value.cov.dtype)
        (left, right), (own, other) = sides.ends, out.ends
        lines = Sides(_bare(values, left, own), _bare(values, right, other), Carry.ALL, block=True)

        def attend(a: Float[Array, "..."]) -> Float[Array, "..."]:
            return weigh(weights_of(own), a, weights_of(other), op, block=True)

        if op.distance:
            apart = distance_of_sums(op, attend(values.distance(value.cov)), lines, same)
            before, after = lines.both(variance_of_sums)
            attended, cov = 0.5 * (before + after - apart), _scale(p) * apart
        else:
            attended = attend(values.covariance(value.cov))
            cov = _scale(p) * attended + bias
        ntk = None
        if op.ntk:
            before = jnp.zeros_like(value.cov) if value.ntk is None else value.ntk
            ntk = attend(values.covariance(before, trained=op.trainable))
            ntk = _scale(p) * (ntk + 2.0 * attended) + bias if op.trainable else _scale(p) * ntk
        result = PairValue(cov, ntk)
        return result if op.pair is Carry.ALL else equal_positions(result, n)


class ProductAttention(Attention):
    """Scores over ``sqrt(d)``, taken as they are: products of the covariances of queries, keys and values."""

    kind = "attention product"

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances, the sum over keys and values (``own``), and distances."""
        (value, distance), *_ = _own_distances(reads)
        p, n = _learned(op, learned), len(op.spatial)
        keys, values = _embedded(op, p, distance.dtype)
        cov = reads[0].covariance(distance)
        there = _both_present(reads[1:])
        total = _total(there * keys.covariance(cov) * values.covariance(cov), n)
        scale = p["W_query_std"] * p["W_key_std"] * _scale(p)
        variance = scale * keys.variance(value.variance) * _wide(total, n) + p.get("b_std", 0.0)
        apart = scale * keys.distance(distance) * _wide(total, 2 * n) if op.image is Carry.ALL else None
        return image_value(variance, apart, None, total)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return covariances or distances, and the tangent kernel by the product rule over the four sets of weights."""
        (value, sides), *masks = reads
        p, n, there = _learned(op, learned), len(op.spatial), _both_present([mask.sides for mask in masks])
        keys, values = _embedded(op, p, value.cov.dtype)
        scale, bias = p["W_query_std"] * p["W_key_std"] * _scale(p), p.get("b_std", 0.0)
        given = sides.covariance(value.cov) if op.distance else value.cov
        K, V = keys.covariance(given), values.covariance(given)
        total = _total(there * K * V, n)
        random = scale * K * _wide(total, 2 * n)
        cov = random + bias
        if op.distance:
            left, right = out._replace(carry=Carry.EQUAL).both(weights_of)
            # an input attends to itself as it does: at distance exactly zero
            apart = pin_same(left + right - 2.0 * total, same)
            queries = Factor(keys.distance(value.cov), *(keys.variance(v) for v in sides.spread("variance")))
            cov = scale * queries.times(Factor(*(_wide(t, 2 * n) for t in (apart, left, right)))).distance
        ntk = None
        if op.ntk:
            before = jnp.zeros_like(given) if value.ntk is None else value.ntk
            TK, TV = (e.covariance(before, trained=op.trainable) for e in (keys, values))
            ntk = scale * (TK * _wide(total, 2 * n) + K * _wide(_total(there * (TK * V + K * TV), n), 2 * n))
            ntk = ntk + 4.0 * random + bias if op.trainable else ntk
        result = PairValue(cov, ntk)
        return result if op.pair is Carry.ALL else equal_positions(result, n)


def positions_by_decay(
    spatial: tuple[int, ...], decay: str | None, rate: float, power: float, p_norm: float
) -> Float[np.ndarray, "*P *P"]:
    """Return the covariance of positional embeddings: a function of distances between positions, 1 at 0."""
    where = np.indices(spatial).reshape(len(spatial), -1)
    d = (np.abs(where[:, :, None] - where[:, None, :]).astype(float) ** p_norm).sum(axis=0)
    values = {None: d == 0, "rational": 1 / (1 + rate * d**power), "exponential": np.exp(-rate * d**power)}[decay]
    return values.astype(float).reshape((*spatial, *spatial))


def _embedded(op: Op, p: Mapping[str, Any], dtype: Any) -> tuple[Embedded, Embedded]:
    """Return what embeddings make of keys (and queries), and of values."""
    plain, options = Embedded(1.0, 0.0, None), dict(op.options)
    if options["pos_emb"] == "NONE":
        return plain, plain
    R = jnp.asarray(positions_by_decay(op.spatial, *options["decay"]), dtype)
    share = options["share"]
    variance = p["W_pos_emb_std"]
    keys = Embedded(1.0, variance, R) if options["pos_emb"] == "SUM" else Embedded(1.0 - share, share * variance, R)
    return keys, keys if options["val_pos_emb"] else plain


def _lined(R: Float[Array, "*P *P"], a: Float[Array, "..."]) -> Float[Array, "..."]:
    return R.reshape((1,) * (a.ndim - R.ndim) + R.shape)


def _own_distances(reads: Sequence[Sides]) -> list[tuple[ImageValue, Any]]:
    """Return what is read of each input alone with its distances; a mask, which comes second, has none."""
    return [(r.left, r.left.distance) for r in reads if r.left is not None]


def _both_present(masks: Sequence[Sides]) -> Any:
    """Return 1 where no position is absent, for pairs of them; 1 everywhere without a mask."""
    return math.prod(p * q for p, q in (mask.spread("variance") for mask in masks)) if masks else 1.0


def _bare(values: Embedded, read: ImageValue, own: ImageValue) -> ImageValue:
    """Return an input's values before the weights of the output, as :meth:`LinearAttention.image` made them."""
    return ImageValue(values.variance(read.variance), read.std, None, own.within, own.own)


def _total(a: Float[Array, "..."], n: int) -> Float[Array, "..."]:
    return jnp.sum(a, axis=tuple(range(a.ndim - 2 * n, a.ndim)))


def _wide(a: Float[Array, "..."], n: int) -> Float[Array, "..."]:
    return a.reshape((*a.shape, *(1,) * n))


def _learned(op: Op, learned: Learned) -> Mapping[str, Any]:
    assert op.hyper is not None
    return learned[op.hyper]


def _scale(p: Mapping[str, Any]) -> Float[Array, ""]:
    return p["W_out_std"] * p["W_value_std"]
