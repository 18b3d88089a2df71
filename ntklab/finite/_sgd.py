"""Steps of an optax optimiser; the only file that imports it, itself imported by ``train_sgd`` when called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import Partial
from jaxtyping import Array, Float, PRNGKeyArray, Shaped


@partial(jax.jit, static_argnames=("loss", "batch"))
def run(
    f: Partial,
    state: tuple[Any, Any],
    x: Shaped[Array, "n ..."],
    y: Float[Array, "n ..."],
    rate: Float[Array, ""],
    momentum: Float[Array, ""],
    key: PRNGKeyArray,
    first: int | Array,
    last: int | Array,
    loss: Callable[[Array, Array], Array],
    batch: int,
) -> tuple[Any, Any]:
    """Return parameters and optimiser state after the steps ``first`` to ``last``, of which step s draws key s."""
    optimiser = optax.sgd(rate, momentum)

    def step(s: Array, state: tuple[Any, Any]) -> tuple[Any, Any]:
        params, memory = state
        slope = jax.grad(lambda p: _part(loss, f, p, x, y, key, s, batch))(params)
        change, memory = optimiser.update(slope, memory, params)
        return optax.apply_updates(params, change), memory

    return jax.lax.fori_loop(first, last, step, state)


def start(params: Any, rate: Float[Array, ""], momentum: Float[Array, ""]) -> tuple[Any, Any]:
    """Return parameters and the optimiser's state before the first step."""
    return params, optax.sgd(rate, momentum).init(params)


def _part(
    loss: Callable[[Array, Array], Array],
    f: Partial,
    params: Any,
    x: Shaped[Array, "n ..."],
    y: Float[Array, "n ..."],
    key: PRNGKeyArray,
    step: Array,
    batch: int,
) -> Array:
    """Return the loss of one batch, scaled so that its mean over batches is the loss of all inputs."""
    n = len(x)
    if batch == n:
        return loss(f(params, x), y)
    rounds = n // batch
    order = jax.random.permutation(jax.random.fold_in(key, step // rounds), n)
    chosen = jax.lax.dynamic_slice_in_dim(order, (step % rounds) * batch, batch)
    value = loss(f(params, x[chosen]), y[chosen])
    return value * jnp.asarray(n / batch, value.dtype)
