"""The study that holds closed form and finite networks against each other, at sizes of seconds."""

import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.studies import equivalence


@pytest.mark.parametrize(
    ("case", "widths", "training_widths"),
    [
        ("fc", (32, 128, 512), (16, 256)),
        pytest.param("cnn", (16, 64, 256), (4, 64), marks=pytest.mark.slow),
    ],
)
def test_networks_approach_the_closed_form_with_width(case, widths, training_widths):
    found = equivalence(
        case, widths=widths, training_widths=training_widths, seeds=6, training_seeds=3, n_test=10, progress=False
    ).results
    # theory: -1/2; the tolerance is 4 standard errors, and never so wide that no dependence would pass
    assert abs(found["slope"] + 0.5) < min(4 * found["slope_standard_error"], 0.25)
    gaps = np.sqrt(np.mean(np.square(found["training_distance"]), axis=1))
    assert gaps.shape == (2, 4)
    # sixteen times the width brings the trained networks closer by four; three seeds leave a factor of two
    assert (gaps[-1] < 0.5 * gaps[0]).all()


def test_a_kernel_wrong_by_ten_per_cent_would_be_seen(monkeypatch):
    from ntklab.studies import _equivalence

    class Wrong:
        def __init__(self, *args, **options):
            self._kfn = compile_(*args, **options)
            self.engine = self._kfn.engine

        def __call__(self, x):
            return type("K", (), {"ntk": 1.1 * np.asarray(self._kfn(x).ntk)})

    compile_ = _equivalence.compile
    monkeypatch.setattr(_equivalence, "compile", Wrong)
    record = equivalence("fc", widths=(64, 256, 1024), training_widths=(32,), seeds=4, training_seeds=1, progress=False)
    assert record.results["slope"] > -0.35


@pytest.mark.parametrize(("case", "options"), [("rnn", {}), ("fc", {"widths": (64,)}), ("fc", {"seeds": 1})])
def test_bad_settings_are_refused(case, options):
    with pytest.raises(InputError):
        equivalence(case, **options)
