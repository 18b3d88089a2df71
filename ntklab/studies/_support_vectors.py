"""scikit-learn's support vector classifier, which is optional: this file is imported only when asked."""

import numpy as np
from sklearn.svm import SVC  # pyright: ignore[reportMissingImports]

CACHE = 2000
"""Megabytes for columns of the kernel matrix."""


def fit_and_score(
    k_train: np.ndarray, y_train: np.ndarray, k_test: np.ndarray, y_test: np.ndarray, cost: float
) -> tuple[float, float]:
    """Return the accuracy on the test points, and the largest dual coefficient."""
    model = SVC(kernel="precomputed", C=cost, cache_size=CACHE).fit(k_train, y_train)
    return float(np.mean(model.predict(k_test) == y_test)), float(np.abs(model.dual_coef_).max())
