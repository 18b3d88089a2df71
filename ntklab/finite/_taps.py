"""Where a traced function uses its parameters as the matrix of a product or the filter of a convolution.

A small interpreter of JAX's public jaxprs. A weight may be transposed, reshaped or multiplied by a scalar on its way;
used twice, or in any other operation, it counts as *other* and is differentiated as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal
from jaxtyping import Array, Float

from ntklab.finite._linear import PRECISION

# Operations whose transpose keeps inner products, as long as no entry is repeated.
_MOVES = frozenset(
    {"reshape", "transpose", "squeeze", "broadcast_in_dim", "expand_dims", "rev", "copy", "convert_element_type"}
)
_CALLS = frozenset({"jit", "pjit", "closed_call", "remat2", "checkpoint"})  # remat2 is jax.checkpoint


class Weight(NamedTuple):
    """A parameter on its way: which leaf it is, its entries in some order, and what each was multiplied by."""

    leaf: int
    value: Array
    scale: Any


class Product(NamedTuple):
    """One use ``y = h W``: activations by position and contracted index, and which axes of ``y`` are those of W."""

    leaf: int
    activations: Float[Array, "p k"]
    out: Array
    features: tuple[int, ...]


def walk(
    closed: Any,
    arguments: Sequence[Any],
    on_product: Callable[[Product], Array],
    on_other: Callable[[int], None],
) -> list[Any]:
    """Evaluate a jaxpr some of whose arguments are Weights.

    ``on_product`` sees every product with a weight and returns what takes its place; ``on_other`` is told the
    leaf of every weight that is used in another way.
    """
    env: dict[Any, Any] = {}
    jaxpr, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())  # that of jax.checkpoint is open
    env.update(zip(jaxpr.constvars, consts, strict=True))
    env.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else env[atom]

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        env.update(zip(eqn.outvars, _evaluate(eqn, values, on_product, on_other), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _evaluate(
    eqn: Any, values: list[Any], on_product: Callable[[Product], Array], on_other: Callable[[int], None]
) -> Sequence[Any]:
    weights = [value for value in values if isinstance(value, Weight)]
    name = eqn.primitive.name
    if weights and name in _CALLS:
        return walk(eqn.params["jaxpr"], values, on_product, on_other)
    plain = [value.value if isinstance(value, Weight) else value for value in values]
    result = eqn.primitive.bind(*plain, **eqn.primitive.get_bind_params(eqn.params))
    results = result if eqn.primitive.multiple_results else [result]
    if len(weights) == 1:
        (weight,) = weights
        if name in _MOVES and results[0].size == weight.value.size:
            return [weight._replace(value=results[0])]
        factor = _factor(name, values)
        if factor is not None:
            return [Weight(weight.leaf, results[0], weight.scale * factor)]
        product = _product(eqn, values, weight, results[0])
        if product is not None:
            return [on_product(product)]
    for weight in weights:
        on_other(weight.leaf)
    return results


def _factor(name: str, values: list[Any]) -> Any:
    """Return the scalar that a weight is multiplied by in this operation, or None if it is another operation."""
    if name == "neg":
        return -1
    if name not in ("mul", "div") or (name == "div" and not isinstance(values[0], Weight)):
        return None
    (scalar,) = [value for value in values if not isinstance(value, Weight)]
    if jnp.size(scalar) != 1:
        return None
    return (1 / jnp.asarray(scalar) if name == "div" else jnp.asarray(scalar)).reshape(())


def _product(eqn: Any, values: list[Any], weight: Weight, out: Array) -> Product | None:
    name, options = eqn.primitive.name, eqn.params
    if name == "dot_general":
        contracting, batch = options["dimension_numbers"]
        if batch[0]:
            return None
        side = 0 if isinstance(values[0], Weight) else 1
        h = values[1 - side]
        free = [axis for axis in range(h.ndim) if axis not in contracting[1 - side]]
        activations = h.transpose(*free, *contracting[1 - side]).reshape(math.prod(h.shape[a] for a in free), -1)
        kept = out.ndim - len(free)
        features = tuple(range(kept)) if side == 0 else tuple(range(len(free), out.ndim))
    elif name == "conv_general_dilated" and isinstance(values[1], Weight):
        if options["feature_group_count"] != 1 or options["batch_group_count"] != 1:
            return None
        numbers = options["dimension_numbers"]
        patches = lax.conv_general_dilated_patches(
            values[0],
            [weight.value.shape[axis] for axis in numbers.rhs_spec[2:]],
            options["window_strides"],
            options["padding"],
            options["lhs_dilation"],
            options["rhs_dilation"],
            numbers,
            precision=PRECISION,
        )
        channel = numbers.out_spec[1]
        activations = jnp.moveaxis(patches, channel, -1).reshape(-1, patches.shape[channel])
        features = (channel,)
    else:
        return None
    scale = jnp.asarray(weight.scale, activations.dtype)
    return Product(weight.leaf, activations * scale, out, features)


class Tap(NamedTuple):
    """A leaf that is used in one product: P positions, K contracted indices, D features."""

    leaf: int
    shape: tuple[int, ...]
    dtype: Any
    features: tuple[int, ...]
    positions: int
    contracted: int

    @property
    def width(self) -> int:
        """Return D."""
        return math.prod(self.shape[axis] for axis in self.features)


def find_taps(closed: Any, arguments: Sequence[Any], first: int, count: int) -> list[Tap]:
    """Return which of ``count`` arguments, from the ``first``, are used in one product and nowhere else."""
    products: list[Tap] = []
    other: set[int] = set()

    def note(product: Product) -> Array:
        h, out = product.activations, product.out
        products.append(Tap(product.leaf, out.shape, out.dtype, product.features, *h.shape))
        return out

    def run(*values: Any) -> list[Any]:
        marked = [Weight(i - first, v, 1) if first <= i < first + count else v for i, v in enumerate(values)]
        results = walk(closed, marked, note, other.add)
        other.update(value.leaf for value in results if isinstance(value, Weight))
        return [value.value if isinstance(value, Weight) else value for value in results]

    jax.eval_shape(run, *arguments)
    uses = [tap.leaf for tap in products]
    return [tap for tap in products if uses.count(tap.leaf) == 1 and tap.leaf not in other]
