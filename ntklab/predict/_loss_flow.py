"""Gradient flow on any differentiable loss, through its dual coefficients."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, MissingExtraError
from ntklab.predict._inputs import cross_kernel, product, real_array
from ntklab.predict._modes import time_array
from ntklab.solve import checked_gram

Loss = Literal["cross-entropy", "squared"] | Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class LossFlow:
    """The functions that gradient flow on a loss passes through at some times; made by :func:`loss_flow`.

    Attributes
    ----------
    times
        Scalar or (T,), as they were given.
    dual
        alpha(t), of the shape of the targets, with a leading axis T if `times` is a vector.
    train
        f_t(X) = f_0(X) + K alpha(t), of the same shape.
    steps
        How many steps the integrator took.
    """

    times: Float[np.ndarray, "*t"]
    dual: Float[np.ndarray, "..."] = field(repr=False)
    train: Float[np.ndarray, "..."] = field(repr=False)
    steps: int

    def test(self, k_test_train: ArrayLike, f0_test: ArrayLike | None = None) -> Float[np.ndarray, "..."]:
        """Predictions f_t(x) = f_0(x) + k(x, X) alpha(t) at test points, of which training needed to know nothing.

        Parameters
        ----------
        k_test_train
            Kernel of test points (rows) with training points (columns), shape (M, N).
        f0_test
            f_0 at the test points, shape (M,) or (M, C); zero by default.

        Returns
        -------
        Float[np.ndarray, "..."]
            Shape (M,) or (M, C), with a leading axis T if `times` is a vector.

        Raises
        ------
        InputError
            Shapes do not fit, or a value is not finite.
        """
        point_axis = self.times.ndim
        kernel = cross_kernel(k_test_train, self.dual.shape[point_axis])
        columns = np.moveaxis(self.dual, point_axis, 0)
        learned = product(kernel, columns.reshape(len(columns), -1)).reshape(kernel.shape[0], *columns.shape[1:])
        moved = np.moveaxis(learned, 0, point_axis)
        if f0_test is None:
            return moved
        initial = real_array(f0_test, "initial test outputs f0_test", kernel.shape[0], "test")
        if initial.shape != moved.shape[point_axis:]:
            raise InputError(f"f0_test must have shape {moved.shape[point_axis:]}; got {initial.shape}.")
        return initial + moved


def loss_flow(
    k_train: ArrayLike,
    targets: ArrayLike,
    times: ArrayLike,
    loss: Loss = "cross-entropy",
    f0_train: ArrayLike | None = None,
    *,
    friction: float | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-8,
    max_steps: int = 100_000,
) -> LossFlow:
    """Gradient flow df/dt = -k(x, X) dL/df(X) on any differentiable loss L(f(X), Y).

    The dual coefficients follow alpha' = -dL/df at f_0(X) + K alpha from alpha = 0, in float64, by a Runge-Kutta method
    of order 5 with adaptive steps. For the squared loss :func:`fit_flow` is exact and faster.

    Parameters
    ----------
    k_train
        K, shape (N, N), float32 or float64.
    targets
        Y, shape (N,) or (N, C), handed to the loss; for ``"cross-entropy"`` class probabilities, as
        ``encode(labels, "one-hot")``.
    times
        One time t >= 0 or a vector (T,) of them, finite.
    loss
        ``"cross-entropy"``: -sum_ic y_ic log softmax_c(f_i). ``"squared"``: 1/2 sum_i ||f_i - y_i||^2. Or a function
        of outputs and targets (JAX arrays of the shape of the targets) that returns a scalar JAX can differentiate.
        Sums over points, as here, give the times of :func:`fit_flow`; a mean over n is slower by n.
    f0_train
        Initial outputs, of the shape of the targets; zero by default.
    friction
        c > 0 for flow with momentum, f'' + c f' = -k(x, X) dL/df(X), as :class:`MomentumFlow`; None for plain flow.
    rtol, atol
        Tolerances of one step, on tr(K)/N * alpha, which has the units of the outputs.
    max_steps
        Give up after so many steps.

    Returns
    -------
    LossFlow
        Dual coefficients and training outputs; :meth:`LossFlow.test` for any test points afterwards.

    Raises
    ------
    MissingExtraError
        diffrax is not installed: ``pip install 'ntklab[flow]'``.
    InputError
        Shapes do not fit, a value is not finite, a time is negative or infinite, or the loss returns no scalar.
    SolveError
        `max_steps` were not enough, or the integration broke down.

    Notes
    -----
    6 products with K per step, on JAX's default device; stability alone takes about t w_max L'' / 3 steps, where L'' is
    1 for the squared loss and at most 1/2 for cross-entropy. Infinite times are refused: cross-entropy has no
    minimum on separable classes.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import loss_flow
    >>> flow = loss_flow([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0], [0.0, 1.0], "squared")
    >>> flow.train.round(5)
    array([[0.     , 0.     ],
           [0.63212, 0.86466]])
    """
    try:
        from ntklab.predict._dual_ode import integrate
    except ModuleNotFoundError as error:
        if error.name != "diffrax":
            raise
        raise MissingExtraError(
            "loss_flow integrates with diffrax, which is not installed: pip install 'ntklab[flow]'. For the squared "
            "loss fit_flow does without."
        ) from None
    matrix = checked_gram(k_train)
    wanted = real_array(targets, "targets", matrix.shape[0], "training")
    initial = np.zeros_like(wanted)
    if f0_train is not None:
        initial = real_array(f0_train, "initial training outputs f0_train", matrix.shape[0], "training")
        if initial.shape != wanted.shape:
            raise InputError(f"f0_train must have shape {wanted.shape}, as the targets have; got {initial.shape}.")
    moments = time_array(times)
    if np.isinf(moments).any():
        raise InputError("Times must be finite: only the squared loss has a known end (fit_flow).")
    if not isinstance(loss, str):
        known = callable(loss)
    else:
        known = loss in ("cross-entropy", "squared")
        if loss == "cross-entropy":
            _require_probabilities(wanted)
    if not known:
        raise InputError(f"The loss is 'cross-entropy', 'squared' or a function of outputs and targets, got {loss!r}.")
    for name, value in (("rtol", rtol), ("atol", atol), ("friction", 1.0 if friction is None else friction)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a positive finite number, got {value!r}.")
    unique, place = np.unique(moments, return_inverse=True)
    dual, steps = integrate(matrix, wanted, initial, unique, loss, friction, rtol, atol, max_steps)
    dual = dual[place].reshape(*moments.shape, *wanted.shape)
    columns = np.moveaxis(dual, moments.ndim, 0)
    learned = product(matrix, columns.reshape(len(columns), -1)).reshape(columns.shape)
    return LossFlow(moments, dual, initial + np.moveaxis(learned, 0, moments.ndim), steps)


def _require_probabilities(targets: np.ndarray) -> None:
    if targets.ndim != 2 or targets.min() < 0 or not np.allclose(targets.sum(axis=1), 1):
        raise InputError(
            "Cross-entropy needs class probabilities as targets, shape (N, C) with rows that sum to 1: "
            "use encode(labels, 'one-hot')."
        )
