"""Flax NNX modules as functions; the only file that imports flax, itself imported by ``from_nnx`` when called."""

from __future__ import annotations

from typing import Any

from flax import nnx
from jaxtyping import Array, PyTree

from ntklab.errors import InputError
from ntklab.finite._model import Function


def split(module: Any) -> tuple[Function, PyTree[Array]]:
    """Return a function of batches, and the ``nnx.Param`` of the module."""
    if not isinstance(module, nnx.Module) or not callable(module):
        raise InputError(f"from_nnx takes a flax.nnx.Module that can be called, got a {type(module).__name__}.")
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def f(params: PyTree[Array], x: Array) -> Array:
        return nnx.merge(graph, params, rest)(x)

    return f, params
