r"""The rules: how covariance, distance and tangent kernel go through each operation.

Two passes interpret a plan. The *image pass* follows each input alone (variances, where activations need
them); the *pair pass* follows pairs. A pair carries either the covariance :math:`\Sigma` or, wherever an
activation follows, the squared distance :math:`D_{pq} = v_p + v_q - 2\Sigma_{pq}`, with which ReLU is exact at
coinciding inputs (see ``_relu.py``). Linear operations act on ``D`` as on :math:`\Sigma`, with two additions:

- where zero padding lets only ``p`` fall inside the image, ``D`` is the variance at ``p``;
- a mean over windows ``A`` and ``B`` uses :math:`D' = \overline{D_{AB}} - \tfrac12\overline{D_{AA}}
  - \tfrac12\overline{D_{BB}}`, whose last two terms belong to one input each (``within``).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab._core import safe_sqrt
from ntklab.kernel._input import input_covariance, input_distance, same_input
from ntklab.kernel._plan import Carry, Op, Plan
from ntklab.kernel._relu import correlation_gap, relu_dual
from ntklab.kernel._values import ImageValue, PairValue, Sides
from ntklab.kernel._windows import apart, diagonal, outside, pad, pad_amounts, together

Squares = Mapping[str, Mapping[str, Float[Array, ""]]]
"""Squares of the learnable numbers: ``squares[key]["W_std"]`` is ``W_std**2``, ``["b_std"]`` of layers with a bias
``b_std**2``. Squared by the caller, who has more digits: 2**0.5 in float32 squares to 2 - 1.2e-7, once a layer."""

_GROUPS = {Carry.NUMBER: 0, Carry.EQUAL: 1, Carry.ALL: 2}


def image_pass(
    plan: Plan,
    x: Float[Array, "b *shape"],
    squares: Squares,
    within: Mapping[int, Float[Array, "b *P"]] | None = None,
) -> list[ImageValue | None]:
    """Return, for every operation of the plan, what each input carries alone (None where nothing).

    Distances between an input's own positions serve the pass itself and are not returned. An engine that follows
    them in its own way gives what poolings need of them, ``within``; what rests on a pooling missing there is None.
    """
    values: list[ImageValue | None] = []
    for i, op in enumerate(plan.ops):
        known = op.image is not None
        if within is not None:
            known &= all(values[j] is not None for j in op.inputs) and (op.kind != "pool" or i in within)
        given = None if within is None else within.get(i)
        follow = within is None
        values.append(_image_value(op, plan, x, values, squares, given, follow) if known else None)
    return [value and value._replace(distance=None) for value in values]


def pair_pass(
    plan: Plan,
    x1: Float[Array, "b1 *shape"],
    x2: Float[Array, "b2 *shape"],
    left: list[ImageValue | None],
    right: list[ImageValue | None],
    squares: Squares,
) -> list[PairValue]:
    """Return the plan's outputs for all pairs of two blocks of inputs, each of shape ``(b1, b2)``.

    ``left`` and ``right`` are the image passes of ``x1`` and ``x2``.
    """
    values: list[PairValue] = []
    same = jnp.zeros((), bool)
    for i, op in enumerate(plan.ops):
        if op.kind == "input":
            make = input_distance if op.distance else input_covariance
            values.append(PairValue(make(x1, x2, op.pair, block=True), None))
            if op.distance:
                same = same_input(values[0].cov, len(op.spatial) if op.pair is Carry.ALL else 0)
            continue
        reads, sides = [], []
        for j in op.inputs:
            read = plan.ops[j]
            side = Sides(left[j], right[j], _reading(op, read), block=True)
            value = values[j]
            if read.pair is Carry.ALL and side.carry is Carry.EQUAL:
                value = _equal_positions(value, len(read.spatial))
            if read.distance and not op.distance and op.kind != "relu":
                value = value._replace(cov=side.covariance(value.cov))
            reads.append(value)
            sides.append(side)
        out = Sides(left[i], right[i], Carry.ALL if op.kind == "pool" else op.pair, block=True)
        # one loop nest per operation: left alone, XLA recomputes a ReLU for every window that reads it
        values.append(jax.lax.optimization_barrier(_pair_value(op, reads, sides, out, same, squares)))
    outputs = []
    for _, i in plan.outputs:
        value = values[i]
        if plan.ops[i].distance:  # an output that another network of the plan goes on from
            value = value._replace(cov=Sides(left[i], right[i], plan.ops[i].pair, block=True).covariance(value.cov))
        outputs.append(value)
    return outputs


def _pair_value(
    op: Op,
    reads: list[PairValue],
    sides: list[Sides],
    out: Sides,
    same: Array,
    squares: Squares,
) -> PairValue:
    if op.kind == "relu":
        return _relu_value(op, reads[0], sides[0])
    if op.distance:
        cov = _distance(op, [r.cov for r in reads], sides, out, same, squares)
    else:
        cov = _add(_linear(op, r.cov, s.carry, squares) for r, s in zip(reads, sides, strict=True))
        cov = cov + _bias(op, squares)
    parts = [(r.ntk, s.carry) for r, s in zip(reads, sides, strict=True)]
    terms = [_linear(op, a, carry, squares) for a, carry in parts if a is not None]
    if op.trainable and op.ntk:
        terms.append(out.covariance(cov) if op.distance else cov)
    value = PairValue(cov, _add(terms) if terms else None)
    if op.kind == "pool" and op.pair is Carry.EQUAL:
        value = _equal_positions(value, len(op.spatial))
    return value


def _image_value(
    op: Op,
    plan: Plan,
    x: Float[Array, "b *shape"],
    values: list[ImageValue | None],
    squares: Squares,
    within: Float[Array, "b *P"] | None,
    follow: bool,
) -> ImageValue:
    """Return what inputs carry alone: distances only with ``follow``; else poolings need ``within``."""
    if op.kind == "input":
        variance = jnp.mean(jnp.square(x), axis=-1)
        distance = input_distance(x, x, Carry.ALL, block=False) if follow and op.image is Carry.ALL else None
        return ImageValue(variance, safe_sqrt(variance), distance)
    reads = [value for j in op.inputs if (value := values[j]) is not None]
    carries = [_reading(op, plan.ops[j]) for j in op.inputs]
    distance = None
    if follow and (op.kind == "pool" or op.image is Carry.ALL):
        sides = [Sides(r, r, c, block=False) for r, c in zip(reads, carries, strict=True)]
        apart_from_itself = [r.distance for r in reads if r.distance is not None]
        if op.kind == "relu":
            distance = _relu_distance(apart_from_itself[0], sides[0])[0]
        else:
            distance = _add(
                _linear(op, _pad_distance(op, d, s), s.carry, squares, padded=True)
                for d, s in zip(apart_from_itself, sides, strict=True)
            )
    flat = Carry.NUMBER if carries[0] is Carry.NUMBER else Carry.EQUAL
    if op.kind == "relu":
        variance = 0.5 * reads[0].variance
    else:
        variance = _add(_linear(op, r.variance, flat, squares) for r in reads) + _bias(op, squares)
    if op.kind == "pool":
        if distance is not None:
            within = 0.5 * diagonal(distance, len(op.spatial))
        assert within is not None
        variance = variance - within
        if distance is not None:
            pooled = ImageValue(variance, variance, None, within)
            distance = _remove_within(distance, Sides(pooled, pooled, Carry.ALL, block=False), jnp.ones((), bool))
    return ImageValue(variance, safe_sqrt(variance), distance if op.image is Carry.ALL else None, within)


def _relu_value(op: Op, read: PairValue, sides: Sides) -> PairValue:
    distance, kappa_1_part, kappa_0 = _relu_distance(read.cov, sides)
    ntk = None if read.ntk is None else 0.5 * kappa_0 * read.ntk
    return PairValue(distance if op.distance else kappa_1_part, ntk)


def _relu_distance(
    distance: Float[Array, "..."], sides: Sides
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """Return the distance and the covariance after ReLU, and kappa_0."""
    z, gap, product = correlation_gap(distance, *sides.spread("std"))
    h, kappa_1, kappa_0 = relu_dual(z)
    return 0.5 * gap + product * h, 0.5 * product * kappa_1, kappa_0


def _distance(
    op: Op,
    distances: list[Float[Array, "..."]],
    sides: list[Sides],
    out: Sides,
    same: Array,
    squares: Squares,
) -> Float[Array, "..."]:
    total = _add(
        _linear(op, _pad_distance(op, d, s), s.carry, squares, padded=True)
        for d, s in zip(distances, sides, strict=True)
    )
    return _remove_within(total, out, same) if op.kind == "pool" else total


def _remove_within(distance: Float[Array, "..."], out: Sides, same: Array) -> Float[Array, "..."]:
    """Turn a mean distance between windows into the distance between their means.

    An input's windows have distance exactly zero to themselves; subtraction alone would leave rounding there,
    and its square root is what the next activation sees.
    """
    left, right = out.spread("within")
    distance = distance - left - right
    spatial = distance.shape[2 if out.block else 1 :]
    n = len(spatial) // 2
    count = 1
    for size in spatial[:n]:
        count *= size
    itself = jnp.eye(count, dtype=bool).reshape((1,) * (distance.ndim - 2 * n) + spatial)
    pinned = itself & same.reshape(same.shape + (1,) * (distance.ndim - same.ndim))
    # zero in value, with the derivatives that it has around there
    return jnp.where(pinned, distance - jax.lax.stop_gradient(distance), distance)


def _pad_distance(op: Op, distance: Float[Array, "..."], sides: Sides) -> Float[Array, "..."]:
    """Pad a distance: next to the zeros outside the image, it is the other position's variance."""
    if op.window is None or sides.carry is Carry.NUMBER:
        return distance
    groups = _GROUPS[sides.carry]
    spatial = distance.shape[distance.ndim - len(op.window.sizes) :]
    padded = pad(distance, spatial, op.window, groups)
    beyond = outside(spatial, op.window)
    if sides.carry is Carry.EQUAL or op.window.padding != "SAME" or not beyond.any():
        return padded
    left, right = sides.spread("variance")
    ones = (1,) * beyond.ndim
    lead = (1,) * (distance.ndim - 2 * beyond.ndim)
    q_outside = jnp.asarray(beyond.reshape((*lead, *ones, *beyond.shape)), distance.dtype)
    p_outside = jnp.asarray(beyond.reshape((*lead, *beyond.shape, *ones)), distance.dtype)
    amounts = pad_amounts(spatial, op.window)
    none = [(0, 0)] * beyond.ndim
    left = jnp.pad(left, [(0, 0)] * len(lead) + amounts + none)
    right = jnp.pad(right, [(0, 0)] * len(lead) + none + amounts)
    return padded + left * q_outside + right * p_outside


def _linear(
    op: Op, a: Float[Array, "..."], carry: Carry, squares: Squares, padded: bool = False
) -> Float[Array, "..."]:
    """Apply the operation as a linear map on covariances, without its bias."""
    if op.kind == "sum":
        return a
    if op.kind == "dense":
        return squares[_key(op)]["W_std"] * a
    window, groups = op.window, _GROUPS[carry]
    assert window is not None
    n = len(window.sizes)
    if not padded:
        a = pad(a, a.shape[a.ndim - n :], window, groups)
    if op.kind == "conv":
        scale = squares[_key(op)]["W_std"] * (1.0 / math.prod(window.sizes))
        return scale * together(a, window, groups)
    a = apart(a, window, groups)  # Flatten, too: the mean over equal positions, its one window
    return a.reshape(a.shape[: a.ndim - n * groups]) if op.squeeze else a


def _bias(op: Op, squares: Squares) -> Float[Array, ""] | float:
    return squares[op.hyper].get("b_std", 0.0) if op.hyper is not None else 0.0


def _key(op: Op) -> str:
    assert op.hyper is not None
    return op.hyper


def _equal_positions(value: PairValue, n: int) -> PairValue:
    return PairValue(diagonal(value.cov, n), None if value.ntk is None else diagonal(value.ntk, n))


def _reading(op: Op, read: Op) -> Carry:
    """Return which positions an operation reads; a value may carry more, for another reader."""
    if not read.spatial:
        return Carry.NUMBER
    return {"pool": Carry.ALL, "flatten": Carry.EQUAL}.get(op.kind, op.pair)


def _add(terms: Iterable[Float[Array, "..."]]) -> Float[Array, "..."]:
    return reduce(operator.add, terms)
