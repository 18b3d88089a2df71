"""What training shares: the record it returns, the loss, and the checks of what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Shaped

from ntklab.errors import InputError
from ntklab.finite._model import Model

Loss = Literal["squared", "cross-entropy"] | Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Trajectory:
    """What a function or network did during training.

    Attributes
    ----------
    times : numpy array, (T,)
        Gradient-flow time of each record, float64; ``learning_rate * step`` for gradient descent.
    train : numpy array, (T, n, ...)
        Outputs on the training inputs at those times.
    test : numpy array, (T, m, ...), or None
        Outputs on the test inputs, if there were any.
    params
        Parameters at the end, in the form of those that training started from; a Network's frozen part is the
        one it started from.
    steps : int
        Steps of gradient descent, or of the integrator (rejected ones included).
    end : float
        Time at the end: the last of ``times``, or before it where the loss had fallen to ``until``.
    """

    times: Float[np.ndarray, "T"]
    train: Float[np.ndarray, "T n ..."]
    test: Float[np.ndarray, "T m ..."] | None
    params: Any
    steps: int
    end: float


def settle_loss(loss: Loss) -> Callable[[Array, Array], Array]:
    """Return the loss as a function of outputs and targets, or raise InputError."""
    if callable(loss):
        return loss
    if loss not in _LOSSES:
        raise InputError(f'loss is "squared", "cross-entropy" or a function of outputs and targets, got {loss!r}.')
    return _LOSSES[loss]


def _squared(outputs: Float[Array, "n ..."], targets: Float[Array, "n ..."]) -> Float[Array, ""]:
    return 0.5 * jnp.sum((outputs - targets) ** 2)


def _cross_entropy(outputs: Float[Array, "n ... C"], targets: Float[Array, "n ... C"]) -> Float[Array, ""]:
    return -jnp.sum(targets * jax.nn.log_softmax(outputs, axis=-1))


_LOSSES = {"squared": _squared, "cross-entropy": _cross_entropy}


@jax.jit
def evaluate(
    f: Partial, params: Any, x: Shaped[Array, "n ..."], x_test: Shaped[Array, "m ..."]
) -> tuple[Float[Array, "n ..."], Float[Array, "m ..."]]:
    """Return the outputs on training and test inputs."""
    return f(params, x), f(params, x_test)


def check_data(
    model: Model,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    x_test: Shaped[Array | np.ndarray, "m ..."] | None,
    loss: Loss,
) -> tuple[Shaped[Array, "n ..."], Float[Array, "n ..."], Shaped[Array, "m ..."]]:
    """Return inputs, targets with the axes of the outputs, and test inputs (maybe none)."""
    inputs = model.inputs(x, "x")
    if len(inputs) == 0:
        raise InputError("x holds no inputs; training needs at least one.")
    out = model.output(inputs)
    targets = np.asarray(y)
    # No test inputs are zero test inputs: one path through the code below.
    tests = inputs[:0] if x_test is None else model.inputs(x_test, "x_test")
    if callable(loss):
        if len(targets) != len(inputs):
            raise InputError(f"y has one row per input, {len(inputs)} of them, got {len(targets)}.")
        return inputs, jnp.asarray(targets), tests
    wanted = (len(inputs), *out.shape)
    if targets.shape == wanted[:1] and wanted[1:] == (1,):
        targets = targets[:, None]
    if targets.shape != wanted or targets.dtype.kind not in "biuf":
        raise InputError(
            f"y holds real numbers in shape {wanted}: one row per input, then the axes of the outputs; "
            f"got shape {targets.shape}, dtype {targets.dtype}."
        )
    if loss == "cross-entropy" and (targets.min() < 0 or not np.allclose(targets.sum(axis=-1), 1)):
        raise InputError("Cross-entropy needs class probabilities in y, rows that sum to 1: one-hot labels, for one.")
    return inputs, jnp.asarray(targets, out.dtype), tests


def check_times(times: Sequence[float] | Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Return the times as a float64 array, or raise InputError."""
    when = np.asarray(times, np.float64)
    good = when.ndim == 1 and when.size > 0 and np.isfinite(when).all()
    if not good or when[0] < 0 or (np.diff(when) <= 0).any():
        raise InputError(f"times are finite, increasing and not negative, in one dimension; got {times!r}.")
    return when


def check_positive(name: str, value: float) -> None:
    """Raise InputError unless the value is a finite number above 0."""
    if not 0 < value < float("inf"):
        raise InputError(f"{name} is a finite number > 0, got {value!r}.")


def check_count(name: str, value: int) -> None:
    """Raise InputError unless the value is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is a positive integer, got {value!r}.")
