"""One function trained by gradient descent, from kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np

from ntklab import predict
from ntklab.compat.neural_tangents._flat import Targets, matrix, on_host, ridge
from ntklab.errors import InputError
from ntklab.predict import KernelRegression
from ntklab.solve import Spectrum, eigendecompose


def gradient_descent_mse(
    k_train_train: Any,
    y_train: Any,
    learning_rate: float = 1.0,
    diag_reg: float = 0.0,
    diag_reg_absolute_scale: bool = False,
    trace_axes: Any = (-1,),
) -> Callable[..., Any]:
    """Return ``predict_fn(t, fx_train_0, fx_test_0, k_test_train)`` for the mean squared error.

    :func:`ntklab.predict.fit_flow`; for ``t=None``, the end, :func:`ntklab.predict.fit`. A ridge holds for training
    points, too: there neural-tangents returns the targets.
    """
    k, regular = matrix(k_train_train), ridge(diag_reg, diag_reg_absolute_scale)
    targets = Targets.of(y_train, trace_axes, k_train_train.dtype)

    @cache
    def spectrum() -> Spectrum:
        return eigendecompose(k)

    @cache
    def factor() -> KernelRegression:
        return predict.fit(k, targets.flat, regular)

    def predict_fn(t: Any = None, fx_train_0: Any = 0.0, fx_test_0: Any = None, k_test_train: Any = None) -> Any:
        """Return functions at training points (``fx_train_0`` is not None), at test points, or both."""
        _check(fx_train_0, fx_test_0, k_test_train)
        initial = targets.flatten(0.0 if fx_train_0 is None else fx_train_0, targets.points)
        lead = () if t is None else np.shape(t)
        times = on_host(np.inf if t is None else t).ravel() * learning_rate / targets.y.size
        if t is None:
            fitted = factor() if not initial.any() else predict.fit(k, targets.flat - initial, regular)
        else:
            fitted = predict.fit_flow(spectrum(), targets.flat, initial, ridge=regular)

        def at(cross: Any, start: Any) -> Any:
            if isinstance(fitted, KernelRegression):
                return start + fitted.predict(cross)
            return fitted.test(cross, times, start)

        train = test = None
        if fx_train_0 is not None:
            train = targets.unflatten(at(k, initial), targets.points, lead)
        if fx_test_0 is not None:
            points = np.shape(k_test_train)[::2]
            test = at(matrix(k_test_train), targets.flatten(fx_test_0, points))
            test = targets.unflatten(test, points, lead)
        return (train, test) if train is not None and test is not None else train if test is None else test

    return predict_fn


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ODEState:
    """Functions at training and test points; velocities ``qx_...`` are None here."""

    fx_train: Any = None
    fx_test: Any = None
    qx_train: Any = None
    qx_test: Any = None


def gradient_descent(
    loss: Callable[[Any, Any], Any],
    k_train_train: Any,
    y_train: Any,
    learning_rate: float = 1.0,
    momentum: float | None = None,
    trace_axes: Any = (-1,),
) -> Callable[..., Any]:
    """Return ``predict_fn(t, fx_train_or_state_0, fx_test_0, k_test_train)`` for any loss.

    :func:`ntklab.predict.loss_flow`.
    """
    k = matrix(k_train_train)
    targets = Targets.of(y_train, trace_axes, k_train_train.dtype)
    wide = Targets(targets.y, targets.trace, None)
    speed = learning_rate if momentum is None else learning_rate**0.5
    friction = None if momentum is None else (1.0 - momentum) / speed

    def flat_loss(outputs: Any, wanted: Any) -> Any:
        return loss(wide.unflatten(outputs, targets.points), wide.unflatten(wanted, targets.points))

    def predict_fn(
        t: Any = None, fx_train_or_state_0: Any = 0.0, fx_test_0: Any = None, k_test_train: Any = None
    ) -> Any:
        """Return functions at training points, at test points, or both; of an ODEState, another one."""
        state = fx_train_or_state_0
        fx_train_0 = state
        if isinstance(state, ODEState):
            if momentum is not None:
                raise InputError(
                    "An ODEState with momentum holds velocities, which are not kept here: ask for all times at once."
                )
            if fx_test_0 is not None:
                raise InputError("fx_test_0 is part of the ODEState: leave it out.")
            fx_train_0, fx_test_0 = state.fx_train, state.fx_test
        _check(fx_train_0, fx_test_0, k_test_train)
        if t is None:
            raise InputError("gradient_descent needs a time t: losses other than the squared one have no known end.")
        lead = np.shape(t)
        initial = targets.flatten(0.0 if fx_train_0 is None else fx_train_0, targets.points)
        flow = predict.loss_flow(
            k, targets.flat, on_host(t).ravel() * speed, flat_loss, initial, friction=friction, rtol=1e-10, atol=1e-10
        )
        train = targets.unflatten(flow.train, targets.points, lead)
        test = None
        if fx_test_0 is not None:
            points = np.shape(k_test_train)[::2]
            test = flow.test(matrix(k_test_train), targets.flatten(fx_test_0, points))
            test = targets.unflatten(test, points, lead)
        if isinstance(state, ODEState):
            return ODEState(train, test)
        return train if test is None else test if fx_train_0 is None else (train, test)

    return predict_fn


def max_learning_rate(
    ntk_train_train: Any, y_train_size: int | None = None, momentum: float = 0.0, eps: float = 1e-12
) -> float:
    """Return the largest learning rate on the mean loss: :func:`ntklab.predict.max_learning_rate` times its divisor.

    ``eps`` has no use: a kernel matrix of zeros is refused.
    """
    k = matrix(ntk_train_train)
    return predict.max_learning_rate(k, momentum=momentum) * (len(k) if y_train_size is None else y_train_size)


def _check(fx_train_0: Any, fx_test_0: Any, k_test_train: Any) -> None:
    if fx_train_0 is None and fx_test_0 is None:
        raise InputError("fx_train_0 and fx_test_0 are None, so that there is nothing to predict: give one of them.")
    if fx_test_0 is not None and k_test_train is None:
        raise InputError("Predictions at test points need k_test_train.")
