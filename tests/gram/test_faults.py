"""What breaks a store from outside: each fault has its error, and its repair."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ntklab
from ntklab.engine import KernelFn
from ntklab.errors import StoreError
from ntklab.gram import resume, status, verify
from ntklab.spec import zoo

TILE, N = 4, 10


@pytest.fixture(scope="module")
def kfn() -> KernelFn:
    return ntklab.compile(zoo.fc(2), input_shape=(3,), dtype="float64")


def inputs(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, 3))


@pytest.fixture
def path(kfn, tmp_path) -> Path:
    ntklab.gram(kfn, inputs(), store=tmp_path / "k.zarr", tile=TILE, progress=False)
    return tmp_path / "k.zarr"


def flip_a_bit(chunk: Path) -> None:
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    chunk.write_bytes(content)


def truncate(chunk: Path) -> None:
    chunk.write_bytes(chunk.read_bytes()[:-9])


def empty(chunk: Path) -> None:
    chunk.write_bytes(b"")


def exchange(chunk: Path) -> None:
    """Plant a chunk of NaN with a right checksum."""
    import tensorstore as ts

    nan = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{chunk.parents[3]}/"}}).result()
    stand_in = ts.open({**nan.spec().to_json(), "kvstore": "memory://nan/"}, create=True).result()
    stand_in[:, 0:4, 0:4].write(np.zeros((2, 4, 4))).result()
    stand_in[:, 0:2, 0:2].write(np.full((2, 2, 2), np.nan)).result()
    chunk.write_bytes(stand_in.kvstore.read("c/0/0/0").result().value)


@pytest.mark.parametrize("harm", [flip_a_bit, truncate, empty, exchange])
def test_a_damaged_chunk_is_never_read_as_numbers_is_found_and_can_be_repaired(path, harm):
    chunk = path / "K/c/0/0/1"
    whole = chunk.read_bytes()
    harm(chunk)
    K = ntklab.open_gram(path).ntk
    for read in (lambda: K[0, 4], lambda: K[5:7, 1:2], lambda: np.asarray(K), lambda: K @ np.ones(N)):
        with pytest.raises(StoreError, match=r"k\.zarr"):
            read()
    K[4:10, 4:10], K[0:4, 0:4], K[3, 9]  # other tiles are as they were
    found = verify(path, progress=False)
    assert not found.ok
    assert [at for at, _ in found.damaged] == [(0, 4, 4, 8)]
    repaired = verify(path, sample=0, repair=True, progress=False)
    assert repaired.repaired
    assert status(path).tiles_done == 5
    resume(path, progress=False)
    assert chunk.read_bytes() == whole
    assert verify(path, sample=6, progress=False).identical == 6


def test_a_chunk_that_is_missing_is_named_when_it_is_read_and_computed_by_the_next_run(path):
    (path / "K/c/0/1/2").unlink()
    K = ntklab.open_gram(path).ntk
    with pytest.raises(StoreError, match=r"No rows 4:5, columns 8:10 of .*1 of 6 tiles are not computed.*Run the"):
        K[4, 4:]
    assert verify(path, progress=False).ok, "what is there is right"
    assert verify(path, progress=False).missing == 1
    resume(path, progress=False)
    assert K[4, 8:].shape == (2,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no Gram store"),
        (b"{", "no Gram store"),
        (b"[]", "no Gram store"),
        (b'{"zarr_format": 3, "node_type": "group", "attributes": {}}', "no Gram store"),
        (b'{"attributes": {"ntklab": {"format": 1}}}', "no Gram store"),
    ],
)
def test_a_place_that_holds_something_else_is_left_alone(kfn, path, content, said):
    (path / "zarr.json").write_bytes(content)
    for call in (lambda: ntklab.open_gram(path), lambda: ntklab.gram(kfn, inputs(), store=path)):
        with pytest.raises(StoreError, match=said):
            call()
    assert (path / "zarr.json").read_bytes() == content


@pytest.mark.parametrize(
    ("field", "value"), [("format", 2), ("tile", 5), ("x1.shape", [12, 3]), ("matrices", [["", "ntk"]])]
)
def test_a_manifest_that_does_not_fit_the_chunks_is_refused(path, field, value):
    document = json.loads((path / "zarr.json").read_text())
    inner = document["attributes"]["ntklab"]
    *parents, last = field.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"Could not open .*k\.zarr|format 2, not 1"):
        ntklab.open_gram(path)


def test_inputs_that_are_damaged_are_refused_by_runs(path):
    (path / "K/c/0/0/0").unlink()
    (chunk,) = path.glob("x-*/c/0/0")
    flip_a_bit(chunk)
    with pytest.raises(StoreError, match="read the inputs"):
        resume(path, progress=False)
    chunk.unlink()
    with pytest.raises(StoreError, match=r"inputs in .* are damaged"):
        resume(path, progress=False)


def test_two_different_runs_on_one_path_leave_the_first_as_it_was(kfn, path):
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(StoreError, match=r"x1\.sha256"):
        ntklab.gram(kfn, inputs(seed=1), store=path, tile=TILE)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


FULL = """
import resource, sys
import numpy as np, ntklab
from ntklab.errors import StoreError
from ntklab.spec import zoo
kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
x = np.random.default_rng(0).normal(size=(600, 3))
limit = len(sys.argv) > 2 and int(sys.argv[2])
if limit:
    ntklab.gram(kfn, x[:8], store=sys.argv[1] + "-small", progress=False)  # compiled, loaded
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    ntklab.gram(kfn, x, store=sys.argv[1], tile=200, progress=False)
except StoreError as error:
    sys.exit(f"StoreError: {error}")
"""


def test_a_disk_that_takes_no_more_ends_the_run_and_what_was_stored_is_safe(tmp_path):
    """A limit on the size of files stands for a full disk: the system refuses to write in the middle of a tile."""
    store = tmp_path / "k"
    words = [sys.executable, "-c", FULL, str(store)]
    done = subprocess.run([*words, "100000"], capture_output=True, text=True, check=False)  # a tile takes 320,004
    assert done.returncode == 1
    assert "StoreError: Could not store a tile in" in done.stderr
    assert "The tiles stored before are safe: make room" in done.stderr
    assert status(store).tiles_done == 0
    assert not list(store.rglob("*__lock")), "nothing half written is left"
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert verify(store, sample=0, progress=False).tiles == 6


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="the system has no user rights of this kind")
def test_a_directory_without_the_right_to_write_is_named_and_can_be_read(kfn, path, tmp_path):
    as_root = os.geteuid() == 0
    readers = [folder for folder in (tmp_path, *tmp_path.parents) if folder.stat().st_mode & 0o005 != 0o005]
    modes = {folder: folder.stat().st_mode for folder in readers}
    (path / "K/c/0/0/0").unlink()
    for folder in (path, *(f for f in path.rglob("*") if f.is_dir())):
        folder.chmod(0o555)
    if as_root:  # root may write anywhere: be nobody for a moment
        for folder in readers:
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match=r"Could not .*[Pp]ermission denied"):
            ntklab.gram(kfn, inputs(), store=path, tile=TILE, progress=False)
        with pytest.raises(StoreError, match=r"Could not create .*[Pp]ermission denied.*Name a place"):
            ntklab.gram(kfn, inputs(), store=path / "new", tile=TILE, progress=False)
        assert ntklab.open_gram(path).ntk[5, 6] > -1
        assert verify(path, sample=0, progress=False).missing == 1
    finally:
        if as_root:
            os.seteuid(0)
            for folder, mode in modes.items():
                folder.chmod(mode)
        for folder in (path, *(f for f in path.rglob("*") if f.is_dir())):
            folder.chmod(0o755)
    resume(path, progress=False)
    assert status(path).complete


def test_a_file_in_the_way_is_named(kfn, tmp_path):
    (tmp_path / "k").write_text("notes")
    with pytest.raises(StoreError, match="Could not"):
        ntklab.gram(kfn, inputs(), store=tmp_path / "k", tile=TILE, progress=False)
    assert (tmp_path / "k").read_text() == "notes"


def test_a_store_that_was_moved_goes_on_elsewhere(path, tmp_path):
    (path / "K/c/0/0/2").unlink()
    shutil.move(path, tmp_path / "elsewhere")
    assert resume(tmp_path / "elsewhere", progress=False).ntk[0, 9] > -1
