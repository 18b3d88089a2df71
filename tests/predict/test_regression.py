"""Kernel regression against NumPy's LU solver and against ridge regression on explicit features."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.predict import fit
from ntklab.solve import Ridge, Status
from tests.predict.problems import gaussian_problem, linear_problem


@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
@pytest.mark.parametrize(("ridge", "shift"), [(Ridge.none(), 0.0), (Ridge(0.05), 0.1), (Ridge(0.05, "nothing"), 0.05)])
def test_predictions_equal_those_of_lu_with_pivoting(outputs, ridge, shift):
    problem = gaussian_problem(outputs=outputs)
    alpha = np.linalg.solve(problem.k_train + shift * np.eye(12), problem.targets)
    regression = fit(problem.k_train, problem.targets, ridge)
    np.testing.assert_allclose(regression.alpha, alpha, rtol=1e-10, atol=1e-12)
    predictions = regression.predict(problem.k_test_train)
    assert predictions.shape == (5, *outputs)
    assert predictions.dtype == np.float64
    np.testing.assert_allclose(predictions, problem.k_test_train @ alpha, rtol=1e-10, atol=1e-12)


def test_ridge_regression_on_features_gives_the_same_function():
    problem, points = linear_problem()
    train, test = points[:12], points[12:]
    weights = np.linalg.solve(train.T @ train + 0.7 * np.eye(3), train.T @ problem.targets)
    predictions = fit(problem.k_train, problem.targets, Ridge(0.7, "nothing")).predict(problem.k_test_train)
    np.testing.assert_allclose(predictions, test @ weights, rtol=1e-10, atol=1e-12)


def test_the_two_point_problem_has_its_solution_on_paper():
    # (K + I/2)^{-1} y with K = [[2, 1], [1, 2]]: determinant 5.25, alpha = (2.5 - 5, 12.5 - 1) / 5.25.
    alpha = fit([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0], Ridge(0.25)).alpha
    np.testing.assert_allclose(alpha, [-2.5 / 5.25, 11.5 / 5.25], rtol=1e-14)


def test_without_a_ridge_the_training_targets_are_interpolated():
    problem = gaussian_problem()
    fitted = fit(problem.k_train, problem.targets).predict(problem.k_train)
    np.testing.assert_allclose(fitted, problem.targets, atol=1e-10)


def test_jax_and_float32_kernels_are_taken_and_solved_in_float64():
    problem = gaussian_problem()
    small, cross = problem.k_train.astype(np.float32), problem.k_test_train.astype(np.float32)
    expected = cross.astype(float) @ np.linalg.solve(small.astype(float), problem.targets)
    for convert in (np.asarray, jnp.asarray):
        predictions = fit(convert(small), convert(problem.targets)).predict(convert(cross))
        assert predictions.dtype == np.float64
        np.testing.assert_allclose(predictions, expected, rtol=1e-9, atol=1e-9)


def test_predictions_do_not_depend_on_the_blocks_they_are_computed_in(monkeypatch):
    problem = gaussian_problem(m=23)
    regression = fit(problem.k_train, problem.targets)
    whole = regression.predict(problem.k_test_train)
    monkeypatch.setattr("ntklab.predict._inputs._BLOCK_ENTRIES", 40)
    np.testing.assert_allclose(regression.predict(problem.k_test_train), whole, rtol=1e-12, atol=1e-13)


def test_no_test_points_give_no_predictions():
    assert fit(np.eye(3), np.ones((3, 2))).predict(np.ones((0, 3))).shape == (0, 2)


def test_a_singular_kernel_without_a_ridge_fails_and_names_the_duplicates():
    with pytest.raises(SolveError, match="Training points 0 and 2"):
        fit([[1.0, 0.5, 1.0], [0.5, 1.0, 0.5], [1.0, 0.5, 1.0]], [1.0, 2.0, 3.0])


def test_the_status_of_the_factor_is_the_status_of_the_regression():
    regression = fit(np.diag([1.0, 1e-9]), [1.0, 1.0])
    assert regression.status is Status.ILL_CONDITIONED
    assert regression.factor.smallest_pivot == pytest.approx(1e-9, rel=1e-12, abs=0)


def test_the_memory_of_the_kernel_is_used_only_when_allowed():
    problem = gaussian_problem()
    gram = problem.k_train.copy()
    expected = fit(gram, problem.targets).alpha
    np.testing.assert_array_equal(gram, problem.k_train)
    np.testing.assert_allclose(fit(gram, problem.targets, overwrite=True).alpha, expected, rtol=1e-12)
    assert not np.array_equal(gram, problem.k_train)


def test_a_transposed_test_kernel_is_refused_with_the_remedy():
    regression = fit(np.eye(3), np.ones(3))
    with pytest.raises(InputError, match=r"\(M, 3\): rows are test points.*got \(3, 2\).*pass the transpose"):
        regression.predict(np.ones((3, 2)))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (1, 2, 3)])
def test_a_test_kernel_of_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"\(M, 3\)") as caught:
        fit(np.eye(3), np.ones(3)).predict(np.ones(shape))
    assert "transpose" not in str(caught.value)


def test_a_test_kernel_of_integers_is_refused():
    with pytest.raises(InputError, match="int64"):
        fit(np.eye(3), np.ones(3)).predict(np.ones((2, 3), np.int64))


def test_an_entry_of_the_test_kernel_that_is_not_finite_is_named(monkeypatch):
    monkeypatch.setattr("ntklab.predict._inputs._BLOCK_ENTRIES", 6)
    cross = np.ones((5, 3))
    cross[4, 1] = np.nan
    with pytest.raises(InputError, match=r"entry \(4, 1\) is nan"):
        fit(np.eye(3), np.ones(3)).predict(cross)


def test_targets_for_other_points_are_refused():
    with pytest.raises(InputError, match="3 training points"):
        fit(np.eye(3), np.ones((4, 2)))
