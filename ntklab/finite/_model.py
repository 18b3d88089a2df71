"""Any pure function of parameters and inputs, and our networks, in the one form that empirical kernels work on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree, Shaped

from ntklab.errors import InputError
from ntklab.finite._network import Network, Params, as_inputs

Function = Callable[[Any, Array], Array]
"""``f(params, x)``: pure, ``x`` and the result of shape (n, ...), row ``i`` of one from row ``i`` of the other."""


class Model(NamedTuple):
    """A function with its parameters, checked. ``f`` is a pytree, so it passes through ``jax.jit`` as an argument.

    Attributes
    ----------
    f : jax.tree_util.Partial
    params : pytree of arrays
        What is differentiated and trained; floating, of one dtype.
    network : Network or None
        If the function is one of ours.
    """

    f: Partial
    params: PyTree[Float[Array, "..."]]
    network: Network | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the parameters; float32 if there are none."""
        leaves = jax.tree.leaves(self.params)
        if leaves:
            return np.dtype(leaves[0].dtype)
        return np.dtype(self.network.dtype if self.network else np.float32)

    @property
    def size(self) -> int:
        """Return the number of parameters."""
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.params))

    def inputs(self, x: Shaped[Array | np.ndarray, "n ..."], name: str) -> Shaped[Array, "n ..."]:
        """Return ``x`` as a JAX array that the function may be given, or raise InputError."""
        if self.network is not None:
            return as_inputs(self.network, x, name)
        array = jnp.asarray(x)
        if array.ndim == 0 or not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
            raise InputError(f"{name} is an array of numbers of shape (n, ...), got {array.dtype}{list(array.shape)}.")
        return array

    def output(self, x: Shaped[Array, "n ..."]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the outputs of one input, or raise InputError if it is not one array."""
        out = jax.eval_shape(call, self.f, self.params, jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype))
        if not isinstance(out, jax.ShapeDtypeStruct):
            raise InputError(
                f"f(params, x) returns one array, got a {type(out).__name__} of {len(jax.tree.leaves(out))} arrays. "
                "Choose one: lambda params, x: f(params, x)[...]."
            )
        if not out.shape or out.shape[0] != 1 or not jnp.issubdtype(out.dtype, jnp.floating):
            raise InputError(
                "f(params, x) returns real outputs of shape (n, ...) for n inputs; for one input it returns "
                f"{out.dtype}{list(out.shape)}. A function of single inputs becomes one by "
                "jax.vmap(f, in_axes=(None, 0))."
            )
        return jax.ShapeDtypeStruct(out.shape[1:], out.dtype)


@jax.jit
def call(f: Partial, params: Any, x: Shaped[Array, "n ..."]) -> Any:
    """Return ``f(params, x)``; compiled, and traced once for all calls with equal shapes."""
    return f(params, x)


def as_model(f: Network | Function, params: PyTree[Float[Array, "..."]]) -> Model:
    """Return function and parameters as a Model.

    Raises
    ------
    InputError
        ``f`` cannot be called or hashed, or ``params`` hold something else than floating arrays of one dtype.
    """
    if isinstance(f, Network):
        if not isinstance(params, Params):
            raise InputError(f"params of a Network are those of its init, got a {type(params).__name__}.")
        return Model(Partial(_NetworkFunction(f), params.frozen), params.trainable, f)
    if not callable(f):
        raise InputError(f"f is a Network or a function f(params, x), got a {type(f).__name__}.")
    try:
        hash(f.func if isinstance(f, Partial) else f)
    except TypeError:
        raise InputError(
            "f cannot be hashed, so it cannot be compiled: it probably holds arrays. Give a plain function of params "
            "and x; from_equinox, from_nnx and from_linen make one of a module."
        ) from None
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for path, leaf in leaves:
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            what = f"dtype {dtype}" if dtype is not None else f"a {type(leaf).__name__}"
            raise InputError(
                f"params hold floating arrays, got {what} at params{jax.tree_util.keystr(path)}. "
                "Let f close over what is not trained."
            )
    kinds = sorted({str(leaf.dtype) for _, leaf in leaves})
    if len(kinds) > 1:
        raise InputError(f"params hold arrays of one dtype, got {' and '.join(kinds)}. Cast them to one.")
    return Model(f if isinstance(f, Partial) else Partial(f), jax.tree.map(jnp.asarray, params), None)


def restore(model: Model, trained: PyTree[Array]) -> Any:
    """Return parameters in the form in which the user gave them, with other values."""
    return Params(trained, model.f.args[0]) if model.network is not None else trained


@dataclass(frozen=True)
class _NetworkFunction:
    """A network as a function of frozen weights, trainable weights and inputs; equal networks are equal functions."""

    network: Network

    def __call__(self, frozen: Any, trainable: Any, x: Array) -> Array:
        return self.network.apply(Params(trainable, frozen), x)
