"""Training any function: gradient flow and plain gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Shaped

from ntklab.errors import InputError, MissingExtraError, SolveError
from ntklab.finite._model import Function, as_model, restore
from ntklab.finite._network import Network
from ntklab.finite._trajectory import (
    Loss,
    Trajectory,
    check_count,
    check_data,
    check_positive,
    check_times,
    evaluate,
    settle_loss,
)


def train_flow(
    f: Network | Function,
    params: Any,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    times: Sequence[float] | Float[np.ndarray, "T"],
    *,
    x_test: Shaped[Array | np.ndarray, "m ..."] | None = None,
    loss: Loss = "squared",
    until: float = 0.0,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    max_steps: int = 100_000,
) -> Trajectory:
    r"""Train by gradient flow, :math:`d\theta/dt = -\nabla L`, from time 0 to ``times[-1]``.

    .. math:: L(\theta) = \tfrac12 \sum_i |f_\theta(x_i) - y_i|^2

    The loss is the sum of Arora et al. 2019, not a mean, so :math:`df/dt = -\Theta (f - y)` with the
    tangent kernel itself: mode :math:`\lambda` of :math:`\Theta` decays as :math:`e^{-\lambda t}`.
    ``steps`` steps of gradient descent with learning rate :math:`\eta` on this loss reach
    :math:`t = \eta \cdot` ``steps``. neural-tangents uses half the *mean* square over the ``n`` inputs
    and ``O`` outputs, and its time is ``n * O`` times the one here.

    Needs the optional package diffrax. Its adaptive method ``Tsit5`` takes the steps.

    Parameters
    ----------
    f : Network or function
        As for :func:`empirical_ntk`; but here all rows are given to it at once.
    params : pytree of arrays
        Where to start. Of a Network's Params, only the trainable part moves.
    x : array, (n, ...)
    y : array, (n, ...)
        Targets of the shape of the outputs; (n,) will do for one output.
    times : sequence of float, (T,)
        When to record: at least one, increasing, none negative. 0 records the start.
    x_test : array, (m, ...), optional
        Further inputs to record the outputs on.
    loss : {"squared", "cross-entropy"} or function
        ``"squared"`` is L above; ``"cross-entropy"`` is :math:`-\sum_i \sum_c y_{ic} \log \mathrm{softmax}_c(f(x_i))`
        with probabilities ``y``; a function of outputs and targets returns a scalar, and takes ``y`` in any form.
        Sums over inputs, as here, keep time what it is; a mean over n is slower by n.
    until : float
        Stop before ``times[-1]`` when the loss L has fallen to this; records of later times are then of the end,
        which the trajectory tells. Default: 0, go on to the last time. Worth it where the time that training takes is
        not known, as where the kernel grows: near the end steps stay small, since stability asks for it.
    rtol, atol : float
        Tolerances of one step on the distance that the parameters have *moved*: the error of all of
        them together (2-norm) stays below about ``rtol * distance + atol``, whatever the width.
        With the defaults, outputs of ReLU networks of widths 32 to 2048 were right to 1e-3 or better.
        Mind that ReLU's derivative jumps, and paths tend to run along the jumps: there,
        ten times the accuracy takes ten times the steps.
    max_steps : int
        Give up after so many steps of the integrator.

    Returns
    -------
    Trajectory
        As numpy arrays in the dtype of the outputs. Parameters are kept for the last time only.

    Raises
    ------
    MissingExtraError
        diffrax is not installed: ``pip install 'ntklab[flow]'``.
    InputError
        Arrays, times or tolerances that do not fit.
    SolveError
        ``max_steps`` were not enough, or the integration broke down.

    Notes
    -----
    Cost: 6 gradients of the loss on all of ``x`` per step, and one forward pass per record. Wherever
    accuracy demands less, stability demands about ``t * lambda_max / 3`` steps, ``lambda_max`` the
    largest eigenvalue of :func:`empirical_ntk` on ``x``.

    References
    ----------
    Arora, Du, Hu, Li, Salakhutdinov, Wang 2019, "On Exact Computation with an Infinitely Wide Neural
    Net", section 3. Tsitouras 2011, "Runge-Kutta pairs of order 5(4) satisfying only the first column
    simplifying assumption".

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import network, train_flow
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(), (1,))
    >>> one = jax.numpy.ones((1, 1))
    >>> path = train_flow(net, net.init(jax.random.key(0)), one, one, times=[0.0, 1.0])
    >>> before, after = (path.train - 1.0).ravel()  # kernel 1, so the residual falls by e
    >>> float(before / after)
    2.718
    """
    try:
        from ntklab.finite._flow import integrate
    except ModuleNotFoundError as error:
        if error.name != "diffrax":
            raise
        raise MissingExtraError(
            "train_flow integrates with diffrax, which is not installed: pip install 'ntklab[flow]'. "
            "train_gd does without."
        ) from None
    model = as_model(f, params)
    inputs, targets, tests = check_data(model, x, y, x_test, loss)
    when = check_times(times)
    for name, value in (("rtol", rtol), ("atol", atol)):
        check_positive(name, value)
    if rtol < jnp.finfo(model.dtype).eps:
        raise InputError(f"rtol={rtol:g} is finer than {model.dtype} resolves; use float64.")
    if not 0 <= until < float("inf"):
        raise InputError(f"until is a finite loss, 0 to train up to the last of times, got {until!r}.")
    check_count("max_steps", max_steps)
    criterion = settle_loss(loss)
    (train, test), trained, count, end = integrate(
        model, inputs, targets, when, tests, loss=criterion, until=until, rtol=rtol, atol=atol, max_steps=max_steps
    )
    tested = None if x_test is None else test
    return Trajectory(when, train, tested, restore(model, trained), count, end)


def train_gd(
    f: Network | Function,
    params: Any,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    learning_rate: float,
    steps: int,
    *,
    x_test: Shaped[Array | np.ndarray, "m ..."] | None = None,
    loss: Loss = "squared",
    record_every: int | None = None,
) -> Trajectory:
    r"""Train by full-batch gradient descent, :math:`\theta \leftarrow \theta - \eta \nabla L`.

    .. math:: L(\theta) = \tfrac12 \sum_i |f_\theta(x_i) - y_i|^2

    The loss of :func:`train_flow`; step ``s`` is its time :math:`t = \eta s` up to an error of order
    :math:`\eta`.

    Parameters
    ----------
    f : Network or function
        As for :func:`empirical_ntk`; but here all rows are given to it at once.
    params : pytree of arrays
        Where to start. Of a Network's Params, only the trainable part moves.
    x : array, (n, ...)
    y : array, (n, ...)
        Targets of the shape of the outputs; (n,) will do for one output.
    learning_rate : float
        Stable below ``2 / lambda_max``, ``lambda_max`` the largest eigenvalue of
        :func:`empirical_ntk` on ``x``.
    steps : int
    x_test : array, (m, ...), optional
        Further inputs to record the outputs on.
    loss : {"squared", "cross-entropy"} or function
        ``"squared"`` is L above; ``"cross-entropy"`` is :math:`-\sum_i \sum_c y_{ic} \log \mathrm{softmax}_c(f(x_i))`
        with probabilities ``y``; a function of outputs and targets returns a scalar, and takes ``y`` in any form.
        Sums over inputs, as here, keep time what it is; a mean over n is slower by n.
    record_every : int, optional
        Record after so many steps each. The start and the end always are; by default nothing else is.

    Returns
    -------
    Trajectory
        As numpy arrays in the dtype of the outputs.

    Raises
    ------
    InputError
        Arrays, learning rate or counts that do not fit.
    SolveError
        The outputs left the finite numbers; the message says by which step.

    Notes
    -----
    Cost: one gradient of the loss on all of ``x`` per step; one forward pass per record.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import network, train_gd
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(), (1,))
    >>> one = jax.numpy.ones((1, 1))
    >>> path = train_gd(net, net.init(jax.random.key(0)), one, one, learning_rate=0.5, steps=3)
    >>> before, after = (path.train - 1.0).ravel()  # kernel 1, so each step halves the residual
    >>> float(before / after)
    8.00
    """
    model = as_model(f, params)
    inputs, targets, tests = check_data(model, x, y, x_test, loss)
    check_positive("learning_rate", learning_rate)
    check_count("steps", steps)
    every = steps if record_every is None else record_every
    check_count("record_every", every)
    marks = [*range(0, steps, every), steps]
    rate, criterion = jnp.asarray(learning_rate, model.dtype), settle_loss(loss)
    trained, recorded = model.params, []
    for mark, before in zip(marks, [0, *marks], strict=False):
        if mark > before:
            trained = _descend(model.f, trained, inputs, targets, rate, mark - before, criterion)
        outputs = evaluate(model.f, trained, inputs, tests)
        recorded.append([np.asarray(output) for output in outputs])
        if mark > 0 and not all(np.isfinite(output).all() for output in recorded[-1]):
            raise SolveError(
                f"Gradient descent left the finite numbers by step {mark} of {steps}: learning_rate "
                f"{learning_rate} is too large. It is stable below 2 / (largest eigenvalue of "
                f"empirical_ntk on the training inputs)."
            )
    when = learning_rate * np.asarray(marks, np.float64)
    train, test = (np.stack(column) for column in zip(*recorded, strict=True))
    tested = None if x_test is None else test
    return Trajectory(when, train, tested, restore(model, trained), steps, float(when[-1]))


@partial(jax.jit, static_argnames="loss")
def _descend(
    f: Partial,
    params: Any,
    x: Shaped[Array, "n ..."],
    y: Float[Array, "n ..."],
    rate: Float[Array, ""],
    steps: int | Array,
    loss: Callable[[Array, Array], Array],
) -> Any:
    slope: Callable[[Any], Any] = jax.grad(lambda moving: loss(f(moving, x), y))

    def step(_: Array, moving: Any) -> Any:
        return jax.tree.map(lambda w, g: w - rate * g, moving, slope(moving))

    # The number of steps is traced, so that a shorter last stretch compiles nothing.
    return jax.lax.fori_loop(0, steps, step, params)
