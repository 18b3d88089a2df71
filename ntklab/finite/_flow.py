"""Gradient flow by diffrax; the only file that imports it, itself imported by ``train_flow`` when called."""

from __future__ import annotations

import math
from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.errors import SolveError
from ntklab.finite._forward import Weights
from ntklab.finite._network import Network, Params
from ntklab.finite._trajectory import evaluate, loss


def integrate(
    network: Network,
    params: Params,
    x: Float[Array, "n ..."],
    y: Float[Array, "n O"],
    times: Float[np.ndarray, "T"],
    x_test: Float[Array, "m ..."],
    *,
    rtol: float,
    atol: float,
    max_steps: int,
) -> tuple[tuple[Float[np.ndarray, "T n O"], Float[np.ndarray, "T m O"]], Params, int]:
    """Return the outputs on training and test inputs at ``times``, the last parameters, and the steps taken.

    Raises
    ------
    SolveError
        ``max_steps`` were not enough, or the integration broke down.
    """
    if times[-1] == 0 or not params.trainable:  # nothing moves, and diffrax wants an interval
        outputs = evaluate(network, params, x, x_test)
        train, test = (np.repeat(np.asarray(output)[None], len(times), axis=0) for output in outputs)
        return (train, test), params, 0
    # Time in the dtype of the parameters: they are multiplied, and nothing here promotes dtypes.
    when = jnp.asarray(times, network.dtype)
    # diffrax bounds the root mean square over parameters; the root of their number makes that a sum.
    tolerances = jnp.asarray([rtol, atol / math.sqrt(network.num_trainable)], network.dtype)
    solution = _solve(network, params, x, y, when, x_test, tolerances, max_steps)
    _check(solution, times, rtol, max_steps)
    assert solution.ys is not None
    (train, test), moved = solution.ys
    last = jax.tree.map(lambda start, by: start + by[0], params.trainable, moved)
    steps = int(solution.stats["num_steps"])
    return (np.asarray(train), np.asarray(test)), Params(last, params.frozen), steps


@partial(jax.jit, static_argnames=("network", "max_steps"))
def _solve(
    network: Network,
    params: Params,
    x: Float[Array, "n ..."],
    y: Float[Array, "n O"],
    times: Float[Array, "T"],
    x_test: Float[Array, "m ..."],
    tolerances: Float[Array, "2"],
    max_steps: int,
) -> diffrax.Solution:
    # The state is how far the parameters have moved: in a wide network that is little next to their
    # values, so tolerances relative to the values would say nothing about the outputs.
    def at(moved: Weights) -> Params:
        return Params(jax.tree.map(jnp.add, params.trainable, moved), params.frozen)

    def velocity(t: object, moved: Weights, args: None) -> Weights:
        slope = jax.grad(lambda by: loss(network, at(by), x, y))(moved)
        return jax.tree.map(jnp.negative, slope)

    def outputs(t: object, moved: Weights, args: None) -> tuple[Float[Array, "n O"], Float[Array, "m O"]]:
        return evaluate(network, at(moved), x, x_test)

    # Outputs at every time, parameters at the last only: T copies of a wide network would not fit.
    records = diffrax.SaveAt(
        subs=(diffrax.SubSaveAt(ts=times, fn=outputs), diffrax.SubSaveAt(t1=True)),
    )
    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        t0=jnp.zeros((), times.dtype),
        t1=times[-1],
        dt0=None,
        y0=jax.tree.map(jnp.zeros_like, params.trainable),
        saveat=records,
        stepsize_controller=diffrax.PIDController(rtol=tolerances[0], atol=tolerances[1]),
        max_steps=max_steps,
        throw=False,
    )


def _check(solution: diffrax.Solution, times: Float[np.ndarray, "T"], rtol: float, max_steps: int) -> None:
    if bool(solution.result == diffrax.RESULTS.successful):
        return
    assert solution.ys is not None
    reached = np.isfinite(np.asarray(solution.ys[0][0])).all(axis=(1, 2)).sum()
    progress = f"{reached} of {len(times)} times were reached (the last asked for is {times[-1]:g})"
    if bool(solution.result == diffrax.RESULTS.max_steps_reached):
        raise SolveError(
            f"Gradient flow needs more than max_steps={max_steps} steps: {progress}. Raise max_steps, stop "
            f"earlier, or loosen rtol={rtol:g}: along the jumps of ReLU's derivative, steps shrink with it."
        )
    raise SolveError(
        f"Gradient flow broke down: {progress}. Loosen rtol={rtol:g} or use a float64 network. "
        f"diffrax says: {solution.result}"
    )
