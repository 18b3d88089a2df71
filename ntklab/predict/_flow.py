"""Closed form of training on the squared loss, at any time, from one eigendecomposition."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._dynamics import Dynamics
from ntklab.predict._inputs import cross_kernel, product, real_array
from ntklab.predict._modes import require_limit, time_array
from ntklab.solve import Spectrum, Status


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """The functions f_t that gradient flow passes through; made by :func:`fit_flow`.

    For the loss L = 1/2 sum_i ||f(x_i) - y_i||^2 and the kernel matrix K = V diag(w) V^T,

        df_t(x)/dt = -k(x, X) (f_t(X) - Y),
        f_t(x) = f_0(x) + k(x, X) alpha(t),    alpha(t) = V [(1 - e^{-w t}) / w] V^T (Y - f_0(X)),

    with t in place of the bracket where w = 0. Other dynamics replace the bracket (:meth:`Dynamics.gain`); a ridge
    lambda, weight decay towards the initial weights, replaces w by w + lambda in it.

    Attributes
    ----------
    spectrum
        The :class:`ntklab.solve.Spectrum` of K; pass it to :func:`fit_flow` for other targets.
    f0_train
        f_0(X), float64, of the shape of the targets: (N,) or (N, C).
    modes
        V^T (Y - f_0(X)), of the same shape: what is to be learned, per eigenvector.
    initially_zero
        Whether f_0 = 0 was assumed because no initial function was given.
    dynamics
        :class:`Flow`, :class:`MomentumFlow` or :class:`Descent`; times are steps for the last.
    ridge_absolute
        Lambda, in the units of K.

    Notes
    -----
    Time is the t of Arora et al. (2019, arXiv:1904.11955, Lemma 3.1), for which small steps of gradient
    descent with learning rate eta on the *sum* L give t = eta * steps. A loss that is averaged is slower by
    the number n it divides by: t = eta * steps / n, where n = N for a mean over points and n = N C for
    a mean over points and outputs. The solution: Lee et al. (2019, arXiv:1902.06720), section 2.
    """

    spectrum: Spectrum
    f0_train: Float[np.ndarray, "n *c"] = field(repr=False)
    modes: Float[np.ndarray, "n *c"] = field(repr=False)
    initially_zero: bool
    dynamics: Dynamics
    ridge_absolute: float

    @property
    def status(self) -> Status:
        """How far the decomposition can be trusted; a :class:`ntklab.solve.Status`."""
        return self.spectrum.status

    def train(self, times: ArrayLike) -> Float[np.ndarray, "..."]:
        """Predictions f_t(X) = f_0(X) + K alpha(t) at the training points: V (1 - e^{-w t}) V^T (Y - f_0(X)) of a flow.

        Parameters
        ----------
        times
            One time t >= 0 or a vector (T,) of them; ``inf`` is the end of the flow.

        Returns
        -------
        Float[np.ndarray, "..."]
            Float64, of the shape of the targets, with a leading axis T if `times` is a vector. Cost N^2 C T.

        Raises
        ------
        InputError
            A time is negative or NaN, or `times` has more than one axis.
        SolveError
            Steps of :class:`Descent` diverge.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.predict import fit_flow
        >>> flow = fit_flow([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0])
        >>> flow.train([0.0, 1.0, np.inf])
        array([[0.      , 0.      ],
               [0.632121, 0.864665],
               [1.      , 1.      ]])
        """
        moments = time_array(times)
        learned = self.spectrum.eigenvalues * self.gains(moments)
        return self.f0_train + self._in_data_space(learned, moments.shape)

    def dual(self, times: ArrayLike) -> Float[np.ndarray, "..."]:
        """Coefficients alpha(t) with f_t(x) = f_0(x) + k(x, X) alpha(t), for any x.

        Parameters
        ----------
        times
            One time t >= 0 or a vector (T,) of them. At ``inf``, eigenvectors with eigenvalue zero are left
            out (pseudo-inverse), where alpha itself would grow for ever.

        Returns
        -------
        Float[np.ndarray, "..."]
            Float64, of the shape of the targets, with a leading axis T if `times` is a vector. Cost N^2 C T.

        Raises
        ------
        InputError
            A time is negative or NaN, or `times` has more than one axis.
        SolveError
            Steps of :class:`Descent` diverge.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.predict import fit_flow
        >>> fit_flow([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0]).dual(np.inf)
        array([1. , 0.5])
        """
        moments = time_array(times)
        return self._in_data_space(self.gains(moments), moments.shape)

    def test(
        self, k_test_train: ArrayLike, times: ArrayLike, f0_test: ArrayLike | None = None
    ) -> Float[np.ndarray, "..."]:
        """Predictions f_t(x) = f_0(x) + k(x, X) alpha(t) at the test points.

        Parameters
        ----------
        k_test_train
            Kernel of test points (rows) with training points (columns), shape (M, N), float32 or float64.
        times
            One time t >= 0 or a vector (T,) of them; ``inf`` is the end of the flow.
        f0_test
            f_0 at the test points, shape (M,) or (M, C). Needed exactly when `f0_train` was given.

        Returns
        -------
        Float[np.ndarray, "..."]
            Float64, shape (M,) or (M, C), with a leading axis T if `times` is a vector.
            Cost (N + M) N C T; memory (N + M) C T numbers besides the kernel.

        Raises
        ------
        InputError
            Shapes do not fit, a time is negative or NaN, or f_0 is known on one side only.
        SolveError
            A time is ``inf`` and the limit does not exist: K has an eigenvalue zero, the residual has a part
            along its eigenvector v, and k(x, X) v is not zero. That cannot be if train and test entries come
            from one kernel.

        Notes
        -----
        For a positive semidefinite kernel abs(k(x, X) v) <= sqrt(k(x, x) w), so directions with w = 0 do not
        reach the test points and the pseudo-inverse is the limit. What counts as zero is this bound with the
        largest w that may be rounding (``spectrum.zero_below``). At finite but huge t the rounding of
        k(x, X) v is multiplied by t: use ``inf`` there.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.predict import fit_flow
        >>> flow = fit_flow([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0])
        >>> flow.test([[0.5, 1.0]], times=np.inf)
        array([1.])
        """
        kernel = cross_kernel(k_test_train, self.spectrum.size)
        initial = self._initial_test(f0_test, kernel.shape[0])
        moments = time_array(times)
        if np.isinf(moments).any() and self.ridge_absolute == 0:
            require_limit(self.spectrum, self.modes, kernel)
        dual = self.dual(moments)
        if moments.ndim == 0:
            return initial + product(kernel, dual)
        # One pass over the test kernel for all times: they become columns.
        columns = np.moveaxis(dual, 0, 1).reshape(self.spectrum.size, -1)
        learned = product(kernel, columns).reshape(kernel.shape[0], moments.size, *dual.shape[2:])
        return initial + np.moveaxis(learned, 1, 0)

    def gains(self, times: Float[np.ndarray, "*t"]) -> Float[np.ndarray, "t n"]:
        """:meth:`Dynamics.gain` of every eigenvalue, ridge included, one row per time."""
        rates = self.spectrum.eigenvalues + self.ridge_absolute
        return np.stack([self.dynamics.gain(rates, float(t)) for t in np.atleast_1d(times)])

    def _in_data_space(self, gains: np.ndarray, time_shape: tuple[int, ...]) -> np.ndarray:
        vectors, modes = self.spectrum.eigenvectors, self.modes
        n = modes.shape[0]
        # (n, T, C) with T and C as columns of one matrix product.
        scaled = gains.T[:, :, None] * modes.reshape(n, 1, -1)
        product = (vectors @ scaled.reshape(n, -1)).reshape(n, gains.shape[0], *modes.shape[1:])
        return np.moveaxis(product, 1, 0).reshape(*time_shape, *modes.shape)

    def _initial_test(self, f0_test: ArrayLike | None, m: int) -> np.ndarray:
        shape = (m, *self.modes.shape[1:])
        if f0_test is None:
            if not self.initially_zero:
                raise InputError("f0_train was given, so f0_test is needed: the initial function at the test points.")
            return np.zeros(shape)
        if self.initially_zero:
            raise InputError("f0_test was given without f0_train: the initial function is needed at both.")
        initial = real_array(f0_test, "initial test outputs f0_test", m, "test")
        if initial.shape != shape:
            raise InputError(f"f0_test must have shape {shape}, as the targets have; got {initial.shape}.")
        return initial
