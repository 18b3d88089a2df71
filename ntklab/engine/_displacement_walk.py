"""The rules of the plan in displacement form: on the tiles of one displacement, and on numbers after pooling."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntklab.engine._displacement_border import Reach, border_rows, border_sum, reaches, window_sum
from ntklab.engine._displacement_stages import is_inner, needed
from ntklab.kernel import Learned, Op, PairValue, Plan, relu_dual

Maps = Mapping[tuple[int, str], Float[Array, "..."]]
"""What is known of each image alone, by operation and name, shaped to broadcast against the values of pairs."""

_UNROLLED = 16


class Sides(NamedTuple):
    """The maps of the first and the second images."""

    left: Maps
    right: Maps

    def both(self, i: int, name: str) -> tuple[Array, Array]:
        """Return one map of both."""
        return self.left[i, name], self.right[i, name]

    def covariance(self, i: int, distance: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the covariance at a distance."""
        left, right = self.both(i, "variance")
        return 0.5 * (left + right - distance)


def wanted_maps(plan: Plan) -> list[tuple[int, str]]:
    """Return which maps the rules below read."""
    wanted: set[tuple[int, str]] = {(i, "variance") for _, i in plan.outputs if plan.ops[i].distance}
    for i, op in enumerate(plan.ops):
        if op.kind == "relu":
            wanted |= {(op.inputs[0], "std"), (op.inputs[0], "inverse")}
            continue
        wanted |= {(j, "variance") for j in op.inputs if plan.ops[j].distance and not op.distance}
        if op.distance:
            if _pads_distance(op):
                wanted.add((op.inputs[0], "variance"))
            if op.trainable and op.ntk:
                wanted.add((i, "variance"))
            if op.kind == "pool":
                wanted.add((i, "within"))
    return sorted(wanted)


def borders(
    plan: Plan, targets: Sequence[int], canvas: tuple[int, int], di: Array, maps: Maps, side: int
) -> dict[tuple[int, str], Float[Array, "..."]]:
    """Return, for every convolution that pads distances with zeros, what one image adds there, as far as rows say."""
    found: dict[tuple[int, str], Array] = {}
    for i in needed(plan, targets):
        op = plan.ops[i]
        if _pads_distance(op):
            variance = maps[op.inputs[0], "variance"]
            rows = reaches(op, plan.ops[op.inputs[0]].spatial, canvas, 0, di, variance.dtype)
            broken, found[i, "column"] = border_rows(variance, rows, side)
            if broken is not None:
                found[i, "broken"] = broken
    return found


def walk_tile(
    plan: Plan,
    targets: Sequence[int],
    canvas: tuple[int, int],
    at: tuple[Array, Array],
    sides: Sides,
    pooled: Mapping[int, PairValue],
    same: Bool[Array, "b1 b2"],
    learned: Learned,
) -> list[PairValue]:
    """Return what every pooling or Flatten among the targets reads at one displacement: tiles.

    ``pooled`` are the means over windows that the stage begins with, ``same`` which pairs are of equal inputs.
    """
    values: dict[int, PairValue] = {}
    windows: dict[tuple, list[list[Reach]]] = {}
    for i in needed(plan, targets):
        op = plan.ops[i]
        if op.kind == "input":
            values[i] = PairValue(_input(op, *sides.both(i, "pixels")), None)
        elif is_inner(op):
            itself = same[None, None] & (at[0] == 0) & (at[1] == 0)
            values[i] = jax.lax.optimization_barrier(_pooled(i, op, pooled[i], itself, sides))
        elif op.kind == "conv":
            (read,) = _reads(plan, op, values, sides)
            values[i] = _conv(plan, i, read, canvas, at, sides, learned, windows)
        else:
            # one loop nest per operation: left alone, XLA recomputes a ReLU for every window that reads it
            reads = _reads(plan, op, values, sides)
            values[i] = jax.lax.optimization_barrier(_elementwise(plan, i, reads, sides, learned))
    return [_reads(plan, plan.ops[i], values, sides)[0] for i in targets]


def walk_numbers(
    plan: Plan,
    pooled: dict[int, PairValue],
    sides: Sides,
    same: Bool[Array, "b1 b2"],
    learned: Learned,
) -> list[PairValue]:
    """Return the plan's outputs, from the means over position pairs that pooling and Flatten take."""
    values: dict[int, PairValue] = {}
    for i, op in enumerate(plan.ops):
        if op.spatial:
            continue
        if i in pooled:
            values[i] = _pooled(i, op, pooled[i], same, sides)
            continue
        values[i] = _elementwise(plan, i, _reads(plan, op, values, sides), sides, learned)
    outputs = []
    for _, i in plan.outputs:
        value = values[i]
        outputs.append(value._replace(cov=sides.covariance(i, value.cov)) if plan.ops[i].distance else value)
    return outputs


def _reads(plan: Plan, op: Op, values: Mapping[int, PairValue], sides: Sides) -> list[PairValue]:
    """Return what an operation reads: distances become covariances where no activation follows."""
    reads = []
    for j in op.inputs:
        value = values[j]
        if plan.ops[j].distance and not op.distance and op.kind != "relu":
            value = value._replace(cov=sides.covariance(j, value.cov))
        reads.append(value)
    return reads


def _pooled(i: int, op: Op, mean: PairValue, itself: Bool[Array, "..."], sides: Sides) -> PairValue:
    """Turn a mean distance between windows into the distance between their means."""
    if op.kind != "pool" or not op.distance:
        return mean
    left, right = sides.both(i, "within")
    distance = mean.cov - left - right
    # zero in value between a window and itself, with the derivatives that it has around there
    return mean._replace(cov=jnp.where(itself, distance - jax.lax.stop_gradient(distance), distance))


def _elementwise(plan: Plan, i: int, reads: list[PairValue], sides: Sides, learned: Learned) -> PairValue:
    """Apply a dense layer, a ReLU or a sum: position pair by position pair, or number by number."""
    op = plan.ops[i]
    if op.kind == "relu":
        return _relu(op, reads[0], *sides.both(op.inputs[0], "std"), *sides.both(op.inputs[0], "inverse"))
    if op.kind == "sum":
        tangents = [r.ntk for r in reads if r.ntk is not None]
        return PairValue(_add(r.cov for r in reads), _add(tangents) if tangents else None)
    assert op.kind == "dense"
    assert op.hyper is not None
    scale = learned[op.hyper]["W_std"]
    ntk = None if reads[0].ntk is None else scale * reads[0].ntk
    return _trained(i, op, _biased(op, scale * reads[0].cov, learned), ntk, sides)


def _conv(
    plan: Plan,
    i: int,
    read: PairValue,
    canvas: tuple[int, int],
    at: tuple[Array, Array],
    sides: Sides,
    learned: Learned,
    windows: dict[tuple, list[list[Reach]]],
) -> PairValue:
    op, j = plan.ops[i], plan.ops[i].inputs[0]
    assert op.window is not None
    assert op.hyper is not None
    key = (op.window, plan.ops[j].spatial)
    if key not in windows:
        windows[key] = [reaches(op, plan.ops[j].spatial, canvas, k, at[k], read.cov.dtype) for k in range(2)]
    rows, columns = windows[key]
    scale = learned[op.hyper]["W_std"] * (1.0 / math.prod(op.window.sizes))
    total = window_sum(read.cov, rows, columns)
    for side, maps in enumerate(sides):
        if (i, "column") in maps:
            beyond = border_sum(maps.get((i, "broken")), maps[i, "column"], columns, side)
            total = total if beyond is None else total + beyond
    ntk = None if read.ntk is None else scale * window_sum(read.ntk, rows, columns)
    cov, ntk = jax.lax.optimization_barrier((_biased(op, scale * total, learned), ntk))
    return _trained(i, op, cov, ntk, sides)


def _pads_distance(op: Op) -> bool:
    return op.kind == "conv" and op.distance and op.window is not None and op.window.padding == "SAME"


def _biased(op: Op, cov: Float[Array, "..."], learned: Learned) -> Float[Array, "..."]:
    """Add the bias to a covariance; all positions and inputs share it, so that it cancels in a distance."""
    assert op.hyper is not None
    bias = None if op.distance else learned[op.hyper].get("b_std")
    return cov if bias is None else cov + bias


def _trained(i: int, op: Op, cov: Float[Array, "..."], ntk: Array | None, sides: Sides) -> PairValue:
    """Add what the layer's own weights add to the tangent kernel."""
    if op.trainable and op.ntk:
        own = sides.covariance(i, cov) if op.distance else cov
        ntk = own if ntk is None else ntk + own
    return PairValue(cov, ntk)


def _relu(op: Op, read: PairValue, std_x: Array, std_y: Array, inverse_x: Array, inverse_y: Array) -> PairValue:
    """Apply ReLU at a distance; divisions are products with inverses that each image has once."""
    gap = jnp.square(std_x - std_y)
    product = std_x * std_y
    positive = product > float(jnp.finfo(product.dtype).tiny)
    half = jnp.where(positive, 0.5 * (inverse_x * inverse_y), 0.0)
    # a zero input has no angle; z = 1 stands in
    h, kappa_1, kappa_0 = relu_dual(jnp.where(positive, (read.cov - gap) * half, 1.0))
    ntk = None if read.ntk is None else 0.5 * kappa_0 * read.ntk
    return PairValue(0.5 * gap + product * h if op.distance else 0.5 * product * kappa_1, ntk)


def _input(op: Op, left: Float[Array, "c ..."], right: Float[Array, "c ..."]) -> Float[Array, "..."]:
    """Return squared distances, or products, of pixels: their mean over channels, the first axis."""
    combine: Callable[[Array, Array], Array] = operator.mul
    if op.distance:
        combine = lambda a, b: jnp.square(a - b)  # noqa: E731
    channels = left.shape[0]
    if channels <= _UNROLLED:
        total = _add(combine(left[c], right[c]) for c in range(channels))
    else:
        start = jnp.zeros(jnp.broadcast_shapes(left.shape[1:], right.shape[1:]), left.dtype)
        total, _ = jax.lax.scan(lambda t, ab: (t + combine(*ab), None), start, (left, right), unroll=_UNROLLED)
    return jax.lax.optimization_barrier(total * (1.0 / channels))


def _add(terms: Iterable[Float[Array, "..."]]) -> Float[Array, "..."]:
    return reduce(operator.add, terms)
