"""What training shares: the record it returns, the loss, and the checks of what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ntklab.errors import InputError
from ntklab.finite._network import Network, Params, as_inputs


@dataclass(frozen=True)
class Trajectory:
    """What a network did during training.

    Attributes
    ----------
    times : numpy array, (T,)
        Gradient-flow time of each record, float64; ``learning_rate * step`` for gradient descent.
    train : numpy array, (T, n, O)
        Outputs on the training inputs at those times.
    test : numpy array, (T, m, O), or None
        Outputs on the test inputs, if there were any.
    params : Params
        Parameters at the last time; the frozen part is the one that training started from.
    steps : int
        Steps of gradient descent, or of the integrator (rejected ones included).
    """

    times: Float[np.ndarray, "T"]
    train: Float[np.ndarray, "T n O"]
    test: Float[np.ndarray, "T m O"] | None
    params: Params
    steps: int


def loss(network: Network, params: Params, x: Float[Array, "n ..."], y: Float[Array, "n O"]) -> Float[Array, ""]:
    """Return half the sum of squared errors, the loss of everything in this file."""
    return 0.5 * jnp.sum((network.apply(params, x) - y) ** 2)


@partial(jax.jit, static_argnames="network")
def evaluate(
    network: Network, params: Params, x: Float[Array, "n ..."], x_test: Float[Array, "m ..."]
) -> tuple[Float[Array, "n O"], Float[Array, "m O"]]:
    """Return the outputs on training and test inputs."""
    return network.apply(params, x), network.apply(params, x_test)


def check_data(
    network: Network,
    params: Params,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    x_test: Shaped[Array | np.ndarray, "m ..."] | None,
) -> tuple[Float[Array, "n ..."], Float[Array, "n O"], Float[Array, "m ..."]]:
    """Return inputs, labels with their output axis, and test inputs (maybe none), in the network's dtype."""
    inputs = as_inputs(network, x, "x")
    if len(inputs) == 0:
        raise InputError("x holds no inputs; training needs at least one.")
    jax.eval_shape(network.apply, params, inputs)  # refuses params of another network before any work
    wanted = (len(inputs), network.output_width)
    targets = np.asarray(y)
    if targets.shape == wanted[:1] and wanted[1] == 1:
        targets = targets[:, None]
    if targets.shape != wanted or targets.dtype.kind not in "biuf":
        raise InputError(
            f"y holds real numbers in shape {wanted}: one row per input, one column per output; "
            f"got shape {targets.shape}, dtype {targets.dtype}."
        )
    # No test inputs are zero test inputs: one path through the code below.
    tests = inputs[:0] if x_test is None else as_inputs(network, x_test, "x_test")
    return inputs, jnp.asarray(targets, network.dtype), tests


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
