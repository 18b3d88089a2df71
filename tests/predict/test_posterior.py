"""The posterior of Gaussian process regression against conditioning the joint Gaussian, and against scikit-learn."""

import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.predict import fit
from ntklab.solve import Ridge, eigendecompose
from tests.predict.problems import gaussian_problem, joint_problem

RIDGE = Ridge(0.05)  # 0.1 in absolute terms: the mean diagonal is 2


def fits(problem):
    yield fit(problem.k_train, problem.targets, RIDGE)
    yield fit(problem.k_train, problem.targets, RIDGE, precision="float32")
    yield fit(eigendecompose(problem.k_train), problem.targets, RIDGE)


@pytest.mark.parametrize("m", [1, 5, 23])
def test_mean_and_covariance_are_those_of_conditioning_the_joint_gaussian(m, monkeypatch):
    joint, problem = joint_problem(m=m)
    # The Schur complement through the precision matrix: the inverse of its test block is the posterior.
    noisy = joint + np.diag(np.r_[np.full(12, 0.1), np.full(m, 1e-9)])
    precision = np.linalg.inv(noisy)
    covariance = np.linalg.inv(precision[12:, 12:]) - 1e-9 * np.eye(m)
    mean = -np.linalg.solve(precision[12:, 12:], precision[12:, :12] @ problem.targets)
    monkeypatch.setattr("ntklab.predict._inputs._BLOCK_ENTRIES", 40)
    for regression in fits(problem):
        np.testing.assert_allclose(regression.predict(problem.k_test_train), mean, atol=2e-7)
        found = regression.covariance(problem.k_test_train, joint[12:, 12:])
        np.testing.assert_allclose(found, covariance, atol=2e-7)
        np.testing.assert_array_equal(found, found.T)
        variance = regression.variance(problem.k_test_train, joint[12:, 12:].diagonal())
        np.testing.assert_allclose(variance, found.diagonal(), atol=1e-13)


def test_scikit_learn_has_the_same_posterior_and_likelihood():
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    points = np.random.default_rng(0).normal(size=(40, 3))
    kernel = 1.7 * gaussian_process.kernels.RBF(1.3)
    gram, targets = kernel(points), np.sin(points[:25])
    oracle = gaussian_process.GaussianProcessRegressor(kernel, alpha=0.2, optimizer=None).fit(points[:25], targets)
    mean, covariance = oracle.predict(points[25:], return_cov=True)
    for given in (gram[:25, :25], eigendecompose(gram[:25, :25])):
        regression = fit(given, targets, Ridge(0.2, "nothing"))
        np.testing.assert_allclose(regression.predict(gram[25:, :25]), mean, atol=1e-12)
        ours = regression.covariance(gram[25:, :25], gram[25:, 25:])
        np.testing.assert_allclose(ours, covariance[..., 0], atol=1e-12)
        expected = oracle.log_marginal_likelihood(oracle.kernel_.theta)
        assert regression.factor.log_likelihood(targets) == pytest.approx(expected, rel=1e-12)


def test_training_points_without_noise_have_no_variance_left():
    problem = gaussian_problem()
    variance = fit(problem.k_train, problem.targets).variance(problem.k_train, problem.k_train.diagonal())
    np.testing.assert_allclose(variance, np.zeros(12), atol=1e-13)
    assert (variance >= 0).all()


def test_a_variance_below_zero_beyond_rounding_is_an_error_that_names_the_point():
    regression = fit(np.eye(2), [1.0, 2.0])
    with pytest.raises(SolveError, match=r"test point 1 is -3, the prior 1: .*belong together"):
        regression.variance([[0.5, 0.5], [2.0, 0.0]], [1.0, 1.0])


def test_shapes_that_do_not_fit_are_refused():
    regression = fit(np.eye(2), [1.0, 2.0])
    with pytest.raises(InputError, match=r"\(3,\), one number for each test point; got \(3, 1\)"):
        regression.variance(np.ones((3, 2)), np.ones((3, 1)))
    with pytest.raises(InputError, match=r"must have shape \(3, 3\), got \(3, 2\)"):
        regression.covariance(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(InputError, match="pass the transpose"):
        regression.variance(np.ones((2, 3)), np.ones(2))
    with pytest.raises(InputError, match=r"entry \(1, 0\) is nan"):
        regression.variance([[0.0, 0.0], [np.nan, 0.0]], np.ones(2))
    with pytest.raises(InputError, match="decomposed already"):
        fit(eigendecompose(np.eye(2)), [1.0, 2.0], overwrite=True)
