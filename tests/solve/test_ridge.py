"""Ridges: their scale, their sentences, and what they refuse."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.solve import Ridge


def test_a_relative_ridge_is_a_multiple_of_the_mean_diagonal():
    gram = np.array([[1.0, 0.5, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 6.0]])
    assert Ridge(0.01).absolute(gram) == pytest.approx(0.03, rel=1e-15)


def test_an_absolute_ridge_does_not_look_at_the_matrix():
    assert Ridge(0.01, relative_to="nothing").absolute(100 * np.eye(2)) == 0.01


def test_a_relative_ridge_scales_with_the_kernel():
    gram = np.diag([1.0, 3.0])
    assert Ridge(0.3).absolute(7 * gram) == pytest.approx(7 * Ridge(0.3).absolute(gram), rel=1e-15)


def test_the_mean_of_a_float32_diagonal_is_taken_in_float64():
    gram = np.diag(np.full(999, 0.1, np.float32))
    assert Ridge(1.0).absolute(gram) == pytest.approx(float(np.float32(0.1)), rel=1e-15)


def test_jax_arrays_are_accepted():
    assert Ridge(0.5).absolute(jnp.diag(jnp.array([1.0, 3.0]))) == 1.0


@pytest.mark.parametrize(
    ("ridge", "sentence"),
    [
        (Ridge(1e-4), "ridge of 0.0001 times the mean diagonal"),
        (Ridge(2.5, relative_to="nothing"), "ridge of 2.5, absolute"),
        (Ridge(0.0), "no ridge"),
        (Ridge.none(), "no ridge"),
    ],
)
def test_a_ridge_prints_as_words(ridge, sentence):
    assert str(ridge) == sentence


def test_no_ridge_is_an_absolute_zero():
    assert Ridge.none() == Ridge(0.0, "nothing")
    assert Ridge.none().absolute(np.eye(3)) == 0.0


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf, "much", None])
def test_a_ridge_must_be_a_finite_number_of_at_least_zero(value):
    with pytest.raises(InputError, match="must be"):
        Ridge(value)


def test_an_unknown_scale_is_refused_by_name():
    with pytest.raises(InputError, match="'trace'"):
        Ridge(0.1, relative_to="trace")


@pytest.mark.parametrize("gram", [np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))])
def test_the_matrix_must_be_square_and_not_empty(gram):
    with pytest.raises(InputError, match="square"):
        Ridge(0.1).absolute(gram)


def test_a_relative_ridge_refuses_a_negative_mean_diagonal():
    with pytest.raises(SolveError, match="mean diagonal >= 0, got -2"):
        Ridge(0.1).absolute(-2 * np.eye(3))
