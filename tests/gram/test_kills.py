"""Runs that are killed with SIGKILL, at random moments and by the dozen, end in the store of a run that was not."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ntklab
from ntklab.gram import status, verify
from ntklab.spec import zoo

TILE = 96

WORKER = """
import os, sys, time
import numpy as np, ntklab
from ntklab.gram import _fill
from ntklab.spec import zoo

store, n, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
log = os.open(store + ".log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
start_tile = _fill.start_tile

def logged(kfn, x1, x2, grid, at, device):
    os.write(log, f"{os.getpid()} {at.top}-{at.left}\\n".encode())
    time.sleep(pause)
    return start_tile(kfn, x1, x2, grid, at, device)

_fill.start_tile = logged
kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
x = np.random.default_rng(0).normal(size=(n, 3))
print("ready", flush=True)
ntklab.gram(kfn, x, store=store, tile=int(sys.argv[4]), progress=False)
"""


def start(store: Path, n: int, pause: float = 0.01) -> subprocess.Popen:
    words = [sys.executable, "-c", WORKER, str(store), str(n), str(pause), str(TILE)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_runs(store: Path, n: int, kills: int, processes: int, longest: float, seed: int) -> None:
    """Keep so many processes on one store, kill one after the other, and let the last ones finish."""
    rng, team = random.Random(seed), [start(store, n) for _ in range(processes)]
    for _ in range(kills):
        victim = team.pop(0)
        assert victim.stdout.readline() == "ready\n", victim.communicate()[1]
        time.sleep(rng.uniform(0, longest))
        assert victim.poll() is None, f"it ended too early: {victim.communicate()[1]}"
        victim.kill()
        victim.communicate()
        team.append(start(store, n))
    for process in team:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("kills", "processes", "side"),
    [
        pytest.param(2, 2, 14, id="few"),
        pytest.param(50, 1, 36, id="50 of one process", marks=pytest.mark.slow),
        pytest.param(50, 3, 48, id="50 among three processes", marks=pytest.mark.slow),
    ],
)
def test_killed_runs_end_in_the_store_of_an_unbroken_one(tmp_path, kills, processes, side):
    n = TILE * side - 7
    killed_runs(tmp_path / "killed", n, kills, processes, longest=0.5, seed=kills + processes)
    unbroken = start(tmp_path / "unbroken", n)
    _, err = unbroken.communicate(timeout=300)
    assert unbroken.returncode == 0, err
    assert files(tmp_path / "killed") == files(tmp_path / "unbroken"), "bit for bit, and no file left over"
    assert status(tmp_path / "killed").complete
    computed = [line.split()[1] for line in (tmp_path / "killed.log").read_text().splitlines()]
    tiles = side * (side + 1) // 2
    print(f"{kills} kills, {processes} processes: {tiles} tiles, {len(computed) - tiles} computed again")
    assert len(set(computed)) == tiles
    # a kill loses the tile that is computed and the one that is being written
    assert len(computed) - tiles <= 2 * kills


@pytest.mark.slow
def test_processes_share_the_tiles_and_compute_none_twice(tmp_path):
    side = 12
    team = [start(tmp_path / "k", TILE * side, pause=0.05) for _ in range(2)]
    for process in team:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    who, computed = zip(*map(str.split, (tmp_path / "k.log").read_text().splitlines()), strict=True)
    assert len(computed) == len(set(computed)) == side * (side + 1) // 2
    assert len(set(who)) == 2, "both took part"
    assert verify(tmp_path / "k", sample=0, progress=False).ok
    assert not list((tmp_path / "k").rglob("*claims/*"))
    kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    x = np.random.default_rng(0).normal(size=(TILE * side, 3))
    np.testing.assert_array_equal(
        ntklab.open_gram(tmp_path / "k").ntk[:200], ntklab.gram(kfn, x, tile=TILE, progress=False).ntk[:200]
    )
