"""Pooling in displacement form: each displacement adds to the two next to it on the smaller canvas.

With ``p = window * P + a`` the position ``q = p + d`` is in the window ``Q = P + (d + a) // window``: along each axis
the positions ``a`` of all windows add to the displacement ``(d + a) // window``: ``d // window`` or the next one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._displacement_stages import Slots


def add_rows(
    means: Float[Array, "count smaller ..."], values: Float[Array, "rows ..."], d: Array, window: int, slots: Slots
) -> Float[Array, "count smaller ..."]:
    """Add what displacement ``d`` contributes to means over pairs of windows along rows."""
    parts = values.reshape((-1, window, *values.shape[1:]))
    to = ((d + jnp.arange(window)) // window).reshape((1, window) + (1,) * (values.ndim - 1))
    for step in range(2):
        slot = d // window + step
        mine, slot = to == slot, slot - slots.first
        if slots.around:
            slot = slot % slots.count
        else:
            mine = mine & (slot >= 0) & (slot < slots.count)
            slot = jnp.clip(slot, 0, slots.count - 1)
        part = jnp.sum(jnp.where(mine, parts, 0), axis=1) * (1.0 / window**2)
        means, part = jax.lax.optimization_barrier((means, part))  # else XLA copies all means at each step
        old = jax.lax.dynamic_index_in_dim(means, slot, keepdims=False)
        means = jax.lax.dynamic_update_index_in_dim(means, old + part, slot, 0)
    return means


def pool_columns(
    values: Float[Array, "rows columns b1 displacements*pairs"], first: int, pairs: int, window: int, slots: Slots
) -> Float[Array, "rows smaller b1 count*pairs"]:
    """Return means along columns, from all displacements ``first, first + 1, ..`` side by side at once."""
    d = np.arange(first, first + values.shape[-1] // pairs)
    total = jnp.zeros((), values.dtype)
    for a in range(window):
        slot = (d + a) // window - slots.first
        if slots.around:
            slot = slot % slots.count
        share = (slot[:, None] == np.arange(slots.count)) / window**2
        weights = jnp.asarray(np.kron(share, np.eye(pairs)), values.dtype)
        # a product with few weights that are not zero: far faster than sums along an axis of few pairs
        total = total + jnp.matmul(values[:, a::window], weights, precision=jax.lax.Precision.HIGHEST)
    return total
