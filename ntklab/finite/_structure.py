"""The tangent kernel from activations and backward cotangents of every layer, without its Jacobian."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from ntklab.finite._linear import PRECISION
from ntklab.finite._methods import Method, contract_leaves
from ntklab.finite._taps import Product, Tap, Weight, find_taps, walk


class Features(NamedTuple):
    """What one side of a block needs.

    Attributes
    ----------
    layers : list of (h, delta)
        Activations (n, P, K) and cotangents (n, S, F, P, D) of layers contracted over pairs of positions.
    jacobians : list of arrays, (n, S, F, ...)
        Derivatives with respect to everything else, one leaf each.
    """

    layers: list[tuple[Float[Array, "n P K"], Float[Array, "n S F P D"]]]
    jacobians: list[Float[Array, "n S F ..."]]


def trace_one(f: Partial, params: Any, single: Any) -> tuple[Any, list[Any], list[Tap]]:
    """Return the jaxpr of one input's flattened outputs, its arguments in order, and the taps of its parameters."""
    leaves, tree = jax.tree.flatten(params)
    fixed, structure = jax.tree.flatten(f)

    def flat(*values: Any) -> Float[Array, "O"]:
        inner = jax.tree.unflatten(structure, values[: len(fixed)])
        return inner(jax.tree.unflatten(tree, values[len(fixed) : -1]), values[-1][None]).reshape(-1)

    arguments = [*fixed, *leaves, single]
    closed = jax.make_jaxpr(flat)(*arguments)
    return closed, arguments, find_taps(closed, arguments, len(fixed), len(leaves))


def by_positions(tap: Tap, slices: int, outputs: int) -> bool:
    """Return whether pairs of positions are less work than the Jacobian of this layer."""
    pairs = tap.positions**2 * (tap.contracted + slices * outputs**2 * tap.width)
    return pairs <= tap.contracted * tap.width * slices * (outputs**2 + outputs * tap.positions / 8)


@jax.jit
def _features(f: Partial, params: Any, x: Float[Array, "n ..."], index: Int[Array, "S F"]) -> Features:
    closed, _, taps = trace_one(f, params, jax.ShapeDtypeStruct(x.shape[1:], x.dtype))
    fixed, leaves = jax.tree.leaves(f), jax.tree.leaves(params)
    tapped = {tap.leaf: number for number, tap in enumerate(taps)}
    others = [i for i in range(len(leaves)) if i not in tapped]

    def of_one(single: Float[Array, "..."]) -> Features:
        def outputs(pushes: list[Array], free: list[Array]) -> tuple[Float[Array, "O"], list[Array]]:
            seen: dict[int, Array] = {}

            def push(product: Product) -> Array:
                seen[product.leaf] = product.activations
                return product.out + pushes[tapped[product.leaf]]

            values = [Weight(i, leaf, 1) if i in tapped else leaf for i, leaf in enumerate(leaves)]
            for i, value in zip(others, free, strict=True):
                values[i] = value
            (out,) = walk(closed, [*fixed, *values, single], push, lambda leaf: None)
            return out, [seen[tap.leaf] for tap in taps]

        zeros = [jnp.zeros(tap.shape, tap.dtype) for tap in taps]
        out, pull, activations = jax.vjp(outputs, zeros, [leaves[i] for i in others], has_aux=True)
        units = jax.nn.one_hot(index, out.size, dtype=out.dtype)
        cotangents, jacobians = jax.vmap(jax.vmap(pull))(units)
        layers = []
        for tap, h, delta in zip(taps, activations, cotangents, strict=True):
            by_feature = jnp.moveaxis(delta, [2 + a for a in tap.features], range(-len(tap.features), 0))
            by_feature = by_feature.reshape(*index.shape, tap.positions, tap.width)
            if by_positions(tap, *index.shape):
                layers.append((h, by_feature))
            else:
                jacobians.append(jnp.einsum("pk,sfpd->sfkd", h, by_feature, precision=PRECISION))
        return Features(layers, jacobians)

    return jax.vmap(of_one)(x)


@functools.partial(jax.jit, static_argnames="total")
def _sum_layers(left: Features, right: Features, total: bool) -> Float[Array, "n m S F G"]:
    block = contract_leaves(left.jacobians, right.jacobians, total) if left.jacobians else None
    einsum = functools.partial(jnp.einsum, precision=PRECISION)
    for (h1, delta1), (h2, delta2) in zip(left.layers, right.layers, strict=True):
        inputs = einsum("npk,mqk->nmpq", h1, h2)
        if total:
            back = einsum("nsfpd,msgqd->nmfgpq", delta1, delta2)
            part = einsum("nmpq,nmfgpq->nmfg", inputs, back)[:, :, None]
        else:
            back = einsum("nsfpd,msgqd->nmsfgpq", delta1, delta2)
            part = einsum("nmpq,nmsfgpq->nmsfg", inputs, back)
        block = part if block is None else block + part
    assert block is not None, "a function without parameters is settled before"
    return block


def _pair(_f: Partial, _params: Any, left: Features, right: Features, total: bool) -> Float[Array, "n m S F G"]:
    return _sum_layers(left, right, total)


BY_STRUCTURE = Method(_features, _features, _pair)
"""Layer by layer: h h' times delta delta', summed over pairs of positions where that is less work."""
