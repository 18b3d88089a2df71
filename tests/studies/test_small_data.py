"""The learning curve on made-up images: as single runs find it, resumed, and beside the published numbers."""

import numpy as np
import pytest

import ntklab
from ntklab import studies
from ntklab._core import Record
from ntklab.data import Standardiser, load_cifar10, subset
from ntklab.errors import DataError, InputError
from ntklab.spec import zoo
from tests.made_up_cifar import noisy_classes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return noisy_classes(tmp_path_factory.mktemp("cifar"), 40, 10, noise=56)


def test_the_curve_is_that_of_single_runs_and_resumes(data, tmp_path):
    words = {"depth": 3, "sizes": (20, 10), "draws": 2, "n_test": 2, "engine": "simd", "progress": False}
    record = studies.small_data(data, store=tmp_path, **words)
    few, many = record.results["sizes"]
    assert (few["n_train"], many["n_train"]) == (10, 20)
    for row in (few, many):
        single = studies.cifar10(
            data, depth=3, n_train=row["n_train"], n_test=2, repeats=2, engine="simd", progress=False
        )
        assert row["accuracies"] == [run["accuracy"] for run in single.results["runs"]]
        assert (row["mean"], row["spread"]) == (single.results["mean"], single.results["spread"])

    saved = Record.load(tmp_path / "draw-1.json")
    Record(saved.kind, saved.settings, {"accuracies": [1.0, 2.0]}, saved.environment, saved.created).save(
        tmp_path / "draw-1.json"
    )
    again = studies.small_data(data, store=tmp_path, **words)  # reads what is there
    assert [row["accuracies"][1] for row in again.results["sizes"]] == [1.0, 2.0]
    with pytest.raises(DataError, match="name another store"):
        studies.small_data(data, store=tmp_path, **words | {"sizes": (10,)})


def test_draws_from_a_pool_are_tested_on_the_rest_of_it(data, tmp_path):
    words = {"depth": 3, "sizes": (10, 20), "draws": 3, "pool": 30, "seed": 4, "engine": "simd", "progress": False}
    record = studies.small_data(data, store=tmp_path, **words)
    images = load_cifar10(data)
    standardiser = Standardiser.fit(images.x_train)
    pool = subset(images, 30, 0, seed=4)
    kfn = ntklab.compile(zoo.cntk(3, "gap"), (32, 32, 3), engine="simd", get=("ntk",))
    for row in record.results["sizes"]:
        for draw, accuracy in enumerate(row["accuracies"], 4):
            part = subset(pool, row["n_train"], 0, seed=draw)
            assert set(part.index_train) <= set(pool.index_train)
            others = np.setdiff1d(pool.index_train, part.index_train)
            assert len(others) == 30 - row["n_train"]
            x, x_test = (standardiser.apply(data) for data in (part.x_train, images.x_train[others]))
            labels = np.where(np.arange(10) == part.y_train[:, None], 0.9, -0.1)
            f = np.asarray(kfn(x_test, x).ntk) @ np.linalg.solve(np.asarray(kfn(x).ntk), labels)
            assert accuracy == pytest.approx(100 * np.mean(f.argmax(1) == images.y_train[others]))
        p = row["mean"] / 100
        assert row["least_standard_error"] == pytest.approx(100 * np.sqrt(p * (1 - p) / 30))

    kept = studies.small_data(data, store=tmp_path, **words | {"draws": 1})  # no entry is computed again
    assert kept.results["sizes"][0]["accuracies"] == record.results["sizes"][0]["accuracies"][:1]


def test_sizes_that_cannot_be_drawn_are_refused(data):
    with pytest.raises(InputError, match="positive sizes"):
        studies.small_data(data, sizes=())
    with pytest.raises(InputError, match="training images"):
        studies.small_data(data, sizes=(10, 1000))
    for words in ({"pool": 20}, {"pool": 30, "n_test": 5}):
        with pytest.raises(InputError, match="more than the largest of sizes, 20"):
            studies.small_data(data, sizes=(10, 20), **words)
