"""The dual ODE by diffrax; the only file here that imports it, itself imported by ``loss_flow`` when called."""

from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.errors import InputError, SolveError


def cross_entropy(outputs: Float[Array, "n c"], targets: Float[Array, "n c"]) -> Float[Array, ""]:
    """-sum_ic y_ic log softmax_c(f_i)."""
    return -jnp.sum(targets * jax.nn.log_softmax(outputs, axis=-1))


def squared(outputs: Float[Array, "n *c"], targets: Float[Array, "n *c"]) -> Float[Array, ""]:
    """1/2 sum_i ||f_i - y_i||^2."""
    return jnp.sum((outputs - targets) ** 2) / 2


def integrate(
    gram: Float[np.ndarray, "n n"],
    targets: Float[np.ndarray, "n *c"],
    initial: Float[np.ndarray, "n *c"],
    times: Float[np.ndarray, " t"],
    loss: str | Callable[[Any, Any], Any],
    friction: float | None,
    rtol: float,
    atol: float,
    max_steps: int,
) -> tuple[Float[np.ndarray, "t n *c"], int]:
    """alpha at increasing times, and the number of steps."""
    function = {"cross-entropy": cross_entropy, "squared": squared}[loss] if isinstance(loss, str) else loss
    scale = float(np.mean(gram.diagonal(), dtype=np.float64)) or 1.0
    # This thread and this call only: the package leaves JAX's settings alone.
    with jax.enable_x64(True):
        wanted = jnp.asarray(targets)
        shape = jax.eval_shape(function, wanted, wanted)
        if getattr(shape, "shape", None) != ():
            raise InputError(f"The loss must return a scalar, got {shape}: sum over points and outputs.")
        if times[-1] == 0:  # nothing moves, and diffrax wants an interval
            return np.zeros((1, *targets.shape)), 0
        kernel = jnp.asarray(gram.astype(np.float64) / scale)
        solution = _solve(
            function,
            max_steps,
            friction is not None,
            kernel,
            wanted,
            jnp.asarray(initial),
            jnp.asarray(times),
            jnp.asarray([scale, friction or 0.0, rtol, atol]),
        )
        done = bool(solution.result == diffrax.RESULTS.successful)
        assert solution.ys is not None
        dual = np.asarray(solution.ys) / scale
        if not done:
            reached = int(np.isfinite(dual.reshape(len(times), -1)).all(axis=1).sum())
            cause = (
                f"needs more than max_steps={max_steps} steps: raise it, or stop earlier"
                if bool(solution.result == diffrax.RESULTS.max_steps_reached)
                else "broke down: is the loss smooth and finite?"
            )
            raise SolveError(
                f"Gradient flow on the loss {cause}. {reached} of {len(times)} times were reached, the last asked "
                f"for is {times[-1]:g}."
            )
        return dual, int(solution.stats["num_steps"])


@partial(jax.jit, static_argnums=(0, 1, 2))
def _solve(
    loss: Callable[[Any, Any], Any],
    max_steps: int,
    momentum: bool,
    kernel: Float[Array, "n n"],
    targets: Float[Array, "n *c"],
    initial: Float[Array, "n *c"],
    times: Float[Array, " t"],
    numbers: Float[Array, "4"],
) -> diffrax.Solution:
    # The state is scale * alpha, with the kernel divided by scale: in the units of the outputs, as tolerances are.
    scale, friction, rtol, atol = numbers
    slope = jax.grad(lambda outputs: loss(outputs, targets))

    def force(state: Float[Array, "n *c"]) -> Float[Array, "n *c"]:
        return -scale * slope(initial + kernel @ state)

    def velocity(t: object, state: Float[Array, "k n *c"], args: None) -> Float[Array, "k n *c"]:
        if momentum:
            return jnp.stack([state[1], force(state[0]) - friction * state[1]])
        return force(state[0])[None]

    start = jnp.zeros((2 if momentum else 1, *targets.shape), targets.dtype)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        t0=jnp.zeros((), times.dtype),
        t1=times[-1],
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(ts=times, fn=lambda t, state, args: state[0]),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=max_steps,
        throw=False,
    )
