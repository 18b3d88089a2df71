"""The two passes that interpret a plan: over each input alone, then over pairs (see ``_rule.py``)."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

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
from ntklab.kernel._loops import Loop, run_loop, segments, stacked_numbers
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
    loops: tuple[Loop, ...] = (),
) -> list[ImageValue | None]:
    """Return, for every operation of the plan, what each input carries alone (None where nothing).

    Distances between an input's own positions serve the pass itself and are not returned. An engine that follows
    them in its own way gives what poolings need of them, ``within``; what rests on a pooling missing there is None.

    Of ``loops`` (:func:`find_loops`) the values of all periods stand at the numbers of the first, along axis 1.
    """
    values: dict[int, ImageValue | None] = {}

    def step(values: Mapping[int, ImageValue | None], i: int, learned: Learned) -> ImageValue | None:
        op = plan.ops[i]
        known = op.image is not None
        if within is not None:
            known &= all(values[j] is not None for j in op.inputs) and (op.kind != "pool" or i in within)
        if not known:
            return None
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
        return value if op.image is Carry.ALL else value._replace(distance=None)

    for part in segments(plan, loops):
        if isinstance(part, Loop):
            numbers = stacked_numbers(plan, part, learned)
            last, every = run_loop(
                part, values, numbers, lambda v, i, own: step(v, i, {**learned, **own}), _without_distance
            )
            values |= dict.fromkeys(range(part.start, part.stop))
            values |= dict(zip(part.first, jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1), every), strict=True)) | last
        else:
            values[part] = step(values, part, learned)
    return [_without_distance(value) for value in values.values()]


def pair_pass(
    plan: Plan,
    x1: Float[Array, "b1 *shape"],
    x2: Float[Array, "b2 *shape"],
    left: list[ImageValue | None],
    right: list[ImageValue | None],
    learned: Learned,
    loops: tuple[Loop, ...] = (),
) -> list[PairValue]:
    """Return the plan's outputs for all pairs of two blocks of inputs, each of shape ``(b1, b2)``.

    ``left`` and ``right`` are the image passes of ``x1`` and ``x2``, with the same ``loops``.
    """
    known: dict[int, _Known] = {}

    def step(known: Mapping[int, _Known], i: int, ends: _Ends, learned: Learned) -> _Known:
        op = plan.ops[i]
        if op.kind == "input":
            make = input_distance if op.distance else input_covariance
            read1, read2 = features(op, x1), features(op, x2)
            z = input_correlation(read1, read2) if op.distance and not op.spatial else None
            value = PairValue(make(read1, read2, op.pair, block=True), None, z)
            same = same_input(value.cov, len(op.spatial) if op.pair is Carry.ALL else 0) if op.distance else None
            return _Known(value, jnp.zeros((), bool) if same is None else same, *ends)
        rule = RULES[op.kind]
        same = _all_same(op, known, ends)
        if op.kind == Dropout.kind:  # its masks are of inputs as a whole
            same = jnp.all(x1.reshape((len(x1), 1, -1)) == x2.reshape((1, len(x2), -1)), axis=-1)
        if rule.aside:
            return _Known(PairValue(jnp.zeros((), x1.dtype), None), same, *ends)
        reads = []
        for j in op.inputs:
            read, value = plan.ops[j], known[j].value
            sides = Sides(known[j].left, known[j].right, _reading(op, read), block=True)
            if read.pair is Carry.ALL and sides.carry is Carry.EQUAL:
                value = equal_positions(value, len(read.spatial))
            if read.distance and not rule.needs(op).distance:
                value = value._replace(cov=sides.covariance(value.cov))
            reads.append(Read(value, sides))
        out = Sides(*ends, op.pair, block=True)
        # one loop nest per operation: left alone, XLA recomputes an activation for every window that reads it
        return _Known(jax.lax.optimization_barrier(rule.pair(op, reads, out, same, learned)), same, *ends)

    for part in segments(plan, loops):
        if isinstance(part, Loop):
            ends = {i: (left[i], right[i]) for i in part.first}
            each = (
                jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), ends),
                stacked_numbers(plan, part, learned),
            )
            last, _ = run_loop(part, known, each, lambda v, i, own: step(v, i, own[0][i], {**learned, **own[1]}))
            known |= last
        else:
            known[part] = step(known, part, (left[part], right[part]), learned)
    outputs = []
    for _, i in plan.outputs:
        value = known[i].value
        if plan.ops[i].distance:  # an output that another network of the plan goes on from
            value = value._replace(cov=Sides(left[i], right[i], plan.ops[i].pair, block=True).covariance(value.cov))
        outputs.append(value)
    return outputs


_Ends = tuple[ImageValue | None, ImageValue | None]


class _Known(NamedTuple):
    """A value of pairs, and what goes along with it."""

    value: PairValue
    same: Bool[Array, "..."]
    """Of what it rests on: which pairs of inputs are equal."""
    left: ImageValue | None
    right: ImageValue | None


def _all_same(op: Op, known: Mapping[int, _Known], ends: _Ends) -> Bool[Array, "..."]:
    """Return which pairs are equal in all that an operation reads; of what is aside, in itself."""
    if op.inputs:
        return reduce(operator.and_, (known[j].same for j in dict.fromkeys(op.inputs)))
    left, right = ends
    assert left is not None
    assert right is not None
    return equal_asides(left, right)


def _without_distance(value: ImageValue | None) -> ImageValue | None:
    return value and value._replace(distance=None)


def _own_side(op: Op, read: Op, value: ImageValue | None) -> Sides:
    assert value is not None
    if RULES[op.kind].needs(op).image is not Carry.ALL:
        value = value._replace(distance=None)
    return Sides(value, value, _reading(op, read), block=False)


def _reading(op: Op, read: Op) -> Carry:
    """Return which positions an operation reads; a value may carry more, for another reader."""
    return RULES[op.kind].needs(op).pair if read.spatial else Carry.NUMBER
