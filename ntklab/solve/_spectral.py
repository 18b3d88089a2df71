"""Float64 eigendecomposition of a kernel matrix, with eigenvalues that rounding made negative set to zero."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import SolveError
from ntklab.solve._diagnosis import closest_pair
from ntklab.solve._gram import checked_gram, lapack_matrix, symmetry_tolerance
from ntklab.solve._precision import MARGIN, storage_error, warn_if_lost
from ntklab.solve._ridge import Ridge, usable_shift
from ntklab.solve._ridged import RidgedSpectrum
from ntklab.solve._status import Status, status_of

_NO_RIDGE = Ridge.none()


@dataclass(frozen=True, eq=False)
class Spectrum:
    """K = V diag(w) V^T of a positive semidefinite matrix; made by :func:`eigendecompose`.

    Attributes
    ----------
    eigenvalues
        w, ascending, shape (N,), at least 0, in the units of K. Those that are zero within rounding are
        exactly 0.
    eigenvectors
        V, orthonormal columns, shape (N, N).
    zero_below
        Size up to which an eigenvalue may be rounding alone, in the units of K.
    most_negative
        The smallest eigenvalue before any was set to zero; 0 if none was negative.
    status
        A :class:`Status`: ``SINGULAR`` if there is a zero eigenvalue.
    mean_diagonal
        tr(K) / N, the scale of a relative ridge.
    storage_error
        About how far rounding K to the dtype it came in moves an eigenvalue, in the units of K.

    Examples
    --------
    >>> from ntklab.solve import eigendecompose
    >>> spectrum = eigendecompose([[2.0, 1.0], [1.0, 2.0]])
    >>> spectrum.eigenvalues
    array([1., 3.])
    >>> spectrum.rank
    2
    """

    eigenvalues: Float[np.ndarray, " n"]
    eigenvectors: Float[np.ndarray, "n n"] = field(repr=False)
    zero_below: float
    most_negative: float
    status: Status
    mean_diagonal: float
    storage_error: float
    _dtype: np.dtype = field(repr=False)

    @property
    def size(self) -> int:
        """N, the number of training points."""
        return self.eigenvalues.shape[0]

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are not zero."""
        return int(np.count_nonzero(self.eigenvalues))

    @property
    def smallest_ridge(self) -> float:
        """The smallest lambda that the stored precision of K can carry, in the units of K; 0 where K needs no ridge."""
        needed = MARGIN * self.storage_error
        return 0.0 if self.eigenvalues[0] >= needed else needed

    def absolute(self, ridge: Ridge) -> float:
        """Lambda in the units of K, as :meth:`Ridge.absolute` gives it for K itself; its scale is checked.

        Examples
        --------
        >>> from ntklab.solve import Ridge, eigendecompose
        >>> eigendecompose([[4.0, 0.0], [0.0, 2.0]]).absolute(Ridge(0.5))
        1.5
        """
        return usable_shift(ridge, self.mean_diagonal, self.size)

    def with_ridge(self, ridge: Ridge = _NO_RIDGE) -> RidgedSpectrum:
        """K + lambda I as a system to solve, for any ridge and without further cost.

        Parameters
        ----------
        ridge
            What is added to the diagonal; none by default.

        Raises
        ------
        InputError
            `ridge` is a bare number, or on a scale that makes no sense for K.
        SolveError
            There is no ridge and K is singular; the message names a pair of identical points, if there is one.

        Warns
        -----
        PrecisionWarning
            The rounding of K to its dtype is as large as the ridge and as the smallest eigenvalue.

        Examples
        --------
        >>> from ntklab.solve import Ridge, eigendecompose
        >>> spectrum = eigendecompose([[2.0, 1.0], [1.0, 2.0]])
        >>> spectrum.with_ridge(Ridge(0.5)).solve([1.0, 5.0])
        array([-0.25,  1.75])
        """
        return self.with_ridges([ridge])[0]

    def with_ridges(self, ridges: Sequence[Ridge]) -> list[RidgedSpectrum]:
        """:meth:`with_ridge` for several ridges, with one warning at most: for the smallest."""
        systems = [self._system(ridge) for ridge in ridges]
        some = [system for system in systems if system.ridge_absolute > 0]
        if some:
            least = min(some, key=lambda system: system.ridge_absolute)
            smallest = float(self.eigenvalues[0]) + least.ridge_absolute
            warn_if_lost(least.ridge, least.ridge_absolute, smallest, self.storage_error, self._dtype)
        return systems

    def _system(self, ridge: Ridge) -> RidgedSpectrum:
        shift = self.absolute(ridge)
        shifted = self.eigenvalues + shift
        if float(shifted.min()) <= 0:
            raise SolveError(self._singular())
        return RidgedSpectrum(
            ridge=ridge,
            ridge_absolute=shift,
            logdet=float(np.sum(np.log(shifted))),
            _eigenvectors=self.eigenvectors,
            _shifted=shifted,
            _dtype=self._dtype,
        )

    def _singular(self) -> str:
        n = self.size
        message = (
            f"The {n} x {n} kernel matrix is singular: {n - self.rank} of its eigenvalues are zero within rounding, "
            "and there is no ridge."
        )
        gram = (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T
        tolerance = symmetry_tolerance(self._dtype) * self.mean_diagonal
        pair = closest_pair(gram, gram.diagonal(), n - 1, tolerance)
        if pair is not None:
            message += f" Training points {pair[0]} and {pair[1]} are almost identical: remove one of them."
        return f"{message} Use a ridge: Ridge(1e-8) or more."


def eigendecompose(gram: ArrayLike, *, overwrite: bool = False) -> Spectrum:
    """Decompose K = V diag(w) V^T in float64.

    Parameters
    ----------
    gram
        K, shape (N, N), float32 or float64, NumPy or anything with ``__array__``; symmetric and finite as
        for :func:`factorise`. Its lower triangle is used.
    overwrite
        Whether the memory of `gram` may be used; see :func:`factorise`. The default copies.

    Returns
    -------
    Spectrum
        Eigenvalues, eigenvectors and status.

    Raises
    ------
    InputError
        `gram` is not a finite symmetric float matrix.
    SolveError
        An eigenvalue is negative beyond rounding (the message has its value), or LAPACK did not converge.

    Notes
    -----
    Eigenvalues with abs(w) <= N eps w_max are set to zero, with the eps of float64, in which the
    decomposition runs. A negative one is rounding, and set to zero, up to max(N eps w_max, eps_in ||K||_F),
    where eps_in belongs to the dtype of `gram`: rounding a positive semidefinite matrix to that dtype moves
    no eigenvalue further.

    Cost about 9 N^3 operations. Memory 16 N^2 bytes besides `gram`.

    Examples
    --------
    >>> from ntklab.solve import eigendecompose
    >>> spectrum = eigendecompose([[1.0, 1.0], [1.0, 1.0]])
    >>> spectrum.eigenvalues
    array([0., 2.])
    >>> spectrum.status.name
    'SINGULAR'
    """
    matrix = checked_gram(gram)
    dtype = matrix.dtype
    n = matrix.shape[0]
    error, mean = storage_error(matrix), float(np.mean(matrix.diagonal(), dtype=np.float64))
    work, lower = lapack_matrix(matrix, overwrite)
    try:
        # "evr" needs O(N) workspace; "evd" needs 2 N^2 counted in 32 bits, so it stops at N = 32,766.
        values, vectors = scipy.linalg.eigh(work, lower=lower, overwrite_a=True, check_finite=False, driver="evr")
    except scipy.linalg.LinAlgError as error:
        raise SolveError(
            f"The eigendecomposition of the {n} x {n} kernel matrix failed: {error}. Check its entries."
        ) from error
    smallest, largest = float(values[0]), float(np.abs(values).max())
    zero = n * float(np.finfo(np.float64).eps) * largest
    rounding = max(zero, float(np.finfo(dtype).eps) * float(scipy.linalg.norm(values)))
    if smallest < -rounding:
        raise SolveError(
            f"The {n} x {n} kernel matrix is not positive semidefinite: its smallest eigenvalue is "
            f"{smallest:.6g}, its largest {largest:.6g}, and the rounding of a {dtype} matrix explains "
            f"{-rounding:.2g} at most. Check how it was computed; a kernel in float64 may be enough."
        )
    values[values <= zero] = 0.0
    condition = largest / float(values[values > 0].min()) if largest > 0 else float("inf")
    return Spectrum(
        eigenvalues=values,
        eigenvectors=vectors,
        zero_below=rounding,
        most_negative=min(smallest, 0.0),
        status=Status.SINGULAR if (values == 0).any() else status_of(condition, dtype),
        mean_diagonal=mean,
        storage_error=error,
        _dtype=dtype,
    )
