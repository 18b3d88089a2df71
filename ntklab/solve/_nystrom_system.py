"""The small dense problems behind Nystrom regression: one pass over the rows, and what is left after it."""

from typing import Any, Protocol

import numpy as np
import scipy.linalg

from ntklab.errors import InputError, SolveError
from ntklab.solve._gram import row_blocks


class Rows(Protocol):
    """A matrix that gives slices of its rows: an array, a memory map, a stored one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, M)."""
        ...

    def __getitem__(self, rows: slice, /) -> Any:
        """Return the rows of a slice as an array."""
        ...


def reduce(k: Rows, y: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """The triangle R of [K_NM, Y] = Q R, the rows of K_NM that are K_MM, and the dtype of the entries."""
    n, m = k.shape
    triangle = np.zeros((0, m + y.shape[1]))
    k_centres, dtype = np.empty((m, m)), np.dtype(np.float64)
    # Blocks of at least 2 M rows, so that the triangle above them costs no more than half as much again.
    step = max(2 * m, next(row_blocks(n, m)).stop)
    for start in range(0, n, step):
        block = np.asarray(k[start : min(start + step, n)])
        dtype = np.dtype(block.dtype)
        if dtype not in (np.float32, np.float64):
            raise InputError(f"k_train_centres must be float32 or float64, got {dtype}: convert it first.")
        if not np.isfinite(block).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
            raise InputError(f"k_train_centres must be finite, but entry ({start + row}, {column}) is not.")
        inside = np.flatnonzero((centres >= start) & (centres < start + len(block)))
        k_centres[inside] = block[centres[inside] - start]
        stacked = np.vstack([triangle, np.hstack([block, y[start : start + len(block)]])])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"))  # typed as a tuple, too, before NumPy 2.5
    return triangle, (k_centres + k_centres.T) / 2, dtype


def independent(k_centres: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Positions of centres that do not depend on the others within rounding, and L with L L^T = K_MM of those."""
    diagonal = k_centres.diagonal().copy()
    tolerance = len(diagonal) * float(np.finfo(dtype).eps) * float(diagonal.max())
    if diagonal.min() < 0 or diagonal.max() <= 0:
        raise SolveError(
            f"A kernel has k(x, x) >= 0, not all zero; among the centres the smallest is {diagonal.min():.3g} and the "
            f"largest {diagonal.max():.3g}: check that k_train_centres[centres] are the centres' own rows."
        )
    (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), dtype=np.float64)
    lower, pivots, rank, _ = pstrf(k_centres, lower=1, tol=tolerance)
    kept = pivots[:rank] - 1
    lower = np.tril(lower[:rank, :rank])
    rest = pivots[rank:] - 1
    if rest.size:
        below = scipy.linalg.solve_triangular(lower, k_centres[np.ix_(kept, rest)], lower=True)
        wrong = float(np.abs(k_centres[np.ix_(rest, rest)] - below.T @ below).max())
        if wrong > 1e3 * tolerance:
            raise SolveError(
                f"The kernel of the centres is not positive semidefinite: behind pivot {rank} it leaves entries of "
                f"{wrong:.3g} where the rounding of {dtype} explains {tolerance:.2g}. Check how it was computed."
            )
    return kept, lower


def least_squares(design: np.ndarray, right: np.ndarray, shift: float) -> np.ndarray:
    """The minimiser of ||A g - b||^2 + shift ||g||^2 by QR."""
    m = design.shape[1]
    stacked = np.vstack([design, np.sqrt(shift) * np.eye(m)]) if shift > 0 else design
    q, r = np.linalg.qr(stacked)
    sizes = np.abs(r.diagonal())
    if sizes.min() <= m * float(np.finfo(np.float64).eps) * sizes.max():
        raise SolveError(
            f"Least squares with {m} centres and lambda = {shift:.3g} has dependent columns: the smallest diagonal "
            f"entry of its triangle is {sizes.min():.3g}, the largest {sizes.max():.3g}. Use a ridge, or fewer centres."
        )
    return scipy.linalg.solve_triangular(r, q[: len(design)].T @ right)
