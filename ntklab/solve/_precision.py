"""What rounding does to a system: its condition, and whether the stored matrix can carry the ridge."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, onenormest

from ntklab.errors import PrecisionWarning
from ntklab.solve._gram import row_blocks
from ntklab.solve._ridge import Ridge

# The smallest eigenvalue must exceed the rounding of the matrix by this factor to mean something.
MARGIN = 10.0


def condition_estimate(norm: float, solve: Callable[[np.ndarray], np.ndarray], n: int) -> float:
    """||A||_1 times an estimate of ||A^{-1}||_1 from a few solves: at most the 1-norm condition number."""
    # t=1 starts from a fixed vector, larger t from random ones; a few more solves would rarely say more.
    operator = LinearOperator((n, n), matvec=solve, rmatvec=solve, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    inverse_norm: Any = onenormest(operator, t=1)
    return norm * float(inverse_norm) if np.isfinite(inverse_norm) else float("inf")


def storage_error(matrix: Float[np.ndarray, "n n"]) -> float:
    """About ||dK||_2 when every entry of K is rounded to its dtype: u max_i ||K_i||_2, u = eps / 2.

    The norm of a symmetric matrix of independent errors is about twice the largest root mean square row sum; rounding
    errors are on average a bit under half of their bound. A kernel that was also computed in that dtype is worse.
    """
    n = matrix.shape[0]
    largest = 0.0
    for rows in row_blocks(n, n):
        block = matrix[rows].astype(np.float64, copy=False)
        largest = max(largest, float(np.einsum("ij,ij->i", block, block).max()))
    return float(np.finfo(matrix.dtype).eps) / 2 * largest**0.5


def may_be_lost(shift: float, diagonal: np.ndarray, dtype: np.dtype) -> bool:
    """Whether a ridge is small enough to look closer: entries are at most the largest diagonal one."""
    bound = float(np.finfo(dtype).eps) / 2 * len(diagonal) ** 0.5 * float(diagonal.max())
    return 0 < shift < MARGIN * bound


def warn_if_lost(ridge: Ridge, shift: float, smallest: float, error: float, dtype: np.dtype) -> None:
    """Warn where neither the ridge nor the smallest eigenvalue (ridge included) stands above rounding."""
    if not (0 < shift < MARGIN * error and smallest < MARGIN * error):
        return
    advice = " Compute and store the kernel in float64, or" if dtype == np.float32 else ""
    warnings.warn(
        f"The {ridge} is {shift:.2g} in absolute terms, and rounding the matrix to {dtype} alone moves its "
        f"eigenvalues by about {error:.2g}: predictions follow rounding errors rather than the ridge.{advice} "
        f"{'u' if advice else 'U'}se a ridge of at least {MARGIN * error:.1g}, absolute.",
        PrecisionWarning,
        stacklevel=4,
    )
