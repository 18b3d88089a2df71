"""What compiled kernels accept: arrays and dtypes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ntklab.errors import InputError


def check_inputs(x: Any, shape: tuple[int, ...], dtype: np.dtype, name: str) -> Any:
    """Return ``x`` as a NumPy or JAX array if it holds inputs of this shape, else raise InputError."""
    check_dtype(dtype)
    if not isinstance(x, jax.Array):
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise InputError(f"{name} is no array: {error} Give rows of equal lengths.") from None
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape or x.shape[0] == 0:
        wanted = "(n, " + ", ".join(map(str, shape)) + ")"
        hint = "; add the batch axis with x[None]" if x.shape == shape else ""
        raise InputError(f"{name} needs the shape {wanted} with n >= 1, got {tuple(x.shape)}{hint}.")
    if not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool) or jnp.iscomplexobj(x):
        raise InputError(f"{name} needs real numbers, got dtype {x.dtype}.")
    if not isinstance(x, Tracer):
        with np.errstate(over="ignore"):
            host = np.asarray(x).astype(dtype)
        finite = np.isfinite(host).reshape((x.shape[0], -1)).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InputError(f"{name} has NaN or infinite values as {dtype}, the first in row {row}; clean or drop it.")
    return x


def check_dtype(dtype: np.dtype) -> None:
    """Raise InputError unless kernels can be computed in this dtype."""
    if dtype not in (np.dtype("float32"), np.dtype("float64")):
        raise InputError(f'dtype is "float32" or "float64", got {dtype}.')
    if dtype == np.dtype("float64") and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise InputError(
            'dtype="float64" needs JAX\'s 64-bit mode, which is off: call jax.config.update("jax_enable_x64", True) '
            "when the program starts, set JAX_ENABLE_X64=1, or work inside `with jax.enable_x64(True):`."
        )
