"""Tables say what the record holds, and refuse what they do not know."""

import pytest

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report import draw, table

RUN = {
    "seed": 3,
    "accuracy": 43.21,
    "ms_per_entry": 0.02,
    "kernel_seconds": 80.0,
    "condition_estimate": 1e3,
    "solver": "OK",
}
PUBLISHED = {"accuracy": 43.43, "name": "CNTK-V-2K", "source": "Arora et al. 2019"}
SETTINGS = {
    "data": "CIFAR-10",
    "depth": 6,
    "pooling": "none",
    "n_train": 2000,
    "n_test": 1017,
    "dtype": "float32",
    "engine": "reference",
}


def test_the_published_number_stands_beside_ours():
    results = {"mean": 43.21, "spread": 0.5, "published": PUBLISHED, "runs": [RUN]}
    text = table(Record.make("cifar10", SETTINGS, results))
    assert "CNTK-V, depth 6, 2,000 training and 1,017 test images" in text
    assert "ours:      43.21 % +- 0.50" in text
    assert "published: 43.43 % for CNTK-V-2K" in text


def test_one_draw_has_no_spread():
    text = table(Record.make("cifar10", SETTINGS, {"mean": 43.21, "spread": None, "published": None, "runs": [RUN]}))
    assert "+-" not in text
    assert "published: no number" in text


def test_unknown_kinds_are_refused(tmp_path):
    record = Record.make("recipe", {}, {})
    with pytest.raises(InputError, match="recipe"):
        table(record)
    with pytest.raises(InputError, match="recipe"):
        draw(record, tmp_path / "x.png")
