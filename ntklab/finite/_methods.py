"""Two ways to the tangent kernel of any function: contracted Jacobians, and products of the kernel with vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PyTree

from ntklab.finite._linear import PRECISION


@dataclass(frozen=True)
class Method:
    """How one block of the kernel is computed: what each side needs, and what a pair of sides makes of it.

    Attributes
    ----------
    left, right : function of f, params, x and index
        What rows and columns of a block need, for the outputs ``index`` (S, F). The same function where one
        side can serve as the other.
    pair : function of f, params, left, right and total
        The block (n, m, S, F, G); ``total`` sums over S and keeps the axis.
    """

    left: Callable[[Partial, Any, Array, Any], Any]
    right: Callable[[Partial, Any, Array, Any], Any]
    pair: Callable[[Partial, Any, Any, Any, bool], Float[Array, "n m S F G"]]


@jax.jit
def _jacobian(f: Partial, params: Any, x: Float[Array, "n ..."], index: Int[Array, "S F"]) -> PyTree:
    """Derivatives of some outputs with respect to every leaf: (n, S, F, ...)."""

    def of_one(single: Float[Array, "..."]) -> PyTree:
        out, pull = jax.vjp(lambda p: f(p, single[None]).reshape(-1), params)
        units = jax.nn.one_hot(index, out.size, dtype=out.dtype)
        return jax.vmap(jax.vmap(lambda unit: pull(unit)[0]))(units)

    return jax.vmap(of_one)(x)


def _contract(_f: Partial, _params: Any, left: PyTree, right: PyTree, total: bool) -> Float[Array, "n m S F G"]:
    return contract_leaves(left, right, total)


@functools.partial(jax.jit, static_argnames="total")
def contract_leaves(left: PyTree, right: PyTree, total: bool) -> Float[Array, "n m S F G"]:
    """Contract two Jacobians over the parameters, and over the slices if ``total``."""

    def product(a: Float[Array, "n S F ..."], b: Float[Array, "m S G ..."]) -> Float[Array, "n m S F G"]:
        (n, s, f), (m, _, g) = a.shape[:3], b.shape[:3]
        if s == 1 or (total and f == g == 1):
            # Rows times rows as they lie in memory: an einsum over several axes copies both sides first.
            last = (((1,), (1,)), ((), ()))
            block = jax.lax.dot_general(a.reshape(n * f, -1), b.reshape(m * g, -1), last, precision=PRECISION)
            return block.reshape(n, f, m, g).swapaxes(1, 2)[:, :, None]
        a, b = (j.reshape(*j.shape[:3], -1) for j in (a, b))
        if total:
            return jnp.einsum("nsfp,msgp->nmfg", a, b, precision=PRECISION)[:, :, None]
        return jnp.einsum("nsfp,msgp->nmsfg", a, b, precision=PRECISION)

    return functools.reduce(jnp.add, jax.tree.leaves(jax.tree.map(product, left, right)))


def _inputs(_f: Partial, _params: Any, x: Array, index: Any) -> tuple[Array, Any]:
    return x, index


@functools.partial(jax.jit, static_argnames="total")
def _push(
    f: Partial, params: Any, left: tuple[Float[Array, "n ..."], Int[Array, "S F"]], directions: PyTree, total: bool
) -> Float[Array, "n m S F G"]:
    x, index = left
    _, push = jax.linearize(lambda p: f(p, x).reshape(len(x), -1), params)

    def slice_of(direction: PyTree, rows: Int[Array, "F"]) -> Float[Array, "n F"]:
        return push(direction)[:, rows]

    over_columns = jax.vmap(slice_of, in_axes=(0, None), out_axes=-1)  # n F G
    over_slices = jax.vmap(over_columns, in_axes=(0, 0), out_axes=1)  # n S F G
    block = jax.vmap(over_slices, in_axes=(0, None), out_axes=1)(directions, index)  # n m S F G
    return block.sum(axis=2, keepdims=True) if total else block


BY_JACOBIAN = Method(_jacobian, _jacobian, _contract)
"""Write out the derivatives of every output with respect to every parameter, and contract them."""

BY_VECTORS = Method(_inputs, _jacobian, _push)
"""Pull one output on the right back to a direction in the parameters, push what is on the left along it."""
