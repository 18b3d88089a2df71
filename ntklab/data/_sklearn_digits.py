"""The digits that scikit-learn bundles; it is optional: import this file only when they are asked for."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]


def bundled_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all images (1797, 8, 8), grey levels 0..16 as floats, and their labels 0..9."""
    images, labels = load_digits(return_X_y=True)
    return np.asarray(images, np.float64).reshape(-1, 8, 8), np.asarray(labels, np.int64)
