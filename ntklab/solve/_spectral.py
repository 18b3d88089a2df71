"""Float64 eigendecomposition of a kernel matrix, with eigenvalues that rounding made negative set to zero."""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import SolveError
from ntklab.solve._gram import checked_gram, lapack_matrix
from ntklab.solve._status import Status, status_of


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

    @property
    def size(self) -> int:
        """N, the number of training points."""
        return self.eigenvalues.shape[0]

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are not zero."""
        return int(np.count_nonzero(self.eigenvalues))


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
    work, lower = lapack_matrix(matrix, overwrite)
    try:
        # "evr" needs O(N) workspace; "evd" needs 2 N^2 counted in 32 bits, so it stops at N = 32,766.
        values, vectors = scipy.linalg.eigh(work, lower=lower, overwrite_a=True, check_finite=False, driver="evr")
    except scipy.linalg.LinAlgError as error:
        raise SolveError(f"The eigendecomposition of the {n} x {n} kernel matrix failed: {error}") from error
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
    )
