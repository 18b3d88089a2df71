"""Classification: NTKClassifier and NNGPClassifier."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ntklab.errors import InputError
from ntklab.estimators._base import KernelEstimator
from ntklab.estimators._sklearn import ClassifierMixin, check_classification_targets, column_or_1d
from ntklab.estimators._train import unseen
from ntklab.predict import Calibration, calibrate, encode
from ntklab.solve import Ridge
from ntklab.spec import Layer


class KernelClassifier(ClassifierMixin, KernelEstimator, ABC):
    """Abstract base of the two classifiers."""

    def __init__(
        self,
        network: str | Layer = "fc",
        *,
        depth: int = 3,
        ridge: Ridge | str | None = "loo",
        time: float | None = None,
        coding: str = "centred-one-hot",
        image_shape: Sequence[int] | None = None,
        engine: str = "auto",
        solver: str = "auto",
        dtype: str = "float64",
        progress: bool = False,
    ) -> None:
        self.network = network
        self.depth = depth
        self.ridge = ridge
        self.time = time
        self.coding = coding
        self.image_shape = image_shape
        self.engine = engine
        self.solver = solver
        self.dtype = dtype
        self.progress = progress

    def fit(self, X: Any, y: Any) -> KernelClassifier:
        """Compute the kernel of the training points and train on their labels, coded as targets.

        Parameters
        ----------
        X : array of shape (N, d), or (N, *image_shape)
        y : array of shape (N,)
            Labels of at least two classes: integers, strings, anything that sorts.

        Raises
        ------
        InputError
            X, y or a parameter is unfit; a ``ValueError``.
        SolveError
            Without a ridge, the kernel matrix is singular.
        """
        X, y = self._inputs(X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y needs at least two classes, but has one class alone: {self.classes_[0]!r}.")
        targets = encode(labels, self.coding, len(self.classes_))  # pyright: ignore[reportArgumentType]
        self._train(X, targets)
        self.calibration_ = _calibrate(unseen(self.model_, self.K_fit_, targets, self.time), labels)
        return self

    def decision_function(self, X: Any) -> Float[np.ndarray, "..."]:
        """Return scores, shape (M, C); for two classes that of the second less that of the first, (M,)."""
        scores, _ = self._mean(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the label with the largest score, shape (M,)."""
        scores, _ = self._mean(X)
        return self.classes_[np.argmax(scores, axis=1)]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "m c"]:
        """Return class probabilities, shape (M, C): softmax of the scores at the temperature of ``calibration_``."""
        scores, _ = self._mean(X)
        return self.calibration_.probabilities(scores)


def _calibrate(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    if np.ptp(scores, axis=1).max() == 0:  # inputs all alike: the scores tell no class from another
        return Calibration(beta=0.0, log_loss=float(np.log(scores.shape[1])), calibration_error=float("nan"))
    return calibrate(scores, labels)


class NTKClassifier(KernelClassifier):
    r"""An infinitely wide network trained by gradient flow on coded labels: classification with its NTK.

    .. math:: f_t(x) = k(x, X) \, [1 - e^{-(K + \lambda I) t}] (K + \lambda I)^{-1} Y, \quad
        p_c(x) = \operatorname{softmax}_c(\beta f_t(x))

    Parameters
    ----------
    network, depth, ridge, time, image_shape, engine, solver, dtype, progress
        As for :class:`NTKRegressor`.
    coding : {"centred-one-hot", "arora", "one-hot"}
        The targets Y of the classes; see :func:`ntklab.predict.encode`.

    Attributes
    ----------
    classes_ : array
        Labels, sorted.
    calibration_ : Calibration
        The temperature, chosen on predictions for training points that their fit did not see: leave-one-out,
        and with a finite time in five folds.
    network_, ridge_, X_fit_, K_fit_, targets_, model_, image_shape_, n_features_in_, feature_names_in_
        As for :class:`NTKRegressor`.

    Notes
    -----
    Cost as for :class:`NTKRegressor`; the calibration adds ``N**3`` operations to a Cholesky factor, and five smaller
    decompositions at a finite time. Source: Arora et al. (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.estimators import NTKClassifier
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(30, 2))
    >>> y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    >>> model = NTKClassifier(depth=2).fit(x, y)
    >>> model.predict([[1.0, 1.0], [1.0, -1.0]])
    array(['same', 'other'], dtype='<U5')
    >>> model.predict_proba([[1.0, 1.0]]).shape
    (1, 2)
    """

    _word = "ntk"


class NNGPClassifier(KernelClassifier):
    """Classification with the NNGP kernel: only the last layer is trained.

    Parameters, attributes and methods are those of :class:`NTKClassifier`, with the NNGP kernel in place of the NTK.

    Examples
    --------
    >>> from ntklab.estimators import NNGPClassifier
    >>> model = NNGPClassifier(depth=2).fit([[0.0, 1.0], [1.0, 0.0], [0.1, 1.0], [1.0, 0.1]], [0, 1, 0, 1])
    >>> model.predict([[0.0, 2.0]])
    array([0])
    """

    _word = "nngp"
