"""Checks of the arrays that predictions are made from."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError

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


def product(k_test_train: Float[np.ndarray, "m n"], dual: Float[np.ndarray, "n *c"]) -> Float[np.ndarray, "m *c"]:
    """K @ dual in float64, in blocks of rows so that a float32 K is never copied whole; K must be finite."""
    m, n = k_test_train.shape
    result = np.empty((m, *dual.shape[1:]))
    step = max(1, _BLOCK_ENTRIES // max(n, 1))
    for start in range(0, m, step):
        block = k_test_train[start : start + step].astype(np.float64, copy=False)
        if not np.isfinite(block).all():
            row, column = (int(index) for index in np.argwhere(~np.isfinite(block))[0])
            raise InputError(
                f"k_test_train must be finite, but entry ({start + row}, {column}) is {block[row, column]}."
            )
        result[start : start + step] = block @ dual
    return result
