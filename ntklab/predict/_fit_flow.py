"""Gradient flow from arrays: decompose the kernel, project the targets, predict."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._dynamics import Dynamics, Flow
from ntklab.predict._flow import GradientFlow
from ntklab.predict._inputs import real_array
from ntklab.solve import Ridge, Spectrum, eigendecompose

_FLOW, _NO_RIDGE = Flow(), Ridge.none()


class FlowPrediction(NamedTuple):
    """Predictions of :func:`gradient_flow`: ``train`` (N, C) and ``test`` (M, C); T first, if any."""

    train: Float[np.ndarray, "..."]
    test: Float[np.ndarray, "..."]


def fit_flow(
    k_train: ArrayLike | Spectrum,
    targets: ArrayLike,
    f0_train: ArrayLike | None = None,
    *,
    dynamics: Dynamics = _FLOW,
    ridge: Ridge = _NO_RIDGE,
    overwrite: bool = False,
) -> GradientFlow:
    """Training on 1/2 sum_i ||f(x_i) - y_i||^2 from f_0, in closed form: gradient flow, momentum or steps.

    Parameters
    ----------
    k_train
        K, kernel of the training points, shape (N, N), float32 or float64; or its
        :class:`ntklab.solve.Spectrum`, which is nearly all of the cost and serves any number of targets.
    targets
        Y, shape (N,) or (N, C).
    f0_train
        Outputs f_0(X) before training, of the shape of the targets. The default is f_0 = 0, the kernel
        predictor alone.
    dynamics
        :class:`Flow` (the default), :class:`MomentumFlow`, or :class:`Descent` for real steps.
    ridge
        Weight decay towards the initial weights: the loss gains lambda/2 ||theta - theta_0||^2, and the end is
        ridge regression. None by default.
    overwrite
        Whether the memory of `k_train` may be used; see :func:`ntklab.solve.eigendecompose`.

    Returns
    -------
    GradientFlow
        The flow, to be evaluated at any times and test points.

    Raises
    ------
    InputError
        Shapes or dtypes do not fit, or a value is not finite.
    SolveError
        K has an eigenvalue that is negative beyond rounding.

    Notes
    -----
    One float64 eigendecomposition (none for a :class:`ntklab.solve.Spectrum`): about 9 N^3 operations, 16 N^2
    bytes; then N^2 C multiply-adds per time.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import fit_flow
    >>> flow = fit_flow([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0])
    >>> flow.train(np.log(2.0))
    array([ 0.5, -0.5])
    """
    spectrum = k_train if isinstance(k_train, Spectrum) else eigendecompose(k_train, overwrite=overwrite)
    wanted = real_array(targets, "targets", spectrum.size, "training")
    if f0_train is None:
        initial = np.zeros_like(wanted)
    else:
        initial = real_array(f0_train, "initial training outputs f0_train", spectrum.size, "training")
        if initial.shape != wanted.shape:
            raise InputError(f"f0_train must have shape {wanted.shape}, as the targets have; got {initial.shape}.")
    return GradientFlow(
        spectrum=spectrum,
        f0_train=initial,
        modes=spectrum.eigenvectors.T @ (wanted - initial),
        initially_zero=f0_train is None,
        dynamics=dynamics,
        ridge_absolute=spectrum.absolute(ridge),
    )


def gradient_flow(
    k_train: ArrayLike | Spectrum,
    k_test_train: ArrayLike,
    targets: ArrayLike,
    times: ArrayLike,
    f0_train: ArrayLike | None = None,
    f0_test: ArrayLike | None = None,
    *,
    dynamics: Dynamics = _FLOW,
    ridge: Ridge = _NO_RIDGE,
) -> FlowPrediction:
    """Predictions of gradient flow at training and test points, in one call.

    The same as :func:`fit_flow` followed by :meth:`GradientFlow.train` and :meth:`GradientFlow.test`; see
    there for formulas, the meaning of time, and errors.

    Parameters
    ----------
    k_train
        Kernel of the training points, shape (N, N), or its :class:`ntklab.solve.Spectrum`.
    k_test_train
        Kernel of test points (rows) with training points (columns), shape (M, N).
    targets
        Shape (N,) or (N, C).
    times
        One time t >= 0 or a vector (T,) of them; ``inf`` allowed.
    f0_train, f0_test
        Initial outputs at both sets of points, both or neither; zero by default.
    dynamics, ridge
        As for :func:`fit_flow`.

    Returns
    -------
    FlowPrediction
        ``train`` and ``test``, with a leading axis T if `times` is a vector.

    Raises
    ------
    InputError, SolveError
        As :func:`fit_flow` and :meth:`GradientFlow.test`.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import gradient_flow
    >>> train, test = gradient_flow([[1.0, 0.0], [0.0, 2.0]], [[0.5, 1.0]], [1.0, 1.0], times=[1.0, np.inf])
    >>> test
    array([[0.748393],
           [1.      ]])
    """
    flow = fit_flow(k_train, targets, f0_train, dynamics=dynamics, ridge=ridge)
    return FlowPrediction(train=flow.train(times), test=flow.test(k_test_train, times, f0_test))
