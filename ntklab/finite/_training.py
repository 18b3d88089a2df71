"""Training a finite network on squares: gradient flow and plain gradient descent, with one loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ntklab.errors import InputError, MissingExtraError, SolveError
from ntklab.finite._forward import Weights
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


def train_flow(
    network: Network,
    params: Params,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    times: Sequence[float] | Float[np.ndarray, "T"],
    *,
    x_test: Shaped[Array | np.ndarray, "m ..."] | None = None,
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
    network : Network
    params : Params
        Where to start. Only the trainable part moves.
    x : array, (n, *input_shape)
    y : array, (n, O); (n,) will do for one output
    times : sequence of float, (T,)
        When to record: at least one, increasing, none negative. 0 records the start.
    x_test : array, (m, *input_shape), optional
        Further inputs to record the outputs on.
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
        As numpy arrays in the dtype of the network. Parameters are kept for the last time only.

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
    inputs, targets, tests = _check_data(network, params, x, y, x_test)
    when = _check_times(times)
    for name, value in (("rtol", rtol), ("atol", atol)):
        _check_positive(name, value)
    if rtol < np.finfo(network.dtype).eps:
        raise InputError(f"rtol={rtol:g} is finer than {network.dtype} resolves; use a float64 network.")
    _check_count("max_steps", max_steps)
    recorded, trained, steps = integrate(
        network, params, inputs, targets, when, tests, rtol=rtol, atol=atol, max_steps=max_steps
    )
    return _trajectory(when, recorded, x_test is not None, trained, steps)


def train_gd(
    network: Network,
    params: Params,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    learning_rate: float,
    steps: int,
    *,
    x_test: Shaped[Array | np.ndarray, "m ..."] | None = None,
    record_every: int | None = None,
) -> Trajectory:
    r"""Train by full-batch gradient descent, :math:`\theta \leftarrow \theta - \eta \nabla L`.

    .. math:: L(\theta) = \tfrac12 \sum_i |f_\theta(x_i) - y_i|^2

    The loss of :func:`train_flow`; step ``s`` is its time :math:`t = \eta s` up to an error of order
    :math:`\eta`.

    Parameters
    ----------
    network : Network
    params : Params
        Where to start. Only the trainable part moves.
    x : array, (n, *input_shape)
    y : array, (n, O); (n,) will do for one output
    learning_rate : float
        Stable below ``2 / lambda_max``, ``lambda_max`` the largest eigenvalue of
        :func:`empirical_ntk` on ``x``.
    steps : int
    x_test : array, (m, *input_shape), optional
        Further inputs to record the outputs on.
    record_every : int, optional
        Record after so many steps each. The start and the end always are; by default nothing else is.

    Returns
    -------
    Trajectory
        As numpy arrays in the dtype of the network.

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
    inputs, targets, tests = _check_data(network, params, x, y, x_test)
    _check_positive("learning_rate", learning_rate)
    _check_count("steps", steps)
    every = steps if record_every is None else record_every
    _check_count("record_every", every)
    marks = [*range(0, steps, every), steps]
    rate = jnp.asarray(learning_rate, network.dtype)
    trainable, recorded = params.trainable, []
    for mark, before in zip(marks, [0, *marks], strict=False):
        if mark > before:
            trainable = _descend(network, trainable, params.frozen, inputs, targets, rate, mark - before)
        outputs = evaluate(network, Params(trainable, params.frozen), inputs, tests)
        recorded.append([np.asarray(output) for output in outputs])
        if mark > 0 and not all(np.isfinite(output).all() for output in recorded[-1]):
            raise SolveError(
                f"Gradient descent left the finite numbers by step {mark} of {steps}: learning_rate "
                f"{learning_rate} is too large. It is stable below 2 / (largest eigenvalue of "
                f"empirical_ntk on the training inputs)."
            )
    when = learning_rate * np.asarray(marks, np.float64)
    columns = [np.stack(column) for column in zip(*recorded, strict=True)]
    return _trajectory(when, columns, x_test is not None, Params(trainable, params.frozen), steps)


def loss(network: Network, params: Params, x: Float[Array, "n ..."], y: Float[Array, "n O"]) -> Float[Array, ""]:
    """Return half the sum of squared errors, the loss of everything in this file."""
    return 0.5 * jnp.sum((network.apply(params, x) - y) ** 2)


@partial(jax.jit, static_argnames="network")
def evaluate(
    network: Network, params: Params, x: Float[Array, "n ..."], x_test: Float[Array, "m ..."]
) -> tuple[Float[Array, "n O"], Float[Array, "m O"]]:
    """Return the outputs on training and test inputs."""
    return network.apply(params, x), network.apply(params, x_test)


@partial(jax.jit, static_argnames="network")
def _descend(
    network: Network,
    trainable: Weights,
    frozen: Weights,
    x: Float[Array, "n ..."],
    y: Float[Array, "n O"],
    rate: Float[Array, ""],
    steps: int | Array,
) -> Weights:
    slope: Callable[[Weights], Weights] = jax.grad(lambda moving: loss(network, Params(moving, frozen), x, y))

    def step(_: Array, moving: Weights) -> Weights:
        return jax.tree.map(lambda w, g: w - rate * g, moving, slope(moving))

    # The number of steps is traced, so that a shorter last stretch compiles nothing.
    return jax.lax.fori_loop(0, steps, step, trainable)


def _check_data(
    network: Network,
    params: Params,
    x: Shaped[Array | np.ndarray, "n ..."],
    y: Shaped[Array | np.ndarray, "n ..."],
    x_test: Shaped[Array | np.ndarray, "m ..."] | None,
) -> tuple[Float[Array, "n ..."], Float[Array, "n O"], Float[Array, "m ..."]]:
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


def _check_times(times: Sequence[float] | Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    when = np.asarray(times, np.float64)
    good = when.ndim == 1 and when.size > 0 and np.isfinite(when).all()
    if not good or when[0] < 0 or (np.diff(when) <= 0).any():
        raise InputError(f"times are finite, increasing and not negative, in one dimension; got {times!r}.")
    return when


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise InputError(f"{name} is a finite number > 0, got {value!r}.")


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is a positive integer, got {value!r}.")


def _trajectory(
    times: Float[np.ndarray, "T"],
    recorded: Sequence[Float[np.ndarray, "T _ O"]],
    tested: bool,
    params: Params,
    steps: int,
) -> Trajectory:
    train, test = recorded
    return Trajectory(times, train, test if tested else None, params, steps)
