"""The command as a person meets it: what it prints, writes and returns."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from ntklab import studies
from ntklab._core import Check, Record
from tests.made_up_cifar import noisy_classes

RUN = [sys.executable, "-c", "from ntklab.cli import main; main()"]


@pytest.fixture
def small_cifar(tmp_path):
    return noisy_classes(tmp_path, 30, 10, noise=50)


def test_help_names_every_command(ntklab_command):
    status, out, _ = ntklab_command("--help")
    assert status == 0
    assert all(word in out for word in ("reproduce", "equivalence", "verify", "gram", "bench", "report"))


def test_no_command_shows_help_and_fails(ntklab_command):
    status, out, err = ntklab_command()
    assert status == 2
    assert "Usage" in out + err


def test_digits_prints_a_table_writes_a_record_and_draws(ntklab_command, tmp_path):
    status, out, _ = ntklab_command(
        *("reproduce", "digits", "--train", 60, "--test", 40),
        *("--json", tmp_path / "digits.json", "--png", tmp_path / "digits.png"),
    )
    assert status == 0
    assert "CNTK-GAP, depth 6" in out
    results = Record.load(tmp_path / "digits.json").results
    runs = results["runs"]
    assert all(run["eigenvalues"][0] >= run["eigenvalues"][-1] > 0 for run in runs)
    assert all(0 <= example["probability"] <= 1 for example in results["examples"])
    # 60 digits: a linear classifier reaches about 80 %, guessing 10 %
    assert [run["accuracy"] > 75 for run in runs] == [True, True, True]
    assert all(f"{run['accuracy']:.2f}" in out for run in runs)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_cifar10_agrees_with_a_solve_by_hand_and_shows_that_nothing_is_published(ntklab_command, small_cifar):
    words = ("reproduce", "cifar10", "--data", small_cifar, "--depth", 3, "--pooling", "none", "--train", 20)
    status, out, err = ntklab_command(
        *words, "--repeats", 2, "--save", small_cifar / "k.npz", "--json", small_cifar / "r"
    )
    assert status == 0
    assert "entries/s" in err
    assert "no number for 20 training images" in out
    saved = np.load(small_cifar / "k.npz")
    targets = np.where(saved["y_train"][:, None] == np.arange(10), 0.9, -0.1)
    scores = saved["k_test"].astype(float) @ np.linalg.solve(saved["k_train"].astype(float), targets)
    np.testing.assert_allclose(saved["scores"], scores, rtol=1e-8, atol=1e-8)
    run = Record.load(small_cifar / "r").results["runs"][-1]
    assert run["accuracy"] == pytest.approx(100 * np.mean(scores.argmax(1) == saved["y_test"]))
    assert run["accuracy"] > 50


def test_lap_passes_on_what_it_is_asked_and_prints_a_column_for_each_reach(ntklab_command, small_cifar):
    words = ("reproduce", "lap", "--data", small_cifar, "--depth", 2, "--reaches", "1,0", "--patches", 4, "--size", 3)
    words = (*words, "--train", 10, "--test", 5, "--no-flips", "--json", small_cifar / "lap.json")
    status, out, _ = ntklab_command(*words)
    assert status == 0
    record = Record.load(small_cifar / "lap.json")
    settings = record.settings
    assert (settings["depth"], settings["reaches"], settings["patches"], settings["size"]) == (2, [0, 1], 4, 3)
    assert {row["pixels"] for row in record.results["rows"]} == {"standardised", "patches"}
    assert {row["reach"] for row in record.results["rows"]} == {0, 1}
    assert not any(row["mirror_images"] for row in record.results["rows"])
    assert all(f"{row['accuracy']:.2f}" in out for row in record.results["rows"])
    assert "reach 0  reach 1" in out


def test_small_data_prints_its_curve_and_draws_it(ntklab_command, small_cifar):
    words = ("reproduce", "small-data", "--data", small_cifar, "--depth", 3, "--sizes", "10,20", "--draws", 1)
    status, out, _ = ntklab_command(
        *words, "--test", 2, "--json", small_cifar / "r.json", "--png", small_cifar / "r.png"
    )
    assert status == 0
    assert "CNTK-GAP, depth 3, 1 class-balanced draws" in out
    assert [row["n_train"] for row in Record.load(small_cifar / "r.json").results["sizes"]] == [10, 20]
    assert (small_cifar / "r.png").read_bytes().startswith(b"\x89PNG")


def test_cifar10_in_float64_needs_no_setting_of_jax(small_cifar):
    words = ["reproduce", "cifar10", "--data", small_cifar, "--depth", "2", "--pooling", "none", "--train", "10"]
    done = subprocess.run([*RUN, *words, "--dtype", "float64"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "float64" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reproduce", "cifar10", "--data", "no-such-directory"), "no-such-directory"),
        (("reproduce", "digits", "--train", "5000"), "5000"),
        (("reproduce", "digits", "--engine", "warp"), "reference"),
        (("equivalence", "--widths", "8,x"), "8,x"),
        (("equivalence", "--widths", "8"), "two widths"),
        (("bench", "gpu"), "needs a gpu"),
    ],
)
def test_a_mistake_ends_with_one_clear_line_and_status_2(ntklab_command, words, said):
    status, out, err = ntklab_command(*words)
    assert status == 2
    assert said.replace("5000", "5,000") in err.replace("5000", "5,000")
    assert "Traceback" not in out + err


def test_ctrl_c_leaves_no_traceback():
    process = subprocess.Popen(
        [*RUN, "reproduce", "digits", "--train", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    seen = b""
    while b"entries" not in seen:  # the progress bar: the computation has begun
        seen += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in seen + err
    assert err.rstrip().endswith(b"stopped")


def test_verify_passes_here_and_says_so(ntklab_command, tmp_path):
    status, out, _ = ntklab_command("verify", "--json", tmp_path / "v.json")
    assert status == 0
    assert "this machine computes right" in out
    assert "WRONG" not in out
    names = [check["name"] for check in json.loads((tmp_path / "v.json").read_text())["results"]["checks"]]
    assert sum("engine reference" in name for name in names) == 2
    assert sum("quadrature" in name for name in names) == 2


def test_verify_fails_when_one_canary_fails(ntklab_command, monkeypatch):
    monkeypatch.setattr(studies._verify, "canaries", lambda: [Check("planted", False, "0.78 % off")])
    status, out, _ = ntklab_command("verify")
    assert status == 1
    assert "WRONG" in out
    assert "planted" in out


def test_verify_fails_when_an_engine_is_wrong_by_one_per_mille(ntklab_command, monkeypatch):
    cases = [case._replace(ntk=case.ntk * 1.001) for case in studies._verify.golden_cases()]
    monkeypatch.setattr(studies._verify, "golden_cases", lambda: cases)
    status, out, _ = ntklab_command("verify")
    assert status == 1
    assert "WRONG  engine reference" in out


def test_a_missing_plotting_library_is_named(ntklab_command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "ntklab.report._figures", raising=False)
    status, _, err = ntklab_command("reproduce", "digits", "--train", 20, "--test", 10, "--png", tmp_path / "x.png")
    assert status == 2
    assert "ntklab[plot]" in err
