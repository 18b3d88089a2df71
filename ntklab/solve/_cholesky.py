"""Cholesky in place and its triangular solves: LAPACK, and blocks of it where its 32-bit integers end.

`work` is always a Fortran-order array, float32 or float64, of which one triangle is read and written: the lower one,
A = L L^T, or the upper one, A = L L^T with L = U^T. The other triangle is never touched.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ntklab._core import progress_bar

# SciPy's LAPACK counts in 32 bits. N^2 passes them above this N; what a wrapper or a build then does with a
# product of two indices is not ours to know, so each call gets a block instead.
_LAPACK_LIMIT = 46_340
_BLOCK = 1024


def cholesky_in_place(
    work: Float[np.ndarray, "n n"], lower: bool, progress: bool = False
) -> tuple[Float[np.ndarray, "n n"], int]:
    """The factor in the named triangle, and 0 or the number (from 1) of the first pivot that is not positive."""
    if progress or work.shape[0] > _LAPACK_LIMIT:
        return work, _in_blocks(work if lower else work.T, progress)
    (potrf,) = scipy.linalg.get_lapack_funcs(("potrf",), (work,))
    # clean=False: the other triangle stays K's, for the diagnosis of a failure and for the norm.
    work, info = potrf(work, lower=lower, overwrite_a=True, clean=False)
    return work, info


def whiten(factor: Float[np.ndarray, "n n"], lower: bool, right: Float[np.ndarray, "n *c"]) -> np.ndarray:
    """L^{-1} B."""
    return _substitute(factor, lower, right, transposed=False)


def solve_factored(factor: Float[np.ndarray, "n n"], lower: bool, right: Float[np.ndarray, "n *c"]) -> np.ndarray:
    """A^{-1} B = L^{-T} L^{-1} B."""
    return _substitute(factor, lower, _substitute(factor, lower, right, transposed=False), transposed=True)


def inverse_factored(factor: Float[np.ndarray, "n n"], lower: bool) -> Float[np.ndarray, "n n"]:
    """A^{-1}, both triangles."""
    n = factor.shape[0]
    if n > _LAPACK_LIMIT:
        half = _substitute(factor, lower, np.eye(n, dtype=factor.dtype), transposed=False)
        return half.T @ half
    (potri,) = scipy.linalg.get_lapack_funcs(("potri",), (factor,))
    triangle = potri(factor, lower=lower)[0]
    return _mirror(triangle if lower else triangle.T)


def _mirror(lower: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Copy the lower triangle into the upper one, in place and in tiles."""
    n = lower.shape[0]
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        lower[: rows.start, rows] = lower[rows, : rows.start].T
        square = lower[rows, rows]
        square[:] = np.tril(square) + np.tril(square, -1).T
    return lower


def _substitute(factor: np.ndarray, lower: bool, right: np.ndarray, transposed: bool) -> np.ndarray:
    """L^{-1} B, or L^{-T} B."""
    n = factor.shape[0]
    (trtrs,) = scipy.linalg.get_lapack_funcs(("trtrs",), (factor,))
    if n <= _LAPACK_LIMIT:
        return trtrs(factor, right, lower=lower, trans=int(transposed == lower))[0]
    triangle = factor if lower else factor.T
    solution = np.array(right, dtype=factor.dtype)
    blocks = [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    for rows in reversed(blocks) if transposed else blocks:
        if transposed:
            solution[rows] -= triangle[rows.stop :, rows].T @ solution[rows.stop :]
        else:
            solution[rows] -= triangle[rows, : rows.start] @ solution[: rows.start]
        solution[rows] = trtrs(triangle[rows, rows], solution[rows], lower=True, trans=int(transposed))[0]
    return solution


def _in_blocks(triangle: Float[np.ndarray, "n n"], progress: bool) -> int:
    """Left-looking Cholesky of the lower triangle, block column by block column; products by NumPy, in 64 bits."""
    n = triangle.shape[0]
    potrf, trtrs = scipy.linalg.get_lapack_funcs(("potrf", "trtrs"), (triangle,))
    for start in progress_bar(range(0, n, _BLOCK), desc="Cholesky", unit=" block columns", show=progress):
        stop = min(start + _BLOCK, n)
        done = triangle[start:stop, :start]
        square = np.tril(triangle[start:stop, start:stop]) - np.tril(done @ done.T)
        square, info = potrf(square, lower=True, clean=False)
        below = np.tril_indices(stop - start)
        triangle[start:stop, start:stop][below] = square[below]
        if info:
            return start + info
        if stop < n:
            panel = triangle[stop:, start:stop]
            panel -= triangle[stop:, :start] @ done.T
            panel[:] = trtrs(square, panel.T, lower=True)[0].T
    return 0
