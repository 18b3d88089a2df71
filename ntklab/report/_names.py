"""Names that records give in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def with_pooling(kind: str, pooling: str) -> str:
    """Return the paper's name of a network or kernel: CNN-V, CNTK-GAP."""
    return f"{kind}-{'GAP' if pooling == 'gap' else 'V'}"


def of_regression(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return kernel, pixels, mirror images and ridge of a regression, as tables write them."""
    mirrored = "yes" if row["mirror_images"] else "no"
    return row["kind"].upper(), row["pixels"], mirrored, "none" if row["chosen"] == "none" else "leave-one-out"


def by_reach(rows: Sequence[dict[str, Any]]) -> list[tuple[tuple[str, str, str, str], list[float]]]:
    """Return what :func:`of_regression` says with the accuracies of all reaches, in their order; patches come last."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        found.setdefault(of_regression(row), []).append(row["accuracy"])
    return sorted(found.items(), key=lambda item: item[0][1] == "patches")
