"""Checks of times, and of limits that infinite times ask for."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError
from ntklab.predict._inputs import product
from ntklab.solve import Spectrum


def time_array(times: ArrayLike) -> Float[np.ndarray, "*t"]:
    """Times as a float64 scalar or vector, each at least 0."""
    array = np.asarray(times)
    if array.dtype.kind not in "fiu" or array.ndim > 1:
        raise InputError(
            f"Times must be one number or a vector of them, got dtype {array.dtype} of shape {array.shape}."
        )
    array = array.astype(np.float64)
    if array.size == 0:
        raise InputError("There is no time to predict at: times is empty. Give at least one.")
    if np.isnan(array).any() or (array < 0).any():
        raise InputError(f"Times must be at least 0 (inf is allowed), got {array.min()}.")
    return array


def require_limit(spectrum: Spectrum, modes: Float[np.ndarray, "n *c"], kernel: Float[np.ndarray, "m n"]) -> None:
    """Fail if f_t(x) grows for ever: the residual along zero eigenvalues must not reach test points."""
    null = spectrum.eigenvalues == 0
    n = spectrum.size
    columns = modes.reshape(n, -1)
    stuck = columns[null]
    size = np.linalg.norm(stuck, axis=0)
    # Rounding leaves a part of this size along every eigenvector, wanted or not.
    rounding = n * np.finfo(np.float64).eps * np.linalg.norm(columns, axis=0)
    if not (size > rounding).any():
        return
    slope = np.abs(product(kernel, spectrum.eigenvectors[:, null] @ stuck))
    # k(x, x) is not known here; no entry of a kernel exceeds the largest k(x, x) of both sides.
    largest = max(float(np.abs(kernel).max(initial=0.0)), float(spectrum.eigenvalues.sum()) / n)
    allowed = np.sqrt(spectrum.zero_below * largest) * np.maximum(size, rounding)
    excess = slope - allowed
    if (excess > 0).any():
        point, output = (int(index) for index in np.unravel_index(int(np.argmax(excess)), excess.shape))
        raise SolveError(
            f"Gradient flow has no limit at test point {point}, output {output}: K has "
            f"{int(null.sum())} zero eigenvalues, and along them the prediction grows as "
            f"{slope[point, output]:.3g} * t for ever (rounding explains {allowed[output]:.2g}). Train and "
            "test entries of one kernel cannot do this: check k_test_train and the order of its columns, or "
            "ask for finite times."
        )
