"""Float64 Cholesky of K + lambda I, with the pivots, condition and status of the system."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError
from ntklab.solve._cholesky import cholesky_in_place, inverse_factored, solve_factored, whiten
from ntklab.solve._diagnosis import explain_failure
from ntklab.solve._gram import checked_gram, lapack_matrix, row_blocks
from ntklab.solve._precision import condition_estimate, may_be_lost, storage_error, warn_if_lost
from ntklab.solve._refined import RefinedFactor
from ntklab.solve._ridge import Ridge, require_ridge, usable_shift
from ntklab.solve._system import System

_NO_RIDGE = Ridge.none()
Precision = Literal["float64", "float32"]


@dataclass(frozen=True, eq=False)
class Factor(System):
    """The Cholesky factor of K + lambda I and what it says about the system; made by :func:`factorise`.

    Attributes
    ----------
    ridge
        The ridge that was asked for.
    ridge_absolute
        Lambda, in the units of K.
    logdet
        log det (K + lambda I), natural logarithm.
    smallest_pivot
        min_i L_ii^2, in the units of K: the variance that the worst training point keeps, ridge included,
        when the points before it are known.

    Examples
    --------
    >>> from ntklab.solve import factorise
    >>> factor = factorise([[2.0, 1.0], [1.0, 2.0]])
    >>> factor.solve([1.0, 5.0])
    array([-1.,  3.])
    >>> factor.smallest_pivot, factor.condition_estimate
    (1.5, 3.0)
    >>> factor.status.name
    'OK'
    """

    ridge: Ridge
    ridge_absolute: float
    logdet: float
    smallest_pivot: float
    _cholesky: np.ndarray = field(repr=False)
    _lower: bool = field(repr=False)
    _diagonal: np.ndarray = field(repr=False)
    _dtype: np.dtype = field(repr=False)

    @property
    def size(self) -> int:
        """N, the number of training points."""
        return self._cholesky.shape[0]

    @cached_property
    def one_norm(self) -> float:
        """||K + lambda I||_1, the largest absolute column sum, in the units of K; computed when first asked for."""
        # The triangle opposite to the factor still holds K.
        triangle = self._cholesky if self._lower else self._cholesky.T
        sums = np.abs(self._diagonal)
        for rows in row_blocks(self.size, self.size):
            block = np.abs(np.triu(triangle[rows], rows.start + 1))
            sums[rows] += block.sum(axis=1)
            sums += block.sum(axis=0)
        return float(sums.max())

    def _condition(self) -> float:
        return condition_estimate(self.one_norm, self._solve, self.size)

    def _solve(self, right: np.ndarray) -> np.ndarray:
        return solve_factored(self._cholesky, self._lower, right)

    def _halves(self, columns: Float[np.ndarray, "n m"]) -> tuple[np.ndarray, np.ndarray]:
        half = whiten(self._cholesky, self._lower, columns)
        return half, half

    def inverse(self) -> Float[np.ndarray, "n n"]:
        """(K + lambda I)^{-1}, shape (N, N); see :meth:`System.inverse`."""
        return inverse_factored(self._cholesky, self._lower)


def factorise(
    gram: ArrayLike,
    ridge: Ridge = _NO_RIDGE,
    *,
    precision: Precision = "float64",
    overwrite: bool = False,
    progress: bool = False,
) -> Factor | RefinedFactor:
    """Factorise K + lambda I = L L^T.

    Parameters
    ----------
    gram
        K, shape (N, N), float32 or float64: a NumPy array or anything with ``__array__``, JAX arrays
        included. Symmetric up to 2 sqrt(eps) of its dtype times the mean diagonal; its lower triangle
        is used.
    ridge
        What is added to the diagonal. The default is none, as in the experiments of Arora et al. (2019):
        a ridge changes predictions, so it is never added unasked.
    precision
        ``"float64"`` (the default), or ``"float32"`` for a factor of half the memory, and less time for large N,
        whose solutions are refined to float64 with residuals of K itself: a :class:`RefinedFactor`, which keeps
        `gram`. It needs a condition number below about 1e6.
    overwrite
        Whether the memory of `gram` may be used for the factor: it is when `gram` is a writeable,
        contiguous float64 NumPy array, whose contents are then lost. The default copies.
    progress
        Show a progress bar. The factorisation then goes block by block, can be interrupted between blocks, and
        takes about a fifth longer at N = 5,000.

    Returns
    -------
    Factor or RefinedFactor
        The factor with its log-determinant, smallest pivot, condition estimate and status.

    Raises
    ------
    InputError
        `gram` is not square, is empty, has another dtype, is not symmetric, or is not finite (the message
        names the first bad entry); `ridge` is a bare number, or on a scale that makes no sense for K (below
        the rounding of float64, or above 1000 tr(K)); `overwrite` is asked of a float32 factor.
    SolveError
        K + lambda I is not positive definite within rounding: a pivot is not positive, or is below
        N eps (K_kk + lambda), where its sign is rounding noise. The message has N, the ridge, the pivot,
        a pair of (almost) identical points where there is one, and what to try.

    Warns
    -----
    PrecisionWarning
        The rounding of K to its dtype is as large as the ridge and as the smallest eigenvalue.

    Notes
    -----
    Cost N^3 / 6 multiply-adds. Memory 8 N^2 bytes besides `gram` (none with `overwrite`): 20 GB at
    N = 50,000. LAPACK up to N = 46,340; beyond, where N^2 passes its 32-bit integers, LAPACK on blocks and
    NumPy's products between them.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import Ridge, factorise
    >>> K = np.array([[1.0, 1.0], [1.0, 1.0]])
    >>> factor = factorise(K, Ridge(0.5))
    >>> factor.ridge_absolute, round(factor.logdet, 6)
    (0.5, 0.223144)
    >>> from ntklab.errors import SolveError
    >>> try:
    ...     factorise(K)
    ... except SolveError as error:
    ...     print(str(error).splitlines()[0])
    The 2 x 2 kernel matrix with no ridge is not positive definite within rounding: pivot 1 is 0.
    """
    if precision not in get_args(Precision):
        raise InputError(f"precision must be 'float64' or 'float32', got {precision!r}.")
    if precision == "float32" and overwrite:
        raise InputError("A float32 factor is refined with K itself, so K cannot be overwritten: use overwrite=False.")
    require_ridge(ridge)
    matrix = checked_gram(gram)
    diagonal = matrix.diagonal().astype(np.float64)
    shift = usable_shift(ridge, float(diagonal.mean()), len(diagonal))
    error = storage_error(matrix) if may_be_lost(shift, diagonal, matrix.dtype) else 0.0
    work, lower = lapack_matrix(matrix, overwrite, np.dtype(precision))
    work[np.diag_indices(len(work))] += work.dtype.type(shift)
    work, info = cholesky_in_place(work, lower, progress)
    failed = _failed_pivot(work, info, diagonal + shift)
    if failed is not None:
        index, pivot = failed
        original = work.T if lower else work
        raise SolveError(explain_failure(original, diagonal, index, pivot, ridge, shift, matrix.dtype, work.dtype))
    if precision == "float32":
        factor = RefinedFactor(ridge, shift, float("nan"), work, lower, matrix, matrix.dtype)
    else:
        pivots = work.diagonal() ** 2
        logdet, smallest = float(np.sum(np.log(pivots))), float(pivots.min())
        factor = Factor(ridge, shift, logdet, smallest, work, lower, diagonal + shift, matrix.dtype)
    if error:
        warn_if_lost(ridge, shift, factor.one_norm / factor.condition_estimate, error, matrix.dtype)
    return factor


def _failed_pivot(work: np.ndarray, info: int, diagonal: Float[np.ndarray, " n"]) -> tuple[int, float] | None:
    """Index and value of the first pivot that is not positive within rounding, if there is one."""
    done = info - 1 if info > 0 else work.shape[0]
    pivots = work.diagonal()[:done].astype(np.float64) ** 2
    # Rounding moves pivot k by up to about N eps K_kk, so below that its sign means nothing. The bound is
    # pessimistic: with float32, where the refinement tells good from bad, only eps K_kk is asked for.
    factor = work.shape[0] if work.dtype == np.float64 else 1
    below = pivots <= factor * np.finfo(work.dtype).eps * diagonal[:done]
    if below.any():
        index = int(np.argmax(below))
        return index, float(pivots[index])
    if info > 0:
        # LAPACK leaves the offending pivot, not its square root, on the diagonal.
        return info - 1, float(work[info - 1, info - 1])
    return None
