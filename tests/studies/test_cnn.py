"""Trained networks beside their kernels, on a handful of coloured images."""

import numpy as np
import pytest

import ntklab
from ntklab._core import Record
from ntklab.data import Standardiser, load_cifar10, subset
from ntklab.errors import DataError, InputError, SolveError
from ntklab.report import draw, table
from ntklab.spec import zoo
from ntklab.studies import cnn
from tests.made_up_cifar import write


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """CIFAR-10 in form, but each class a colour: whoever looks tells them apart."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 3)
    colour = random.uniform(40, 215, (10, 3))
    images = np.clip(colour[labels][:, None, None] + random.normal(0, 8, (30, 32, 32, 3)), 0, 255).astype(np.uint8)
    train, test = slice(0, 20), slice(20, 30)
    parts = ((images[part], labels[part]) for part in (train, test))
    return write(tmp_path_factory.mktemp("cifar"), *parts, names=list("abcdefghij"))


@pytest.mark.parametrize(
    ("pooling", "channels", "epochs"), [("none", 8, 15), pytest.param("gap", 32, 60, marks=pytest.mark.slow)]
)
def test_trained_networks_learn_what_their_kernels_do(colours, tmp_path, pooling, channels, epochs):
    sizes = {"channels": (channels,), "n_train": 20, "n_test": 10, "epochs": epochs, "batch": 10, "trials": 1}
    store = tmp_path / "store"
    record = cnn(colours, poolings=(pooling,), rates=(0.02, 0.2), store=store, progress=False, **sizes)
    (row,) = record.results["rows"]
    assert row["kernel"]["accuracy"] == 100.0
    (network,) = row["networks"]
    slow, fast = (run["trials"][0] for run in network["runs"])
    assert network["mean"] == max(slow["accuracy"], fast["accuracy"]) >= 30.0  # of ten classes, by chance 10 %
    assert fast["residual"] < slow["residual"] < 1.0
    assert row["published"]["cnn"]["accuracy"] == {"none": 59.97, "gap": 63.81}[pooling]
    text = table(record)
    assert f"CNN-{row['published']['cnn']['name'][4:]}, {channels} channels" in text
    assert "20 and 10 here" in text
    draw(record, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
    assert Record.load(store / f"cnn-{pooling}-3-{channels}-0.2-0.json").results == fast
    with pytest.raises(DataError, match="name another store"):
        cnn(colours, poolings=(pooling,), rates=(0.2,), store=store, progress=False, **sizes | {"epochs": 5})


def test_the_kernel_beside_a_network_is_gradient_flow_to_the_same_time(colours):
    """The closed form, found here again by eigenvectors; a small output at the start, so that it is not needed."""
    sizes = {"channels": (2,), "n_train": 20, "n_test": 10, "epochs": 6, "batch": 10, "trials": 1}
    record = cnn(colours, poolings=("none",), kappa=0.02, rates=(0.1,), progress=False, **sizes)
    (run,) = record.results["rows"][0]["networks"][0]["runs"]
    (found,) = run["trials"]
    assert found["steps"] == 12
    images = load_cifar10(colours)
    few = subset(images, 20, 0)
    x = Standardiser.fit(images.x_train).apply(few.x_train)
    kernel = np.asarray(ntklab.compile(zoo.cntk(3, "none"), (32, 32, 3), get=("ntk",))(x).ntk, np.float64)
    rates, vectors = np.linalg.eigh(kernel)
    labels = np.where(np.arange(10) == few.y_train[:, None], 0.9, -0.1)
    # times kappa squared, learning rate 2 * 0.1 / (kappa squared * the largest), twelve steps
    left = np.exp(-rates * 12 * 2 * 0.1 / rates[-1])[:, None] * (vectors.T @ labels)
    residual = np.linalg.norm(left) / np.linalg.norm(labels)
    assert found["kernel"]["residual"] == pytest.approx(residual, rel=0.02)
    right = np.argmax(labels - vectors @ left, axis=1) == few.y_train
    assert found["kernel"]["train_accuracy"] == pytest.approx(100 * right.mean(), abs=5.1)  # one image of twenty


def test_where_every_rate_diverges_the_error_says_what_to_do(colours, monkeypatch):
    def diverges(*args, **options):
        raise SolveError("left the finite numbers")

    monkeypatch.setattr("ntklab.finite.train_sgd", diverges)
    with pytest.raises(SolveError, match=r"Every rate of 0\.9 .* Take smaller ones"):
        cnn(colours, poolings=("none",), channels=(2,), rates=(0.9,), n_train=10, n_test=2, trials=1, progress=False)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"poolings": ("max",)}, 'some of "none" and "gap"'),
        ({"rates": (1.5,)}, "between 0 and 1"),
        ({"channels": ()}, "one value at least"),
        ({"trials": 0}, "at least 1"),
    ],
)
def test_bad_settings_are_refused_before_the_data_are_read(options, needed):
    with pytest.raises(InputError, match=needed):
        cnn("no-such-directory", **options)
