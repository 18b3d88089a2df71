"""`ntklab.gram`: the same matrix as one call, in tiles."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine import Engine, Kernel, KernelFn
from ntklab.errors import InputError
from ntklab.spec import zoo

N = 7


def assert_close(actual: Any, expected: Any) -> None:
    """Blocks of other sizes add the same numbers in another order: a few roundings of the largest entry."""
    expected = np.asarray(expected)
    tolerance = 8 * float(np.finfo(expected.dtype).eps) * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@dataclass(frozen=True)
class Watched:
    """An engine that notes the shapes it is called with, and can stop at a given call."""

    inner: Engine
    calls: list[tuple[int, int | None]] = field(default_factory=list)
    stop_at: int | None = None

    def run(self, plan: Any, x1: Any, x2: Any, hyper: Any) -> Any:
        self.calls.append((len(x1), None if x2 is None else len(x2)))
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        return self.inner.run(plan, x1, x2, hyper)


def watched(kfn: KernelFn, stop_at: int | None = None) -> tuple[KernelFn, Watched]:
    engine = Watched(kfn._engine, stop_at=stop_at)
    return replace(kfn, _engine=engine), engine


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4, 4, 3))


@pytest.fixture(scope="module")
def fc() -> KernelFn:
    return ntklab.compile(zoo.fc(2), input_shape=(4, 4, 3), dtype="float64")


@pytest.mark.parametrize(  # one input, ragged, fitting, larger; each size compiles
    "tile", [pytest.param(n, marks=[] if n in (1, 3, N, N + 2) else [pytest.mark.slow]) for n in range(1, N + 4)]
)
def test_every_tile_size_gives_the_symmetric_matrix_of_one_call(fc, tile):
    x = images(N)
    direct, tiled = fc(x), ntklab.gram(fc, x, tile=tile, progress=False)
    for word in ("nngp", "ntk"):
        matrix = tiled.values[word]
        assert_close(matrix, direct.values[word])
        assert (matrix == matrix.T).all(), "equal to its transpose bit for bit"


@pytest.mark.parametrize(
    ("n1", "n2", "tile"),
    [
        *((1, 5, 2), (7, 4, 3), (3, 2, 9)),
        *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((1, 1, 1), (5, 1, 2), (4, 7, 3), (6, 6, 4))),
    ],
)
def test_rectangles_of_all_sizes_equal_one_call(fc, n1, n2, tile):
    x1, x2 = images(n1), images(n2, seed=1)
    direct, tiled = fc(x1, x2), ntklab.gram(fc, x1, x2, tile=tile, progress=False)
    assert tiled.ntk.shape == (n1, n2)
    assert_close(tiled.ntk, direct.ntk)
    assert_close(tiled.nngp, direct.nngp)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pooled_networks_are_symmetric_bit_for_bit_and_come_as_numpy_arrays_of_the_kernels_dtype(dtype):
    kfn = ntklab.compile(zoo.cntk(3, "gap"), input_shape=(4, 4, 3), dtype=dtype)
    x = images(5)
    direct, kernel = kfn(x), ntklab.gram(kfn, x, tile=2, progress=False)
    assert isinstance(kernel, Kernel)
    for word in ("nngp", "ntk"):
        matrix = kernel.values[word]
        assert type(matrix) is np.ndarray
        assert matrix.dtype == np.dtype(dtype)
        assert (matrix == matrix.T).all()
        assert_close(matrix, direct.values[word])


def test_the_default_tile_gives_the_same_matrix(fc):
    x = images(N)
    assert_close(ntklab.gram(fc, x, progress=False).ntk, fc(x).ntk)


def test_x2_equal_to_x1_gives_the_same_numbers_without_the_symmetric_shortcut(fc):
    x = images(N)
    square = ntklab.gram(fc, x, x.copy(), tile=3, progress=False)
    assert_close(square.ntk, ntklab.gram(fc, x, tile=3, progress=False).ntk)


def test_several_networks_come_under_their_names():
    networks = {"two": zoo.fc(2), "four": zoo.fc(4)}
    kfn = ntklab.compile(networks, input_shape=(3,), dtype="float64")
    x = np.random.default_rng(0).normal(size=(5, 3))
    kernels = ntklab.gram(kfn, x, tile=2, progress=False)
    assert list(kernels) == ["two", "four"]
    for name, network in networks.items():
        alone = ntklab.compile(network, input_shape=(3,), dtype="float64")(x)
        assert_close(kernels[name].ntk, alone.ntk)
        assert_close(kernels[name].nngp, alone.nngp)


def test_only_what_was_asked_for_is_there():
    kfn = ntklab.compile(zoo.fc(2), input_shape=(3,), get=("nngp",))
    kernel = ntklab.gram(kfn, np.eye(3), tile=2, progress=False)
    assert set(kernel.values) == {"nngp"}
    with pytest.raises(InputError, match="ntk was not computed"):
        _ = kernel.ntk


@pytest.mark.parametrize("container", [np.asarray, jax.numpy.asarray, lambda x: x.tolist()])
def test_images_in_uint8_give_the_numbers_of_the_same_images_in_float64(fc, container):
    x = np.random.default_rng(0).integers(0, 256, size=(5, 4, 4, 3), dtype=np.uint8)
    kernel = ntklab.gram(fc, container(x), tile=2, progress=False)
    assert_close(kernel.ntk, fc(x.astype(np.float64)).ntk)


# --- what is computed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [1, 2, 3, 5])
def test_no_call_is_larger_than_a_tile(fc, tile):
    kfn, engine = watched(fc)
    ntklab.gram(kfn, images(N), tile=tile, progress=False)
    ntklab.gram(kfn, images(N), images(4), tile=tile, progress=False)
    assert max(max(n1, n2 or 0) for n1, n2 in engine.calls) <= tile


def test_the_lower_triangle_is_not_computed(fc):
    kfn, engine = watched(fc)
    ntklab.gram(kfn, images(6), tile=2, progress=False)
    assert engine.calls == [(2, None), (2, 2), (2, 2), (2, None), (2, 2), (2, None)]


def test_ragged_edges_call_for_the_shapes_of_whole_tiles(fc):
    """One shape is compiled for tiles on the diagonal and one for the others, whatever the number of inputs."""
    kfn, engine = watched(fc)
    ntklab.gram(kfn, images(N), tile=3, progress=False)
    assert set(engine.calls) == {(3, None), (3, 3)}
    engine.calls.clear()
    ntklab.gram(kfn, images(N), images(4), tile=3, progress=False)
    assert set(engine.calls) == {(3, 3)}


def test_ragged_edges_compile_nothing():
    kfn = ntklab.compile(zoo.fc(5), input_shape=(3,), dtype="float64")  # depth 5: compiled by no other test
    x = np.random.default_rng(0).normal(size=(8, 3))
    ntklab.gram(kfn, x[:4], tile=2, progress=False)
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: compiled.append(event))
    try:
        for n in (3, 5, 7):
            ntklab.gram(kfn, x[:n], tile=2, progress=False)
        assert [event for event in compiled if "backend_compile" in event] == []
        ntklab.gram(kfn, x, tile=3, progress=False)
        assert any("backend_compile" in event for event in compiled), "the listener sees a compilation"
    finally:
        jax.monitoring.clear_event_listeners()


def test_the_inputs_are_left_as_they_were(fc):
    x = images(3)
    before = x.copy()
    ntklab.gram(fc, x, tile=2, progress=False)
    assert (x == before).all()


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_shows_entries_done_and_entries_per_second_on_stderr(fc, capsys):
    ntklab.gram(fc, images(N), tile=3)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert "100%" in last
    assert f"{N * (N + 1) / 2:.1f}/{N * (N + 1) / 2:.1f}" in last
    assert re.search(r"[\d.]+k? ?entries/s|s/ entries", last)


def test_progress_can_be_off(fc, capsys):
    ntklab.gram(fc, images(3), tile=2, progress=False)
    assert capsys.readouterr() == ("", "")


# --- what is refused, and before what ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (images(3)[0], None, "x1 needs the shape"),
        (images(3), images(3)[..., :2], "x2 needs the shape"),
        (images(3)[:0], None, "x1 needs the shape"),
        (np.where(np.arange(3)[:, None, None, None] == 2, np.nan, images(3)), None, "x1 has NaN or infinite.*row 2"),
        (images(3), np.full((2, 4, 4, 3), np.inf), "x2 has NaN or infinite"),
        (images(3) * 1j, None, "x1 needs real numbers"),
    ],
)
def test_bad_inputs_are_refused_before_anything_is_computed(fc, x1, x2, message, capsys):
    kfn, engine = watched(fc)
    with pytest.raises(InputError, match=message):
        ntklab.gram(kfn, x1, x2, tile=2)
    assert engine.calls == []
    assert capsys.readouterr().err == "", "nor is progress shown"


@pytest.mark.parametrize("tile", [0, -3, 2.0, True, "all"])
def test_a_bad_tile_is_refused_before_anything_is_computed(fc, tile):
    kfn, engine = watched(fc)
    with pytest.raises(InputError, match="tile is a positive integer"):
        ntklab.gram(kfn, images(3), tile=tile, progress=False)
    assert engine.calls == []


@pytest.mark.parametrize("kfn", [zoo.fc(2), lambda x: x, None])
def test_what_is_no_kernel_function_is_refused(kfn):
    with pytest.raises(InputError, match=r"kfn is what ntklab.compile\(...\) returns"):
        ntklab.gram(kfn, np.eye(3), progress=False)


def test_an_interrupt_ends_the_computation_at_once_and_leaves_the_function_usable(fc, capsys):
    kfn, engine = watched(fc, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        ntklab.gram(kfn, images(N), tile=2)
    assert len(engine.calls) == 3
    assert capsys.readouterr().err.endswith("\n"), "the line of progress is closed"
    x = images(3)
    assert_close(ntklab.gram(fc, x, tile=2, progress=False).ntk, fc(x).ntk)


def test_a_default_device_that_is_the_name_of_a_platform_is_its_first_device():
    kfn = ntklab.compile(zoo.fc(2), (3,), engine="reference")
    x = np.random.default_rng(0).normal(size=(5, 3))
    expected = ntklab.gram(kfn, x, progress=False).ntk
    with jax.default_device("cpu"):
        np.testing.assert_array_equal(ntklab.gram(kfn, x, progress=False).ntk, expected)
