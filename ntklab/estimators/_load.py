"""Fitted estimators from their files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ntklab.errors import DataError
from ntklab.estimators._classifiers import NNGPClassifier, NTKClassifier
from ntklab.estimators._evaluate import kernel_matrix
from ntklab.estimators._files import read
from ntklab.estimators._regressors import NNGPRegressor, NTKRegressor
from ntklab.estimators._train import train
from ntklab.predict import Calibration

_KNOWN = {cls.__name__: cls for cls in (NTKRegressor, NTKClassifier, NNGPRegressor, NNGPClassifier)}
_SAMPLE = 4


def load(path: str | os.PathLike[str]) -> Any:
    """Return the fitted estimator that its ``save`` wrote.

    The kernel matrix comes from the file; it is solved anew with the ridge that was chosen, ``N**3 / 6`` multiply-adds
    by Cholesky (a spectrum where a time is given).

    Raises
    ------
    DataError
        The file is missing, damaged or no such model, or this version computes another kernel for its network.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from ntklab.estimators import NTKRegressor, load
    >>> model = NTKRegressor(depth=1).fit(np.eye(3), [1.0, 2.0, 3.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.npz")
    ...     again = load(f"{folder}/model.npz")
    >>> np.allclose(again.predict(np.eye(3)), model.predict(np.eye(3)))
    True
    """
    header, arrays = read(path)
    if header["estimator"] not in _KNOWN:
        raise DataError(f"{path} holds a {header['estimator']}; known are {', '.join(_KNOWN)}.")
    model: Any = _KNOWN[header["estimator"]](**header["parameters"])
    for name, value in (header["fitted"] | arrays).items():
        setattr(model, name, value)
    if header["calibration"] is not None:
        model.calibration_ = Calibration(**header["calibration"])
    _compare(model, path)
    ridge = model.ridge_
    model._settle(
        model.X_fit_, model.K_fit_, model.targets_, *train(model.K_fit_, model.targets_, ridge, model.time, "auto")
    )
    return model


def _compare(model: Any, path: str | os.PathLike[str]) -> None:
    """Compute a few entries anew: a file must not outlive the meaning of its network."""
    few = model.X_fit_[:_SAMPLE]
    kept = model.K_fit_[:_SAMPLE, :_SAMPLE]
    found = kernel_matrix(model._kernel(), few)
    error = np.abs(found - kept).max() / np.abs(kept).max()
    if error > np.sqrt(np.finfo(kept.dtype).eps):
        raise DataError(f"{path}: this version computes another kernel, {error:.1e} off; fit the model again.")
