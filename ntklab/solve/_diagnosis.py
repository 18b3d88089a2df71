"""Why a Cholesky factorisation failed, in words and numbers, and what to try."""

import math

import numpy as np
from jaxtyping import Float

from ntklab.solve._gram import row_blocks, symmetry_tolerance
from ntklab.solve._ridge import Ridge

# Smallest relative ridge worth trying, by the precision of the kernel: a few times the rounding
# of its eigenvalues, which are of the order of the mean diagonal.
_FIRST_RIDGE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-8}
_FLOAT64 = np.dtype(np.float64)
# A pivot this negative, in units of the mean diagonal, is no rounding error in either precision.
_INDEFINITE = 1e-2


def explain_failure(
    original: Float[np.ndarray, "n n"],
    diagonal: Float[np.ndarray, " n"],
    index: int,
    pivot: float,
    ridge: Ridge,
    shift: float,
    dtype: np.dtype,
    factor_dtype: np.dtype = _FLOAT64,
) -> str:
    """The message of a failed factorisation.

    `original` holds K in its strict lower triangle (LAPACK leaves that one alone) and anything elsewhere;
    `diagonal` is that of K without the ridge; `pivot` is pivot number `index`, from 0; `shift` is the
    ridge in absolute terms; `dtype` is the one K came in, `factor_dtype` that of the factorisation.
    """
    n = diagonal.shape[0]
    mean = float(diagonal.mean())
    relative = shift / mean if mean > 0 else math.nan
    lines = [
        f"The {n} x {n} kernel matrix with {ridge} is not positive definite within rounding: "
        f"pivot {index} is {pivot:.3g}."
    ]
    if shift > 0:
        lines.append(f"The ridge is {shift:.3g} in absolute terms, {relative:.3g} of the mean diagonal {mean:.3g}.")
    else:
        lines.append(f"The mean diagonal is {mean:.3g}.")
    worst = int(np.argmin(diagonal))
    if diagonal[worst] < 0:
        lines.append(
            f"A kernel has k(x, x) >= 0 and here entry ({worst}, {worst}) is {diagonal[worst]:.3g}: check the matrix."
        )
        return "\n".join(lines)
    if mean == 0:
        lines.append("All diagonal entries are 0: check the matrix.")
        return "\n".join(lines)
    if not pivot >= -_INDEFINITE * mean:  # NaN is none either
        lines.append(
            f"The pivot is {pivot / mean:.2g} of the mean diagonal, which is no rounding error: this matrix "
            "is not positive semidefinite, so it is no kernel matrix. Check how it was computed before "
            "adding a ridge."
        )
        return "\n".join(lines)
    pair = closest_pair(original, diagonal, index, symmetry_tolerance(dtype) * mean)
    if pair is not None:
        i, j, squared = pair
        lines.append(
            f"Training points {i} and {j} are almost identical: K_ii + K_jj - 2 K_ij is {squared / mean:.2g} "
            "of the mean diagonal. Remove one of them or use a ridge."
        )
    if factor_dtype == np.float32:
        lines.append("The factor is float32: precision='float64' may be enough.")
    coarser = min(dtype, factor_dtype, key=lambda kind: kind.itemsize)
    lines.append(f"Try a larger ridge: Ridge({_suggestion(pivot, mean, relative, coarser):.0e}).")
    if dtype == np.float32:
        lines.append("The matrix came in float32: computing the kernel in float64 may be enough.")
    return "\n".join(lines)


def _suggestion(pivot: float, mean: float, relative: float, dtype: np.dtype) -> float:
    """A relative ridge, a power of ten, above what the failed pivot lacks and above the last attempt."""
    needed = max(_FIRST_RIDGE[dtype], 10 * relative, -10 * pivot / mean)
    return 10.0 ** math.ceil(math.log10(needed) - 1e-9)


def closest_pair(
    original: Float[np.ndarray, "n n"], diagonal: Float[np.ndarray, " n"], last: int, tolerance: float
) -> tuple[int, int, float] | None:
    """Points i < j <= last with the smallest K_ii + K_jj - 2 K_ij, if that is within the tolerance."""
    if last == 0:
        return None
    # The squared distance of two points in feature space: zero there means identical rows of K. The failed
    # pivot comes first; a rounding error above zero may also have let an earlier duplicate pass.
    to_last = diagonal[:last] + diagonal[last] - 2 * original[last, :last]
    nearest = int(np.argmin(to_last))
    if to_last[nearest] <= tolerance:
        return nearest, last, float(to_last[nearest])
    best: tuple[int, int, float] | None = None
    for rows in row_blocks(last, last):
        block = diagonal[rows, None] + diagonal[None, :last] - 2 * original[rows, :last]
        block[np.arange(last)[None, :] >= np.arange(rows.start, rows.stop)[:, None]] = np.inf
        row, column = divmod(int(np.argmin(block)), last)
        if block[row, column] <= (tolerance if best is None else best[2]):
            best = (column, rows.start + row, float(block[row, column]))
    return best
