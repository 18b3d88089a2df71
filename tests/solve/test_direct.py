"""The Cholesky factor against NumPy's LU solver, exact determinants and known spectra."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.solve import Ridge, Status, backward_error, factorise
from tests.solve.grams import gaussian, hilbert, hilbert_determinants, with_spectrum


@pytest.mark.parametrize("shape", [(40,), (40, 1), (40, 3)])
@pytest.mark.parametrize("ridge", [Ridge.none(), Ridge(1e-2), Ridge(0.3, "nothing")], ids=str)
def test_solutions_equal_those_of_lu_with_pivoting(shape, ridge):
    gram = 3 * gaussian(40, width=0.5)
    targets = np.random.default_rng(1).normal(size=shape)
    shift = {0.0: 0.0, 1e-2: 0.03, 0.3: 0.3}[ridge.value]
    expected = np.linalg.solve(gram + shift * np.eye(40), targets)
    factor = factorise(gram, ridge)
    assert factor.ridge_absolute == pytest.approx(shift, rel=1e-14)
    assert factor.solve(targets).shape == shape
    np.testing.assert_allclose(factor.solve(targets), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", ["C", "F", "strided", "jax", "list"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_every_memory_layout_gives_the_same_solution(order, overwrite):
    gram = gaussian(15, width=0.5)
    targets = np.arange(15.0)
    padded = np.zeros((30, 30))
    padded[::2, ::2] = gram
    given = {
        "C": gram.copy(),
        "F": np.asfortranarray(gram),
        "strided": padded[::2, ::2],
        "jax": jnp.asarray(gram),
        "list": gram.tolist(),
    }[order]
    solution = factorise(given, Ridge(0.1), overwrite=overwrite).solve(targets)
    np.testing.assert_allclose(solution, np.linalg.solve(gram + 0.1 * np.eye(15), targets), rtol=1e-12)
    if not overwrite or order in ("strided", "jax", "list"):
        np.testing.assert_array_equal(np.asarray(given), gram)


@pytest.mark.parametrize("order", ["C", "F"])
def test_overwriting_uses_the_memory_of_the_matrix_and_copying_does_not(order):
    gram = np.array(gaussian(15), order=order)
    assert not np.shares_memory(factorise(gram, Ridge(0.1))._cholesky, gram)
    assert np.shares_memory(factorise(gram, Ridge(0.1), overwrite=True)._cholesky, gram)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_lower_triangle_is_the_one_that_counts(order, overwrite):
    gram = np.array([[2.0, 1.0 + 1e-9], [1.0, 2.0]], order=order)
    first = factorise(gram, overwrite=overwrite).solve([1.0, 0.0])[0]
    assert first == pytest.approx(2 / 3, rel=1e-14)


def test_float32_matrices_are_solved_in_float64():
    gram = gaussian(20, width=0.5).astype(np.float32)
    targets = np.ones(20, np.float32)
    solution = factorise(gram, Ridge(0.1)).solve(targets)
    assert solution.dtype == np.float64
    shift = 0.1 * gram.diagonal().astype(float).mean()
    np.testing.assert_allclose(
        solution, np.linalg.solve(gram.astype(float) + shift * np.eye(20), np.ones(20)), rtol=1e-12
    )


def test_targets_are_not_modified():
    targets = np.ones((5, 2))
    factorise(2 * np.eye(5)).solve(targets)
    np.testing.assert_array_equal(targets, np.ones((5, 2)))


def test_integer_targets_are_numbers_like_any_other():
    np.testing.assert_array_equal(factorise(4 * np.eye(2)).solve([4, 8]), [1.0, 2.0])


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_log_determinant_and_pivots_of_hilbert_matrices_are_the_exact_ones(n):
    determinants = hilbert_determinants(n)
    pivots = [b / a for a, b in zip([1, *determinants], determinants, strict=False)]
    factor = factorise(hilbert(n))
    assert factor.logdet == pytest.approx(float(np.log(float(determinants[-1]))), rel=1e-10)
    # Each pivot is a ratio of consecutive leading minors.
    assert factor.smallest_pivot == pytest.approx(float(min(pivots)), rel=1e-6, abs=0)
    assert factor.size == n


def test_the_log_determinant_includes_the_ridge_and_does_not_overflow():
    factor = factorise(1e3 * np.eye(400), Ridge(0.5))
    assert factor.logdet == pytest.approx(400 * np.log(1500.0), rel=1e-13)


def test_the_condition_estimate_is_exact_for_a_diagonal_matrix():
    assert factorise(np.diag([4.0, 0.5, 1.0])).condition_estimate == pytest.approx(8.0, rel=1e-13)


def test_the_condition_estimate_is_close_to_the_true_one_norm_condition():
    gram = 5 * gaussian(60)
    true = np.linalg.cond(gram + 0.05 * np.eye(60), 1)
    assert true / 3 <= factorise(gram, Ridge(0.01)).condition_estimate <= true * (1 + 1e-6)


@pytest.mark.parametrize(
    ("smallest", "dtype", "status"),
    [
        (1e-5, np.float64, Status.OK),
        (1e-9, np.float64, Status.ILL_CONDITIONED),
        (1e-5, np.float32, Status.OK),
        (1e-8, np.float32, Status.FLOAT32_LIMITED),
    ],
)
def test_the_status_follows_condition_and_input_precision(smallest, dtype, status):
    assert factorise(np.diag([1.0, smallest]).astype(dtype)).status is status


def test_every_status_is_a_sentence():
    assert all(status.value.endswith(".") and " " in status.value for status in Status)


def test_the_backward_error_of_a_stable_solve_is_rounding_even_if_ill_conditioned():
    gram = hilbert(10)
    targets = np.random.default_rng(0).normal(size=(10, 2))
    factor = factorise(gram)
    assert factor.status is Status.ILL_CONDITIONED
    assert backward_error(gram, factor.solve(targets), targets) < 1e-15


def test_the_backward_error_is_the_formula_of_rigal_and_gaches():
    gram, x, b = np.array([[3.0, -1.0], [-1.0, 2.0]]), np.array([1.0, -2.0]), np.array([4.0, 1.0])
    # Lambda is 0.5, so A = [[3.5, -1], [-1, 2.5]] and A x = (5.5, -6); r = (-1.5, 7).
    # The norms are ||A|| = 4.5, ||x|| = 2, ||b|| = 4.
    assert backward_error(gram, x, b, Ridge(0.2)) == pytest.approx(7 / (4.5 * 2 + 4), rel=1e-14)
    both = backward_error(gram, np.stack([x, [0, 0]], 1), np.stack([b, [0, 0]], 1), Ridge(0.2))
    assert both == pytest.approx(7 / 13, rel=1e-14)


def test_the_backward_error_of_many_row_blocks_equals_the_one_of_a_single_block(monkeypatch):
    gram, targets = gaussian(33, width=0.5), np.random.default_rng(0).normal(size=(33, 2))
    solution = 1.01 * factorise(gram).solve(targets)
    whole = backward_error(gram, solution, targets, Ridge(1e-3))
    condition = factorise(gram).condition_estimate
    monkeypatch.setattr("ntklab.solve._gram._BLOCK_ENTRIES", 100)
    assert backward_error(gram, solution, targets, Ridge(1e-3)) == pytest.approx(whole, rel=1e-12)
    assert factorise(gram).condition_estimate == pytest.approx(condition, rel=1e-12)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (1, 5), (5, 1, 1), ()])
def test_targets_of_another_shape_are_refused_with_the_shape_that_is_needed(shape):
    with pytest.raises(InputError, match=r"\(5,\) or \(5, C\)"):
        factorise(np.eye(5)).solve(np.ones(shape))


def test_targets_that_are_not_finite_are_refused_with_their_place():
    targets = np.ones((5, 2))
    targets[3, 1] = np.nan
    with pytest.raises(InputError, match=r"entry \(3, 1\) is nan"):
        factorise(np.eye(5)).solve(targets)


def test_complex_targets_are_refused():
    with pytest.raises(InputError, match="complex128"):
        factorise(np.eye(2)).solve([1j, 0])


def test_a_bare_number_is_no_ridge():
    for call in (
        lambda: factorise(np.eye(2), 0.1),
        lambda: backward_error(np.eye(2), [1.0, 1.0], [1.0, 1.0], 0.1),
    ):
        with pytest.raises(InputError, match=r"pass Ridge\(0\.1\) .* Ridge\(0\.1, relative_to='nothing'\)"):
            call()


def test_a_solution_that_overflows_is_an_error():
    with pytest.raises(SolveError, match="overflows"):
        factorise(1e-300 * np.eye(2)).solve([1e300, 0.0])


def test_the_backward_error_refuses_shapes_that_do_not_fit():
    with pytest.raises(InputError, match=r"\(2,\) or \(2, C\)"):
        backward_error(np.eye(2), np.ones(2), np.ones((2, 1)))


def test_the_solution_with_a_known_spectrum_is_the_filtered_one():
    gram, vectors = with_spectrum([0.1, 1.0, 10.0])
    expected = vectors @ (vectors.T @ [1.0, 2.0, 3.0] / np.array([0.6, 1.5, 10.5]))
    np.testing.assert_allclose(factorise(gram, Ridge(0.5, "nothing")).solve([1.0, 2.0, 3.0]), expected, rtol=1e-12)
