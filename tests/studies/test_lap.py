"""Local pooling between its two ends, mirror images as data, and patches: every row a regression by hand."""

import numpy as np
import pytest

import ntklab
from ntklab import studies
from ntklab.data import PatchFeatures, Standardiser, load_cifar10, subset
from ntklab.errors import InputError
from ntklab.report import table
from ntklab.spec import AvgPool, Conv, Dense, Flatten, Relu, Serial, zoo
from tests.made_up_cifar import noisy_classes
from tests.studies import by_hand


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return noisy_classes(tmp_path_factory.mktemp("cifar"), 40, 20, noise=130, faint=3)


def small(depth, reach):
    """In place of CNTK-LAP, whose kernels are tested elsewhere: the same end behind a network of seconds."""
    body = (AvgPool(4, strides=4), Conv(3, padding="SAME"), Relu())
    return Serial(*body, AvgPool(2 * reach + 1, padding="SAME"), Flatten(), Dense())


def test_every_row_is_a_regression_by_hand_on_images_and_their_mirror_images(data, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "cntk_lap", small)
    words = {"reaches": (2, 0), "patches": 4, "n_train": 8, "n_test": 12, "seed": 3, "store": tmp_path}
    record = studies.lap(data, **words, progress=False)
    keys = ("kind", "pixels", "reach", "mirror_images", "chosen")
    found = {tuple(row[key] for key in keys): row for row in record.results["rows"]}
    assert len(found) == 32
    images = load_cifar10(data)
    part = subset(images, 8, 12, seed=3)
    fitted = {
        "standardised": Standardiser.fit(images.x_train),
        "patches": PatchFeatures.fit(images.x_train, count=4, seed=3),
    }
    for pixels, reach in (("standardised", 2), ("patches", 0)):
        raw = np.concatenate([part.x_train, part.x_train[:, :, ::-1]])
        both, x_test = (fitted[pixels].apply(x, dtype=np.float32) for x in (raw, part.x_test))
        kfn = ntklab.compile(small(6, reach), both.shape[1:])
        k_train, k_test = kfn(both), kfn(x_test, both)
        for kind, mirrored, accuracy, chosen in by_hand.regressions(k_train, k_test, part):
            assert found[kind, pixels, reach, mirrored, "none"]["accuracy"] == pytest.approx(accuracy)
            row = found[kind, pixels, reach, False, "loo"]
            assert row["ridge"] == pytest.approx(chosen[0], rel=1e-4)
            assert row["accuracy"] == pytest.approx(chosen[1])
    assert len({row["accuracy"] for row in found.values()}) > 1
    shown = table(record)
    assert "reach 0" in shown
    assert "published: 89 %" in shown
    assert studies.lap(data, **words, progress=False).results == record.results  # from the store
    assert (tmp_path / "patches" / "test-mirror.zarr").is_dir()


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"reaches": ()}, "0 for none"),
        ({"pixels": ()}, "standardised"),
        ({"pixels": ("raw",)}, "patches"),
        ({"n_train": 1000}, "training images"),
        ({"n_train": 3, "n_test": 3, "pixels": ("patches",), "patches": 3}, "even"),
    ],
)
def test_what_cannot_be_computed_is_refused(data, options, needed):
    with pytest.raises(InputError, match=needed):
        studies.lap(data, **options)
