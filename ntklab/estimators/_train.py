"""From a kernel matrix to what predicts: the one place where solver, ridge and time meet."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ntklab.errors import InputError
from ntklab.predict import Ensemble, KernelRegression, choose_ridge, fit, fit_ensemble
from ntklab.solve import Ridge, eigendecompose

Solver = Literal["auto", "cholesky", "spectrum"]
CRITERIA = ("loo", "gcv", "likelihood")
_FOLDS = 5


def train(
    k_train: np.ndarray, targets: np.ndarray, ridge: Ridge | str | None, time: float | None, solver: str
) -> tuple[KernelRegression | Ensemble, Ridge]:
    """Return the trained model and its ridge: a KernelRegression at the end of training, an Ensemble at a time."""
    ended = time is None or time == math.inf
    if solver not in ("auto", "cholesky", "spectrum"):
        raise InputError(f'solver is "auto", "cholesky" or "spectrum", got {solver!r}.')
    if isinstance(ridge, str) and ridge not in CRITERIA:
        raise InputError(f"ridge is a Ridge, None, or one of {', '.join(CRITERIA)}; got {ridge!r}.")
    if isinstance(ridge, str) and not ended:
        raise InputError(
            f"ridge={ridge!r} is chosen for the end of training: with time={time!r}, give a ridge or None."
        )
    if solver == "cholesky" and (isinstance(ridge, str) or not ended):
        raise InputError('solver="cholesky" has one ridge and no time; solver="spectrum" has both, or use "auto".')
    if isinstance(ridge, str):
        choice = choose_ridge(k_train, targets, ridge)  # pyright: ignore[reportArgumentType]
        return choice.regression, choice.ridge
    ridge = Ridge.none() if ridge is None else ridge
    if not ended:
        return fit_ensemble(k_train, targets, ridge=ridge), ridge
    return fit(eigendecompose(k_train) if solver == "spectrum" else k_train, targets, ridge), ridge


def mean(model: KernelRegression | Ensemble, k_test_train: np.ndarray, time: float | None) -> np.ndarray:
    """Return predictions at test points."""
    if isinstance(model, KernelRegression):
        return model.predict(k_test_train)
    return model.mean(k_test_train, times=_moment(time))


def variance(model: Any, k_test_train: np.ndarray, diagonal: np.ndarray, time: float | None) -> np.ndarray:
    """Return the variance at test points, if functions before training are draws of a Gaussian process."""
    if isinstance(model, KernelRegression):
        return model.variance(k_test_train, diagonal)
    return model.variance(k_test_train, diagonal, times=_moment(time))


def unseen(model: KernelRegression | Ensemble, k_train: np.ndarray, targets: np.ndarray, time: float | None) -> Any:
    """Return what each training point is predicted by a fit that did not see it.

    Leave-one-out costs no refit at the end of training. At a finite time there is no such formula, and five parts are
    predicted from the other four, at the same absolute ridge.
    """
    if isinstance(model, KernelRegression):
        return model.factor.leave_one_out(targets)
    ridge = Ridge(model.flow.ridge_absolute, relative_to="nothing")
    part = np.random.default_rng(0).permutation(len(targets)) % _FOLDS
    scores = np.empty_like(targets)
    for number in np.unique(part):
        out, kept = part == number, part != number
        fold = fit_ensemble(k_train[np.ix_(kept, kept)], targets[kept], ridge=ridge)
        scores[out] = mean(fold, k_train[np.ix_(out, kept)], time)
    return scores


def _moment(time: float | None) -> float:
    return math.inf if time is None else time
