"""Checks and copies that every solver of a kernel matrix needs, in blocks so that memory stays small."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError

_FLOAT64 = np.dtype(np.float64)
_TILE = 256
_BLOCK_ENTRIES = 2**20


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices over `rows` rows such that one block of all columns has about a million entries."""
    step = max(1, _BLOCK_ENTRIES // max(columns, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def symmetry_tolerance(dtype: np.dtype) -> float:
    """Largest accepted max |K - K^T| in units of the mean diagonal: 2 sqrt(eps) of the input's dtype."""
    # ReLU kernels have a square-root singularity at coinciding inputs: each of k(x, y) and k(y, x)
    # may be off by sqrt(eps) there, so rounding alone explains twice that.
    return 2 * float(np.sqrt(np.finfo(dtype).eps))


def checked_gram(gram: ArrayLike) -> Float[np.ndarray, "n n"]:
    """A kernel matrix as a NumPy array of its own dtype, after all checks.

    Parameters
    ----------
    gram
        K, shape (N, N), float32 or float64, NumPy or anything with ``__array__``.

    Returns
    -------
    Float[np.ndarray, "n n"]
        The same numbers; NumPy arrays are not copied.

    Raises
    ------
    InputError
        `gram` is not square, is empty, has another dtype, is not symmetric up to 2 sqrt(eps) of its dtype times the
        mean diagonal, or is not finite.

    Examples
    --------
    >>> from ntklab.solve import checked_gram
    >>> checked_gram([[2.0, 1.0], [1.0, 2.0]]).shape
    (2, 2)
    """
    matrix = np.asarray(gram)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(
            f"A kernel matrix must have shape (N, N), got {matrix.shape}. Rows and columns are both training points."
        )
    if matrix.size == 0:
        raise InputError("The kernel matrix is empty: there is no training point. At least one is needed.")
    if matrix.dtype not in (np.float32, np.float64):
        raise InputError(f"A kernel matrix must be float32 or float64, got {matrix.dtype}: convert it first.")
    _require_symmetric(matrix)
    return matrix


def _require_symmetric(matrix: np.ndarray) -> None:
    """Refuse entries that are not finite and asymmetry beyond rounding, in one pass: it costs what reading costs."""
    n = matrix.shape[0]
    worst, where = 0.0, (0, 0)
    for i in range(0, n, _TILE):
        for j in range(0, i + 1, _TILE):
            lower, upper = matrix[i : i + _TILE, j : j + _TILE], matrix[j : j + _TILE, i : i + _TILE].T
            # Infinite and NaN entries make the difference infinite or NaN, whichever side they are on.
            with np.errstate(invalid="ignore", over="ignore"):
                difference = lower - upper
                peak = max(float(difference.max()), -float(difference.min()))
            if not np.isfinite(peak):
                _require_finite(matrix)
                difference = lower.astype(np.float64) - upper  # finite entries, and float32 was too narrow
                peak = float(np.abs(difference).max())
            if peak > worst:
                worst = peak
                row, column = divmod(int(np.argmax(np.abs(difference))), difference.shape[1])
                where = (i + row, j + column)
    scale = abs(float(np.mean(matrix.diagonal(), dtype=np.float64)))
    tolerance = symmetry_tolerance(matrix.dtype)
    if worst > tolerance * scale:
        row, column = where
        raise InputError(
            f"The kernel matrix must be symmetric: entries ({row}, {column}) and ({column}, {row}) differ by "
            f"{worst:.3g}, the mean diagonal is {scale:.3g}, and a {matrix.dtype} matrix may be off by "
            f"{tolerance:.2g} of it. Compute the kernel of the training points with themselves, or pass "
            "(K + K.T) / 2 if the asymmetry is meant."
        )


def _require_finite(matrix: np.ndarray) -> None:
    n = matrix.shape[0]
    for rows in row_blocks(n, n):
        finite = np.isfinite(matrix[rows])
        if not finite.all():
            first, column = (int(index) for index in np.argwhere(~finite)[0])
            row = rows.start + first
            raise InputError(f"The kernel matrix must be finite, but entry ({row}, {column}) is {matrix[row, column]}.")


def lapack_matrix(
    matrix: Float[np.ndarray, "n n"], overwrite: bool, dtype: np.dtype = _FLOAT64
) -> tuple[np.ndarray, bool]:
    """A Fortran-order array of this dtype for LAPACK, and whether its lower triangle holds that of `matrix`.

    The array is `matrix` or its transpose in place where `overwrite` allows it, and one copy otherwise. The
    transpose of a C-order array is Fortran-order at no cost; its *upper* triangle is then the one to name,
    so the lower triangle of `matrix` is what LAPACK reads in every case.
    """
    in_place = (
        overwrite
        and matrix.dtype == dtype
        and matrix.flags.writeable
        and (matrix.flags.c_contiguous or matrix.flags.f_contiguous)
    )
    work = matrix if in_place else np.array(matrix, dtype=dtype, order="K", copy=True)
    if work.flags.f_contiguous:
        return work, True
    return work.T, False


def real_array(values: ArrayLike, name: str) -> Float[np.ndarray, "..."]:
    """A float64 copy of real numbers of any kind; `name` is what the error calls them."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(f"The {name} must be real numbers, got dtype {array.dtype}.")
    return array.astype(np.float64)


def target_array(targets: ArrayLike, n: int) -> Float[np.ndarray, "n *c"]:
    """A finite float64 copy of shape (n,) or (n, C)."""
    array = real_array(targets, "targets")
    if array.ndim not in (1, 2) or array.shape[0] != n:
        raise InputError(
            f"Targets must have shape ({n},) or ({n}, C), one row for each of the {n} training points; "
            f"got {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"Targets must be finite, but entry {bad} is {array[bad]}.")
    return array
