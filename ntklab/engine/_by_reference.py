"""Derivatives of engines that compute values only: those of the reference engine."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

from ntklab.engine._reference import Reference
from ntklab.kernel import Learned, PairValue, Plan

Compute = Callable[[Plan, bool, Array, Array | None, Learned], list[PairValue]]
"""Plan, whether only the diagonal, both sets of inputs, learnable numbers."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def values_of(
    compute: Compute, plan: Plan, diagonal: bool, x1: Array, x2: Array | None, learned: Learned
) -> list[PairValue]:
    """Return what ``compute`` returns; a derivative makes the reference engine compute it instead."""
    return compute(plan, diagonal, x1, x2, learned)


@values_of.defjvp
def _values_jvp(  # pyright: ignore[reportUnusedFunction]
    compute: Compute, plan: Plan, diagonal: bool, primals: Any, tangents: Any
) -> Any:
    engine = Reference()

    def by_reference(x1: Array, x2: Array | None, learned: Learned) -> list[PairValue]:
        return engine.diagonal(plan, x1, learned) if diagonal else engine.run(plan, x1, x2, learned)

    return jax.jvp(by_reference, primals, tangents)
