"""JAX's 64-bit mode, where a type needs it."""

from __future__ import annotations

import contextlib
from typing import Any

import jax


def precision_for(dtype: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context with JAX's 64-bit mode for float64, and one that changes nothing for any other type."""
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()
