"""Nystrom regression against its normal equations, plain least squares, and the exact solution."""

import mpmath
import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.solve import BlockOperator, Ridge, factorise, fit_nystrom, nystrom_error, rpcholesky, uniform_centres
from tests.solve.grams import gaussian

GRAM = 3 * gaussian(120, width=0.3)
TARGETS = np.random.default_rng(0).normal(size=(120, 2))


@pytest.mark.parametrize("shape", [(120,), (120, 1), (120, 2)])
@pytest.mark.parametrize("ridge", [Ridge(1e-2), Ridge(0.1, "nothing")], ids=str)
def test_coefficients_solve_the_normal_equations(shape, ridge):
    centres, targets = (
        uniform_centres(120, 25, seed=1),
        TARGETS[:, 0].reshape(120, -1) * np.ones(shape).reshape(120, -1),
    )
    targets = targets.reshape(shape)
    k = GRAM[:, centres]
    found = fit_nystrom(k, centres, targets, ridge)
    shift = {1e-2: 3e-2, 0.1: 0.1}[ridge.value]
    assert found.ridge_absolute == pytest.approx(shift, rel=1e-12)
    expected = np.linalg.solve(k.T @ k + shift * k[centres], k.T @ targets)
    assert found.beta.shape == expected.shape == (25, *shape[1:])
    np.testing.assert_allclose(found.beta, expected, rtol=1e-9, atol=1e-9)
    missed = np.linalg.norm(k @ expected - targets) / np.linalg.norm(targets)
    assert found.residual == pytest.approx(missed, rel=1e-10)
    np.testing.assert_allclose(found.predict(GRAM[:7, centres]), GRAM[:7, centres] @ expected, atol=1e-9)


def test_with_every_point_a_centre_it_is_the_exact_solution():
    order = np.random.default_rng(0).permutation(120)
    found = fit_nystrom(GRAM[:, order], order, TARGETS, Ridge(1e-3))
    exact = factorise(GRAM, Ridge(1e-3)).solve(TARGETS)
    np.testing.assert_allclose(found.alpha(), exact, rtol=1e-8, atol=1e-8)
    error = nystrom_error(found, exact, BlockOperator.of_array(GRAM))
    assert max(error.training, error.worst, error.norm) < 1e-8


def test_without_a_ridge_it_is_least_squares():
    centres = uniform_centres(120, 12, seed=0)
    found = fit_nystrom(GRAM[:, centres], centres, TARGETS)
    expected = np.linalg.lstsq(GRAM[:, centres], TARGETS, rcond=None)[0]
    np.testing.assert_allclose(found.beta, expected, rtol=1e-8, atol=1e-10)


def test_it_is_stable_where_the_normal_equations_are_not():
    x = np.linspace(0, 1, 300)
    gram = np.exp(-8 * (x[:, None] - x) ** 2)
    centres = np.arange(0, 300, 25)
    k, y = gram[:, centres], np.sin(7 * x)
    assert np.linalg.cond(k.T @ k + 1e-12 * k[centres]) > 1e15
    shift = Ridge(1e-12, "nothing")
    # The same normal equations with 60 digits.
    with mpmath.workdps(60):
        wide = mpmath.matrix(k.tolist())
        normal = wide.T * wide + mpmath.mpf(1e-12) * mpmath.matrix(k[centres].tolist())
        beta = mpmath.lu_solve(normal, wide.T * mpmath.matrix(y.tolist()))
        exact = np.array([float(value) for value in wide * beta])
    found = fit_nystrom(k, centres, y, shift)
    assert np.abs(found.predict(k) - exact).max() < 1e-9


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_duplicate_centres_are_dropped_and_change_nothing(dtype):
    gram = gaussian(60, width=0.3, duplicate=(4, 21)).astype(dtype)
    found = fit_nystrom(gram[:, [4, 7, 21, 30]], [4, 7, 21, 30], TARGETS[:60], Ridge(1e-3))
    assert set(found.dropped.tolist()) < {4, 21}
    assert len(found.dropped) == 1
    without = fit_nystrom(gram[:, [4, 7, 30]], [4, 7, 30], TARGETS[:60], Ridge(1e-3))
    test = gaussian(60, width=0.3, duplicate=(4, 21))
    np.testing.assert_allclose(
        found.predict(test[:, [4, 7, 21, 30]]), without.predict(test[:, [4, 7, 30]]), rtol=1e-5, atol=1e-6
    )


def test_blocks_of_rows_from_a_file_give_the_same_coefficients(tmp_path, monkeypatch):
    centres = uniform_centres(120, 10, seed=0)
    whole = fit_nystrom(GRAM[:, centres], centres, TARGETS, Ridge(1e-3))
    np.save(tmp_path / "k.npy", GRAM[:, centres])
    monkeypatch.setattr("ntklab.solve._gram._BLOCK_ENTRIES", 50)
    mapped = np.load(tmp_path / "k.npy", mmap_mode="r")
    blocks = fit_nystrom(mapped, centres, TARGETS, Ridge(1e-3))
    np.testing.assert_allclose(blocks.beta, whole.beta, rtol=1e-9, atol=1e-10)
    assert blocks.residual == pytest.approx(whole.residual, rel=1e-12)


def test_pivots_of_rpcholesky_are_centres_and_more_of_them_are_better():
    operator = BlockOperator.of_array(GRAM)
    targets = GRAM @ TARGETS
    exact = factorise(GRAM, Ridge(1e-3)).solve(targets)
    errors = []
    for m in (5, 20, 80):
        centres = rpcholesky(operator, m, seed=0).pivots
        found = fit_nystrom(GRAM[:, centres], centres, targets, Ridge(1e-3))
        errors.append(nystrom_error(found, exact, operator).training)
    assert errors[0] > 1.5 * errors[1] > 3 * errors[2]


def test_the_error_is_that_of_the_definition():
    centres, operator = uniform_centres(120, 15, seed=0), BlockOperator.of_array(GRAM)
    exact = factorise(GRAM, Ridge(1e-2)).solve(TARGETS)
    found = fit_nystrom(GRAM[:, centres], centres, TARGETS, Ridge(1e-2))
    error = nystrom_error(found, exact, operator)
    difference = found.predict(GRAM[:, centres]) - GRAM @ exact
    assert error.training == pytest.approx(np.linalg.norm(difference) / np.linalg.norm(GRAM @ exact), rel=1e-10)
    assert error.worst == pytest.approx(np.abs(difference).max(), rel=1e-10)
    apart = found.alpha() - exact
    squared = np.trace(apart.T @ GRAM @ apart)
    assert error.norm == pytest.approx(np.sqrt(squared / np.trace(exact.T @ GRAM @ exact)), rel=1e-10)
    # What the norm promises: no prediction is further off than norm times sqrt(k(x, x)).
    assert error.worst <= np.sqrt(squared) * np.sqrt(3.0)


@pytest.mark.parametrize("m", [1, 37, 100])
def test_uniform_centres_are_different_points_all_equally_likely(m):
    draws = [uniform_centres(100, m, seed=seed) for seed in range(200)]
    assert all(len(set(c.tolist())) == m and (np.diff(c) > 0).all() for c in draws)
    counts = np.bincount(np.concatenate(draws), minlength=100)
    assert np.abs(counts - 2 * m).max() <= 4.5 * np.sqrt(2 * m * (1 - m / 100) + 1e-9) + 1e-9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fit_nystrom(GRAM[:5, :9], range(9), TARGETS[:5]), InputError, r"\(N, M\) with N >= M .* \(5, 9\)"),
        (lambda: fit_nystrom(GRAM[:, :9], range(8), TARGETS), InputError, "each of the 9 columns .* got 8"),
        (lambda: fit_nystrom(GRAM[:, :9], range(115, 124), TARGETS), InputError, "between 0 and 119"),
        (lambda: fit_nystrom(GRAM[:, :9], range(9), TARGETS[:7]), InputError, r"\(120,\) or \(120, C\)"),
        (lambda: fit_nystrom(GRAM[:, :9], range(9), TARGETS, 0.1), InputError, "names its scale"),
        (lambda: fit_nystrom(np.full((9, 2), np.nan), [0, 1], np.ones(9)), InputError, r"entry \(0, 0\)"),
        (lambda: fit_nystrom(np.ones((9, 2), int), [0, 1], np.ones(9)), InputError, "float32 or float64"),
        (lambda: fit_nystrom(-GRAM[:, :9], range(9), TARGETS), SolveError, r"k\(x, x\) >= 0"),
        (lambda: fit_nystrom(GRAM[:, :9], range(9, 18), TARGETS), SolveError, "not positive semidefinite"),
        (lambda: fit_nystrom(GRAM[:, :9], range(9), TARGETS).predict(GRAM[:, :8]), InputError, r"shape \(T, 9\)"),
        (
            lambda: fit_nystrom(GRAM[:, :9], range(9), TARGETS).predict(np.full((1, 9), np.nan)),
            InputError,
            "must be finite",
        ),
        (lambda: uniform_centres(5, 6, seed=0), InputError, "between 1 and N = 5"),
        (
            lambda: nystrom_error(
                fit_nystrom(GRAM[:, :9], range(9), TARGETS), np.ones(120), BlockOperator.of_array(GRAM)
            ),
            InputError,
            r"shape \(120, 2\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
