"""Nystrom regression: the best ridge regressor that uses M centres, in one pass over an N x M kernel."""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.solve._gram import real_array
from ntklab.solve._nystrom_system import Rows, independent, least_squares, reduce
from ntklab.solve._operator import SymmetricOperator, checked_indices, checked_targets
from ntklab.solve._operator_blocks import as_operator
from ntklab.solve._ridge import Ridge, require_ridge

_NO_RIDGE = Ridge.none()


@dataclass(frozen=True, eq=False)
class NystromRegression:
    """f(x) = k(x, Z) beta with centres Z = X[centres]; made by :func:`fit_nystrom`.

    Attributes
    ----------
    centres
        Indices of the centres among the training points, shape (M,).
    beta
        Coefficients in float64, shape (M,) or (M, C) as the targets; 0 for `dropped` ones.
    dropped
        Those of `centres` that depend on the others within rounding and add nothing.
    residual
        ||f(X) - Y|| / ||Y|| on the training points, Frobenius norm.
    ridge, ridge_absolute
        The ridge, and lambda in the units of K.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import fit_nystrom
    >>> K = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    >>> regression = fit_nystrom(K[:, [0, 2]], [0, 2], [1.0, 1.0, 1.0])
    >>> regression.beta.round(6), regression.predict([[1.0, 1.0]]).round(6)
    (array([0.5, 0.5]), array([1.]))
    """

    centres: Int[np.ndarray, " m"]
    beta: Float[np.ndarray, "m *c"] = field(repr=False)
    dropped: Int[np.ndarray, " d"]
    residual: float
    ridge: Ridge
    ridge_absolute: float
    _size: int = field(repr=False)

    def predict(self, k_test_centres: ArrayLike) -> Float[np.ndarray, "t *c"]:
        """Predictions k(x, Z) beta from the kernel of test points (rows) with the centres, shape (T, M).

        Raises
        ------
        InputError
            The kernel has another number of columns, or is not finite.
        """
        k = real_array(k_test_centres, "entries of k_test_centres")
        if k.ndim != 2 or k.shape[1] != len(self.centres):
            raise InputError(
                f"k_test_centres must have shape (T, {len(self.centres)}): rows are test points, columns the centres; "
                f"got {k.shape}."
            )
        if not np.isfinite(k).all():
            raise InputError("k_test_centres must be finite, but it has NaN or infinite entries.")
        return k @ self.beta

    def alpha(self) -> Float[np.ndarray, "n *c"]:
        """Return dual coefficients of all N training points: beta at the centres and 0 elsewhere."""
        alpha = np.zeros((self._size, *self.beta.shape[1:]))
        np.add.at(alpha, self.centres, self.beta)
        return alpha


@dataclass(frozen=True)
class NystromError:
    """How far a Nystrom regressor f_M is from the exact one f; made by :func:`nystrom_error`.

    Attributes
    ----------
    training
        ||f_M(X) - f(X)|| / ||f(X)|| on the training points, Frobenius norm.
    worst
        max |f_M(x_i) - f(x_i)| over training points and columns, in the units of the targets.
    norm
        ||f_M - f||_H / ||f||_H in the norm of the kernel's Hilbert space, ||f||_H^2 = tr(alpha' K alpha), which bounds
        the error at any x: |f_M(x) - f(x)| <= ||f_M - f||_H sqrt(k(x, x)).
    """

    training: float
    worst: float
    norm: float


def uniform_centres(n: int, m: int, *, seed: int) -> Int[np.ndarray, " m"]:
    """Return `m` different indices below `n`, ascending, all sets equally likely.

    The default choice of centres: on kernels with a nearly constant diagonal and a flat tail, as the NTKs of images,
    it is as good as the pivots of :func:`rpcholesky`, which serve where the spectrum falls fast.

    Raises
    ------
    InputError
        `m` is not between 1 and `n`.

    Examples
    --------
    >>> from ntklab.solve import uniform_centres
    >>> len(set(uniform_centres(100, 10, seed=0).tolist()))
    10
    """
    if not 1 <= m <= n:
        raise InputError(f"The number of centres must lie between 1 and N = {n}, got {m!r}.")
    return np.sort(np.random.default_rng(seed).choice(n, size=m, replace=False))


def fit_nystrom(
    k_train_centres: Rows | ArrayLike, centres: ArrayLike, targets: ArrayLike, ridge: Ridge = _NO_RIDGE
) -> NystromRegression:
    """Minimise ||K_NM beta - Y||^2 + lambda beta' K_MM beta over the coefficients of M centres.

    With all points as centres, the solution of :func:`factorise`; with fewer, the best regressor of that form, from
    N M entries instead of N^2 / 2.

    Parameters
    ----------
    k_train_centres
        K_NM, kernel of all training points (rows) with the centres, shape (N, M): an array, or anything with a shape
        that gives slices of rows, such as a memory map or a stored matrix. Read once, in blocks of rows.
    centres
        Indices of the centres among the training points, shape (M,), in the order of the columns: the rows
        K_NM[centres] are K_MM. From :func:`uniform_centres`, or ``rpcholesky(operator, M, seed=...).pivots``.
    targets
        Y, shape (N,) or (N, C).
    ridge
        Lambda; one that is relative means the mean diagonal of K_MM, as that of all K is not known here. The default
        is none: least squares.

    Returns
    -------
    NystromRegression
        Coefficients, and which centres were dropped.

    Raises
    ------
    InputError
        Shapes do not fit, a value is not finite, or `ridge` is a bare number.
    SolveError
        K_MM is not positive semidefinite within rounding, or the least-squares problem without a ridge has
        dependent columns.

    Notes
    -----
    Blocks of rows go through a QR factorisation that keeps an (M, M + C) triangle, so normal equations, which square
    the condition number, are never formed. Nothing is added to K_MM: a pivoted Cholesky factorisation of it stops where
    the rest is rounding (M eps of its dtype times the largest diagonal entry), and the centres beyond, which depend on
    the others, get the coefficient 0.

    Cost about 2 N M^2 operations and N M entries; memory about 5 M^2 numbers and a block of rows. With few centres,
    subset of regressors, Smola and Schoelkopf (2000); Rudi, Camoriano and Rosasco (arXiv:1507.04717).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import Ridge, fit_nystrom, uniform_centres
    >>> x = np.linspace(0, 1, 200)
    >>> centres = uniform_centres(200, 15, seed=0)
    >>> K = np.exp(-8 * (x[:, None] - x[centres]) ** 2)
    >>> bool(fit_nystrom(K, centres, np.sin(7 * x), Ridge(1e-8)).residual < 1e-4)
    True
    """
    require_ridge(ridge)
    k: Rows = k_train_centres if hasattr(k_train_centres, "shape") else np.asarray(k_train_centres)  # pyright: ignore
    if len(k.shape) != 2 or k.shape[1] == 0 or k.shape[0] < k.shape[1]:
        raise InputError(
            f"k_train_centres must have shape (N, M) with N >= M >= 1, rows for training points and columns for "
            f"centres; got {tuple(k.shape)}."
        )
    n, m = k.shape
    index = checked_indices(centres, n, "centres")
    if len(index) != m:
        raise InputError(f"There must be one centre for each of the {m} columns of k_train_centres, got {len(index)}.")
    y = checked_targets(targets, n)
    triangle, k_centres, dtype = reduce(k, y.reshape(n, -1), index)
    shift = ridge.absolute([[float(k_centres.diagonal().mean())]])
    kept, lower = independent(k_centres, dtype)
    # With beta = L^-T g the penalty is lambda ||g||^2, and the columns of K_NM L^-T are far less dependent.
    design = scipy.linalg.solve_triangular(lower, triangle[:m, kept].T, lower=True).T
    gamma = least_squares(design, triangle[:m, m:], shift)
    beta = np.zeros((m, triangle.shape[1] - m))
    beta[kept] = scipy.linalg.solve_triangular(lower, gamma, lower=True, trans=1)
    missed = np.linalg.norm(design @ gamma - triangle[:m, m:]) ** 2 + np.linalg.norm(triangle[m:, m:]) ** 2
    norm = float(np.linalg.norm(y))
    return NystromRegression(
        centres=index,
        beta=beta.reshape(m, *y.shape[1:]),
        dropped=index[np.setdiff1d(np.arange(m), kept)],
        residual=float(np.sqrt(missed)) / norm if norm else 0.0,
        ridge=ridge,
        ridge_absolute=shift,
        _size=n,
    )


def nystrom_error(
    regression: NystromRegression, exact_alpha: ArrayLike, operator: SymmetricOperator | ArrayLike
) -> NystromError:
    """Compare a Nystrom regressor with the exact one, k(x, X) alpha.

    Parameters
    ----------
    regression
        From :func:`fit_nystrom`.
    exact_alpha
        Alpha of :func:`conjugate_gradients` or ``factorise(K, ridge).solve(Y)``, shape of the targets.
    operator
        K, as for :func:`conjugate_gradients`; one product with twice as many vectors as there are targets.

    Raises
    ------
    InputError
        The shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import Ridge, factorise, fit_nystrom, nystrom_error
    >>> K, y = np.eye(3) + 1, np.array([1.0, 2.0, 3.0])
    >>> exact = factorise(K, Ridge(0.5)).solve(y)
    >>> error = nystrom_error(fit_nystrom(K, range(3), y, Ridge(0.5)), exact, K)
    >>> error.norm < 1e-14
    True
    """
    operator = as_operator(operator)
    alpha = checked_targets(exact_alpha, operator.shape[0])
    mine = regression.alpha()
    if alpha.shape != mine.shape:
        raise InputError(f"exact_alpha must have the shape {mine.shape} of the targets, got {alpha.shape}.")
    alpha = alpha.reshape(len(alpha), -1)
    both = np.concatenate([mine.reshape(alpha.shape) - alpha, alpha], axis=1)
    difference, exact = np.hsplit(operator.matmat(both), 2)
    left, right = np.hsplit(both, 2)
    # Rounding can make the square of a vanishing norm negative.
    squares = max(0.0, float(np.vdot(left, difference))), max(0.0, float(np.vdot(right, exact)))
    return NystromError(
        training=_ratio(float(np.linalg.norm(difference)), float(np.linalg.norm(exact))),
        worst=float(np.abs(difference).max()),
        norm=_ratio(float(np.sqrt(squares[0])), float(np.sqrt(squares[1]))),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else (0.0 if part == 0 else float("inf"))
