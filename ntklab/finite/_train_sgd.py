"""Training any function by stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, Shaped

from ntklab.errors import InputError, MissingExtraError, SolveError
from ntklab.finite._model import Function, as_model, restore
from ntklab.finite._network import Network
from ntklab.finite._trajectory import Loss, Trajectory, check_count, check_data, check_positive, evaluate, settle_loss


def train_sgd(
    f: Network | Function,
    params: Any,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    learning_rate: float,
    steps: int,
    *,
    momentum: float = 0.0,
    batch: int | None = None,
    key: PRNGKeyArray | None = None,
    x_test: Shaped[Array | np.ndarray, "m ..."] | None = None,
    loss: Loss = "squared",
    record_every: int | None = None,
) -> Trajectory:
    r"""Train by stochastic gradient descent with momentum, optax's ``sgd``.

    .. math:: v \leftarrow m v - \eta \nabla L_B, \qquad \theta \leftarrow \theta + v

    :math:`L_B` is the loss of a batch times ``n / batch``, so that its mean is the loss of all inputs and a learning
    rate means the same for every batch size. Without ``batch`` these are the steps of
    :class:`ntklab.predict.Descent`; without momentum too, those of :func:`train_gd`.

    Needs the optional package optax.

    Parameters
    ----------
    f, params, x, y, x_test, loss, record_every
        As for :func:`train_gd`.
    learning_rate : float
    steps : int
    momentum : float
        m, 0 <= m < 1.
    batch : int, optional
        Inputs per step, drawn without replacement until fewer than ``batch`` are left; then all are shuffled anew.
        All inputs by default.
    key : jax.random.key, optional
        For the order; needed with ``batch``.

    Returns
    -------
    Trajectory
        ``times`` are ``learning_rate * step``, with momentum too.

    Raises
    ------
    MissingExtraError
        optax is not installed: ``pip install 'ntklab[flow]'``.
    InputError
        Arrays or options that do not fit.
    SolveError
        The outputs left the finite numbers; the message says by which step.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import train_sgd
    >>> one = jnp.ones((1, 1))
    >>> path = train_sgd(lambda w, x: x * w, jnp.array(0.0), one, one, 0.5, 2, momentum=0.5)
    >>> path.train[-1].tolist()  # 0.5, then a step of 0.25 and half the step before
    [[1.0]]
    """
    try:
        from ntklab.finite._sgd import run, start
    except ModuleNotFoundError as error:
        if error.name != "optax":
            raise
        raise MissingExtraError(
            "train_sgd takes steps by optax, which is not installed: pip install 'ntklab[flow]'. train_gd does without."
        ) from None
    model = as_model(f, params)
    inputs, targets, tests = check_data(model, x, y, x_test, loss)
    check_positive("learning_rate", learning_rate)
    check_count("steps", steps)
    every = steps if record_every is None else record_every
    check_count("record_every", every)
    if not 0 <= momentum < 1:
        raise InputError(f"momentum is at least 0 and below 1, got {momentum!r}.")
    rows = len(inputs) if batch is None else batch
    check_count("batch", rows)
    if rows > len(inputs):
        raise InputError(f"batch is at most the number of inputs, {len(inputs)}, got {batch}.")
    if batch is not None and key is None:
        raise InputError("Batches are drawn with a key: give key=jax.random.key(...).")
    drawn = jax.random.key(0) if key is None else key  # all inputs: the key is not used
    rate, keep = (jnp.asarray(value, model.dtype) for value in (learning_rate, momentum))
    state, criterion, recorded = start(model.params, rate, keep), settle_loss(loss), []
    marks = [*range(0, steps, every), steps]
    for mark, before in zip(marks, [0, *marks], strict=False):
        if mark > before:
            state = run(model.f, state, inputs, targets, rate, keep, drawn, before, mark, criterion, rows)
        recorded.append([np.asarray(output) for output in evaluate(model.f, state[0], inputs, tests)])
        if mark > 0 and not all(np.isfinite(output).all() for output in recorded[-1]):
            raise SolveError(
                f"Gradient descent left the finite numbers by step {mark} of {steps}: learning_rate {learning_rate} is "
                "too large. It is stable below 2 (1 + momentum) / (largest eigenvalue of the tangent kernel, "
                "ntk_spectrum(f, params, x, 1)), for small batches below less."
            )
    train, test = (np.stack(column) for column in zip(*recorded, strict=True))
    times = learning_rate * np.asarray(marks, np.float64)
    tested = None if x_test is None else test
    return Trajectory(times, train, tested, restore(model, state[0]), steps, float(times[-1]))
