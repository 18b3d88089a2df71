"""Predictions against ``neural_tangents.predict``, an independent implementation in JAX.

Its loss is the mean over points *and* outputs, 1 / (2 N C) sum of squares, and its time is the number of
steps at the learning rate: t here = learning_rate * t there / (N C).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.predict import fit, gradient_flow
from ntklab.solve import Ridge
from tests.oracles.neural_tangents_oracle import load
from tests.predict.problems import gaussian_problem

pytestmark = pytest.mark.oracle

LEARNING_RATE = 0.3


def oracle(problem, time, with_initial=True, **options):
    _, predict = load()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        function = predict.gradient_descent_mse(jnp.asarray(problem.k_train), jnp.asarray(problem.targets), **options)
        f0_train = jnp.asarray(problem.f0_train) if with_initial else 0.0
        f0_test = jnp.asarray(problem.f0_test) if with_initial else 0.0
        train, test = function(time, f0_train, f0_test, jnp.asarray(problem.k_test_train))
    return np.asarray(train), np.asarray(test)


@pytest.mark.parametrize("outputs", [(1,), (3,)])
def test_gradient_flow_agrees_at_finite_times(outputs):
    problem = gaussian_problem(outputs=outputs)
    steps = np.array([0.0, 1.0, 30.0, 1000.0])
    expected_train, expected_test = oracle(problem, jnp.asarray(steps), learning_rate=LEARNING_RATE)
    times = LEARNING_RATE * steps / problem.targets.size
    train, test = gradient_flow(
        problem.k_train, problem.k_test_train, problem.targets, times, problem.f0_train, problem.f0_test
    )
    np.testing.assert_allclose(train, expected_train, atol=1e-11)
    np.testing.assert_allclose(test, expected_test, atol=1e-11)


def test_gradient_flow_agrees_at_infinite_time():
    problem = gaussian_problem()
    expected_train, expected_test = oracle(problem, None)
    train, test = gradient_flow(
        problem.k_train, problem.k_test_train, problem.targets, np.inf, problem.f0_train, problem.f0_test
    )
    np.testing.assert_allclose(train, expected_train, atol=1e-11)
    np.testing.assert_allclose(test, expected_test, atol=1e-10)


@pytest.mark.parametrize(
    ("ridge", "options"),
    [
        (Ridge.none(), {}),
        (Ridge(0.02), {"diag_reg": 0.02}),
        (Ridge(0.02, "nothing"), {"diag_reg": 0.02, "diag_reg_absolute_scale": True}),
    ],
    ids=str,
)
def test_kernel_regression_agrees_for_both_scales_of_the_ridge(ridge, options):
    problem = gaussian_problem()
    _, expected = oracle(problem, None, with_initial=False, **options)
    predictions = fit(problem.k_train, problem.targets, ridge).predict(problem.k_test_train)
    np.testing.assert_allclose(predictions, expected, atol=1e-10)
