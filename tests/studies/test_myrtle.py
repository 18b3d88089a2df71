"""Mirror images in the kernel are mirror images in the data; whitening and ridges are those of their own rooms."""

import numpy as np
import pytest

import ntklab
from ntklab import studies
from ntklab.data import Standardiser, Whitener, load_cifar10, subset
from ntklab.errors import InputError
from ntklab.report import table
from ntklab.spec import AvgPool, Conv, Dense, Flatten, Relu, Serial, zoo
from tests.made_up_cifar import noisy_classes
from tests.studies import by_hand


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return noisy_classes(tmp_path_factory.mktemp("cifar"), 40, 20, noise=130, faint=3)


SMALL = Serial(AvgPool(4, strides=4), Conv(3, padding="SAME"), Relu(), AvgPool(2, strides=2), Flatten(), Dense())
"""In place of a Myrtle network, whose kernels are tested elsewhere: the same kinds of layers, at a size of seconds."""


def test_every_row_is_a_regression_by_hand_on_images_and_their_mirror_images(data, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "myrtle", lambda depth, activation: SMALL)
    words = {"n_train": 8, "n_test": 12, "seed": 3, "store": tmp_path, "progress": False}
    record = studies.myrtle(data, **words)
    found = {(row["kind"], row["pixels"], row["mirror_images"], row["chosen"]): row for row in record.results["rows"]}
    assert len(found) == 16
    images = load_cifar10(data)
    part = subset(images, 8, 12, seed=3)
    kfn = ntklab.compile(SMALL, (32, 32, 3))
    for pixels, fitted in (("standardised", Standardiser), ("whitened", Whitener)):
        prepare = fitted.fit(images.x_train).apply
        x, x_test = (prepare(raw, dtype=np.float32) for raw in (part.x_train, part.x_test))
        both = np.concatenate([x, x[:, :, ::-1]])
        k_train, k_test = kfn(both), kfn(x_test, both)
        for kind, mirrored, accuracy, chosen in by_hand.regressions(k_train, k_test, part):
            assert found[kind, pixels, mirrored, "none"]["accuracy"] == pytest.approx(accuracy)
            row = found[kind, pixels, False, "loo"]
            assert row["ridge"] == pytest.approx(chosen[0])
            assert row["accuracy"] == pytest.approx(chosen[1])
    assert len({row["accuracy"] for row in found.values()}) > 1
    assert "Myrtle-5, relu: 8 training and 12 test images" in table(record)
    assert studies.myrtle(data, **words).results == record.results  # from the store
    assert (tmp_path / "whitened" / "test-mirror.zarr").is_dir()


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"activation": "tanh"}, "relu, gaussian"),
        ({"preprocessing": ()}, "standardised"),
        ({"preprocessing": ("raw",)}, "standardised"),
        ({"n_train": 1000}, "training images"),
        ({"n_train": 3, "n_test": 3, "preprocessing": ("whitened",), "regularisation": 0.0}, "positive share"),
    ],
)
def test_what_cannot_be_computed_is_refused(data, options, needed):
    with pytest.raises(InputError, match=needed):
        studies.myrtle(data, **options)
