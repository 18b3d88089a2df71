"""The first values of a plan: inner products or squared distances of the inputs, and which positions are present."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntklab._core import safe_sqrt
from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._values import ImageValue, Sides
from ntklab.kernel._windows import diagonal

_UNROLLED = 16


def features(op: Op, x: Float[Array, "b *shape"]) -> Float[Array, "b *P C"]:
    """Return what of inputs is features; zero where the number is missing."""
    x = cut(op, x)
    absent = _missing(op, x)
    return x if absent is None else jnp.where(absent, 0.0, x)


def cut(op: Op, x: Float[Array, "b *shape"]) -> Float[Array, "b ..."]:
    """Return what of inputs an operation reads."""
    for word, value in op.options:
        if word == "columns":
            x = x[..., slice(*value)]
        elif word == "shape":
            x = x.reshape((x.shape[0], *value))
    return x


def read_aside(op: Op, x: Float[Array, "b *shape"]) -> Float[Array, "b ..."]:
    """Return what an operation without inputs keeps aside of them: a graph, or which positions are present."""
    x = cut(op, x)
    return x if op.kind == "graph" else present(op, x)


def present(op: Op, x: Float[Array, "b *shape"]) -> Float[Array, "b *P"]:
    """Return 1 at positions with any feature that is not missing, else 0."""
    absent = _missing(op, x)
    assert absent is not None
    return 1.0 - jnp.all(absent, axis=-1).astype(x.dtype)


def _missing(op: Op, x: Float[Array, "b *P C"]) -> Bool[Array, "b *P C"] | None:
    constant = dict(op.options).get("constant")
    return None if constant is None else x == jnp.asarray(constant, x.dtype)


def input_covariance(
    x1: Float[Array, "b1 *shape"], x2: Float[Array, "b2 *shape"], carry: Carry, *, block: bool
) -> Float[Array, "..."]:
    """Return inner products over channels, divided by their number."""
    left, right = _aligned(x1, x2, carry, block)
    return _channel_mean(jnp.multiply, left, right)


def input_distance(
    x1: Float[Array, "b1 *shape"], x2: Float[Array, "b2 *shape"], carry: Carry, *, block: bool
) -> Float[Array, "..."]:
    """Return squared distances over channels, divided by their number; exactly zero between equal inputs."""
    left, right = _aligned(x1, x2, carry, block)
    return _channel_mean(lambda a, b: jnp.square(a - b), left, right)


def input_correlation(x1: Float[Array, "b1 d"], x2: Float[Array, "b2 d"]) -> Float[Array, "b1 b2"]:
    """Return 1 - c of vectors, half the squared distance of unit vectors: no lengths to cancel."""
    left, right = _aligned(_unit(x1), _unit(x2), Carry.EQUAL, True)
    return (0.5 * x1.shape[-1]) * _channel_mean(lambda a, b: jnp.square(a - b), left, right)


def _unit(x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    # first by the largest number, which the result does not depend on: exact for one number, and no overflow
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    x = x / jnp.where(largest > 0.0, largest, 1.0)
    squared = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x / jnp.where(squared > 0.0, safe_sqrt(squared), 1.0)


def _aligned(x1: Array, x2: Array, carry: Carry, block: bool) -> tuple[Array, Array]:
    sides = Sides(ImageValue(x1, x1), ImageValue(x2, x2), Carry.EQUAL, block)
    left, right = sides.spread("variance")
    if carry is Carry.ALL:
        n = x1.ndim - 2
        lead, spatial, channels = left.ndim - n - 1, x1.shape[1:-1], x1.shape[-1:]
        left = left.reshape((*left.shape[:lead], *spatial, *(1,) * n, *channels))
        right = right.reshape((*right.shape[:lead], *(1,) * n, *spatial, *channels))
    return left, right


def _channel_mean(
    combine: Callable[[Array, Array], Array], left: Float[Array, "..."], right: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Average ``combine`` over channels, a few at a time: never an array of pairs times channels."""
    channels = left.shape[-1]
    if channels <= _UNROLLED:
        return reduce(operator.add, (combine(left[..., c], right[..., c]) for c in range(channels))) * (1.0 / channels)
    # differences, not a matrix product: |x - y|^2 from products cancels for near-duplicates
    a, b = jnp.moveaxis(left, -1, 0), jnp.moveaxis(right, -1, 0)
    start = jnp.zeros(jnp.broadcast_shapes(a.shape[1:], b.shape[1:]), left.dtype)
    total, _ = jax.lax.scan(lambda t, ab: (t + combine(*ab), None), start, (a, b), unroll=_UNROLLED)
    return total * (1.0 / channels)


def same_input(distance: Float[Array, "..."], n: int) -> Bool[Array, "b1 b2"]:
    """Return which pairs of inputs are equal: at distance exactly zero at every position."""
    distance = jax.lax.stop_gradient(diagonal(distance, n))
    return jnp.all(distance == 0.0, axis=tuple(range(2, distance.ndim)))
