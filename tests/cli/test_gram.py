"""`ntklab gram` as a person meets it."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import ntklab
from ntklab.gram import status
from ntklab.spec import to_json, zoo

FC = ("--network", "fc(2)", "--dtype", "float64")


@pytest.fixture
def data(tmp_path) -> Path:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(9, 5)))
    return tmp_path / "x.npy"


@pytest.fixture
def store(ntklab_command, tmp_path, data) -> Path:
    code, _, err = ntklab_command("gram", "run", tmp_path / "k.zarr", *FC, "--data", data, "--tile", 4)
    assert code == 0, err
    return tmp_path / "k.zarr"


def test_plan_prints_the_arithmetic_and_computes_nothing(ntklab_command, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(1000, 20)))
    code, out, _ = ntklab_command("gram", "plan", "--network", "fc(3)", "--data", tmp_path / "x.npy", "--tile", 256)
    assert code == 0
    assert "1,000 x 1,001 / 2 = 500,500" in out
    assert "10 tiles x 256^2 x 8 bytes + inputs = 5.32 MB" in out  # 10 * 65536 * 8 + 1000 * 20 * 4
    assert "4 tiles of 524 kB" in out
    assert "one matrix whole: 4 MB; in float64, as solvers need it: 8 MB" in out
    seconds, total = re.search(r"500,500 x ([\d.e-]+) s \(measured here\) = ([\d.e-]+) s", out).groups()
    assert float(total) == pytest.approx(500_500 * float(seconds), rel=0.1)
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]


def test_a_smaller_memory_makes_smaller_tiles(ntklab_command, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((600, 2)) + 1)
    words = ("gram", "plan", "--network", "fc(1)", "--data", tmp_path / "x.npy", "--memory")
    assert "of 592 x 592" in ntklab_command(*words, 1)[1]
    assert "of 176 x 176" in ntklab_command(*words, 1e-3)[1]  # sqrt(1e6 / (4 tiles * 2 * 4 bytes)) = 176.8


def test_run_completes_a_store_and_says_so(ntklab_command, store, data):
    code, out, _ = ntklab_command("gram", "status", store)
    assert code == 0
    assert "nngp, ntk: 9 x 9 of float64" in out
    assert "6 of 6 of side 4, 100.0 %" in out
    assert out.rstrip().endswith("complete")
    x = np.load(data)
    with jax.enable_x64(True):
        expected = ntklab.gram(ntklab.compile(zoo.fc(2), (5,), dtype="float64"), x, tile=4, progress=False)
    np.testing.assert_array_equal(ntklab.open_gram(store).ntk, expected.ntk)


def test_run_goes_on_from_the_store_alone(ntklab_command, store):
    (store / "K/c/0/0/2").unlink()
    before = status(store)
    assert (before.tiles_done, before.entries_done) == (5, 45 - 4)
    code, out, err = ntklab_command("gram", "run", store)
    assert code == 0
    assert "100.0 % of the entries" in out
    assert "entries/s" in err


def test_networks_come_from_json_and_data_from_npz(ntklab_command, tmp_path):
    (tmp_path / "net.json").write_text(to_json(zoo.fc(3, W_std=1.25)))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", train=rng.normal(size=(5, 3)), test=rng.normal(size=(2, 3)))
    words = ("--data", f"{tmp_path}/d.npz:test", "--data2", f"{tmp_path}/d.npz:train", "--get", "ntk")
    code, out, _ = ntklab_command("gram", "run", tmp_path / "k", "--network", tmp_path / "net.json", *words)
    assert code == 0
    assert "ntk: 2 x 5" in out
    assert ntklab.open_gram(tmp_path / "k").ntk.shape == (2, 5)


def test_verify_names_a_flipped_bit_and_repairs_it(ntklab_command, store):
    assert ntklab_command("gram", "verify", store, "--sample", 6)[:2][0] == 0
    chunk = store / "K/c/0/0/1"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    code, out, _ = ntklab_command("gram", "verify", store)
    assert code == 1
    assert "6 tiles; 1 damaged" in out
    assert "rows 0:4, columns 4:8: DATA_LOSS" in out
    assert out.rstrip().endswith("WRONG")
    ntklab_command("gram", "verify", store, "--repair")
    assert "5 of 6" in ntklab_command("gram", "status", store)[1]
    assert ntklab_command("gram", "run", store)[0] == 0
    assert chunk.read_bytes() == whole
    code, out, _ = ntklab_command("gram", "verify", store, "--sample", 6)
    assert code == 0
    assert "6 tiles anew: 6 the same bit for bit" in out


def test_verify_finds_a_wrong_number_whose_checksum_is_right(ntklab_command, store):
    from ntklab.gram._stored import existing_store  # the way of somebody who writes into the store

    opened = existing_store(store)
    for at in opened.grid:
        opened.write(at, list(opened.read(at) * 1.0001)).wait()
    code, out, _ = ntklab_command("gram", "verify", store)
    assert code == 1
    assert "0 the same bit for bit, largest relative difference 0.0001" in out


def test_export_writes_both_formats(ntklab_command, store, tmp_path):
    assert ntklab_command("gram", "export", store, tmp_path / "k.npz")[0] == 0
    assert ntklab_command("gram", "export", store, tmp_path / "k.npy", "--get", "nngp")[0] == 0
    with np.load(tmp_path / "k.npz") as arrays:
        np.testing.assert_array_equal(arrays["nngp"], np.load(tmp_path / "k.npy"))
        np.testing.assert_array_equal(arrays["ntk"], ntklab.open_gram(store).ntk)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.zarr"), "no Gram store at nowhere.zarr"),
        (("run", "nowhere.zarr", "--network", "fc(2)"), "needs --network and --data"),
        (("run", "k", "--network", "fc(2", "--data", "DATA"), "to_json"),
        (("run", "k", "--network", "open('x')", "--data", "DATA"), "to_json"),
        (("run", "k", "--network", "fc(0)", "--data", "DATA"), "depth"),
        (("plan", "--network", "fc(2)", "--data", "absent.npy"), "absent.npy"),
        (("plan", "--network", "fc(2)", "--data", "DATA", "--get", "kernel"), "kernel"),
        (("status", "nowhere.zarr"), "no Gram store"),
        (("verify", "nowhere.zarr"), "no Gram store"),
        (("export", "nowhere.zarr", "k.npz"), "no Gram store"),
    ],
)
def test_a_mistake_ends_with_one_clear_line_and_status_2(ntklab_command, data, words, said, monkeypatch):
    monkeypatch.chdir(data.parent)
    code, out, err = ntklab_command("gram", *(str(data) if word == "DATA" else word for word in words))
    assert code == 2
    assert said in err
    assert "Traceback" not in out + err
    assert [file.name for file in data.parent.iterdir()] == ["x.npy"]
