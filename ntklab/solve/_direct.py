"""Float64 Cholesky of K + lambda I, with the pivots, condition and status of the system."""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError
from ntklab.solve._diagnosis import explain_failure
from ntklab.solve._gram import checked_gram, lapack_matrix, real_array, row_blocks
from ntklab.solve._ridge import Ridge, require_ridge
from ntklab.solve._status import Status, status_of

_NO_RIDGE = Ridge.none()


@dataclass(frozen=True, eq=False)
class Factor:
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
    condition_estimate
        LAPACK's estimate (dpocon) of the 1-norm condition number of K + lambda I. A lower bound, nearly
        always within a factor of 3.
    status
        A :class:`Status`; ill-conditioning is reported here and never printed.

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
    condition_estimate: float
    status: Status
    _cholesky: np.ndarray = field(repr=False)
    _lower: bool = field(repr=False)

    @property
    def size(self) -> int:
        """N, the number of training points."""
        return self._cholesky.shape[0]

    def solve(self, targets: ArrayLike) -> Float[np.ndarray, "n *c"]:
        """Solve (K + lambda I) X = B.

        Parameters
        ----------
        targets
            B, shape (N,) or (N, C), real; it is not modified.

        Returns
        -------
        Float[np.ndarray, "n *c"]
            X in float64, of the shape of B. Cost 2 N^2 C operations, memory N C.

        Raises
        ------
        InputError
            B has another number of rows, more than two axes, another kind of entry or one that is not finite.
        SolveError
            The solution overflows float64.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[4.0, 0.0], [0.0, 2.0]]).solve([[4.0, 8.0], [2.0, 2.0]])
        array([[1., 2.],
               [1., 1.]])
        """
        right = real_array(targets, "targets")
        if right.ndim not in (1, 2) or right.shape[0] != self.size:
            raise InputError(
                f"Targets must have shape ({self.size},) or ({self.size}, C), one row for each of the "
                f"{self.size} training points; got {right.shape}."
            )
        if not np.isfinite(right).all():
            bad = tuple(int(index) for index in np.argwhere(~np.isfinite(right))[0])
            raise InputError(f"Targets must be finite, but entry {bad} is {right[bad]}.")
        solution = scipy.linalg.cho_solve((self._cholesky, self._lower), right, check_finite=False)
        if not np.isfinite(solution).all():
            raise SolveError(
                f"The solution overflows float64 (smallest pivot {self.smallest_pivot:.3g}, "
                f"{self.ridge}): rescale the kernel or the targets."
            )
        return solution


def factorise(gram: ArrayLike, ridge: Ridge = _NO_RIDGE, *, overwrite: bool = False) -> Factor:
    """Factorise K + lambda I = L L^T in float64.

    Parameters
    ----------
    gram
        K, shape (N, N), float32 or float64: a NumPy array or anything with ``__array__``, JAX arrays
        included. Symmetric up to 2 sqrt(eps) of its dtype times the mean diagonal; its lower triangle
        is used.
    ridge
        What is added to the diagonal. The default is none, as in the experiments of Arora et al. (2019):
        a ridge changes predictions, so it is never added unasked.
    overwrite
        Whether the memory of `gram` may be used for the factor: it is when `gram` is a writeable,
        contiguous float64 NumPy array, whose contents are then lost. The default copies.

    Returns
    -------
    Factor
        The factor with its log-determinant, smallest pivot, condition estimate and status.

    Raises
    ------
    InputError
        `gram` is not square, is empty, has another dtype, is not symmetric, or is not finite (the message
        names the first bad entry); or `ridge` is a bare number.
    SolveError
        K + lambda I is not positive definite within rounding: a pivot is not positive, or is below
        N eps (K_kk + lambda), where its sign is rounding noise. The message has N, the ridge, the pivot,
        a pair of (almost) identical points where there is one, and what to try.

    Notes
    -----
    Cost N^3 / 6 multiply-adds. Memory 8 N^2 bytes besides `gram` (none with `overwrite`): 20 GB at
    N = 50,000.

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
    require_ridge(ridge)
    matrix = checked_gram(gram)
    dtype = matrix.dtype
    n = matrix.shape[0]
    shift = ridge.absolute(matrix)
    diagonal = matrix.diagonal().astype(np.float64)
    work, lower = lapack_matrix(matrix, overwrite)
    work[np.diag_indices(n)] += shift
    norm = _one_norm(work)
    potrf, pocon = scipy.linalg.get_lapack_funcs(("potrf", "pocon"), dtype=np.float64)
    # clean=False leaves the other triangle of K as it was, which the diagnosis of a failure reads.
    work, info = potrf(work, lower=lower, overwrite_a=True, clean=False)
    failed = _failed_pivot(work, info, diagonal + shift)
    if failed is not None:
        index, pivot = failed
        original = work.T if lower else work
        raise SolveError(explain_failure(original, diagonal, index, pivot, ridge, shift, dtype))
    pivots = work.diagonal() ** 2
    reciprocal, _ = pocon(work, norm, uplo="L" if lower else "U")
    condition = 1 / float(reciprocal) if reciprocal > 0 else float("inf")
    return Factor(
        ridge=ridge,
        ridge_absolute=shift,
        logdet=float(np.sum(np.log(pivots))),
        smallest_pivot=float(pivots.min()),
        condition_estimate=condition,
        status=status_of(condition, dtype),
        _cholesky=work,
        _lower=lower,
    )


def _one_norm(work: Float[np.ndarray, "n n"]) -> float:
    n = work.shape[0]
    return max(float(np.abs(work[:, columns]).sum(axis=0).max()) for columns in row_blocks(n, n))


def _failed_pivot(work: np.ndarray, info: int, diagonal: Float[np.ndarray, " n"]) -> tuple[int, float] | None:
    """Index and value of the first pivot that is not positive within rounding, if there is one."""
    done = info - 1 if info > 0 else work.shape[0]
    pivots = work.diagonal()[:done] ** 2
    # Rounding moves pivot k by up to about N eps K_kk, so below that its sign means nothing.
    below = pivots <= work.shape[0] * np.finfo(np.float64).eps * diagonal[:done]
    if below.any():
        index = int(np.argmax(below))
        return index, float(pivots[index])
    if info > 0:
        # LAPACK leaves the offending pivot, not its square root, on the diagonal.
        return info - 1, float(work[info - 1, info - 1])
    return None
