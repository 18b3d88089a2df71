"""Means and covariances over infinitely wide networks, from kernels and from kernel functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ntklab import predict
from ntklab.compat.neural_tangents._flat import Targets, matrix, on_host, ridge, zipped
from ntklab.compat.neural_tangents._fn import as_asked, canonical_get
from ntklab.errors import InputError
from ntklab.kernel import GET
from ntklab.predict import Ensemble, KernelRegression


class Gaussian(NamedTuple):
    """A mean and a covariance."""

    mean: Any
    covariance: Any


def gp_inference(
    k_train_train: Any,
    y_train: Any,
    diag_reg: float = 0.0,
    diag_reg_absolute_scale: bool = False,
    trace_axes: Any = (-1,),
) -> Callable[..., Any]:
    """Return ``predict_fn(get, k_test_train, k_test_test)``: :func:`ntklab.predict.fit` and ``fit_ensemble``.

    A ridge holds for training points, too: there neural-tangents returns the targets, without variance.
    """
    problem = _Problem(k_train_train, y_train, diag_reg, diag_reg_absolute_scale, trace_axes)

    def predict_fn(get: Any = None, k_test_train: Any = None, k_test_test: Any = None) -> Any:
        """Return means, or with ``k_test_test`` Gaussians, by name."""
        names = canonical_get(get or GET, (*GET, "ntkgp"))
        return as_asked(get or names, {g: problem.posterior(g, k_test_train, k_test_test) for g in names}, "Gaussians")

    return predict_fn


def gradient_descent_mse_ensemble(
    kernel_fn: Callable[..., Any],
    x_train: Any,
    y_train: Any,
    learning_rate: float = 1.0,
    diag_reg: float = 0.0,
    diag_reg_absolute_scale: bool = False,
    trace_axes: Any = (-1,),
    **kernel_fn_train_train_kwargs: Any,
) -> Callable[..., Any]:
    """Return ``predict_fn(t, x_test, get, compute_cov)``: :func:`ntklab.predict.fit_ensemble` on a kernel function."""
    given = kernel_fn_train_train_kwargs

    @cache
    def problem(names: tuple[str, ...]) -> _Problem:
        k = kernel_fn(x_train, None, names, **given)
        return _Problem(k, y_train, diag_reg, diag_reg_absolute_scale, trace_axes)

    def predict_fn(
        t: Any = None, x_test: Any = None, get: Any = None, compute_cov: bool = False, **kernel_fn_test_test_kwargs: Any
    ) -> Any:
        """Return means, or with ``compute_cov`` Gaussians, by name."""
        names = canonical_get(get or GET, GET)
        needed = tuple(g for g in GET if g in names or (g == "nngp" and compute_cov))
        known = problem(needed)
        cross = test = None
        if x_test is not None:
            own = {**given, **kernel_fn_test_test_kwargs}
            between = dict(own)
            if own.get("pattern") is not None and given.get("pattern") is not None:  # one graph of each side
                between["pattern"] = (own["pattern"][0], given["pattern"][0])
            cross = kernel_fn(x_test, x_train, needed, **between)
            test = kernel_fn(x_test, None, "nngp", **own) if compute_cov else None
        elif compute_cov:
            test = known.kernel("nngp")
        times = None if t is None else on_host(t) * learning_rate / known.targets.y.size
        found = {g: known.posterior(g, cross, test, times) for g in names}
        return as_asked(get or names, found, "Gaussians")

    return predict_fn


class _Problem:
    """Training kernels and targets, with what was factorised of them."""

    def __init__(self, kernels: Any, y: Any, diag_reg: float, absolute: bool, trace_axes: Any) -> None:
        self._kernels, self._ridge = kernels, ridge(diag_reg, absolute)
        first = kernels if hasattr(kernels, "dtype") else next(k for g in GET if (k := _of(kernels, g)) is not None)
        self.targets = Targets.of(y, trace_axes, first.dtype)
        self._regressions: dict[str, KernelRegression] = {}
        self._ensembles: dict[tuple[str, bool], Ensemble] = {}

    def kernel(self, name: str) -> Any:
        return _of(self._kernels, name)

    def posterior(self, get: str, cross: Any, test: Any, times: Any = None) -> Any:
        """Return a mean, and where ``test`` is given a covariance; times as ours, None for the end."""
        kernel = "ntk" if get == "ntkgp" else get
        initial = "nngp" if get == "ntk" else kernel
        cross = self._kernels if cross is None else cross
        between = self._need(cross, kernel, "k_test_train")
        k_cross, points = matrix(between), np.shape(between)[::2]
        lead = () if times is None else np.shape(times)
        moments = np.inf if times is None else times.ravel()
        if times is None:
            mean = self._regression(kernel).predict(k_cross)
        else:
            mean = self._ensemble(kernel, test is not None and get == "ntk").mean(k_cross, moments)
        mean = self.targets.unflatten(mean, points, lead)
        if test is None:
            return mean
        k_test = matrix(self._need(test, initial, "k_test_test"))
        if get == "ntk":
            start = matrix(self._need(cross, "nngp", "k_test_train"))
            covariance = self._ensemble(kernel, True).covariance(k_cross, k_test, moments, nngp_test_train=start)
        elif times is None:
            covariance = self._regression(kernel).covariance(k_cross, k_test)
        else:
            covariance = self._ensemble(kernel, False).covariance(k_cross, k_test, moments)
        return Gaussian(mean, jnp.asarray(zipped(covariance, points, lead), self.targets.dtype))

    def _regression(self, kernel: str) -> KernelRegression:
        if kernel not in self._regressions:
            k = matrix(self._need(self._kernels, kernel, "k_train_train"))
            self._regressions[kernel] = predict.fit(k, self.targets.flat, self._ridge)
        return self._regressions[kernel]

    def _ensemble(self, kernel: str, initial: bool) -> Ensemble:
        key = kernel, initial
        if key not in self._ensembles:
            k = matrix(self._need(self._kernels, kernel, "k_train_train"))
            nngp = matrix(self._need(self._kernels, "nngp", "k_train_train")) if initial else None
            self._ensembles[key] = predict.fit_ensemble(k, self.targets.flat, nngp, ridge=self._ridge)
        return self._ensembles[key]

    @staticmethod
    def _need(kernels: Any, name: str, argument: str) -> Any:
        found = _of(kernels, name)
        if found is None:
            raise InputError(
                f'{argument} has no {name} kernel, which this prediction needs: kernel_fn(..., get=("nngp", "ntk")).'
            )
        return found


def _of(kernels: Any, name: str) -> Any:
    return kernels if hasattr(kernels, "dtype") else getattr(kernels, name, None)
