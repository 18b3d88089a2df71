"""Checks of the arrays that predictions are made from."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError

_BLOCK_ENTRIES = 2**22


def real_array(values: ArrayLike, name: str, rows: int, row_meaning: str) -> Float[np.ndarray, "n *c"]:
    """Float64 array of shape (rows,) or (rows, C), finite; `row_meaning` says what a row is."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(f"The {name} must be real numbers, got dtype {array.dtype}.")
    if array.ndim not in (1, 2) or array.shape[0] != rows:
        raise InputError(
            f"The {name} must have shape ({rows},) or ({rows}, C), one row for each of the {rows} "
            f"{row_meaning} points; got {array.shape}."
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"The {name} must be finite, but entry {bad} is {array[bad]}.")
    return array


def cross_kernel(k_test_train: ArrayLike, n_train: int) -> Float[np.ndarray, "m n"]:
    """The kernel of test points (rows) with training points (columns), in its own dtype, shape checked."""
    matrix = np.asarray(k_test_train)
    if matrix.ndim != 2 or matrix.shape[1] != n_train:
        hint = ""
        if matrix.ndim == 2 and matrix.shape[0] == n_train:
            hint = " Its rows are as many as the training points: pass the transpose."
        raise InputError(
            f"k_test_train must have shape (M, {n_train}): rows are test points, columns are the {n_train} "
            f"training points; got {matrix.shape}.{hint}"
        )
    if matrix.dtype not in (np.float32, np.float64):
        raise InputError(f"k_test_train must be float32 or float64, got {matrix.dtype}: convert it first.")
    return matrix


def test_blocks(m: int, n: int) -> Iterator[slice]:
    """Slices over m test points such that one block has about four million entries."""
    step = max(1, _BLOCK_ENTRIES // max(n, 1))
    return (slice(start, min(start + step, m)) for start in range(0, m, step))


def finite_block(k_test_train: Float[np.ndarray, "m n"], rows: slice) -> Float[np.ndarray, "b n"]:
    """Some rows in float64, finite."""
    block = k_test_train[rows].astype(np.float64, copy=False)
    if not np.isfinite(block).all():
        row, column = (int(index) for index in np.argwhere(~np.isfinite(block))[0])
        raise InputError(
            f"k_test_train must be finite, but entry ({(rows.start or 0) + row}, {column}) is {block[row, column]}."
        )
    return block


def product(k_test_train: Float[np.ndarray, "m n"], dual: Float[np.ndarray, "n *c"]) -> Float[np.ndarray, "m *c"]:
    """K @ dual in float64, in blocks of rows so that a float32 K is never copied whole; K must be finite."""
    m, n = k_test_train.shape
    result = np.empty((m, *dual.shape[1:]))
    for rows in test_blocks(m, n):
        result[rows] = finite_block(k_test_train, rows) @ dual
    return result


def square_kernel(k_test: ArrayLike, m: int) -> Float[np.ndarray, "m m"]:
    """The kernel of m test points with themselves, float64 and finite."""
    matrix = real_array(k_test, "kernel of the test points", m, "test")
    if matrix.shape != (m, m):
        raise InputError(f"The kernel of the {m} test points must have shape ({m}, {m}), got {matrix.shape}.")
    return matrix


def vector(values: ArrayLike, name: str, m: int) -> Float[np.ndarray, " m"]:
    """One finite float64 number for each of m test points."""
    array = real_array(values, name, m, "test")
    if array.ndim != 1:
        raise InputError(f"The {name} must have shape ({m},), one number for each test point; got {array.shape}.")
    return array


def floored(variances: np.ndarray, prior: Float[np.ndarray, " m"], dtype: np.dtype) -> np.ndarray:
    """Variances with those that rounding made negative set to 0; one that is further below is an error."""
    # A kernel of this dtype may be off by the root of its eps where inputs coincide, and so may what is left.
    lowest = variances + 2 * float(np.sqrt(np.finfo(dtype).eps)) * np.abs(prior)
    if (lowest < 0).any():
        worst = np.unravel_index(int(np.argmin(lowest)), lowest.shape)
        raise SolveError(
            f"The variance at test point {worst[-1]} is {variances[worst]:.3g}, the prior {prior[worst[-1]]:.3g}: "
            "rounding does not explain that. Check that the train, test-train and test-test kernels belong together, "
            "or use a larger ridge or a kernel in float64."
        )
    return np.maximum(variances, 0.0)
