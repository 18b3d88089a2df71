"""From lazy to rich, at sizes of seconds."""

import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.report import draw, table
from ntklab.studies import lazy


def test_the_kernel_moves_less_the_larger_the_output_and_training_becomes_linear(tmp_path):
    record = lazy(alphas=(0.5, 4.0, 32.0), width=64, seeds=2, n_train=5, n_test=10, store=tmp_path, progress=False)
    found = {name: np.mean(record.results[name], axis=1) for name in ("kernel_moved", "from_linear", "residual")}
    # theory: -1; over nine seeds between -1.06 and -0.94
    assert -1.1 < record.results["slope"] < -0.95
    assert found["kernel_moved"][2] < 0.01
    assert found["kernel_moved"][0] > 0.1  # rich: the kernel is another one
    assert found["from_linear"][2] < 0.15 * found["from_linear"][0]
    assert all(found["residual"] < 1e-3)  # where training ends
    assert (tmp_path / "lazy-32-1.json").exists()
    assert f"{record.results['slope']:.2f}; theory: -1" in table(record)
    draw(record, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "needed"),
    [({"alphas": (1.0,)}, "at least two"), ({"alphas": (2.0, 1.0)}, "increasing"), ({"seeds": 0}, "seeds")],
)
def test_bad_settings_are_refused(options, needed):
    with pytest.raises(InputError, match=needed):
        lazy(**options)
