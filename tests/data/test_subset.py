import itertools
from typing import Any

import numpy as np
import pytest

from ntklab.data import ImageData, subset
from ntklab.errors import InputError


@pytest.fixture
def data() -> ImageData:
    """60 training images in 3 classes of 30, 20 and 10, each image filled with its original row number."""
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
    rows = 100 + np.arange(60)
    x = np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (60, 2, 2, 1)).copy()
    names = ("cat", "dog", "eel")
    return ImageData(x, y, x[:9], y[:9], names, "made up", index_train=rows, index_test=rows[:9])


def test_a_balanced_draw_takes_the_same_number_of_every_class(data: ImageData) -> None:
    small = subset(data, 15, 4, seed=0)
    assert np.bincount(small.y_train).tolist() == [5, 5, 5]
    assert small.source == ("made up, 15 of 60 training images (balanced, seed 0), first 4 of 9 test images")


def test_what_does_not_divide_goes_to_classes_drawn_with_the_seed(data: ImageData) -> None:
    counts = {tuple(np.bincount(subset(data, 8, seed=seed).y_train)) for seed in range(30)}
    assert counts == {(3, 3, 2), (3, 2, 3), (2, 3, 3)}


def test_pixels_labels_and_row_numbers_stay_together(data: ImageData) -> None:
    small = subset(data, 12, 5, 2)
    np.testing.assert_array_equal(small.x_train[:, 0, 0, 0], small.index_train)
    np.testing.assert_array_equal(small.y_train, data.y_train[small.index_train - 100])
    assert np.all(np.diff(small.index_train) > 0)


def test_test_images_come_from_the_front_in_order(data: ImageData) -> None:
    np.testing.assert_array_equal(subset(data, 3, 5).index_test, data.index_test[:5])
    np.testing.assert_array_equal(subset(data, 3).index_test, data.index_test)
    assert len(subset(data, 3, 0).x_test) == 0


@pytest.mark.parametrize("balanced", [True, False])
def test_a_draw_depends_on_its_seed_alone(data: ImageData, balanced: bool) -> None:
    first, again = (subset(data, 15, seed=5, balanced=balanced).index_train for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, subset(data, 15, seed=6, balanced=balanced).index_train)


@pytest.mark.parametrize("balanced", [True, False])
def test_draws_with_one_seed_are_nested(data: ImageData, balanced: bool) -> None:
    drawn = [set(subset(data, n, seed=1, balanced=balanced).index_train.tolist()) for n in range(1, 31)]
    assert all(small < large for small, large in itertools.pairwise(drawn))


def test_a_draw_is_the_same_in_every_release(data: ImageData) -> None:
    # Records name only the seed: another order of random calls would silently change what they mean.
    assert subset(data, 6, seed=0).index_train.tolist() == [102, 109, 117, 124, 149, 150]
    assert subset(data, 6, seed=0, balanced=False).index_train.tolist() == [108, 116, 120, 127, 134, 142]


def test_all_training_images_can_be_kept_in_order(data: ImageData) -> None:
    kept = subset(data, None, 2)
    np.testing.assert_array_equal(kept.index_train, data.index_train)
    assert kept.source == "made up, first 2 of 9 test images"
    assert len(subset(data, 60, balanced=False).x_train) == 60


def test_more_than_a_class_has_is_refused_with_what_is_possible(data: ImageData) -> None:
    assert len(subset(data, 30).x_train) == 30
    with pytest.raises(InputError, match=r"needs 11 training images of class 'eel', which has 10; ask for at most 30"):
        subset(data, 33)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 61}, r"n_train must be 1\.\.60, as there are 60 training images; got 61"),
        ({"n_train": 0}, r"n_train must be 1\.\.60"),
        ({"n_train": 1.5}, "n_train must be an integer; got 1.5"),
        ({"n_train": True}, "n_train must be an integer; got True"),
        ({"n_train": 3, "n_test": 10}, r"n_test must be 0\.\.9, as there are 9 test images; got 10"),
        ({"n_train": 3, "n_test": -1}, r"n_test must be 0\.\.9"),
        ({"n_train": 3, "seed": -1}, "seed must not be negative; got -1"),
        ({"n_train": 3, "seed": None}, "seed must be an integer; got None"),
    ],
)
def test_counts_and_seeds_that_mean_nothing_are_refused(
    data: ImageData, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        subset(data, **arguments)
