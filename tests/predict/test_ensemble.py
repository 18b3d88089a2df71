"""Ensembles against the linear map that training is, applied to the joint Gaussian of all initial outputs."""

import numpy as np
import pytest
from scipy.linalg import expm

from ntklab.errors import InputError, SolveError
from ntklab.predict import Descent, Flow, MomentumFlow, fit, fit_ensemble, fit_flow
from ntklab.solve import Ridge, eigendecompose
from tests.predict.problems import joint_problem

N, M = 12, 5
TIMES = np.array([0.0, 0.3, 4.0, np.inf])


def two_kernels():
    """A training kernel and the covariance of initial functions, of the same points; the second another one."""
    ntk, problem = joint_problem(n=N, m=M)
    nngp, _ = joint_problem(n=N, m=M, width=0.1, scale=0.7)
    return ntk, nngp, problem.targets


def trained(kernel, t, shift=0.0):
    """A_t = k(x, X) (1 - e^{-(K + shift) t}) (K + shift)^{-1} by a matrix exponential, for all points."""
    a = kernel[:N, :N] + shift * np.eye(N)
    decay = np.zeros((N, N)) if np.isinf(t) else expm(-a * t)
    return kernel[:, :N] @ np.linalg.solve(a, np.eye(N) - decay)


@pytest.mark.parametrize("ridge", [Ridge.none(), Ridge(0.1)], ids=str)
def test_mean_and_covariance_are_those_of_a_linear_map_of_the_initial_gaussian(ridge):
    ntk, nngp, targets = two_kernels()
    ensemble = fit_ensemble(ntk[:N, :N], targets, nngp[:N, :N], ridge=ridge)
    shift = ridge.absolute(ntk[:N, :N])
    for rows in (slice(N, None), slice(0, N)):  # test points, and training points treated as such
        given = {"nngp_test_train": nngp[rows, :N]}
        covariance = ensemble.covariance(ntk[rows, :N], nngp[rows, rows], TIMES, **given)
        variance = ensemble.variance(ntk[rows, :N], nngp[rows, rows].diagonal(), TIMES, **given)
        mean = ensemble.mean(ntk[rows, :N], TIMES)
        for index, t in enumerate(TIMES):
            a = trained(ntk, t, shift)
            # f_t = f_0 + A (Y - f_0(X)): on the joint vector of initial outputs, the map [I - A, on training points].
            linear = np.eye(N + M) - np.hstack([a, np.zeros((N + M, M))])
            expected = (linear @ nngp @ linear.T)[rows, rows]
            np.testing.assert_allclose(mean[index], (a @ targets)[rows], atol=1e-10)
            np.testing.assert_allclose(covariance[index], expected, atol=1e-10)
            np.testing.assert_allclose(variance[index], np.maximum(expected.diagonal(), 0), atol=1e-10)
        np.testing.assert_array_equal(covariance, np.swapaxes(covariance, 1, 2))


def test_one_kernel_for_both_is_the_same_as_naming_it_twice_without_a_ridge():
    ntk, _, targets = two_kernels()
    test, diagonal = ntk[N:, :N], ntk[N:, N:].diagonal()
    one, two = fit_ensemble(ntk[:N, :N], targets), fit_ensemble(ntk[:N, :N], targets, ntk[:N, :N])
    for dynamics in (Flow(), MomentumFlow(0.5), Descent(0.05, 0.8)):
        one = fit_ensemble(ntk[:N, :N], targets, dynamics=dynamics)
        two = fit_ensemble(ntk[:N, :N], targets, ntk[:N, :N], dynamics=dynamics)
        for t in (0, 7, np.inf):
            expected = two.variance(test, diagonal, t, nngp_test_train=test)
            np.testing.assert_allclose(one.variance(test, diagonal, t), expected, atol=1e-10)


def test_one_kernel_with_noise_ends_at_the_gaussian_process_posterior():
    ntk, _, targets = two_kernels()
    regression = fit(ntk[:N, :N], targets, Ridge(0.1))
    ensemble = fit_ensemble(eigendecompose(ntk[:N, :N]), targets, ridge=Ridge(0.1))
    np.testing.assert_allclose(ensemble.mean(ntk[N:, :N]), regression.predict(ntk[N:, :N]), atol=1e-12)
    expected = regression.covariance(ntk[N:, :N], ntk[N:, N:])
    np.testing.assert_allclose(ensemble.covariance(ntk[N:, :N], ntk[N:, N:]), expected, atol=1e-12)


def test_many_trained_members_have_this_mean_and_covariance():
    ntk, nngp, targets = two_kernels()
    members = 20_000
    draws = np.linalg.cholesky(nngp + 1e-10 * np.eye(N + M)) @ np.random.default_rng(0).normal(size=(N + M, members))
    dynamics = Descent(0.05, 0.7)
    wanted = np.repeat(targets[:, :1], members, axis=1)
    flow = fit_flow(ntk[:N, :N], wanted, draws[:N], dynamics=dynamics)
    outputs = flow.test(ntk[N:, :N], 9, draws[N:])
    ensemble = fit_ensemble(ntk[:N, :N], targets[:, :1], nngp[:N, :N], dynamics=dynamics)
    expected = ensemble.covariance(ntk[N:, :N], nngp[N:, N:], 9, nngp_test_train=nngp[N:, :N])
    # Monte Carlo: the standard error is about the variance times sqrt(2 / members) = 1 %.
    scale = expected.diagonal().max()
    np.testing.assert_allclose(np.cov(outputs), expected, atol=0.04 * scale)
    np.testing.assert_allclose(outputs.mean(1), ensemble.mean(ntk[N:, :N], 9)[:, 0], atol=0.04 * scale**0.5)


def test_a_singular_kernel_keeps_the_variance_that_no_data_removes():
    # Points 0 and 1 are the same for the training kernel, and not for the initial functions.
    ntk, nngp = np.array([[1.0, 1.0], [1.0, 1.0]]), np.eye(2)
    ensemble = fit_ensemble(ntk, [1.0, 3.0], nngp)
    np.testing.assert_allclose(ensemble.mean(ntk), [2.0, 2.0], rtol=1e-12)
    # Each ends at y_mean + (f_0(i) - f_0(j)) / 2, of variance 1/2.
    np.testing.assert_allclose(ensemble.variance(ntk, [1.0, 1.0], nngp_test_train=nngp), [0.5, 0.5], rtol=1e-12)


def test_kernels_that_are_missing_or_do_not_fit_are_refused():
    ensemble = fit_ensemble(np.eye(3), np.ones(3), np.eye(3))
    with pytest.raises(InputError, match="needed exactly when fit_ensemble got nngp_train, which was given"):
        ensemble.variance(np.ones((2, 3)), np.ones(2))
    with pytest.raises(InputError, match="one kernel is both"):
        fit_ensemble(np.eye(3), np.ones(3)).variance(np.ones((2, 3)), np.ones(2), nngp_test_train=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"shape \(2, 3\), as k_test_train; got \(1, 3\)"):
        ensemble.covariance(np.ones((2, 3)), np.eye(2), nngp_test_train=np.ones((1, 3)))
    with pytest.raises(InputError, match=r"shape of k_train, \(3, 3\); got \(2, 2\)"):
        fit_ensemble(np.eye(3), np.ones(3), np.eye(2))
    with pytest.raises(InputError, match="at least 0"):
        ensemble.variance(np.ones((2, 3)), np.ones(2), -1.0, nngp_test_train=np.ones((2, 3)))
    with pytest.raises(SolveError, match="belong together"):
        fit_ensemble(np.eye(2), np.ones(2)).variance([[2.0, 0.0]], [1.0])
