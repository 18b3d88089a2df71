import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ntklab.data import Standardiser, flatten_images, standardise, unit_norm
from ntklab.errors import InputError


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """More images than are handled at once, with channels of different spread."""
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (2500, 3, 4, 3)) // np.array([1, 2, 9])).astype(np.uint8)


def test_the_numbers_are_the_population_moments_of_all_pixels_of_a_channel(images: NDArray[np.uint8]) -> None:
    fitted = Standardiser.fit(images)
    for channel in range(3):
        values = images[..., channel].ravel().tolist()
        mean = Fraction(sum(values), len(values))
        variance = Fraction(sum(value * value for value in values), len(values)) - mean**2
        assert fitted.mean[channel] == pytest.approx(float(mean / 255), rel=1e-14)
        assert fitted.std[channel] == pytest.approx(math.sqrt(variance) / 255, rel=1e-13)
    assert fitted.mean.dtype == fitted.std.dtype == np.float64


def test_training_images_get_mean_zero_and_standard_deviation_one(images: NDArray[np.uint8]) -> None:
    (result,) = standardise(images)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), 1, rtol=1e-13)


def test_other_images_are_treated_with_the_training_numbers(images: NDArray[np.uint8]) -> None:
    train, test, more = standardise(images[:1500], images[1500:], images[:2])
    fitted = Standardiser.fit(images[:1500])
    np.testing.assert_array_equal(test, fitted.apply(images[1500:]))
    np.testing.assert_array_equal(more, train[:2])
    expected = (images[1500:] / 255 - fitted.mean) / fitted.std
    np.testing.assert_array_equal(test, expected)


def test_the_scale_divides_out(images: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(standardise(images)[0], standardise(images, scale=16)[0], atol=1e-13)
    assert Standardiser.fit(images, scale=1).mean[0] == pytest.approx(images[..., 0].mean())


def test_float32_is_the_rounding_of_the_float64_result(images: NDArray[np.uint8]) -> None:
    (single,) = standardise(images, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, standardise(images)[0].astype(np.float32))


def test_images_without_any_or_of_floats_are_applied_to(images: NDArray[np.uint8]) -> None:
    fitted = Standardiser.fit(images / 255, scale=1)
    assert fitted.apply(images[:0]).shape == (0, 3, 4, 3)
    np.testing.assert_allclose(fitted.apply(images / 255), standardise(images)[0], atol=1e-12)


def test_fitted_numbers_cannot_be_reassigned(images: NDArray[np.uint8]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Standardiser.fit(images).scale = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("value", [0, 100, 0.1])
def test_a_constant_channel_is_refused_even_where_rounding_hides_it(value: float) -> None:
    x = np.random.default_rng(0).random((30, 3, 3, 2))
    x[..., 1] = value
    with pytest.raises(InputError, match=rf"channel 1 has the value {value:.1f} in all 270 pixels.*deviation is 0"):
        standardise(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: standardise(x[0]), r"needs images of shape \(n, H, W, C\); got shape \(3, 4, 3\)"),
        (lambda x: standardise(x[:0]), "fitting needs at least one image"),
        (lambda x: standardise(x > 3), "real numbers; got dtype bool"),
        (lambda x: standardise(x * 1j), "real numbers; got dtype complex"),
        (lambda x: standardise(np.where(x > 3, np.nan, 1.0)), "not finite"),
        (lambda x: standardise(np.where(x > 3, np.inf, 1.0)), "not finite"),
        (lambda x: standardise(x, scale=0), "scale must be a positive number; got 0"),
        (lambda x: standardise(x, scale=np.nan), "scale must be a positive number"),
        (lambda x: standardise(x, dtype=np.uint8), "dtype must be a floating one.*; got uint8"),
        (
            lambda x: standardise(x, x[..., :2]),
            r"fitted to 3 channels; got images of shape \(2500, 3, 4, 2\)",
        ),
        (lambda x: flatten_images(x[0]), "needs images of shape"),
        (lambda x: unit_norm(x[0, 0, 0]), r"at least one more axis; got \(3,\)"),
        (lambda x: unit_norm(np.ones((2, 3)), dtype=int), "dtype must be a floating one"),
        (lambda x: unit_norm([[1.0, 2.0], [0.0, 0.0]]), "example 1 has the norm 0.0"),
        (lambda x: unit_norm([[1e300, 1e300]]), "example 0 has the norm inf"),
        (lambda x: unit_norm([[np.nan, 1.0]]), "example 0 has the norm nan"),
    ],
)
def test_what_cannot_be_prepared_is_refused(images: NDArray[np.uint8], call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(images)


def test_flat_rows_keep_order_and_dtype(images: NDArray[np.uint8]) -> None:
    flat = flatten_images(images)
    assert flat.dtype == np.uint8
    np.testing.assert_array_equal(flat[7], images[7].ravel())
    assert flatten_images(images[:0]).shape == (0, 36)


def test_examples_of_any_shape_get_norm_one(images: NDArray[np.uint8]) -> None:
    result = unit_norm(images, dtype=np.float32)
    assert result.shape == images.shape
    assert result.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(flatten_images(result), axis=1), 1, rtol=1e-6)
