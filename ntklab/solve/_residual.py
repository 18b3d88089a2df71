"""How well a solution satisfies its system, measured after the fact."""

import numpy as np
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.solve._gram import real_array, row_blocks
from ntklab.solve._ridge import Ridge, require_ridge

_NO_RIDGE = Ridge.none()


def backward_error(gram: ArrayLike, solution: ArrayLike, targets: ArrayLike, ridge: Ridge = _NO_RIDGE) -> float:
    """Normwise backward error of X as a solution of A X = B with A = K + lambda I.

    The largest over the columns of ||b - A x|| / (||A|| ||x|| + ||b||) in the infinity norm: how much A and b
    must change, relatively, for x to be exact. About N eps or less for a stable solve, however
    ill-conditioned A is.

    Parameters
    ----------
    gram
        K, shape (N, N); the matrix itself, not one that a solver has overwritten.
    solution, targets
        X and B, both of shape (N,) or (N, C).
    ridge
        The ridge that the solution was computed with; none by default.

    Returns
    -------
    float
        At least 0, dimensionless. Cost N^2 C multiply-adds; memory a few million numbers.

    Raises
    ------
    InputError
        The shapes do not fit, or `ridge` is a bare number.

    Notes
    -----
    Rigal and Gaches (1967); Higham, Accuracy and Stability of Numerical Algorithms (2002), Theorem 7.1.

    Examples
    --------
    >>> from ntklab.solve import backward_error
    >>> backward_error([[2.0, 1.0], [1.0, 2.0]], [-1.0, 3.0], [1.0, 5.0])
    0.0
    >>> backward_error([[2.0, 1.0], [1.0, 2.0]], [-1.0, 3.1], [1.0, 5.0])
    0.013986
    """
    require_ridge(ridge)
    shift = ridge.absolute(gram)  # also checks that the matrix is square
    matrix = np.asarray(gram)
    n = matrix.shape[0]
    x, b = real_array(solution, "solution"), real_array(targets, "targets")
    if x.shape != b.shape or x.ndim not in (1, 2) or x.shape[0] != n:
        raise InputError(f"Solution and targets must both have shape ({n},) or ({n}, C); got {x.shape} and {b.shape}.")
    x, b = x.reshape(n, -1), b.reshape(n, -1)
    norm = 0.0
    residual = np.zeros(x.shape[1])
    for rows in row_blocks(n, n):
        block = matrix[rows].astype(np.float64)
        block[np.arange(block.shape[0]), np.arange(rows.start, rows.stop)] += shift
        norm = max(norm, float(np.abs(block).sum(axis=1).max()))
        residual = np.maximum(residual, np.abs(b[rows] - block @ x).max(axis=0))
    scale = norm * np.abs(x).max(axis=0) + np.abs(b).max(axis=0)
    # A column of zeros with a zero solution is exact; its quotient would be 0 / 0.
    return float(np.max(np.divide(residual, scale, out=np.zeros_like(scale), where=scale > 0), initial=0.0))
