"""Sizes along rows and columns, whatever the number of spatial axes."""

from __future__ import annotations

from collections.abc import Sequence


def flat_sizes(sizes: Sequence[int]) -> tuple[int, int]:
    """Return at most two sizes as rows and columns: one axis is one row, none is one position."""
    rows, columns = (1, 1, *sizes)[-2:]
    return rows, columns
