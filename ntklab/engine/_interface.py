"""The one interface of all engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from ntklab.kernel import Learned, PairValue, Plan


class Support(NamedTuple):
    """Whether an engine can run a plan, and the reason either way: one sentence for the user."""

    ok: bool
    reason: str


class Engine(ABC):
    """Computes plans. Engines hold no state; :mod:`ntklab.engine` lists them in order of preference.

    Every engine agrees with ``reference``: ``tests/engine/test_contract.py`` runs one set of tests over all.
    """

    name: str
    untried: str | None = None
    """Why ``engine="auto"`` leaves it to those who ask for it by name, where it does."""

    def declines(self, plan: Plan) -> str | None:
        """Return why this engine has no code for the plan, whatever the device and precision, or None if it has."""
        return None

    @abstractmethod
    def supports(self, plan: Plan, device: Any, dtype: np.dtype) -> Support:
        """Say whether this engine can run the plan on a ``jax.Device``, and why (not)."""

    @abstractmethod
    def run(
        self, plan: Plan, x1: Float[Array, "n1 *shape"], x2: Float[Array, "n2 *shape"] | None, learned: Learned
    ) -> list[PairValue]:
        """Return the plan's outputs for all pairs, each ``(n1, n2)``.

        ``x2=None`` declares ``x2 = x1``: only pairs ``i <= j`` are computed, and the result equals its transpose
        bit for bit. Memory beyond inputs and outputs does not grow with ``n1 * n2``. May be traced by ``jit``,
        ``vmap`` and ``grad``.
        """

    @abstractmethod
    def diagonal(self, plan: Plan, x: Float[Array, "n *shape"], learned: Learned) -> list[PairValue]:
        """Return the plan's outputs for every input with itself, each ``(n,)``."""
