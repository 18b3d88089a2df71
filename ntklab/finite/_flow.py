"""Gradient flow by diffrax; the only file that imports it, itself imported by ``train_flow`` when called."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Shaped

from ntklab.errors import SolveError
from ntklab.finite._model import Model
from ntklab.finite._trajectory import evaluate


def integrate(
    model: Model,
    x: Shaped[Array, "n ..."],
    y: Float[Array, "n ..."],
    times: Float[np.ndarray, "T"],
    x_test: Shaped[Array, "m ..."],
    *,
    loss: Callable[[Array, Array], Array],
    until: float,
    rtol: float,
    atol: float,
    max_steps: int,
) -> tuple[tuple[Float[np.ndarray, "T n ..."], Float[np.ndarray, "T m ..."]], Any, int, float]:
    """Return the outputs on training and test inputs at ``times``, the last parameters, the steps taken, and the end.

    Raises
    ------
    SolveError
        ``max_steps`` were not enough, or the integration broke down.
    """
    if times[-1] == 0 or not model.size:  # nothing moves, and diffrax wants an interval
        outputs = evaluate(model.f, model.params, x, x_test)
        train, test = (np.repeat(np.asarray(output)[None], len(times), axis=0) for output in outputs)
        return (train, test), model.params, 0, float(times[-1])
    # Time in the dtype of the parameters: they are multiplied, and nothing here promotes dtypes.
    when = jnp.asarray(times, model.dtype)
    # diffrax bounds the root mean square over parameters; the root of their number makes that a sum.
    tolerances = jnp.asarray([rtol, atol / math.sqrt(model.size)], model.dtype)
    bound = jnp.asarray(until, model.dtype) if until > 0 else None
    solution = _solve(model.f, model.params, x, y, when, x_test, tolerances, bound, loss, max_steps)
    _check(solution, times, rtol, max_steps)
    assert solution.ys is not None
    assert solution.ts is not None
    recorded, (ends, moved) = solution.ys
    last = jax.tree.map(lambda start, by: start + by[0], model.params, moved)
    end = float(times[-1]) if until == 0 else min(float(solution.ts[1][0]), float(times[-1]))
    train, test = (np.array(part) for part in recorded)
    for part, final in zip((train, test), ends, strict=True):  # what the end came before is what it was at the end
        part[times > end] = final[0]
    return (train, test), last, int(solution.stats["num_steps"]), end


@partial(jax.jit, static_argnames=("loss", "max_steps"))
def _solve(
    f: Partial,
    params: Any,
    x: Shaped[Array, "n ..."],
    y: Float[Array, "n ..."],
    times: Float[Array, "T"],
    x_test: Shaped[Array, "m ..."],
    tolerances: Float[Array, "2"],
    until: Float[Array, ""] | None,
    loss: Callable[[Array, Array], Array],
    max_steps: int,
) -> diffrax.Solution:
    # The state is how far the parameters have moved: in a wide network that is little next to their
    # values, so tolerances relative to the values would say nothing about the outputs.
    def at(moved: Any) -> Any:
        return jax.tree.map(jnp.add, params, moved)

    def velocity(t: object, moved: Any, args: None) -> Any:
        slope = jax.grad(lambda by: loss(f(at(by), x), y))(moved)
        return jax.tree.map(jnp.negative, slope)

    def outputs(t: object, moved: Any, args: None) -> tuple[Float[Array, "n ..."], Float[Array, "m ..."]]:
        return evaluate(f, at(moved), x, x_test)

    def last(t: object, moved: Any, args: None) -> tuple[Any, Any]:
        return outputs(t, moved, args), moved

    def falls_to(bound: Float[Array, ""]) -> diffrax.Event:
        def arrived(t: object, moved: Any, args: None, **_: object) -> Bool[Array, ""]:
            return loss(f(at(moved), x), y) <= bound

        return diffrax.Event(arrived)

    # Outputs at every time, parameters at the last only: T copies of a wide network would not fit.
    records = diffrax.SaveAt(
        subs=(diffrax.SubSaveAt(ts=times, fn=outputs), diffrax.SubSaveAt(t1=True, fn=last)),
    )
    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        t0=jnp.zeros((), times.dtype),
        t1=times[-1],
        dt0=None,
        y0=jax.tree.map(jnp.zeros_like, params),
        saveat=records,
        stepsize_controller=diffrax.PIDController(rtol=tolerances[0], atol=tolerances[1]),
        event=None if until is None else falls_to(until),
        max_steps=max_steps,
        throw=False,
    )


def _check(solution: diffrax.Solution, times: Float[np.ndarray, "T"], rtol: float, max_steps: int) -> None:
    if bool(solution.result == diffrax.RESULTS.successful) or bool(solution.result == diffrax.RESULTS.event_occurred):
        return
    assert solution.ys is not None
    reached = np.isfinite(np.asarray(solution.ys[0][0])).reshape(len(times), -1).all(axis=1).sum()
    progress = f"{reached} of {len(times)} times were reached (the last asked for is {times[-1]:g})"
    if bool(solution.result == diffrax.RESULTS.max_steps_reached):
        raise SolveError(
            f"Gradient flow needs more than max_steps={max_steps} steps: {progress}. Raise max_steps, stop "
            f"earlier, or loosen rtol={rtol:g}: along the jumps of ReLU's derivative, steps shrink with it."
        )
    raise SolveError(
        f"Gradient flow broke down: {progress}. Loosen rtol={rtol:g} or use float64. diffrax says: {solution.result}"
    )
