"""A Gram matrix in a store: what is in it, that a rerun completes it, and what is refused."""

import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import ntklab
from ntklab.engine import Engine, KernelFn
from ntklab.errors import InputError, MissingExtraError, StoreError
from ntklab.gram import export, resume, status, verify
from ntklab.spec import zoo

N, TILE = 11, 4  # three tiles a side, the last one ragged; six in the triangle


@dataclass(frozen=True)
class Counting:
    """An engine that counts its calls and can be interrupted, or overflow, at one of them."""

    inner: Engine
    calls: list[int] = field(default_factory=list)
    stop_at: int = 0
    overflow_at: int = 0

    def run(self, *args: Any) -> Any:
        self.calls.append(1)
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        values = self.inner.run(*args)
        if len(self.calls) == self.overflow_at:
            values = [values[0]._replace(ntk=values[0].ntk.at[2, 3].set(np.inf))]
        return values


def counting(kfn: KernelFn, **options: int) -> tuple[KernelFn, list[int]]:
    engine = Counting(kfn._engine, **options)
    return replace(kfn, _engine=engine), engine.calls


def inputs(n: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 5))


def chunks(path: Path) -> dict[str, bytes]:
    """Return every file of a store by its name below the root: equal stores are equal here."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def kfn() -> KernelFn:
    return ntklab.compile(zoo.fc(3), input_shape=(5,), dtype="float64")


def compute(kfn: KernelFn, path: Any, *args: Any, tile: int | None = TILE) -> Any:
    return ntklab.gram(kfn, *(args or (inputs(),)), store=path, tile=tile, progress=False)


@pytest.fixture(scope="module")
def whole(kfn, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "k.zarr"
    compute(kfn, path)
    return path


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy.zarr")


# --- what is stored ----------------------------------------------------------------------------------------


def test_a_store_reads_as_the_matrix_that_is_computed_in_memory(kfn, whole):
    direct, stored = ntklab.gram(kfn, inputs(), tile=TILE, progress=False), ntklab.open_gram(whole)
    for word in ("nngp", "ntk"):
        matrix, expected = stored.values[word], direct.values[word]
        assert (matrix.shape, matrix.dtype, matrix.ndim, len(matrix)) == ((N, N), np.float64, 2, N)
        np.testing.assert_array_equal(np.asarray(matrix), expected)
        np.testing.assert_array_equal(matrix.diagonal(), np.diagonal(expected))
        for key in (
            3,
            -1,
            slice(2, 9),
            slice(None),
            (slice(5, 11), slice(0, 6)),
            (9, 2),
            (slice(1, 3), -2),
            slice(4, 4),
        ):
            np.testing.assert_array_equal(matrix[key], expected[key])


@pytest.mark.parametrize("shape", [(N,), (N, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_equal_those_of_the_whole_matrix(whole, shape, dtype):
    K, v = ntklab.open_gram(whole).ntk, np.random.default_rng(1).normal(size=shape).astype(dtype)
    product = K @ v
    assert product.dtype == np.float64
    np.testing.assert_allclose(product, np.asarray(K) @ v, rtol=1e-14)


@pytest.mark.parametrize(("n1", "n2", "tile"), [(7, 3, 2), (3, 7, 4), (2, 2, 5)])
def test_rectangles_are_stored_whole(kfn, tmp_path, n1, n2, tile):
    x1, x2 = inputs(n1), inputs(n2, seed=1)
    stored, direct = compute(kfn, tmp_path / "k", x1, x2, tile=tile).ntk, kfn(x1, x2).ntk
    np.testing.assert_allclose(np.asarray(stored), direct, rtol=1e-13)
    v = np.arange(n2, dtype=float)
    np.testing.assert_allclose(stored @ v, direct @ v, rtol=1e-13)
    np.testing.assert_array_equal(stored.diagonal(), np.diagonal(np.asarray(stored)))


def test_another_library_reads_the_same_numbers_and_nan_below_the_diagonal(whole):
    group = zarr.open_group(whole, mode="r")
    K, ours = group["K"][:], ntklab.open_gram(whole)
    block = np.arange(N) // TILE
    upper = block[:, None] <= block
    for values, word in zip(K, ("nngp", "ntk"), strict=True):
        np.testing.assert_array_equal(values[upper], np.asarray(ours.values[word])[upper])
        assert np.isnan(values[~upper]).all()
    assert group.attrs["ntklab"]["tile"] == TILE
    (x,) = (array[:] for name, array in group.arrays() if name.startswith("x-"))
    np.testing.assert_array_equal(x, inputs())


def test_several_networks_share_a_store_and_float32_stays_float32(tmp_path):
    networks = {"two": zoo.fc(2), "three": zoo.fc(3)}
    kfn = ntklab.compile(networks, input_shape=(5,), get=("ntk",))
    stored, direct = compute(kfn, tmp_path / "k"), ntklab.gram(kfn, inputs(), tile=TILE, progress=False)
    assert list(stored) == ["two", "three"]
    for name in networks:
        assert stored[name].ntk.dtype == np.float32
        np.testing.assert_array_equal(np.asarray(stored[name].ntk), direct[name].ntk)
    assert "ntk of two" in repr(stored["two"].ntk)
    export(tmp_path / "k", tmp_path / "k.npz", progress=False)
    with np.load(tmp_path / "k.npz") as arrays:
        assert set(arrays) == {"two.ntk", "three.ntk"}
        np.testing.assert_array_equal(arrays["three.ntk"], direct["three"].ntk)


def test_images_in_uint8_are_stored_as_the_kernel_sees_them(tmp_path):
    kfn = ntklab.compile(zoo.cntk(3, "none"), input_shape=(4, 4, 3), engine="reference")
    x = np.random.default_rng(0).integers(0, 256, size=(5, 4, 4, 3), dtype=np.uint8)
    stored = compute(kfn, tmp_path / "k", x, tile=2).ntk
    np.testing.assert_allclose(np.asarray(stored), kfn(x).ntk, rtol=1e-5)
    compute(kfn, tmp_path / "k", x.astype(np.float32), tile=2)  # the same inputs


def test_the_default_tile_is_kept_by_the_store(kfn, tmp_path):
    compute(kfn, tmp_path / "k", tile=None)
    assert 1 <= status(tmp_path / "k").manifest["tile"] <= N
    compute(kfn, tmp_path / "k", tile=None)


def test_export_writes_what_numpy_loads(whole, tmp_path):
    export(whole, tmp_path / "k.npy", get="ntk", progress=False)
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy", mmap_mode="r"), ntklab.open_gram(whole).ntk)
    assert [file.name for file in tmp_path.iterdir()] == ["k.npy"]


# --- resuming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", range(1, 7))
def test_an_interrupted_run_loses_nothing_that_was_computed_and_the_rerun_completes_it(kfn, whole, tmp_path, stop_at):
    stopped, _ = counting(kfn, stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        compute(stopped, tmp_path / "k")
    assert status(tmp_path / "k").tiles_done == stop_at - 1
    assert status(tmp_path / "k").claimed == 0
    again, calls = counting(kfn)
    compute(again, tmp_path / "k")
    assert len(calls) == 6 - (stop_at - 1)
    assert chunks(tmp_path / "k") == chunks(whole), "bit for bit the store of a run without interruption"


def test_a_store_goes_on_from_itself_alone(kfn, whole, tmp_path):
    stopped, _ = counting(kfn, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        compute(stopped, tmp_path / "k")
    matrix = resume(tmp_path / "k", progress=False).ntk
    assert chunks(tmp_path / "k") == chunks(whole)
    assert matrix[0, 0] > 0


def test_a_complete_store_is_not_computed_again(kfn, copy):
    again, calls = counting(kfn)
    compute(again, copy)
    assert calls == []
    assert status(copy).complete


def test_a_run_that_was_killed_while_it_made_the_store_is_made_again(kfn, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "k")
    (tmp_path / "k/zarr.json").unlink()
    shutil.rmtree(tmp_path / "k/K")
    compute(kfn, tmp_path / "k")
    assert chunks(tmp_path / "k") == chunks(whole)


def test_files_of_writers_that_were_killed_are_swept_and_those_of_living_ones_are_left(kfn, copy):
    stale, alive = copy / "K/c/0/0/1.__lock", copy / "K/c/0/1/1.__lock"
    stale.write_bytes(b"half a tile")
    with alive.open("wb") as file:
        fcntl = pytest.importorskip("fcntl")
        record = np.array([fcntl.F_WRLCK, 0], "h").tobytes() + bytes(28)  # struct flock: whole file, no process
        fcntl.fcntl(file, 37, record)  # F_OFD_SETLK, the lock that TensorStore takes
        compute(kfn, copy)
        assert not stale.exists()
        assert alive.exists()
    compute(kfn, copy)
    assert not alive.exists()


def test_numbers_that_are_not_finite_are_refused_with_their_pair(kfn, tmp_path):
    broken, _ = counting(kfn, overflow_at=3)
    with pytest.raises(InputError, match="ntk of inputs 2 and 11 came out as inf in float64"):
        compute(broken, tmp_path / "k", inputs(12))
    assert status(tmp_path / "k").tiles_done == 2
    assert status(tmp_path / "k").claimed == 0


def test_progress_starts_where_the_store_is(kfn, tmp_path, capsys):
    stopped, _ = counting(kfn, stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        compute(stopped, tmp_path / "k")
    capsys.readouterr()
    ntklab.gram(kfn, inputs(), store=tmp_path / "k")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("58%")  # three tiles, 10 + 16 + 12 of 66 entries
    assert lines[-1].startswith("100%")


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        (["kernel.networks", "kernel.plan"], {"network": zoo.fc(3, W_std=1.5)}),
        (["kernel.networks", "kernel.plan"], {"network": zoo.fc(4)}),
        (["x1"], {"x": inputs(seed=7)}),
        (["x1", "x1.sha256"], {"x": inputs(N + 1)}),
        (["x2"], {"x2": inputs()}),
        (["tile"], {"tile": 5}),
        (["kernel.dtype", "x1.sha256"], {"dtype": "float32"}),
        (["kernel.get", "matrices"], {"get": ("ntk",)}),
    ],
)
def test_another_computation_is_refused_and_every_field_that_differs_is_named(whole, fields, change):
    change = {"network": zoo.fc(3), "dtype": "float64", "get": ("nngp", "ntk"), "x": inputs(), "tile": TILE} | change
    kfn = ntklab.compile(change["network"], input_shape=(5,), dtype=change["dtype"], get=change["get"])
    x = (change["x"], change["x2"]) if "x2" in change else (change["x"],)
    before = chunks(whole)
    with pytest.raises(StoreError, match="holds another computation") as raised:
        compute(kfn, whole, *x, tile=change["tile"])
    named = [line.split(": ")[0].strip() for line in str(raised.value).splitlines()[1:]]
    assert all(any(name.startswith(wanted) for name in named) for wanted in fields), named
    assert chunks(whole) == before


def test_other_versions_and_engines_are_refused_by_runs_and_do_not_hinder_reading(kfn, copy):
    document = json.loads((copy / "zarr.json").read_text())
    document["attributes"]["ntklab"]["versions"]["jax"] = "0.1.0"
    (copy / "zarr.json").write_text(json.dumps(document))
    for call in (lambda: compute(kfn, copy), lambda: resume(copy), lambda: verify(copy, progress=False)):
        with pytest.raises(StoreError, match=r"versions.jax: 0\.1\.0 in the store"):
            call()
    assert verify(copy, sample=0, progress=False).ok
    assert ntklab.open_gram(copy).ntk[0, 0] > 0


def test_a_learnable_number_that_differs_in_its_last_bit_is_another_computation(tmp_path):
    first, second = (ntklab.compile(zoo.fc(2, W_std=w), input_shape=(5,)) for w in (1.5, float(np.nextafter(1.5, 2))))
    compute(first, tmp_path / "k")
    with pytest.raises(StoreError, match=r"1\.5000000000000002"):
        compute(second, tmp_path / "k")


@pytest.mark.parametrize("tile", [0, -3, 2.0, True])
def test_a_bad_tile_is_refused_and_leaves_nothing(kfn, tmp_path, tile):
    with pytest.raises(InputError, match="tile is a positive integer"):
        compute(kfn, tmp_path / "k", tile=tile)
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("call", [ntklab.open_gram, resume, status, verify])
def test_a_place_without_a_store_is_named(tmp_path, call):
    with pytest.raises(StoreError, match=r"There is no Gram store at .*nowhere"):
        call(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["s5://bucket/k", "s3://"])
def test_a_url_that_means_nothing_is_refused(kfn, url):
    with pytest.raises(StoreError, match="Could not"):
        compute(kfn, url)


def test_dask_needs_a_store_and_an_address(kfn, tmp_path):
    with pytest.raises(InputError, match="name one with store="):
        ntklab.gram(kfn, inputs(), dask="local:2")
    with pytest.raises(InputError, match="local:4"):
        ntklab.gram(kfn, inputs(), store=tmp_path / "k", dask="locale", progress=False)


@pytest.mark.parametrize(("key", "error"), [(11, IndexError), (slice(0, 4, 2), InputError), ([1, 2], InputError)])
def test_what_a_stored_matrix_cannot_read_is_refused(whole, key, error):
    with pytest.raises(error):
        ntklab.open_gram(whole).ntk[key]


def test_products_of_other_shapes_are_refused(whole):
    with pytest.raises(InputError, match=r"v of shape \(11,\)"):
        ntklab.open_gram(whole).ntk @ np.ones(N + 1)


@pytest.mark.parametrize(("name", "get"), [("k.npy", None), ("k.txt", "ntk"), ("k.npz", "kernel")])
def test_an_export_that_has_no_meaning_is_refused(whole, tmp_path, name, get):
    with pytest.raises(InputError):
        export(whole, tmp_path / name, get=get)
    assert list(tmp_path.iterdir()) == []


def test_without_tensorstore_the_extra_is_named(kfn, monkeypatch):
    for name in ("ntklab.gram._stored", "ntklab.gram._store"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr(sys.modules["ntklab.gram"], "_stored", raising=False)
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    with pytest.raises(MissingExtraError, match=r"ntklab\[store\]"):
        compute(kfn, "memory://absent")
