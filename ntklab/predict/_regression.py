"""Kernel (ridge) regression, and the Gaussian process posterior whose mean it is."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._inputs import cross_kernel, finite_block, floored, product, square_kernel, test_blocks, vector
from ntklab.solve import Precision, Ridge, Spectrum, Status, System, factorise

_NO_RIDGE = Ridge.none()


@dataclass(frozen=True, eq=False)
class KernelRegression:
    """The function f(x) = k(x, X) (K + lambda I)^{-1} Y; made by :func:`fit`.

    It is the posterior mean of a Gaussian process with covariance k, given targets with independent noise of variance
    lambda; :meth:`variance` and :meth:`covariance` are those of that posterior. With the NNGP kernel it is the
    NNGP posterior, an infinitely wide Bayesian network (Lee et al., 2018, arXiv:1711.00165); with the NTK it is the
    NTK-GP posterior (He et al., 2020, arXiv:2007.05864). An ensemble of trained networks is neither: see
    :func:`fit_ensemble`.

    Attributes
    ----------
    alpha
        Dual coefficients (K + lambda I)^{-1} Y in float64, shape (N,) or (N, C) as the targets.
    factor
        The :class:`ntklab.solve.System` that solved for them: ridge, leave-one-out, likelihood, and for a
        :class:`ntklab.solve.Factor` pivots and condition.

    Examples
    --------
    >>> from ntklab.predict import fit
    >>> regression = fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0])
    >>> regression.alpha
    array([-1.,  3.])
    >>> regression.status.name
    'OK'
    """

    alpha: Float[np.ndarray, "n *c"] = field(repr=False)
    factor: System

    @property
    def status(self) -> Status:
        """How far the solution can be trusted; a :class:`ntklab.solve.Status`."""
        return self.factor.status

    def predict(self, k_test_train: ArrayLike) -> Float[np.ndarray, "m *c"]:
        """Predictions k(x, X) alpha at the test points.

        Parameters
        ----------
        k_test_train
            Kernel of test points (rows) with training points (columns), shape (M, N), float32 or float64.

        Returns
        -------
        Float[np.ndarray, "m *c"]
            Predictions in float64, shape (M,) or (M, C). Cost M N C multiply-adds.

        Raises
        ------
        InputError
            The kernel has another shape (the message says which axis is which) or dtype, or is not finite.

        Examples
        --------
        >>> from ntklab.predict import fit
        >>> regression = fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0])
        >>> regression.predict([[2.0, 1.0], [0.5, 1.0]])
        array([1. , 2.5])
        """
        return product(cross_kernel(k_test_train, self.alpha.shape[0]), self.alpha)

    def variance(self, k_test_train: ArrayLike, k_test_diagonal: ArrayLike) -> Float[np.ndarray, " m"]:
        """Posterior variance k(x, x) - k(x, X) (K + lambda I)^{-1} k(X, x) of f(x), without a test-test matrix.

        Parameters
        ----------
        k_test_train
            Kernel of test points (rows) with training points (columns), shape (M, N).
        k_test_diagonal
            k(x, x) of the test points, shape (M,).

        Returns
        -------
        Float[np.ndarray, " m"]
            Shape (M,), at least 0, in the units of the kernel, for every output alike. Add lambda for the variance of
            a noisy target. Cost N^2 M operations, in blocks of test points.

        Raises
        ------
        InputError
            Shapes do not fit, or a value is not finite.
        SolveError
            A variance is negative beyond rounding: the three kernels do not belong together.

        Examples
        --------
        >>> from ntklab.predict import fit
        >>> regression = fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0])
        >>> regression.variance([[1.0, 1.0], [0.0, 0.0]], [2.0, 2.0])
        array([1.33333333, 2.        ])
        """
        kernel = cross_kernel(k_test_train, self.factor.size)
        prior = vector(k_test_diagonal, "k_test_diagonal", kernel.shape[0])
        explained = np.empty_like(prior)
        for rows in test_blocks(*kernel.shape):
            explained[rows] = self.factor.inner(finite_block(kernel, rows).T, diagonal=True)
        return floored(prior - explained, prior, kernel.dtype)

    def covariance(self, k_test_train: ArrayLike, k_test: ArrayLike) -> Float[np.ndarray, "m m"]:
        """Posterior covariance k(x, x') - k(x, X) (K + lambda I)^{-1} k(X, x') of f at the test points.

        Parameters
        ----------
        k_test_train
            Kernel of test points (rows) with training points (columns), shape (M, N).
        k_test
            Kernel of the test points with themselves, shape (M, M).

        Returns
        -------
        Float[np.ndarray, "m m"]
            Symmetric, shape (M, M); no noise on its diagonal. Cost N^2 M + N M^2 operations.

        Raises
        ------
        InputError
            Shapes do not fit, or a value is not finite.

        Examples
        --------
        >>> from ntklab.predict import fit
        >>> fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0]).covariance([[1.0, 1.0]], [[2.0]])
        array([[1.33333333]])
        """
        kernel = cross_kernel(k_test_train, self.factor.size)
        prior = square_kernel(k_test, kernel.shape[0])
        return prior - self.factor.inner(finite_block(kernel, slice(None)).T)


def fit(
    k_train: ArrayLike | Spectrum,
    targets: ArrayLike,
    ridge: Ridge = _NO_RIDGE,
    *,
    precision: Precision = "float64",
    overwrite: bool = False,
    progress: bool = False,
) -> KernelRegression:
    """Kernel regression f(x) = k(x, X) (K + lambda I)^{-1} Y.

    Parameters
    ----------
    k_train
        K, kernel of the training points with themselves, shape (N, N), float32 or float64; or its
        :class:`ntklab.solve.Spectrum`, which serves any number of ridges.
    targets
        Y, shape (N,) or (N, C); for classes see :func:`encode`.
    ridge
        What is added to the diagonal of K. The default is none, as in Arora et al. (2019), whose predictor
        is the end of gradient flow; a singular K then fails with its reason.
    precision, overwrite, progress
        A float32 factor refined to float64, whether the memory of `k_train` may be used for the factor, and a
        progress bar; see :func:`ntklab.solve.factorise`. A spectrum takes none of them.

    Returns
    -------
    KernelRegression
        The dual coefficients and the factor with its status.

    Raises
    ------
    InputError
        Shapes or dtypes do not fit, or a value is not finite.
    SolveError
        K + lambda I is not positive definite within rounding; see :func:`ntklab.solve.factorise`.

    Notes
    -----
    One float64 Cholesky: N^3 / 6 multiply-adds, 8 N^2 bytes. Source: Arora et al. (2019, arXiv:1904.11955),
    section 3, for lambda = 0.

    Examples
    --------
    >>> from ntklab.predict import fit
    >>> from ntklab.solve import Ridge
    >>> fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0], Ridge(0.5)).alpha
    array([-0.25,  1.75])
    """
    if isinstance(k_train, Spectrum):
        if overwrite or progress or precision != "float64":
            raise InputError("A Spectrum is decomposed already: precision, overwrite and progress are for matrices.")
        factor = k_train.with_ridge(ridge)
    else:
        factor = factorise(k_train, ridge, precision=precision, overwrite=overwrite, progress=progress)
    return KernelRegression(alpha=factor.solve(targets), factor=factor)
