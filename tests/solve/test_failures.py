"""A system that cannot be solved says why: size, ridge, pivot, culprits, and what to try."""

import re

import numpy as np
import pytest

from ntklab.errors import SolveError
from ntklab.solve import Ridge, factorise
from ntklab.solve._diagnosis import explain_failure
from tests.solve.grams import gaussian, with_spectrum


def failure(gram, ridge=None, **options):
    with pytest.raises(SolveError) as caught:
        factorise(gram, ridge or Ridge.none(), **options)
    return str(caught.value)


def suggested(message):
    return Ridge(float(re.search(r"Try a larger ridge: Ridge\((\S+)\)\.", message).group(1)))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_pair_of_identical_points_is_named(order, overwrite, dtype):
    gram = np.array(gaussian(30, duplicate=(4, 21)), dtype=dtype, order=order)
    message = failure(gram, overwrite=overwrite)
    assert "30 x 30" in message
    assert "no ridge" in message
    assert re.search(r"pivot 21 is -?\d", message)
    assert "Training points 4 and 21 are almost identical" in message


def explained(gram, index, pivot):
    return explain_failure(gram, gram.diagonal(), index, pivot, Ridge.none(), 0.0, gram.dtype)


def test_a_duplicate_that_rounding_let_pass_is_still_found(monkeypatch):
    # Points 3 and 6 are the same, rounding kept pivot 6 positive, and the blameless pivot 9 failed.
    gram = gaussian(10, duplicate=(3, 6))
    message = explained(gram, 9, -1e-16)
    assert "Training points 3 and 6 " in message
    monkeypatch.setattr("ntklab.solve._gram._BLOCK_ENTRIES", 12)
    assert message == explained(gram, 9, -1e-16)


@pytest.mark.parametrize("failed", [2, 3])
def test_the_squared_distance_of_the_pair_is_given_in_units_of_the_mean_diagonal(failed):
    gram = 4 * np.eye(4)
    gram[2, 0] = gram[0, 2] = 4 - 2e-8  # squared distance 4e-8
    assert "Training points 0 and 2 are almost identical" in explained(gram, failed, 0.0)
    assert "is 1e-08 of the mean diagonal" in explained(gram, failed, 0.0)


def test_distinct_points_are_not_called_identical():
    features = np.random.default_rng(0).normal(size=(30, 5))
    message = failure(features @ features.T)
    assert "pivot 5 is" in message
    assert "identical" not in message


def test_a_positive_pivot_within_rounding_of_zero_is_a_failure():
    gram = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]])
    message = failure(gram)
    assert "pivot 1 is 2.22e-16" in message
    assert "Training points 0 and 1" in message


def test_a_small_diagonal_entry_is_no_failure():
    np.testing.assert_allclose(factorise(np.diag([1.0, 1e-20])).solve([1.0, 1e-20]), [1.0, 1.0], rtol=1e-14)


@pytest.mark.parametrize(
    ("gram", "dtype"),
    [
        (gaussian(30, duplicate=(4, 21)), np.float64),
        (gaussian(30, duplicate=(4, 21)), np.float32),
        (7e5 * gaussian(30, duplicate=(4, 21)), np.float64),
        (np.ones((12, 12)), np.float64),
        (with_spectrum(np.r_[np.zeros(20), np.arange(1.0, 21)])[0], np.float32),
    ],
)
def test_the_suggested_ridge_works(gram, dtype):
    message = failure(gram.astype(dtype))
    factorise(gram.astype(dtype), suggested(message))


def test_the_suggestion_grows_when_a_ridge_was_already_there():
    gram, _ = with_spectrum([-2e-3, 1.0, 1.0, 1.0])
    message = failure(gram, Ridge(1e-3))
    assert re.search(r"The ridge is 0\.0007(49|5) in absolute terms, 0\.001 of the mean diagonal 0\.7(49|5)", message)
    assert suggested(message).value >= 1e-2
    factorise(gram, suggested(message))


@pytest.mark.parametrize(
    ("excess", "ridge", "expected"),
    [
        (1e-3, Ridge.none(), 1e-1),  # the pivot is -2e-3: ten times that, rounded up
        (1e-5 + 1e-8, Ridge(1e-5), 1e-4),  # the pivot is -2e-8: ten times the last ridge is more
        (0.0, Ridge.none(), 1e-8),  # the pivot is 0: the smallest ridge worth trying
    ],
)
def test_the_suggestion_is_the_next_power_of_ten_that_may_do(excess, ridge, expected):
    gram = np.array([[1.0, 1.0 + excess], [1.0 + excess, 1.0]])
    assert suggested(failure(gram, ridge)) == Ridge(expected)


def test_an_absolute_ridge_is_reported_on_both_scales():
    message = failure(4 * np.ones((3, 3)), Ridge(8e-16, "nothing"))
    assert "ridge of 8e-16, absolute" in message
    assert "8e-16 in absolute terms, 2e-16 of the mean diagonal 4" in message


def test_float32_input_is_told_to_try_float64():
    assert "float64" in failure(np.ones((3, 3), np.float32))
    assert "float64" not in failure(np.ones((3, 3)))


def test_an_indefinite_matrix_is_called_no_kernel_matrix_and_gets_no_suggestion():
    message = failure(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert "pivot 1 is -3" in message
    assert "no kernel matrix" in message
    assert "Try a larger" not in message


def test_a_pivot_that_overflowed_is_no_rounding_error_either():
    message = failure(np.array([[1e-300, 1e300], [1e300, 1e300]]))
    assert "pivot 1 is -inf" in message
    assert "no kernel matrix" in message
    assert "no kernel matrix" in explained(np.eye(3), 2, float("nan"))


def test_a_negative_diagonal_entry_is_named():
    message = failure(np.diag([1.0, 2.0, -0.5, 1.0]))
    assert "entry (2, 2) is -0.5" in message


def test_a_zero_matrix_is_named():
    assert "All diagonal entries are 0" in failure(np.zeros((2, 2)))


def test_the_failing_pivot_of_a_blocked_factorisation_is_counted_from_the_start():
    gram = np.eye(700)
    gram[613, 613] = 0.0
    assert "pivot 613 is 0" in failure(gram)
