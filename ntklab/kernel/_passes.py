"""The two passes that interpret a plan: over each input alone, then over pairs (see ``_rule.py``)."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._input import input_correlation, input_covariance, input_distance, same_input
from ntklab.kernel._plan import Carry, Op, Plan
from ntklab.kernel._rule import Learned, Read
from ntklab.kernel._table import RULES
from ntklab.kernel._values import ImageValue, PairValue, Sides, equal_positions, image_value


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
            value = image_value(jnp.mean(jnp.square(x), axis=-1))
            if within is None and op.image is Carry.ALL:
                value = value._replace(distance=input_distance(x, x, Carry.ALL, block=False))
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
    same = jnp.zeros((), bool)
    for i, op in enumerate(plan.ops):
        if op.kind == "input":
            make = input_distance if op.distance else input_covariance
            z = input_correlation(x1, x2) if op.distance and not op.spatial else None
            values.append(PairValue(make(x1, x2, op.pair, block=True), None, z))
            if op.distance:
                same = same_input(values[0].cov, len(op.spatial) if op.pair is Carry.ALL else 0)
            continue
        rule = RULES[op.kind]
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
        values.append(jax.lax.optimization_barrier(rule.pair(op, reads, out, same, learned)))
    outputs = []
    for _, i in plan.outputs:
        value = values[i]
        if plan.ops[i].distance:  # an output that another network of the plan goes on from
            value = value._replace(cov=Sides(left[i], right[i], plan.ops[i].pair, block=True).covariance(value.cov))
        outputs.append(value)
    return outputs


def _own_side(op: Op, read: Op, value: ImageValue | None) -> Sides:
    assert value is not None
    if RULES[op.kind].needs(op).image is not Carry.ALL:
        value = value._replace(distance=None)
    return Sides(value, value, _reading(op, read), block=False)


def _reading(op: Op, read: Op) -> Carry:
    """Return which positions an operation reads; a value may carry more, for another reader."""
    return RULES[op.kind].needs(op).pair if read.spatial else Carry.NUMBER
