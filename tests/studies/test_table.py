"""Tables by depth: as single runs find them, NNGP by its own recursion, two classes, and published numbers."""

import numpy as np
import pytest

from ntklab import studies
from ntklab.data import Standardiser, load_cifar10, subset
from ntklab.errors import InputError
from ntklab.report import draw, table
from tests.made_up_cifar import noisy_classes
from tests.oracles import cntk_numpy


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return noisy_classes(tmp_path_factory.mktemp("cifar"), 40, 20, noise=150, faint=4)


SIZES = {"n_train": 4, "n_test": 4, "repeats": 2, "seed": 1, "engine": "simd", "progress": False}


def by_kernel(record):
    return {(row["pooling"], row["kind"], row["depth"]): row["accuracies"] for row in record.results["rows"]}


def test_a_row_is_what_single_runs_find_and_a_store_keeps_it(data, tmp_path):
    words = {"depths": (4, 3), "poolings": ("none", "gap"), "store": tmp_path, **SIZES}
    record = studies.cifar10_table(data, **words)
    found = by_kernel(record)
    assert len(found) == 8
    for row in record.results["rows"]:
        assert row["mean"] == np.mean(row["accuracies"])
        assert row["spread"] == np.std(row["accuracies"], ddof=1)
    for pooling in ("none", "gap"):
        single = studies.cifar10(data, depth=3, pooling=pooling, **SIZES).results["runs"]
        assert found[pooling, "ntk", 3] == [run["accuracy"] for run in single]
    assert len({tuple(values) for values in found.values()}) > 2  # or nothing was told apart
    assert (tmp_path / "gap-2" / "test.zarr").is_dir()
    assert studies.cifar10_table(data, **words).results["rows"] == record.results["rows"]  # from the store


@pytest.mark.slow
def test_the_accuracies_of_both_kernels_are_those_of_the_numpy_recursion(data):
    found = by_kernel(studies.cifar10_table(data, depths=(3,), **SIZES))
    images = load_cifar10(data)
    standardiser = Standardiser.fit(images.x_train)
    part = subset(images, 4, 4, seed=1)
    x, x_test = (standardiser.apply(pixels, dtype=np.dtype("float64")) for pixels in (part.x_train, part.x_test))
    labels = np.where(np.arange(10) == part.y_train[:, None], 0.9, -0.1)
    layers = cntk_numpy.cntk(3, "none")
    k_train, k_test = cntk_numpy.gram(layers, x), cntk_numpy.gram(layers, x_test, x)
    for kind, of_train, of_test in zip(("nngp", "ntk"), k_train, k_test, strict=True):
        right = (of_test @ np.linalg.solve(of_train, labels)).argmax(1) == part.y_test
        assert found["none", kind, 3][0] == pytest.approx(100 * right.mean())


def test_two_classes_are_told_apart_and_the_text_and_the_figure_are_made(data, tmp_path):
    record = studies.cifar10_table(data, depths=(2, 3), classes=2, n_train=6, progress=False)
    assert record.settings["n_test"] == 4  # of twenty, those of the first two classes
    assert record.settings["data"].endswith("first 2 classes")
    assert all(row["accuracies"][0] in (0.0, 25.0, 50.0, 75.0, 100.0) for row in record.results["rows"])
    assert "CNTK-V, NNGP  2" in table(record)
    draw(record, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_published_numbers_stand_beside_kernels_of_their_size_only():
    from ntklab.studies._table import _row

    def published(*words):
        found = _row(*words, [50.0])["published"]
        return found and (found["name"], found["accuracy"])

    assert published("none", "ntk", 6, 2000, 10) == ("CNTK-V-2K", 43.43)
    assert published("gap", "ntk", 11, 50_000, 10) == ("CNTK-GAP", 77.43)
    assert published("gap", "ntk", 21, 10_000, 2) == ("CNTK-GAP", 95.70)
    for other in (("none", "nngp", 6, 2000, 10), ("none", "ntk", 6, 1000, 10), ("gap", "ntk", 3, 10_000, 2),
                  ("none", "ntk", 6, 2000, 3)):  # fmt: skip
        assert published(*other) is None


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"depths": ()}, "a value at least"),
        ({"poolings": ("max",)}, "poolings"),
        ({"kinds": ("cov",)}, "kinds"),
        ({"repeats": 0}, "repeats is at least 1"),
        ({"classes": 11}, "classes is between 2 and 10"),
        ({"n_train": 1000}, "training images"),
    ],
)
def test_what_cannot_be_computed_is_refused(data, options, needed):
    with pytest.raises(InputError, match=needed):
        studies.cifar10_table(data, **options)
