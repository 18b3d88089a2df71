"""The GPU benchmark, on this machine's CPU with small networks: the same code path, the same record."""

import time

import numpy as np
import pytest

from ntklab import report, studies
from ntklab.errors import EngineError
from ntklab.spec import zoo

SMALL = {
    "cnn": studies.Workload(zoo.plain_cnn(1, "none"), (3, 3, 1)),
    "dense": studies.Workload(zoo.fc(1), (3,)),
}


@pytest.fixture(scope="module")
def record():
    def rival(network):
        return lambda x1, x2: time.sleep(1e-3)

    return studies.bench_gpu(device="cpu", workloads=SMALL, repeats=2, rivals={"sleeper": rival}, limits={"cnn": 1.0})


def test_it_times_every_engine_and_rival_and_measures_errors(record):
    found = record.results["workloads"]
    assert found.keys() == SMALL.keys()
    assert {"simd", "reference", "sleeper"} <= found["cnn"].keys()
    assert record.results["left_out"] == []
    for engines in found.values():
        for who, row in engines.items():
            assert len(row["all"]) == 2
            assert row["milliseconds_per_entry"] == pytest.approx(np.median(row["all"]))
            assert row["hours_for_cifar10"] == pytest.approx(row["milliseconds_per_entry"] * 1.750025e9 / 3.6e6)
            if who != "sleeper":
                assert 0.0 <= max(row["error_different"], row["error_diagonal"]) < 2e-6
        side = engines["sleeper"]["block"][0]
        assert engines["sleeper"]["milliseconds_per_entry"] >= 1.0 / side**2
        assert side > 2  # a call is made long enough to time


def test_its_table_has_a_row_for_each(record):
    lines = report.table(record).splitlines()
    assert len(lines) == 2 + sum(map(len, record.results["workloads"].values()))
    assert any("sleeper" in line for line in lines)


def test_what_is_not_begun_in_time_is_named():
    record = studies.bench_gpu(device="cpu", workloads=SMALL, minutes=0.0)
    assert record.results["workloads"] == {}
    assert {"cnn, reference", "dense, reference"} <= set(record.results["left_out"])
    assert "left out after 0 minutes: cnn" in report.table(record)


def test_without_a_gpu_it_says_what_is_there_and_what_to_install():
    with pytest.raises(EngineError, match=r"needs a gpu .* JAX uses cpu \(cpu\).*pip install"):
        studies.bench_gpu()


def test_its_networks_are_those_that_others_have_published_times_of():
    assert list(studies.gpu_workloads()) == [
        "plain_cnn(21, gap)",
        "plain_cnn(21, none)",
        "cntk(11, gap)",
        "myrtle(5)",
        "myrtle(7)",
        "myrtle(10)",
        "fc(5)",
    ]
