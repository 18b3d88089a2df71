"""What an engine knows of plans: it declines whatever it has no code for, fields of later versions included."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any

from ntklab.kernel import Plan

OLDEST = frozenset({"input", "dense", "conv", "relu", "pool", "flatten", "sum"})
"""Kinds of operations that every engine knows."""
_PADDINGS = ("SAME", "VALID", "CIRCULAR")


def unknown(plan: Plan, kinds: AbstractSet[str] = OLDEST) -> str | None:
    """Return what a plan has that an engine of these kinds has no code for, or None.

    Fields of ``Op`` and ``Window`` that joined later (``ntklab.kernel.later``) must have their defaults.
    """
    if plan.positions:
        return "it has no code for outputs with positions"
    for op in plan.ops:
        if op.kind not in kinds:
            return f"it has no code for {op.label} ({op.kind})"
        for part in (op, op.window):
            name = part and _changed(part)
            if name:
                return f"it has no code for {name} of {op.label}"
        if op.window is not None and op.window.padding not in _PADDINGS:
            return f"it has no code for the padding of {op.label}"
    return None


def _changed(part: Any) -> str | None:
    for f in fields(part):
        if "later" in f.metadata and getattr(part, f.name) != f.default:
            return f.name
    return None
