"""Equinox modules as functions; the only file that imports equinox, itself imported by ``from_equinox`` when called."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from ntklab.errors import InputError
from ntklab.finite._model import Function


def split(module: Any) -> tuple[Function, PyTree[Array]]:
    """Return a function of batches, and the floating arrays of the module in inference mode."""
    if not isinstance(module, eqx.Module) or not callable(module):
        raise InputError(f"from_equinox takes an equinox.Module that can be called, got a {type(module).__name__}.")
    params, static = eqx.partition(eqx.nn.inference_mode(module), eqx.is_inexact_array)

    def f(params: PyTree[Array], x: Array) -> Array:
        return jax.vmap(eqx.combine(params, static))(x)

    return f, params
