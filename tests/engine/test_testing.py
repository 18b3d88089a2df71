"""The helpers of ntklab.testing: a comparison that lets something through is worse than none."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.testing import (
    TOLERANCES,
    assert_close,
    cntk_cases,
    golden_cases,
    largest_difference,
    made_up_inputs,
    tolerance,
    window_cases,
)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_one_percent_off_is_caught_wherever_it_is(dtype, shape, factor):
    expected = np.asarray(2.0 + made_up_inputs(1, shape)[0], dtype)
    assert_close(expected, expected, 0.0)
    with pytest.raises(AssertionError):
        assert_close(expected * np.asarray(factor, dtype), expected, tolerance(dtype))
    for index in np.ndindex(shape):
        actual = expected.copy()
        actual[index] = actual[index] * np.asarray(factor, dtype)
        with pytest.raises(AssertionError, match=r"largest relative error 0\.01") as caught:
            assert_close(actual, expected, tolerance(dtype))
        assert f"at index {index}" in str(caught.value)
        assert_close(actual, expected, 0.011)


@pytest.mark.parametrize("name", [case.name for case in golden_cases()])
def test_one_percent_off_is_caught_in_every_golden_kernel(name):
    case = next(case for case in golden_cases() if case.name == name)
    for matrix in (case.nngp, case.ntk):
        for factor in (0.99, 1.01, 1 + 1e-5):
            with pytest.raises(AssertionError):
                assert_close((factor * matrix).astype("float32"), matrix, tolerance("float32"))


def test_a_failure_names_what_where_how_much_and_both_values():
    with pytest.raises(AssertionError) as caught:
        assert_close([[1.0, 2.0], [4.5, 8.0]], [[1.0, 2.0], [4.0, 8.0]], 1e-3, what="ntk")
    assert str(caught.value) == (
        "ntk: largest relative error 0.125 at index (1, 0): actual 4.5, expected 4.0; allowed 0.001"
    )


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.ones(3), np.ones((3, 1))),
        (np.ones(3), np.ones((1, 3))),
        (1.0, np.ones(3)),
        (np.ones((2, 1)), np.ones((2, 2))),
        (np.ones((0,)), np.ones((1,))),
    ],
)
def test_nothing_is_broadcast(actual, expected):
    for pair in ((actual, expected), (expected, actual)):
        with pytest.raises(InputError, match="different shapes"):
            assert_close(*pair, 0.5)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([1.0, np.nan], [1.0, 1.0]),
        ([1.0, 1.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, 1.0]),
        ([1.0, 1.0], [1.0, np.inf]),
        ([np.inf], [-np.inf]),
        ([1e-300], [0.0]),
        ([-1.0], [1.0]),
    ],
)
def test_missing_infinite_and_misplaced_values_are_never_close(actual, expected):
    with pytest.raises(AssertionError):
        assert_close(actual, expected, 0.5)


def test_equal_values_are_close_whatever_they_are():
    values = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0])
    assert_close(values, values, 0.0)
    assert_close(np.ones((0, 3)), np.ones((0, 3)), 0.0)
    assert_close(jnp.ones(3, jnp.float32), np.ones(3), 0.0)
    assert_close([1, 2], [1.0, 2.0], 0.0)


def test_a_scale_replaces_the_expected_value():
    assert_close([1e-9, 1.0], [0.0, 1.0], 1e-8, scale=1.0)
    assert largest_difference([1e-9, 1.0], [0.0, 1.0], scale=np.array([0.1, 1.0])).error == pytest.approx(1e-8)
    for scale in (0.0, -1.0, [1.0, 0.0], np.ones((2, 1)), float("nan")):
        with pytest.raises(InputError, match="scale"):
            assert_close([1.0, 1.0], [1.0, 1.0], 0.1, scale=scale)


@pytest.mark.parametrize("values", [np.ones(2, complex), np.array(["a", "b"]), np.array([None, 1.0])])
def test_what_is_not_real_is_refused(values):
    with pytest.raises(InputError, match="real numbers"):
        assert_close(values, np.ones(2), 0.1)


@pytest.mark.parametrize("allowed", [-1e-9, 1.0, float("nan"), float("inf")])
def test_a_tolerance_that_allows_anything_is_refused(allowed):
    with pytest.raises(InputError, match="tolerance"):
        assert_close(1.0, 1.0, allowed)


def test_errors_are_measured_in_float64_at_least():
    one = np.float32(1.0)
    next_one = np.nextafter(one, np.float32(2.0))
    assert largest_difference(next_one, one).error == pytest.approx(2.0**-23, rel=1e-12)
    assert largest_difference(np.uint8(3), np.uint8(5)).error == pytest.approx(0.4)


def test_tolerances_are_known_by_dtype_and_nothing_else():
    assert set(TOLERANCES) == {"float64", "float32"}
    assert tolerance(np.float32) == TOLERANCES["float32"] <= 2e-6
    assert tolerance(jnp.float64) == TOLERANCES["float64"] <= 1e-11
    with pytest.raises(InputError, match="float16"):
        tolerance("float16")


def test_made_up_inputs_are_exact_in_float32_and_all_rows_differ():
    x = made_up_inputs(50, (4, 4, 3))
    np.testing.assert_array_equal(x, x.astype("float32"))
    assert len(np.unique(x.reshape(50, -1), axis=0)) == 50
    assert 0.6 < x.std() < 0.8
    np.testing.assert_array_equal(made_up_inputs(2, (4, 4, 3)), x[:2])


def test_case_names_are_unique_and_cover_all_paddings_strides_filters_and_readouts():
    cases = (*cntk_cases(8, 3), *cntk_cases(32, 2), *window_cases())
    assert len({case.name for case in cases}) == len(cases) == 6 + 6 + 54
    assert all(case.inputs.shape == (case.count, *case.input_shape) for case in cases)
