"""The largest learning rate with which gradient descent converges."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.sparse.linalg import eigsh

from ntklab.errors import InputError
from ntklab.solve import Ridge, Spectrum, checked_gram, require_ridge

_NO_RIDGE = Ridge.none()
_DENSE = 100


def max_learning_rate(k_train: ArrayLike | Spectrum, *, momentum: float = 0.0, ridge: Ridge = _NO_RIDGE) -> float:
    """2 (1 + m) / (w_max + lambda): :class:`Descent` converges for learning rates below, and diverges above.

    Parameters
    ----------
    k_train
        K, shape (N, N), float32 or float64, or its :class:`ntklab.solve.Spectrum`.
    momentum
        m, 0 <= m < 1.
    ridge
        Weight decay, as for :func:`fit_flow`.

    Returns
    -------
    float
        The bound for the *summed* loss 1/2 sum_i ||f(x_i) - y_i||^2; for a loss that is averaged, multiply by the
        number n that it is divided by (N, or N C).

    Raises
    ------
    InputError
        K is not a finite symmetric float matrix, is zero, or the momentum is out of its range.

    Notes
    -----
    The largest eigenvalue by Lanczos (ARPACK) to rounding: a few dozen products with K.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import max_learning_rate
    >>> max_learning_rate(np.diag([1.0, 4.0]))
    0.5
    """
    if not 0 <= momentum < 1:
        raise InputError(f"The momentum must be at least 0 and below 1, got {momentum!r}.")
    require_ridge(ridge)
    if isinstance(k_train, Spectrum):
        largest, shift = float(k_train.eigenvalues[-1]), k_train.absolute(ridge)
    else:
        matrix = checked_gram(k_train)
        largest, shift = _largest(matrix), ridge.absolute(matrix)
    if not largest > 0:
        raise InputError(
            "The kernel matrix is zero or negative: no learning rate is too large, nothing is learned. Check it."
        )
    return 2 * (1 + momentum) / (largest + shift)


def _largest(matrix: Float[np.ndarray, "n n"]) -> float:
    n = matrix.shape[0]
    if n <= _DENSE:
        return float(np.linalg.eigvalsh(matrix.astype(np.float64))[-1])
    # A fixed start that no eigenvector is orthogonal to in practice: the same result every time.
    start = np.cos(np.arange(n))
    return float(eigsh(matrix.astype(np.float64, copy=False), k=1, which="LA", v0=start, return_eigenvectors=False)[0])
