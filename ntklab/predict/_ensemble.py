"""Ensembles of trained networks: the mean and covariance of f_t over random initial weights."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._dynamics import Dynamics, Flow
from ntklab.predict._fit_flow import fit_flow
from ntklab.predict._flow import GradientFlow
from ntklab.predict._inputs import cross_kernel, finite_block, floored, square_kernel, test_blocks, vector
from ntklab.predict._modes import time_array
from ntklab.solve import Ridge, Spectrum, checked_gram

_FLOW, _NO_RIDGE = Flow(), Ridge.none()


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The Gaussian distribution of f_t over infinitely wide networks; made by :func:`fit_ensemble`.

    Initial functions are draws from N(0, Sigma), Sigma the NNGP kernel, and each is trained on Y with kernel K. With
    A_t = k(x, X) V [gain of w + lambda at t] V^T,

        mean_t(x) = A_t Y,
        cov_t(x, x') = Sigma(x, x') + A_t Sigma A_t'^T - A_t Sigma(X, x') - Sigma(x, X) A_t'^T.

    Where K is Sigma itself (only the last layer is trained), lambda is the variance of noise in the targets of each
    member, and Sigma + lambda I stands in the middle: at infinite time this is the NNGP posterior.

    Attributes
    ----------
    flow
        The :class:`GradientFlow` of the mean: spectrum, dynamics, ridge.

    Notes
    -----
    Lee et al. (2019, arXiv:1902.06720). Not a Gaussian process posterior, unless K = Sigma and
    t = inf (He et al., 2020, arXiv:2007.05864).
    """

    flow: GradientFlow
    # V^T Sigma V; None where K is Sigma.
    _initial: Float[np.ndarray, "n n"] | None = field(repr=False)

    def mean(self, k_test_train: ArrayLike, times: ArrayLike = np.inf) -> Float[np.ndarray, "..."]:
        """Mean of f_t(x); the same as :meth:`GradientFlow.test`.

        Examples
        --------
        >>> from ntklab.predict import fit_ensemble
        >>> fit_ensemble([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0]).mean([[2.0, 1.0]])
        array([1.])
        """
        return self.flow.test(k_test_train, times)

    def variance(
        self,
        k_test_train: ArrayLike,
        nngp_test_diagonal: ArrayLike,
        times: ArrayLike = np.inf,
        *,
        nngp_test_train: ArrayLike | None = None,
    ) -> Float[np.ndarray, "*t m"]:
        """Variance of f_t(x) over the ensemble, without a test-test matrix; for every output alike.

        Parameters
        ----------
        k_test_train
            The training kernel (NTK) of test points (rows) with training points (columns), shape (M, N).
        nngp_test_diagonal
            Sigma(x, x) of the test points, shape (M,).
        times
            One time or a vector (T,) of them; the end by default.
        nngp_test_train
            Sigma of test points with training points, shape (M, N); needed exactly when `nngp_train` was given.

        Returns
        -------
        Float[np.ndarray, "*t m"]
            Shape (M,), or (T, M) for a vector of times; at least 0. Cost N^2 M (T + 2) operations in blocks of
            test points.

        Raises
        ------
        InputError
            Shapes do not fit, a value is not finite, a time is negative, or a kernel is missing.
        SolveError
            A variance is negative beyond rounding, or steps diverge.

        Examples
        --------
        >>> from ntklab.predict import fit_ensemble
        >>> fit_ensemble([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0]).variance([[1.0, 1.0]], [2.0], [0.0, float("inf")])
        array([[2.        ],
               [1.33333333]])
        """
        kernel, initial = self._cross(k_test_train, nngp_test_train)
        prior = vector(nngp_test_diagonal, "nngp_test_diagonal", kernel.shape[0])
        moments = time_array(times)
        gains = self.flow.gains(moments)
        result = np.empty((len(gains), len(prior)))
        for rows in test_blocks(*kernel.shape):
            modes, start = self._modes(kernel, initial, rows)
            for index, gain in enumerate(gains):
                result[index, rows] = np.sum(self._left(modes, start, gain) * modes * gain, axis=1)
        return floored(prior + result, prior, kernel.dtype).reshape(*moments.shape, -1)

    def covariance(
        self,
        k_test_train: ArrayLike,
        nngp_test: ArrayLike,
        times: ArrayLike = np.inf,
        *,
        nngp_test_train: ArrayLike | None = None,
    ) -> Float[np.ndarray, "*t m m"]:
        """Covariance of f_t(x) and f_t(x') over the ensemble.

        Parameters
        ----------
        k_test_train, times, nngp_test_train
            As for :meth:`variance`. For the training points pass the training kernels.
        nngp_test
            Sigma of the test points with themselves, shape (M, M).

        Returns
        -------
        Float[np.ndarray, "*t m m"]
            Symmetric, shape (M, M), or (T, M, M). Cost (N + M) N M T operations.

        Raises
        ------
        InputError, SolveError
            As :meth:`variance`.

        Examples
        --------
        >>> from ntklab.predict import fit_ensemble
        >>> fit_ensemble([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0]).covariance([[1.0, 1.0]], [[2.0]])
        array([[1.33333333]])
        """
        kernel, initial = self._cross(k_test_train, nngp_test_train)
        prior = square_kernel(nngp_test, kernel.shape[0])
        moments = time_array(times)
        modes, start = self._modes(kernel, initial, slice(None))
        # Half of it and its transpose: symmetric bit for bit.
        halves = (self._left(modes, start, gain) @ (modes * gain).T / 2 for gain in self.flow.gains(moments))
        return np.stack([prior + (half + half.T) for half in halves]).reshape(*moments.shape, *prior.shape)

    def _left(self, modes: np.ndarray, start: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """(A Sigma - 2 Sigma_x) V, so that the change of the covariance is the symmetric part of its product with A."""
        if self._initial is None:
            rates = self.flow.spectrum.eigenvalues + self.flow.ridge_absolute
            return modes * (gain * rates - 2)
        return (modes * gain) @ self._initial - 2 * start

    def _modes(
        self, kernel: np.ndarray, initial: np.ndarray | None, rows: slice
    ) -> tuple[Float[np.ndarray, "b n"], Float[np.ndarray, "b n"]]:
        """k(x, X) V and Sigma(x, X) V of some test points."""
        vectors = self.flow.spectrum.eigenvectors
        modes = finite_block(kernel, rows) @ vectors
        return modes, modes if initial is None else finite_block(initial, rows) @ vectors

    def _cross(
        self, k_test_train: ArrayLike, nngp_test_train: ArrayLike | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        size = self.flow.spectrum.size
        kernel = cross_kernel(k_test_train, size)
        if (nngp_test_train is None) != (self._initial is None):
            given = "was not given: one kernel is both" if self._initial is None else "was given"
            raise InputError(f"nngp_test_train is needed exactly when fit_ensemble got nngp_train, which {given}.")
        if nngp_test_train is None:
            return kernel, None
        initial = cross_kernel(nngp_test_train, size)
        if initial.shape != kernel.shape:
            raise InputError(f"nngp_test_train must have shape {kernel.shape}, as k_test_train; got {initial.shape}.")
        return kernel, initial


def fit_ensemble(
    k_train: ArrayLike | Spectrum,
    targets: ArrayLike,
    nngp_train: ArrayLike | None = None,
    *,
    ridge: Ridge = _NO_RIDGE,
    dynamics: Dynamics = _FLOW,
) -> Ensemble:
    """Mean and covariance, over random initial weights, of infinitely wide networks trained to time t.

    Parameters
    ----------
    k_train
        K, the kernel that trains, shape (N, N): the NTK; or the NNGP kernel if only the last layer is trained.
    targets
        Y, shape (N,) or (N, C).
    nngp_train
        Sigma, the NNGP kernel of the training points, shape (N, N). None says that `k_train` is it.
    ridge
        Weight decay as in :func:`fit_flow`, relative to the mean diagonal of K unless it is absolute; where K is
        Sigma, noise in the targets of this variance.
    dynamics
        :class:`Flow` (the default), :class:`MomentumFlow` or :class:`Descent`.

    Returns
    -------
    Ensemble
        To be asked for any times and test points.

    Raises
    ------
    InputError
        Shapes or dtypes do not fit, or a value is not finite.
    SolveError
        K has an eigenvalue that is negative beyond rounding.

    Notes
    -----
    One eigendecomposition, and with `nngp_train` 4 N^3 more operations and 8 N^2 bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import fit_ensemble
    >>> ntk, nngp = np.array([[2.0, 1.0], [1.0, 2.0]]), np.eye(2)
    >>> ensemble = fit_ensemble(ntk, [1.0, 5.0], nngp)
    >>> ensemble.variance(ntk, [1.0, 1.0], [0.0, np.inf], nngp_test_train=nngp)  # at the training points
    array([[1., 1.],
           [0., 0.]])
    """
    flow = fit_flow(k_train, targets, dynamics=dynamics, ridge=ridge)
    if nngp_train is None:
        return Ensemble(flow, None)
    initial, vectors = checked_gram(nngp_train), flow.spectrum.eigenvectors
    if initial.shape != vectors.shape:
        raise InputError(f"nngp_train must have the shape of k_train, {vectors.shape}; got {initial.shape}.")
    return Ensemble(flow, vectors.T @ (initial.astype(np.float64, copy=False) @ vectors))
