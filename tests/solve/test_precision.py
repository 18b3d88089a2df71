"""Float32 factors refined to float64, factors in blocks, and ridges that rounding swallows or that are absurd."""

import numpy as np
import pytest

from ntklab.errors import InputError, PrecisionWarning, SolveError
from ntklab.solve import Factor, RefinedFactor, Ridge, backward_error, eigendecompose, factorise
from ntklab.solve._precision import storage_error
from tests.solve.grams import gaussian, hilbert, with_spectrum


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e25])
def test_a_refined_solution_has_a_backward_error_of_float64(dtype, scale):
    gram, _ = with_spectrum(np.logspace(-4, 1, 60))
    gram = (scale * gram).astype(dtype)
    gram = np.triu(gram) + np.triu(gram, 1).T
    targets = np.random.default_rng(0).normal(size=(60, 3)) * [1.0, 1e-200, 1e40]
    factor = factorise(gram, precision="float32")
    assert isinstance(factor, RefinedFactor)
    assert factor._cholesky.dtype == np.float32
    solution = factor.solve(targets)
    # A float32 factor alone leaves 1e-8.
    assert backward_error(gram, solution, targets) < 1e-16
    np.testing.assert_allclose(solution, np.linalg.solve(gram.astype(float), targets), rtol=1e-9)


def test_a_column_of_zeros_is_solved_by_zeros():
    targets = np.ones((20, 2)) * [0.0, 1.0]
    solution = factorise(gaussian(20, width=0.5), Ridge(0.1), precision="float32").solve(targets)
    np.testing.assert_array_equal(solution[:, 0], np.zeros(20))


def test_a_matrix_too_ill_conditioned_for_float32_is_refused_with_the_remedy():
    with pytest.raises(SolveError, match=r"precision='float64'"):
        factorise(hilbert(8), precision="float32").solve(np.ones(8))
    assert isinstance(factorise(hilbert(8)), Factor)


def test_refinement_that_does_not_converge_is_an_error(monkeypatch):
    factor = factorise(gaussian(20, width=0.5), precision="float32")
    monkeypatch.setattr("ntklab.solve._refined._MOST_STEPS", 1)
    with pytest.raises(SolveError, match=r"backward error of \d.*precision='float64'"):
        factor.solve(np.ones(20))


def test_a_float32_factor_cannot_overwrite_what_it_refines_with():
    with pytest.raises(InputError, match="overwrite=False"):
        factorise(np.eye(2), precision="float32", overwrite=True)
    with pytest.raises(InputError, match="'float16'"):
        factorise(np.eye(2), precision="float16")


@pytest.fixture
def small_blocks(monkeypatch):
    """The code for N > 46,340 at a size that a test can afford, with a ragged last block."""
    monkeypatch.setattr("ntklab.solve._cholesky._LAPACK_LIMIT", 0)
    monkeypatch.setattr("ntklab.solve._cholesky._BLOCK", 16)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [5, 16, 32, 75])
def test_a_factor_in_blocks_equals_the_one_of_lapack(order, n, monkeypatch):
    gram = np.array(gaussian(n, width=0.4), order=order)
    targets = np.random.default_rng(0).normal(size=(n, 3))
    whole = factorise(gram, Ridge(1e-3))
    monkeypatch.setattr("ntklab.solve._cholesky._LAPACK_LIMIT", 0)
    monkeypatch.setattr("ntklab.solve._cholesky._BLOCK", 16)
    given = gram.copy(order="K")
    blocked = factorise(given, Ridge(1e-3), overwrite=True)
    assert np.shares_memory(blocked._cholesky, given)
    assert blocked.logdet == pytest.approx(whole.logdet, rel=1e-13)
    shifted = gram + 1e-3 * np.eye(n)
    np.testing.assert_allclose(blocked.solve(targets), np.linalg.solve(shifted, targets), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(blocked.inner(targets), targets.T @ np.linalg.solve(shifted, targets), rtol=1e-11)
    np.testing.assert_allclose(blocked.inverse(), np.linalg.inv(shifted), rtol=1e-9, atol=1e-10)
    assert blocked.one_norm == pytest.approx(np.linalg.norm(shifted, 1), rel=1e-13)


def test_progress_goes_through_the_blocks_and_shows_them(monkeypatch, capsys):
    monkeypatch.setattr("ntklab.solve._cholesky._BLOCK", 16)
    gram = gaussian(40, width=0.5)
    whole, shown = factorise(gram), factorise(gram, progress=True)
    assert "Cholesky" in (err := capsys.readouterr().err)
    assert "3/3" in err
    np.testing.assert_allclose(shown.solve(np.ones(40)), whole.solve(np.ones(40)), rtol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.usefixtures("small_blocks")
def test_a_failure_in_blocks_names_pivot_and_duplicates_as_lapack_does(order):
    gram = np.array(gaussian(40, duplicate=(4, 37)), order=order)
    with pytest.raises(SolveError, match=r"(?s)pivot 37 is .*Training points 4 and 37 are almost identical"):
        factorise(gram, overwrite=True)


@pytest.mark.usefixtures("small_blocks")
def test_a_float32_factor_in_blocks_is_refined_too():
    gram = gaussian(40, width=0.5)
    solution = factorise(gram, Ridge(1e-2), precision="float32").solve(np.ones(40))
    np.testing.assert_allclose(solution, np.linalg.solve(gram + 1e-2 * np.eye(40), np.ones(40)), rtol=1e-11)


def test_the_estimated_rounding_of_storage_is_within_a_factor_of_the_true_one():
    gram = gaussian(400, width=0.05, dimension=20)
    true = np.linalg.norm(gram.astype(np.float32) - gram, 2)
    assert 0.5 < storage_error(gram.astype(np.float32)) / true < 2


def decompositions(gram, ridge):
    yield lambda: factorise(gram, ridge)
    yield lambda: eigendecompose(gram).with_ridge(ridge)


def test_a_ridge_below_the_rounding_of_a_float32_kernel_warns():
    # Eigenvalues fall to 1e-9 of the mean diagonal; rounding moves them by 1e-6.
    gram = gaussian(300, width=1e-3).astype(np.float32)
    gram = (gram.astype(float) + 2e-6 * np.eye(300)).astype(np.float32)
    for call in decompositions(gram, Ridge(1e-6)):
        with pytest.warns(PrecisionWarning, match=r"float32 alone .* at least \d"):
            call()
    for call in decompositions(gram, Ridge(1e-3)):
        call()  # warnings are errors here


def test_a_tiny_ridge_on_a_well_conditioned_kernel_does_not_warn():
    gram = gaussian(50, width=2.0).astype(np.float32)
    for call in decompositions(gram, Ridge(1e-9)):
        call()


@pytest.mark.parametrize(
    ("ridge", "message"),
    [
        (Ridge(1e-4, "nothing"), r"1e-16 of the mean diagonal 1e\+12, below the rounding of float64"),
        (Ridge(1e-17), "below the rounding"),
        (Ridge(1e17, "nothing"), r"1e\+05 of the mean diagonal 1e\+12, more than 1000 times the trace"),
        (Ridge(1e5), "more than 1000 times the trace"),
    ],
)
def test_a_ridge_of_the_wrong_scale_is_refused(ridge, message):
    for call in decompositions(1e12 * np.eye(3), ridge):
        with pytest.raises(InputError, match=message):
            call()


def test_a_singular_spectrum_without_a_ridge_names_the_duplicates():
    spectrum = eigendecompose(gaussian(30, duplicate=(4, 21)))
    with pytest.raises(SolveError, match=r"30 x 30 .*singular: 1 of .*Training points 4 and 21 are almost identical"):
        spectrum.with_ridge()
    spectrum.with_ridge(Ridge(1e-6))
