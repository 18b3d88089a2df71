"""Kernel (ridge) regression: where gradient flow ends, if there is no ridge."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.predict._inputs import cross_kernel, product
from ntklab.solve import Factor, Ridge, Status, factorise

_NO_RIDGE = Ridge.none()


@dataclass(frozen=True, eq=False)
class KernelRegression:
    """The function f(x) = k(x, X) (K + lambda I)^{-1} Y; made by :func:`fit`.

    Attributes
    ----------
    alpha
        Dual coefficients (K + lambda I)^{-1} Y in float64, shape (N,) or (N, C) as the targets.
    factor
        The :class:`ntklab.solve.Factor` that solved for them: ridge, log-determinant, condition.

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
    factor: Factor

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


def fit(
    k_train: ArrayLike, targets: ArrayLike, ridge: Ridge = _NO_RIDGE, *, overwrite: bool = False
) -> KernelRegression:
    """Kernel regression f(x) = k(x, X) (K + lambda I)^{-1} Y.

    Parameters
    ----------
    k_train
        K, kernel of the training points with themselves, shape (N, N), float32 or float64.
    targets
        Y, shape (N,) or (N, C); for classes see :func:`encode`.
    ridge
        What is added to the diagonal of K. The default is none, as in Arora et al. (2019), whose predictor
        is the end of gradient flow; a singular K then fails with its reason.
    overwrite
        Whether the memory of `k_train` may be used for the factor; see :func:`ntklab.solve.factorise`.

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
    factor = factorise(k_train, ridge, overwrite=overwrite)
    return KernelRegression(alpha=factor.solve(targets), factor=factor)
