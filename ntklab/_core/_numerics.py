"""Numerics shared by several rooms."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_sqrt(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return ``sqrt(max(x, 0))`` whose derivative at zero is zero instead of infinite.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> float(jax.grad(safe_sqrt)(jnp.asarray(0.0)))
    0.0
    """
    positive = x > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)
