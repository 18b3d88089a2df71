"""What the four estimators share: parameters, checks of inputs, kernels and files."""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from ntklab.engine import KernelFn
from ntklab.errors import InputError
from ntklab.estimators import _files
from ntklab.estimators._evaluate import Word, kernel_diagonal, kernel_function, kernel_matrix, named_network
from ntklab.estimators._sklearn import BaseEstimator, check_is_fitted, validate_data
from ntklab.estimators._train import mean, train, variance
from ntklab.solve import Ridge
from ntklab.spec import Layer


class KernelEstimator(ABC, BaseEstimator):
    """Abstract base: ``f_t(x)``, trained on squared loss with the kernel of an infinitely wide network."""

    _word: ClassVar[Word]

    network: str | Layer
    depth: int
    ridge: Ridge | str | None
    time: float | None
    image_shape: Sequence[int] | None
    engine: str
    solver: str
    dtype: str
    progress: bool
    n_features_in_: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model as one ``.npz`` file, arrays and JSON without pickle; :func:`load` reads it.

        The training inputs and their kernel matrix are part of the model: ``N**2`` numbers. The file is written whole
        or not at all.

        Raises
        ------
        NotFittedError
            There is nothing to save yet.
        SpecError
            The network holds a function of yours, which has no JSON.
        """
        check_is_fitted(self)
        _files.write(self, path)

    def _inputs(self, X: Any, *y: Any, **options: Any) -> Any:
        """Check X, and y with it when fitting; images of any rank become rows of features."""
        shape, fitting = None, bool(y)
        if getattr(X, "ndim", 2) > 2:
            shape = tuple(X.shape[1:])
            expected = self.image_shape if fitting else self.image_shape_
            if expected is not None and tuple(expected) != shape:
                raise InputError(f"X has images of shape {shape}, expected {tuple(expected)}.")
            X = np.asarray(X).reshape(len(X), -1)
        if not fitting:
            return validate_data(self, X, reset=False)
        X, targets = validate_data(self, X, *y, **options)
        self.image_shape_ = shape if self.image_shape is None else tuple(self.image_shape)
        return np.array(X), targets  # a copy: the model must not change with the user's array

    def _train(self, X: np.ndarray, targets: np.ndarray) -> None:
        self.network_ = named_network(self.network, self.depth)
        kfn = self._kernel()
        k_train = kernel_matrix(kfn, X, progress=self.progress)
        self._settle(X, k_train, targets, *train(k_train, targets, self.ridge, self.time, self.solver))

    def _settle(self, X: np.ndarray, k_train: np.ndarray, targets: np.ndarray, model: Any, ridge: Ridge) -> None:
        self.X_fit_, self.K_fit_, self.targets_, self.model_, self.ridge_ = X, k_train, targets, model, ridge

    def _kernel(self) -> KernelFn:
        """Compile: a thousandth of a second, so that nothing that holds compiled code is kept in the model."""
        return kernel_function(
            self.network_, self.n_features_in_, self.image_shape_, self._word, self.engine, self.dtype
        )

    def _mean(self, X: Any, return_std: bool = False) -> tuple[Float[np.ndarray, "m *c"], Any]:
        """Return predictions of the targets, and their standard deviation if asked for, else None."""
        check_is_fitted(self)
        X = self._inputs(X)
        kfn = self._kernel()
        k_test = kernel_matrix(kfn, X, self.X_fit_, progress=self.progress)
        found = mean(self.model_, k_test, self.time)
        if not return_std:
            return found, None
        return found, np.sqrt(variance(self.model_, k_test, kernel_diagonal(kfn, X), self.time))
