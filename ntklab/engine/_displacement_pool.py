"""Pooling in displacement form: each displacement adds to the two next to it on the smaller canvas."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Slots(NamedTuple):
    """The displacement of the first entry of an array, and whether they wrap around; else what it lacks is dropped."""

    first: int
    around: bool


def add_pooled(
    means: Float[Array, "count ..."], values: Float[Array, "_ positions ..."], d: Array, window: int, slots: Slots
) -> Float[Array, "count ..."]:
    """Add what displacement ``d`` contributes to means over pairs of windows, along one axis.

    Positions ``a`` and ``a'`` in windows at displacement ``D`` are at ``d = window * D + (a' - a)``: with
    ``d = window * D + r``, the first ``window - r`` positions ``a`` of each window add to ``D``, the rest to ``D + 1``.
    ``means`` has one entry per displacement of the smaller canvas.
    """
    count, (lead, positions, *rest) = means.shape[0], values.shape
    parts = values.reshape((lead, positions // window, window, *rest))
    near = (jnp.arange(window) < window - d % window).reshape((window,) + (1,) * len(rest))
    for step, mine in enumerate((near, ~near)):
        slot = d // window + step - slots.first
        if slots.around:
            slot = slot % count
        else:
            mine = mine & (slot >= 0) & (slot < count)
            slot = jnp.clip(slot, 0, count - 1)
        part = jnp.sum(jnp.where(mine, parts, 0), axis=2) * (1.0 / window**2)
        old = jax.lax.dynamic_index_in_dim(means, slot, keepdims=False)
        means = jax.lax.dynamic_update_index_in_dim(means, old + part, slot, 0)
    return means
