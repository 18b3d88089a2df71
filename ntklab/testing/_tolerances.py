"""How far kernels may be from the exact value, by dtype: measured, times about four, written down."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntklab.errors import InputError

TOLERANCES: dict[str, float] = {"float64": 4e-15, "float32": 2e-6}
"""Largest relative error of any entry of an NNGP or NTK matrix, its diagonal included."""


def tolerance(dtype: Any) -> float:
    """Return the largest relative error that a kernel entry of this dtype may have.

    Examples
    --------
    >>> tolerance("float32")
    2e-06
    """
    name = np.dtype(dtype).name
    if name not in TOLERANCES:
        raise InputError(f"Tolerances are known for {', '.join(TOLERANCES)}, got {name}.")
    return TOLERANCES[name]
