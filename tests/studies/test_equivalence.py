"""The study that holds closed form and finite networks against each other, at sizes of seconds."""

from dataclasses import replace

import numpy as np
import pytest

from ntklab._core import Record
from ntklab.errors import DataError, InputError
from ntklab.report import draw, table
from ntklab.studies import equivalence

SMALL = {"seeds": 6, "training_seeds": 3, "n_test": 40, "progress": False}
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("case", "widths", "training_widths"),
    [
        ("fc", (32, 128, 512), (16, 256)),
        pytest.param("residual", (32, 128, 512), (16, 256), marks=SLOW),
        pytest.param("cnn", (16, 64, 256), (4, 64), marks=SLOW),
    ],
)
def test_networks_approach_the_closed_form_with_width(case, widths, training_widths, tmp_path):
    record = equivalence(case, widths=widths, training_widths=training_widths, **SMALL)
    found = record.results
    # theory: -1/2; the tolerance is 4 standard errors, and never so wide that no dependence would pass
    assert abs(found["slope"] + 0.5) < min(4 * found["slope_standard_error"], 0.25)
    low, high = found["slope_interval"]
    assert low < found["slope"] < high
    gaps = np.sqrt(np.mean(np.square(found["training_distance"]), axis=1))
    assert gaps.shape == (2, 4)
    # sixteen times the width brings the trained networks closer by four; three seeds leave a factor of two
    assert (gaps[-1] < 0.5 * gaps[0]).all()
    assert all(line["slope"] < -0.25 for line in found["training_slopes"])
    accuracy, predicted = (np.asarray(found[word])[:, :, -1] for word in ("accuracy", "predicted_accuracy"))
    assert np.abs(accuracy - predicted)[-1].mean() <= np.abs(accuracy - predicted)[0].mean()
    assert accuracy[-1].mean() > 50
    assert f"{found['slope']:.3f}" in table(record)
    draw(record, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


@SLOW
def test_a_run_that_was_stopped_goes_on_from_its_store(tmp_path):
    sizes = {"widths": (8, 16), "training_widths": (4, 8), "seeds": 2, "training_seeds": 2, "n_train": 3, "n_test": 4}
    whole = equivalence("fc", **sizes, store=tmp_path, progress=False)
    (tmp_path / "fc-training-8-1.json").unlink()
    kept = Record.load(tmp_path / "fc-kernel-8.json")
    replace(kept, results={"distance": [9.0, 9.0]}).save(tmp_path / "fc-kernel-8.json")
    again = equivalence("fc", **sizes, store=tmp_path, progress=False)
    assert again.results["training_distance"] == whole.results["training_distance"]
    assert again.results["kernel_distance"] == [[9.0, 9.0], whole.results["kernel_distance"][1]]
    with pytest.raises(DataError, match="name another store"):
        equivalence("fc", **sizes | {"n_test": 5}, store=tmp_path, progress=False)


@SLOW
def test_a_kernel_wrong_by_ten_per_cent_would_be_seen(monkeypatch):
    from ntklab.studies import _equivalence

    class Wrong:
        def __init__(self, *args, **options):
            self._kfn = compile_(*args, **options)
            self.engine = self._kfn.engine

        def __call__(self, *x):
            return type("K", (), {"ntk": 1.1 * np.asarray(self._kfn(*x).ntk)})

    compile_ = _equivalence.compile
    monkeypatch.setattr(_equivalence, "compile", Wrong)
    found = equivalence(
        "fc", widths=(64, 256, 1024), training_widths=(32, 64), seeds=4, training_seeds=2, progress=False
    )
    assert found.results["slope"] > -0.35


@pytest.mark.parametrize(
    ("case", "options", "needed"),
    [
        ("rnn", {}, "fc, cnn, gap, residual"),
        ("fc", {"widths": (64,)}, "two widths"),
        ("fc", {"training_seeds": 1}, "two seeds"),
        ("fc", {"n_test": 5000}, "digits"),
    ],
)
def test_bad_settings_are_refused(case, options, needed):
    with pytest.raises(InputError, match=needed):
        equivalence(case, **options)
