"""Which engine runs a plan, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ntklab.engine._cuda_engine import Cuda
from ntklab.engine._displacement import Displacement
from ntklab.engine._interface import Engine
from ntklab.engine._reference import Reference
from ntklab.engine._simd import Simd
from ntklab.errors import EngineError, InputError
from ntklab.kernel import Plan

SAMPLED = "monte-carlo"
"""No engine, since it runs no plan: ``compile`` samples finite networks under this name."""

ENGINES: tuple[Engine, ...] = (Simd(), Cuda(), Displacement(), Reference())
"""All engines, fastest first; ``engine="auto"`` takes the first one that supports the plan."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine that was chosen, the reason, and those that were passed over with theirs."""

    name: str
    reason: str
    passed_over: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return one line per engine considered."""
        lines = [f"{self.name}: {self.reason}"]
        lines += [f"  passed over {name}: {reason}" for name, reason in self.passed_over]
        return "\n".join(lines)


def select(engine: str, plan: Plan, device: Any, dtype: np.dtype) -> tuple[Engine, EngineChoice]:
    """Return the engine to use. One that is named runs or raises; it never falls back to another.

    Raises
    ------
    InputError
        No engine has this name.
    EngineError
        The named engine cannot run the plan on this device; the message has its reason.
    """
    names = [candidate.name for candidate in ENGINES]
    if engine != "auto":
        if engine not in names:
            raise InputError(f'engine is "auto" or one of {", ".join((*names, SAMPLED))}, got {engine!r}.')
        chosen = ENGINES[names.index(engine)]
        ok, reason = chosen.supports(plan, device, dtype)
        if not ok:
            raise EngineError(
                f"Engine {engine!r} cannot run this plan on {device.platform}: {reason}. "
                f'engine="auto" takes one that can.'
            )
        return chosen, EngineChoice(engine, f"asked for by name; {reason}")
    passed_over = []
    for candidate in ENGINES:
        ok, reason = candidate.supports(plan, device, dtype)
        if ok and candidate.untried is not None:
            ok, reason = False, candidate.untried
        if ok:
            return candidate, EngineChoice(candidate.name, f"chosen; {reason}", tuple(passed_over))
        passed_over.append((candidate.name, reason))
    raise EngineError(f"No engine can run this plan: {passed_over}.")
