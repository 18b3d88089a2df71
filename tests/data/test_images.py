import dataclasses
from typing import Any

import numpy as np
import pytest

from ntklab.data import ImageData
from ntklab.errors import DataError


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "x_train": np.zeros((3, 4, 5, 1), np.uint8),
        "y_train": np.array([0, 1, 1]),
        "x_test": np.zeros((2, 4, 5, 1), np.uint8),
        "y_test": np.array([1, 0]),
        "class_names": ("cat", "dog"),
        "source": "made up",
    } | changes


def test_row_numbers_count_up_when_they_are_not_given() -> None:
    data = ImageData(**fields())
    np.testing.assert_array_equal(data.index_train, np.arange(3), strict=True)
    np.testing.assert_array_equal(data.index_test, np.arange(2), strict=True)


def test_its_text_is_one_line_without_pixels() -> None:
    data = ImageData(**fields())
    assert repr(data) == "ImageData('made up': 3 training and 2 test images of 4x5x1 in 2 classes)"
    assert data.image_shape == (4, 5, 1)


def test_a_value_cannot_be_changed_and_leaves_the_given_arrays_writeable() -> None:
    given = fields()
    data = ImageData(**given)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.source = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0] = 1
    given["x_train"][0] = 1
    assert given["x_train"].flags.writeable


def test_a_test_part_may_be_empty() -> None:
    data = ImageData(**fields(x_test=np.zeros((0, 4, 5, 1), np.uint8), y_test=np.zeros(0, np.int64)))
    assert len(data.x_test) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((3, 4, 5, 1))}, r"x_train must be a uint8 array .*; got an array of float64"),
        (
            {"x_train": np.zeros((3, 4, 5), np.uint8)},
            r"x_train must be .*\(n, H, W, C\); .* shape \(3, 4, 5\)",
        ),
        ({"x_test": [[1]]}, "x_test must be a uint8 array .*; got a list"),
        (
            {"x_test": np.zeros((2, 4, 4, 1), np.uint8)},
            r"one shape \(H, W, C\); got \(4, 5, 1\) and \(4, 4, 1\)",
        ),
        ({"x_train": np.zeros((3, 0, 5, 1), np.uint8)}, "at least one pixel"),
        ({"y_train": np.array([0, 1])}, r"y_train must be an int64 array of shape \(3,\)"),
        (
            {"y_train": np.array([0, 1, 1], np.uint8)},
            "y_train must be an int64 array .*; got an array of uint8",
        ),
        ({"y_train": np.array([0, 2, 1])}, r"y_train must hold labels 0\.\.1; got 2 in row 1"),
        ({"y_test": np.array([0, -1])}, r"y_test must hold labels 0\.\.1; got -1 in row 1"),
        ({"class_names": ["cat", "dog"]}, "class_names must be a tuple of non-empty strings"),
        ({"class_names": ("cat", "")}, "class_names must be a tuple of non-empty strings"),
        ({"class_names": ("cat", "cat")}, "no repeats"),
        ({"class_names": ()}, "at least one name"),
        ({"source": ""}, "source must say what was read"),
        ({"index_train": np.arange(2)}, r"index_train must be an int64 array of shape \(3,\)"),
        ({"index_train": np.arange(3.0)}, "index_train must be an int64 array .*; got an array of float64"),
        ({"index_test": np.array([4, 4])}, "index_test must hold row numbers"),
        ({"index_test": np.array([-1, 4])}, "index_test must hold row numbers"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageData(**fields(**changes))
