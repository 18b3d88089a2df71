"""K + lambda I in the eigenbasis of K: any ridge at the cost of a product, after one decomposition."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from ntklab.solve._gram import row_blocks
from ntklab.solve._ridge import Ridge
from ntklab.solve._system import System


@dataclass(frozen=True, eq=False)
class RidgedSpectrum(System):
    """K + lambda I = V diag(w + lambda) V^T; made by :meth:`Spectrum.with_ridge`, at no cost.

    Attributes
    ----------
    ridge, ridge_absolute, logdet
        As for :class:`System`.

    Examples
    --------
    >>> from ntklab.solve import Ridge, eigendecompose
    >>> system = eigendecompose([[2.0, 1.0], [1.0, 2.0]]).with_ridge(Ridge(0.5))
    >>> system.solve([1.0, 5.0])
    array([-0.25,  1.75])
    >>> system.condition_estimate
    2.0
    """

    ridge: Ridge
    ridge_absolute: float
    logdet: float
    _eigenvectors: np.ndarray = field(repr=False)
    _shifted: np.ndarray = field(repr=False)
    _dtype: np.dtype = field(repr=False)

    @property
    def size(self) -> int:
        """N, the number of training points."""
        return self._shifted.shape[0]

    def _condition(self) -> float:
        return float(self._shifted.max() / self._shifted.min())

    def _solve(self, right: np.ndarray) -> np.ndarray:
        return self.from_modes(self._eigenvectors.T @ right)

    def from_modes(self, modes: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """The solution from V^T B, where that is at hand already: half the work of :meth:`solve`."""
        return self._eigenvectors @ (modes / self._shifted[:, None])

    def _halves(self, columns: Float[np.ndarray, "n m"]) -> tuple[np.ndarray, np.ndarray]:
        half = (self._eigenvectors.T @ columns) / np.sqrt(self._shifted)[:, None]
        return half, half

    def inverse(self) -> Float[np.ndarray, "n n"]:
        """(K + lambda I)^{-1}, shape (N, N); see :meth:`System.inverse`."""
        half = self._eigenvectors / np.sqrt(self._shifted)
        return half @ half.T

    def inverse_diagonal(self) -> Float[np.ndarray, " n"]:
        """The diagonal of (K + lambda I)^{-1}, at the cost of reading V once."""
        return inverse_diagonals(self._eigenvectors, self._shifted[:, None])[:, 0]


def inverse_diagonals(
    eigenvectors: Float[np.ndarray, "n n"], shifted: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, "n r"]:
    """d_ir = sum_j V_ij^2 / shifted_jr, in blocks of rows: V squared is never held whole."""
    n = eigenvectors.shape[0]
    result = np.empty(shifted.shape)
    inverse = 1 / shifted
    for rows in row_blocks(n, n):
        result[rows] = np.square(eigenvectors[rows]) @ inverse
    return result
