"""A run that was interrupted or killed ends with the same numbers as one that was not, and never with another's."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ntklab.errors import DataError, InputError, SolveError
from ntklab.solve import BlockOperator, Ridge, conjugate_gradients, rpcholesky
from tests.solve.grams import gaussian

GRAM = gaussian(90, width=0.3)
TARGETS = np.random.default_rng(0).normal(size=(90, 3))
OPTIONS = {"ridge": Ridge(1e-4), "tolerance": 1e-9, "progress": False}


def solve(gram=GRAM, targets=TARGETS, **options):
    return conjugate_gradients(gram, targets, **(OPTIONS | options))


def stopping_after(products, error):
    """The operator of GRAM, which raises `error` instead of one more product."""
    done = 0

    def block(i, j):
        nonlocal done
        done += 1
        if done > products + 1:  # the constructor looks at one block
            raise error
        return GRAM[i, j]

    return BlockOperator(block, 90)


def same(one, other):
    for name in ("alpha", "residuals", "iterations", "history"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("products", ["float64", "float32"])
@pytest.mark.parametrize("rank", [0, 15])
def test_an_interrupted_run_goes_on_to_the_same_answer_bit_for_bit(tmp_path, products, rank):
    options = {"products": products}
    if rank:
        options["preconditioner"] = rpcholesky(BlockOperator.of_array(GRAM), rank, seed=0)
    whole = solve(**options)
    path = tmp_path / "deep" / "run.npz"
    for after in (7, 12):
        # The diagonal is a block too.
        with pytest.raises(KeyboardInterrupt):
            solve(stopping_after(1 + after, KeyboardInterrupt), checkpoint=path, **options)
    resumed = solve(checkpoint=path, **options)
    same(resumed, whole)
    # Both runs that were gone on with checked K by one product each.
    assert resumed.products == whole.products + 2
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]


KILLED = """
import sys, time
import numpy as np
from ntklab.solve import BlockOperator, Ridge, conjugate_gradients

gram, targets = np.load(sys.argv[1]), np.load(sys.argv[2])

def block(i, j):
    print("block", flush=True)
    time.sleep(0.02)
    return gram[i, j]

ridge = Ridge(1e-4)
conjugate_gradients(BlockOperator(block, 90), targets, ridge, tolerance=1e-9, checkpoint=sys.argv[3], save_every=0)
"""


def test_a_killed_process_loses_nothing_but_the_last_iteration(tmp_path):
    path = tmp_path / "run.npz"
    np.save(tmp_path / "gram.npy", GRAM)
    np.save(tmp_path / "targets.npy", TARGETS)
    command = [sys.executable, "-c", KILLED, *(str(tmp_path / name) for name in ("gram.npy", "targets.npy", "run.npz"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for _ in range(15):
            assert process.stdout.readline() == "block\n"
        process.kill()
    with np.load(path) as stored:
        assert len(stored["history"]) >= 10
    same(solve(checkpoint=path), solve())


def test_a_finished_run_is_there_at_once_and_a_tighter_tolerance_goes_on(tmp_path):
    path = tmp_path / "run.npz"
    first = solve(tolerance=1e-5, checkpoint=path)
    again = solve(tolerance=1e-5, checkpoint=path)
    same(again, first)
    assert again.products == first.products + 1
    tighter = solve(checkpoint=path)
    assert tighter.residuals.max() <= 1e-9
    assert (tighter.iterations > first.iterations).all()
    assert tighter.products < 1.2 * solve().products


def test_more_iterations_than_allowed_can_be_allowed_later(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(SolveError, match=r"run\.npz keeps the run: call again with a larger max_iterations"):
        solve(max_iterations=5, checkpoint=path)
    same(solve(checkpoint=path), solve())


def test_the_file_is_written_at_the_interval_asked_for(tmp_path):
    path, sizes = tmp_path / "run.npz", []

    def block(i, j):
        sizes.append(path.exists())
        return GRAM[i, j]

    solve(BlockOperator(block, 90), checkpoint=path, save_every=0)
    assert sizes.index(True) == 3  # the first look, the diagonal, one product; then it is there
    path.unlink()
    sizes.clear()
    solve(BlockOperator(block, 90), checkpoint=path, save_every=1e9)
    assert not any(sizes)
    assert path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": TARGETS + 1e-12}, "targets was"),
        ({"targets": TARGETS[:, :2]}, "columns was 3 and is 2"),
        ({"ridge": Ridge(1e-3)}, r"ridge was .*0\.0001, .* and is .*0\.001,"),
        ({"gram": GRAM.astype(np.float32)}, "dtype was 'float64' and is 'float32'"),
        ({"preconditioner": rpcholesky(BlockOperator.of_array(GRAM), 5, seed=0)}, "preconditioner was 'none'"),
        ({"gram": gaussian(90, width=0.31)}, "residual that differs from the stored one by"),
        ({"products": "float32"}, "products was 'float64'"),
    ],
)
def test_the_checkpoint_of_another_problem_is_refused_and_kept(tmp_path, change, message):
    path = tmp_path / "run.npz"
    solve(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        solve(checkpoint=path, **change)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    solve(checkpoint=path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole.replace(b"x.npy", b"y.npy"), b"not a checkpoint"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"run\.npz"):
            solve(checkpoint=path)
    with np.load(_written(path, whole)) as stored:
        contents = dict(stored)
    contents["x"] = contents["x"] + 1.0
    np.savez(path, **contents)
    with pytest.raises(DataError, match="does not have its own hash"):
        solve(checkpoint=path)


def _written(path, content):
    path.write_bytes(content)
    return path


def test_the_file_says_what_it_is(tmp_path):
    path = tmp_path / "run.npz"
    solve(checkpoint=path)
    with np.load(path) as stored:
        manifest = json.loads(str(stored["manifest"]))
    assert (manifest["points"], manifest["columns"], manifest["format"]) == (90, 3, 1)
    assert manifest["ridge"] == repr(Ridge(1e-4))


def test_a_place_that_cannot_be_written_is_refused_before_the_first_product(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written"):
        solve(stopping_after(1, AssertionError), checkpoint=tmp_path / "file" / "run.npz")
