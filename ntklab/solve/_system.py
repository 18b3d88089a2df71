"""What every solved system K + lambda I can do, whichever way it was factorised."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import SolveError
from ntklab.solve._gram import target_array
from ntklab.solve._ridge import Ridge
from ntklab.solve._status import Status, status_of


class System(ABC):
    """A = K + lambda I, ready to be solved: a :class:`Factor`, a :class:`RefinedFactor` or a :class:`RidgedSpectrum`.

    Attributes
    ----------
    ridge
        The ridge that was asked for.
    ridge_absolute
        Lambda, in the units of K.
    logdet
        log det A, natural logarithm; NaN where it is not known to float64 precision (:class:`RefinedFactor`).
    """

    ridge: Ridge
    ridge_absolute: float
    logdet: float
    _dtype: np.dtype

    @property
    @abstractmethod
    def size(self) -> int:
        """N, the number of training points."""

    @cached_property
    def condition_estimate(self) -> float:
        """Condition number of A, computed when first asked for.

        Of a factor an estimate in the 1-norm from about 5 solves: a lower bound, nearly always within a factor of 3
        (Higham and Tisseur, 2000, with one column). Of a spectrum (w_max + lambda) / (w_min + lambda), in the 2-norm.
        """
        return self._condition()

    @property
    def status(self) -> Status:
        """A :class:`Status`, from the condition and the dtype K came in; it is reported here and never printed."""
        return status_of(self.condition_estimate, self._dtype)

    @abstractmethod
    def _condition(self) -> float:
        """The condition number or its estimate."""

    @abstractmethod
    def _solve(self, right: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """A^{-1} B of checked float64 columns."""

    def _halves(self, columns: Float[np.ndarray, "n m"]) -> tuple[np.ndarray, np.ndarray]:
        """Two matrices with left^T right = B^T A^{-1} B."""
        return columns, self._solve(columns)

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
        right = target_array(targets, self.size)
        solution = self._solve(right.reshape(self.size, -1))
        if not np.isfinite(solution).all():
            raise SolveError(f"The solution overflows float64 ({self.ridge}): rescale the kernel or the targets.")
        return solution.reshape(right.shape)

    def inner(self, columns: ArrayLike, *, diagonal: bool = False) -> Float[np.ndarray, "..."]:
        """B^T A^{-1} B, or its diagonal: what training points explain of the variance of other points.

        Parameters
        ----------
        columns
            B, shape (N, M): for M test points the transpose of their kernel with the training points.
        diagonal
            Whether only the diagonal is wanted, which needs no (M, M) matrix.

        Returns
        -------
        Float[np.ndarray, "..."]
            Shape (M, M), symmetric bit for bit, or (M,). Cost N^2 M operations, memory N M.

        Raises
        ------
        InputError
            `columns` does not have N rows, or is not finite.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[4.0, 0.0], [0.0, 2.0]]).inner([[2.0], [1.0]], diagonal=True)
        array([1.5])
        """
        right = target_array(columns, self.size).reshape(self.size, -1)
        left, right = self._halves(right)
        if diagonal:
            return np.einsum("nm,nm->m", left, right)
        product = left.T @ right
        return (product + product.T) / 2

    def inverse(self) -> Float[np.ndarray, "n n"]:
        """A^{-1} itself, shape (N, N): N^3 operations and 8 N^2 bytes; for solving use :meth:`solve`.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[4.0, 0.0], [0.0, 2.0]]).inverse()
        array([[0.25, 0.  ],
               [0.  , 0.5 ]])
        """
        inverse = self._solve(np.eye(self.size))
        return (inverse + inverse.T) / 2

    def inverse_diagonal(self) -> Float[np.ndarray, " n"]:
        """The diagonal of A^{-1}, shape (N,); 1 / [A^{-1}]_ii is the variance of point i given all others.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[4.0, 0.0], [0.0, 2.0]]).inverse_diagonal()
        array([0.25, 0.5 ])
        """
        return self.inverse().diagonal().copy()

    def leave_one_out(self, targets: ArrayLike) -> Float[np.ndarray, "n *c"]:
        """What each training point would be predicted by a fit to all others, at the same lambda.

        The prediction for point i without its own target is y_i - alpha_i / [A^{-1}]_ii with alpha = A^{-1} Y:
        N refits for the price of one inverse.

        Parameters
        ----------
        targets
            Y, shape (N,) or (N, C).

        Returns
        -------
        Float[np.ndarray, "n *c"]
            Predictions of the shape of Y; the residuals are ``targets`` minus these. Cost N^3 operations and
            8 N^2 bytes for a factor, N^2 C for a spectrum.

        Raises
        ------
        InputError
            The targets have another shape or are not finite.

        Notes
        -----
        Lambda stays what it is in absolute terms: for a ridge relative to the mean diagonal it does not change with
        the point that is left out. Source: Rasmussen and Williams (2006), section 5.4.2.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[2.0, 1.0], [1.0, 2.0]]).leave_one_out([1.0, 5.0])
        array([2.5, 0.5])
        """
        wanted = target_array(targets, self.size)
        scale = self.inverse_diagonal().reshape(-1, *[1] * (wanted.ndim - 1))
        return wanted - self.solve(wanted) / scale

    def log_likelihood(self, targets: ArrayLike) -> float:
        """Log marginal likelihood of the targets under N(0, K + lambda I), natural logarithm, summed over outputs.

        -1/2 sum_c y_c^T A^{-1} y_c - C/2 log det A - N C / 2 log 2 pi.

        Parameters
        ----------
        targets
            Y, shape (N,) or (N, C); the C columns are independent draws.

        Raises
        ------
        InputError
            The targets have another shape or are not finite.
        SolveError
            A float32 factor: its determinant is known to float32 only.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[1.0, 0.0], [0.0, 4.0]]).log_likelihood([1.0, 2.0])
        -3.531024
        """
        if np.isnan(self.logdet):
            raise SolveError("The likelihood needs log det A, which a float32 factor does not know: use float64.")
        columns = target_array(targets, self.size).reshape(self.size, -1)
        outputs = columns.shape[1]
        fit = float(np.sum(self.inner(columns, diagonal=True)))
        return -0.5 * (fit + outputs * (self.logdet + self.size * float(np.log(2 * np.pi))))

    def log_likelihood_gradient(self, targets: ArrayLike) -> Float[np.ndarray, "n n"]:
        """Derivative of :meth:`log_likelihood` by the entries of A: 1/2 (alpha alpha^T - C A^{-1}).

        For any number theta that K depends on, d log p / d theta = sum_ij G_ij dK_ij / d theta: G is the cotangent
        that ``jax.vjp`` of a kernel takes. The derivative by lambda is the trace of G.

        Parameters
        ----------
        targets
            Y, shape (N,) or (N, C).

        Returns
        -------
        Float[np.ndarray, "n n"]
            G, symmetric, shape (N, N). Cost N^3 operations, 8 N^2 bytes twice.

        Raises
        ------
        InputError
            The targets have another shape or are not finite.

        Notes
        -----
        The entries count as independent: (i, j) and (j, i) each carry their own half. Lambda counts as fixed;
        a ridge relative to the mean diagonal moves with K. Source: Rasmussen and Williams (2006), eq. 5.9.

        Examples
        --------
        >>> from ntklab.solve import factorise
        >>> factorise([[1.0, 0.0], [0.0, 4.0]]).log_likelihood_gradient([1.0, 2.0])
        array([[0.  , 0.25],
               [0.25, 0.  ]])
        """
        columns = target_array(targets, self.size).reshape(self.size, -1)
        alpha = self.solve(columns)
        gradient = self.inverse()
        gradient *= -0.5 * columns.shape[1]
        gradient += 0.5 * (alpha @ alpha.T)
        return gradient
