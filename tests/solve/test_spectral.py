"""The eigendecomposition against known spectra, and its rules about zero and negative eigenvalues."""

import numpy as np
import pytest

from ntklab.errors import SolveError
from ntklab.solve import Status, eigendecompose
from tests.solve.grams import gaussian, with_spectrum


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_known_spectrum_comes_back(order, overwrite):
    values = np.array([0.5, 1.0, 1.0, 2.0, 30.0])
    gram, _ = with_spectrum(values)
    kept = gram.copy()
    spectrum = eigendecompose(np.array(gram, order=order), overwrite=overwrite)
    np.testing.assert_allclose(spectrum.eigenvalues, values, rtol=1e-13)
    vectors = spectrum.eigenvectors
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), atol=1e-14)
    np.testing.assert_allclose((vectors * spectrum.eigenvalues) @ vectors.T, kept, atol=1e-13)
    assert (spectrum.size, spectrum.rank, spectrum.most_negative) == (5, 5, 0.0)
    assert spectrum.status is Status.OK


def test_the_matrix_is_not_modified_unless_asked():
    gram = gaussian(8)
    kept = gram.copy()
    eigendecompose(gram)
    np.testing.assert_array_equal(gram, kept)


def test_the_eigenvalues_of_the_second_difference_matrix_are_the_textbook_ones():
    n = 50
    gram = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    expected = 2 - 2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1))
    np.testing.assert_allclose(eigendecompose(gram).eigenvalues, expected, atol=1e-13)


def test_eigenvalues_within_rounding_of_zero_are_exactly_zero():
    features = np.random.default_rng(0).normal(size=(40, 6))
    spectrum = eigendecompose(features @ features.T)
    assert spectrum.rank == 6
    assert np.count_nonzero(spectrum.eigenvalues == 0.0) == 34
    assert spectrum.status is Status.SINGULAR
    assert -1e-12 < spectrum.most_negative <= 0.0


@pytest.mark.parametrize(("factor", "rank"), [(0.995, 3), (1.005, 4)])
def test_zero_means_up_to_n_eps_times_the_largest(factor, rank):
    eps = np.finfo(float).eps
    spectrum = eigendecompose(np.diag([factor * 4 * eps * 8.0, 1.0, 2.0, 8.0]))
    assert spectrum.rank == rank
    assert spectrum.zero_below == pytest.approx(4 * eps * 8.0, rel=1e-12, abs=0)


def test_a_negative_eigenvalue_beyond_rounding_is_an_error_with_its_value():
    gram, _ = with_spectrum([-0.125, 1.0, 3.0])
    with pytest.raises(SolveError, match=r"not positive semidefinite: its smallest eigenvalue is -0\.125"):
        eigendecompose(gram)


def test_negative_eigenvalues_up_to_the_rounding_of_float32_are_zero_for_float32_only():
    values = [-1e-7, 1.0, 1.0, 1.0]  # eps of float32 times the Frobenius norm is 2.1e-7
    spectrum = eigendecompose(np.diag(values).astype(np.float32))
    assert spectrum.eigenvalues[0] == 0.0
    assert spectrum.most_negative == pytest.approx(-1e-7, rel=1e-6, abs=0)
    with pytest.raises(SolveError, match="-1e-07"):
        eigendecompose(np.diag(values))
    with pytest.raises(SolveError, match="float32"):
        eigendecompose(np.diag([-3e-7, 1.0, 1.0, 1.0]).astype(np.float32))


def test_small_positive_eigenvalues_of_a_float32_matrix_are_kept_and_reported():
    spectrum = eigendecompose(np.diag([1e-8, 1.0]).astype(np.float32))
    assert spectrum.rank == 2
    assert spectrum.status is Status.FLOAT32_LIMITED


def test_the_rounding_of_a_real_kernel_to_float32_is_within_the_tolerance():
    spectrum = eigendecompose(gaussian(60, width=1e-3).astype(np.float32))
    assert spectrum.most_negative < 0
    assert spectrum.eigenvalues.min() == 0.0


def test_a_matrix_of_zeros_has_rank_zero():
    spectrum = eigendecompose(np.zeros((3, 3)))
    assert spectrum.rank == 0
    assert spectrum.status is Status.SINGULAR
