"""What all three kinds of solved system must agree on: refits, SciPy's Gaussian, finite differences, NumPy's LU."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from ntklab.errors import InputError, SolveError
from ntklab.solve import Ridge, eigendecompose, factorise
from tests.solve.grams import gaussian

# lambda_min of the matrix is 0.2, so every error below is a few roundings times a condition number of about 100.
GRAM = 3 * gaussian(30, width=0.4)
TARGETS = np.random.default_rng(1).normal(size=(30, 2))
RIDGE = Ridge(0.05)
A = GRAM + 0.15 * np.eye(30)

MAKERS = {
    "cholesky": lambda gram, ridge: factorise(gram, ridge),
    "refined": lambda gram, ridge: factorise(gram, ridge, precision="float32"),
    "spectrum": lambda gram, ridge: eigendecompose(gram).with_ridge(ridge),
}


@pytest.fixture(params=MAKERS)
def system(request):
    return MAKERS[request.param](GRAM, RIDGE)


@pytest.fixture(params=["cholesky", "spectrum"])
def exact(request):
    return MAKERS[request.param](GRAM, RIDGE)


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 2)])
def test_solutions_equal_those_of_lu(system, shape):
    right = np.random.default_rng(2).normal(size=shape)
    assert system.size == 30
    assert system.ridge_absolute == pytest.approx(0.15, rel=1e-14)
    assert system.solve(right).shape == shape
    np.testing.assert_allclose(system.solve(right), np.linalg.solve(A, right), rtol=1e-12, atol=1e-13)


def test_inverse_and_its_diagonal_equal_those_of_lu(system):
    inverse = np.linalg.inv(A)
    np.testing.assert_allclose(system.inverse(), inverse, atol=1e-13)
    np.testing.assert_array_equal(system.inverse(), system.inverse().T)
    np.testing.assert_allclose(system.inverse_diagonal(), inverse.diagonal(), rtol=1e-12)


def test_inner_products_are_symmetric_and_equal_those_of_lu(system):
    columns = np.random.default_rng(3).normal(size=(30, 7))
    expected = columns.T @ np.linalg.solve(A, columns)
    np.testing.assert_allclose(system.inner(columns), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(system.inner(columns), system.inner(columns).T)
    np.testing.assert_allclose(system.inner(columns, diagonal=True), expected.diagonal(), rtol=1e-12)


@pytest.mark.parametrize("columns", [slice(None), 0])
def test_leave_one_out_predictions_are_those_of_n_refits(system, columns):
    targets = TARGETS[:, columns]
    expected = np.empty_like(targets)
    for i in range(30):
        rest = np.arange(30) != i
        expected[i] = GRAM[i, rest] @ np.linalg.solve(A[np.ix_(rest, rest)], targets[rest])
    np.testing.assert_allclose(system.leave_one_out(targets), expected, atol=1e-12)


def test_the_likelihood_is_that_of_a_gaussian(exact):
    expected = sum(multivariate_normal(np.zeros(30), A).logpdf(column) for column in TARGETS.T)
    assert exact.log_likelihood(TARGETS) == pytest.approx(expected, rel=1e-12)


def test_the_likelihood_gradient_equals_finite_differences_in_any_direction(exact):
    direction = gaussian(30, seed=5) - 0.3 * np.eye(30)
    gradient = exact.log_likelihood_gradient(TARGETS)
    np.testing.assert_array_equal(gradient, gradient.T)

    def along(step):
        return sum(multivariate_normal(np.zeros(30), A + step * direction).logpdf(column) for column in TARGETS.T)

    h = 1e-3  # Richardson: the error is of order h^4, and rounding about 1e-13 / h
    slopes = [(along(k * h) - along(-k * h)) / (2 * k * h) for k in (1, 2)]
    expected = (4 * slopes[0] - slopes[1]) / 3
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-8)


def test_a_float32_factor_has_no_likelihood_and_says_so():
    factor = factorise(GRAM, RIDGE, precision="float32")
    assert np.isnan(factor.logdet)
    with pytest.raises(SolveError, match="use float64"):
        factor.log_likelihood(TARGETS)


def test_condition_and_status_agree_between_kinds():
    true = np.linalg.cond(A, 1)
    for precision in ("float64", "float32"):
        factor = factorise(GRAM, RIDGE, precision=precision)
        assert true / 3 <= factor.condition_estimate <= true * (1 + 1e-6)
        assert factor.one_norm == pytest.approx(np.linalg.norm(A, 1), rel=1e-13)
        assert factor.status.name == "OK"
    assert MAKERS["spectrum"](GRAM, RIDGE).condition_estimate == pytest.approx(np.linalg.cond(A), rel=1e-11)


@pytest.mark.parametrize("method", ["solve", "inner", "leave_one_out", "log_likelihood", "log_likelihood_gradient"])
def test_bad_columns_are_refused_by_every_method(exact, method):
    with pytest.raises(InputError, match=r"\(30,\) or \(30, C\)"):
        getattr(exact, method)(np.ones((29, 2)))
    with pytest.raises(InputError, match=r"entry \(0, 1\) is inf"):
        getattr(exact, method)(np.array([[0, np.inf]] * 30))
