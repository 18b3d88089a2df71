"""Predictions against ``neural_tangents.predict``, an independent implementation in JAX.

Its loss is the mean over points *and* outputs, 1 / (2 N C) sum of squares, and its time is the number of
steps at the learning rate: t here = learning_rate * t there / (N C).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.predict import MomentumFlow, fit, fit_ensemble, fit_flow, gradient_flow
from ntklab.solve import Ridge
from tests.oracles.neural_tangents_oracle import load
from tests.predict.problems import gaussian_problem, joint_problem

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


@pytest.mark.parametrize("ridge", [0.0, 0.02])
def test_gradient_flow_with_a_ridge_agrees_at_test_points(ridge):
    # At training points neural-tangents leaves the ridge out of the kernel that is multiplied.
    problem = gaussian_problem()
    steps = np.array([0.0, 1.0, 30.0, 1000.0])
    _, expected = oracle(problem, jnp.asarray(steps), learning_rate=LEARNING_RATE, diag_reg=ridge)
    times = LEARNING_RATE * steps / problem.targets.size
    flow = fit_flow(problem.k_train, problem.targets, problem.f0_train, ridge=Ridge(ridge))
    np.testing.assert_allclose(flow.test(problem.k_test_train, times, problem.f0_test), expected, atol=1e-11)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_gradient_flow_with_momentum_agrees(momentum):
    _, predict = load()
    problem, eta = gaussian_problem(), 0.2
    size = problem.targets.size
    steps = np.array([0.5, 3.0, 20.0])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        targets = jnp.asarray(problem.targets)
        function = predict.gradient_descent(
            lambda f, y: 0.5 * jnp.mean((f - y) ** 2), jnp.asarray(problem.k_train), targets, eta, momentum
        )
        expected = function(
            jnp.asarray(steps),
            jnp.asarray(problem.f0_train),
            jnp.asarray(problem.f0_test),
            jnp.asarray(problem.k_test_train),
        )
    # Its time is sqrt(eta) * steps on the mean loss; dividing the loss by n slows time by sqrt(n).
    root = size**0.5
    dynamics = MomentumFlow((1 - momentum) / eta**0.5 * root)
    got = gradient_flow(
        problem.k_train,
        problem.k_test_train,
        problem.targets,
        steps * eta**0.5 / root,
        problem.f0_train,
        problem.f0_test,
        dynamics=dynamics,
    )
    # Its ODE solver works to 1.4e-8.
    np.testing.assert_allclose(got.train, expected[0], atol=1e-6)
    np.testing.assert_allclose(got.test, expected[1], atol=1e-6)


class Kernels(NamedTuple):
    """What a kernel function of neural-tangents returns for several kernels."""

    nngp: jax.Array | None = None
    ntk: jax.Array | None = None


def ensembles(get, diag_reg, times):
    """Its mean and covariance at 5 test points, the kernels as fixed tables behind a kernel function, and ours."""
    _, predict = load()
    ntk, problem = joint_problem()
    nngp, _ = joint_problem(width=0.1, scale=0.7)
    train, test = slice(0, 12), slice(12, None)

    def kernel_fn(x1, x2, get, **_):
        rows, columns = np.asarray(x1)[:, 0].astype(int), np.asarray(x1 if x2 is None else x2)[:, 0].astype(int)
        found = {name: jnp.asarray(table[np.ix_(rows, columns)]) for name, table in (("nngp", nngp), ("ntk", ntk))}
        return found[get] if isinstance(get, str) else Kernels(**{name: found[name] for name in get})

    index = jnp.arange(17.0)[:, None]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        function = predict.gradient_descent_mse_ensemble(
            kernel_fn, index[train], jnp.asarray(problem.targets), learning_rate=LEARNING_RATE, diag_reg=diag_reg
        )
        expected = function(None if times is None else jnp.asarray(times), index[test], get, compute_cov=True)
    ridge = Ridge(diag_reg)
    ours = np.inf if times is None else LEARNING_RATE * np.asarray(times) / problem.targets.size
    if get == "nngp":
        ensemble = fit_ensemble(nngp[train, train], problem.targets, ridge=ridge)
        found = (ensemble.mean(nngp[test, train], ours), ensemble.covariance(nngp[test, train], nngp[test, test], ours))
    else:
        ensemble = fit_ensemble(ntk[train, train], problem.targets, nngp[train, train], ridge=ridge)
        given = {"nngp_test_train": nngp[test, train]}
        covariance = ensemble.covariance(ntk[test, train], nngp[test, test], ours, **given)
        found = (ensemble.mean(ntk[test, train], ours), covariance)
    return expected, found


@pytest.mark.parametrize("get", ["nngp", "ntk"])
@pytest.mark.parametrize("diag_reg", [0.0, 0.02])
@pytest.mark.parametrize("times", [[0.0, 2.0, 500.0], None], ids=["finite", "infinite"])
def test_ensembles_agree_in_mean_and_covariance_through_time(get, diag_reg, times):
    expected, (mean, covariance) = ensembles(get, diag_reg, times)
    np.testing.assert_allclose(mean, expected.mean, atol=1e-10)
    np.testing.assert_allclose(covariance, expected.covariance, atol=1e-10)


def test_the_ntk_gp_posterior_agrees():
    _, predict = load()
    ntk, problem = joint_problem()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        parts = [Kernels(ntk=jnp.asarray(part)) for part in (ntk[:12, :12], ntk[12:, :12], ntk[12:, 12:])]
        expected = predict.gp_inference(parts[0], jnp.asarray(problem.targets), diag_reg=0.02)("ntkgp", *parts[1:])
    regression = fit(ntk[:12, :12], problem.targets, Ridge(0.02))
    np.testing.assert_allclose(regression.predict(ntk[12:, :12]), expected.mean, atol=1e-11)
    np.testing.assert_allclose(regression.covariance(ntk[12:, :12], ntk[12:, 12:]), expected.covariance, atol=1e-11)
