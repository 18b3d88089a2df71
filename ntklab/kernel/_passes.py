"""The two passes that interpret a plan: over each input alone, then over pairs (see ``_rule.py``)."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntklab.kernel._input import (
    features,
    input_correlation,
    input_covariance,
    input_distance,
    read_aside,
    same_input,
)
from ntklab.kernel._plan import Carry, Op, Plan
from ntklab.kernel._rule import Learned, Read
from ntklab.kernel._rule_normalisation import Dropout
from ntklab.kernel._table import RULES
from ntklab.kernel._values import ImageValue, PairValue, Sides, aside, equal_asides, equal_positions, image_value


def image_pass(
    plan: Plan,
    x: Float[Array, "b *shape"],
    learned: Learned,
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
        if not known:
            values.append(None)
            continue
        if op.kind == "input":
            own = features(op, x)
            value = image_value(jnp.mean(jnp.square(own), axis=-1))
            if within is None and op.image is Carry.ALL:
                value = value._replace(distance=input_distance(own, own, Carry.ALL, block=False))
        elif not op.inputs:
            value = aside(read_aside(op, x))
        else:
            reads = [_own_side(op, plan.ops[j], values[j]) for j in op.inputs]
            value = RULES[op.kind].image(op, reads, learned, None if within is None else within.get(i))
        values.append(value if op.image is Carry.ALL else value._replace(distance=None))
    return [value and value._replace(distance=None) for value in values]


def pair_pass(
    plan: Plan,
    x1: Float[Array, "b1 *shape"],
    x2: Float[Array, "b2 *shape"],
    left: list[ImageValue | None],
    right: list[ImageValue | None],
    learned: Learned,
) -> list[PairValue]:
    """Return the plan's outputs for all pairs of two blocks of inputs, each of shape ``(b1, b2)``.

    ``left`` and ``right`` are the image passes of ``x1`` and ``x2``.
    """
    values: list[PairValue] = []
    same: list[Bool[Array, "..."]] = []  # of what each value rests on: which pairs of inputs are equal
    for i, op in enumerate(plan.ops):
        if op.kind == "input":
            make = input_distance if op.distance else input_covariance
            read1, read2 = features(op, x1), features(op, x2)
            z = input_correlation(read1, read2) if op.distance and not op.spatial else None
            values.append(PairValue(make(read1, read2, op.pair, block=True), None, z))
            known = same_input(values[i].cov, len(op.spatial) if op.pair is Carry.ALL else 0) if op.distance else None
            same.append(jnp.zeros((), bool) if known is None else known)
            continue
        rule = RULES[op.kind]
        same.append(_all_same(op, same, left[i], right[i]))
        if op.kind == Dropout.kind:  # its masks are of inputs as a whole
            same[i] = jnp.all(x1.reshape((len(x1), 1, -1)) == x2.reshape((1, len(x2), -1)), axis=-1)
        if rule.aside:
            values.append(PairValue(jnp.zeros((), x1.dtype), None))
            continue
        reads = []
        for j in op.inputs:
            read, value = plan.ops[j], values[j]
            sides = Sides(left[j], right[j], _reading(op, read), block=True)
            if read.pair is Carry.ALL and sides.carry is Carry.EQUAL:
                value = equal_positions(value, len(read.spatial))
            if read.distance and not rule.needs(op).distance:
                value = value._replace(cov=sides.covariance(value.cov))
            reads.append(Read(value, sides))
        out = Sides(left[i], right[i], op.pair, block=True)
        # one loop nest per operation: left alone, XLA recomputes an activation for every window that reads it
        values.append(jax.lax.optimization_barrier(rule.pair(op, reads, out, same[i], learned)))
    outputs = []
    for _, i in plan.outputs:
        value = values[i]
        if plan.ops[i].distance:  # an output that another network of the plan goes on from
            value = value._replace(cov=Sides(left[i], right[i], plan.ops[i].pair, block=True).covariance(value.cov))
        outputs.append(value)
    return outputs


def _all_same(
    op: Op, same: Sequence[Bool[Array, "..."]], left: ImageValue | None, right: ImageValue | None
) -> Bool[Array, "..."]:
    """Return which pairs are equal in all that an operation reads; of what is aside, in itself."""
    if op.inputs:
        return reduce(operator.and_, (same[j] for j in dict.fromkeys(op.inputs)))
    assert left is not None
    assert right is not None
    return equal_asides(left, right)


def _own_side(op: Op, read: Op, value: ImageValue | None) -> Sides:
    assert value is not None
    if RULES[op.kind].needs(op).image is not Carry.ALL:
        value = value._replace(distance=None)
    return Sides(value, value, _reading(op, read), block=False)


def _reading(op: Op, read: Op) -> Carry:
    """Return which positions an operation reads; a value may carry more, for another reader."""
    return RULES[op.kind].needs(op).pair if read.spatial else Carry.NUMBER
