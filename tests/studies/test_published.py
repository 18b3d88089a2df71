"""Published numbers: a few read again from the papers' tables."""

import pytest

from ntklab.studies import published_cifar10, published_cnn


@pytest.mark.parametrize(
    ("depth", "pooling", "n_train", "accuracy", "name"),
    [
        (11, "gap", 50_000, 77.43, "CNTK-GAP"),
        (6, "none", 50_000, 66.03, "CNTK-V"),
        (6, "none", 2_000, 43.43, "CNTK-V-2K"),
        (21, "gap", 2_000, 52.22, "CNTK-GAP-2K"),
        (11, "gap", 320, 36.44, "CNTK, 11 layers"),
        (14, "gap", 10, 15.33, "CNTK, 14 layers"),
    ],
)
def test_numbers_are_those_of_the_tables(depth, pooling, n_train, accuracy, name):
    found = published_cifar10(depth, pooling, n_train)
    assert found is not None
    assert (found.accuracy, found.name) == (accuracy, name)
    assert "Arora et al. 2019" in found.source


@pytest.mark.parametrize(("depth", "pooling", "n_train"), [(5, "gap", 50_000), (6, "gap", 320), (11, "gap", 100)])
def test_where_nothing_is_published_nothing_is_claimed(depth, pooling, n_train):
    assert published_cifar10(depth, pooling, n_train) is None


def test_finite_networks_have_their_own_column():
    assert published_cnn(4, "gap").accuracy == 80.93
    assert published_cnn(21, "none").name == "CNN-V"
    assert published_cnn(5, "gap") is None
