import sys

import numpy as np
import pytest

from ntklab.data import load_digits
from ntklab.errors import InputError, MissingExtraError


def test_the_digits_are_the_images_that_scikit_learn_bundles() -> None:
    bundled = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()
    data = load_digits(seed=3, n_test=100)
    assert data.x_train.shape == (1697, 8, 8, 1)
    assert data.x_train.max() == 16
    for x, y, rows in (
        (data.x_train, data.y_train, data.index_train),
        (data.x_test, data.y_test, data.index_test),
    ):
        np.testing.assert_array_equal(x[..., 0], bundled.images[rows])
        np.testing.assert_array_equal(y, bundled.target[rows])
    assert sorted([*data.index_train, *data.index_test]) == list(range(1797))
    assert data.class_names == tuple("0123456789")


def test_the_split_depends_on_its_seed_alone() -> None:
    first, again, other = load_digits(), load_digits(seed=0), load_digits(seed=1)
    np.testing.assert_array_equal(first.index_test, again.index_test)
    assert not np.array_equal(first.index_test, other.index_test)
    assert other.source == "scikit-learn digits, seed 1"


def test_the_split_is_the_same_in_every_release() -> None:
    assert load_digits(n_test=5).index_test.tolist() == [360, 600, 850, 1482, 1773]


def test_the_default_split_has_every_class_in_both_parts() -> None:
    data = load_digits()
    assert np.bincount(data.y_train).min() > 130
    assert np.bincount(data.y_test).min() > 15


def test_the_test_part_may_be_empty_and_the_training_part_may_not() -> None:
    assert len(load_digits(n_test=0).x_test) == 0
    assert len(load_digits(n_test=1796).x_train) == 1
    with pytest.raises(InputError, match=r"n_test must be 0\.\.1796"):
        load_digits(n_test=1797)
    with pytest.raises(InputError, match="seed must not be negative"):
        load_digits(seed=-1)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.delitem(sys.modules, "ntklab.data._sklearn_digits", raising=False)
    monkeypatch.delattr("ntklab.data._sklearn_digits", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'ntklab\[digits\]'"):
        load_digits()
