"""The same store by Dask, workers killed in between included."""

import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import ntklab
from ntklab.errors import InputError
from ntklab.gram import verify
from ntklab.spec import zoo

TILE = 64
KILLS = int(os.environ.get("NTKLAB_DASK_KILLS", "2"))
"""Workers killed in one run; 50 take five minutes."""

KILLING = """
import contextlib, os, random, signal, sys, threading, time
import dask.config, numpy as np, ntklab
from distributed import Client, LocalCluster, WorkerPlugin
from ntklab.gram import _dask
from ntklab.spec import zoo

class Log(WorkerPlugin):
    def __init__(self, path):
        self.path = path

    def setup(self, worker):
        import os, time
        from ntklab.gram import _dask
        compute_tile, log = _dask.compute_tile, os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def logged(kfn, x1, x2, grid, at):
            os.write(log, f"{os.getpid()} {at.top}-{at.left}\\n".encode())
            time.sleep(0.05)
            return compute_tile(kfn, x1, x2, grid, at)

        _dask.compute_tile = logged

def kill(cluster, path, kills):
    rng = random.Random(0)
    for i in range(kills):
        working = []
        while not working:  # Dask gives a worker up that is killed while it starts
            time.sleep(0.02)
            lines = open(path).readlines() if os.path.exists(path) else []
            seen = {int(line.split()[0]) for line in lines}
            if len(lines) > 8 * (i + 1):
                working = [nanny.pid for nanny in cluster.workers.values() if nanny.pid in seen]
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(working), signal.SIGKILL)

if __name__ == "__main__":
    store, tile, n, kills = sys.argv[1], *map(int, sys.argv[2:])
    dask.config.set(_dask._LOCAL_SETTINGS)
    kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    x = np.random.default_rng(0).normal(size=(n, 3))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.register_plugin(Log(store + ".log"))
        killer = threading.Thread(target=kill, args=(cluster, store + ".log", kills), daemon=True)
        killer.start()
        ntklab.gram(kfn, x, store=store, tile=tile, dask=client, progress=False)
        killer.join()
"""


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_killed_workers_end_in_the_store_of_a_run_without_dask(tmp_path):
    (tmp_path / "killing.py").write_text(KILLING)
    side = math.isqrt(16 * KILLS) + 2  # eight tiles a kill
    n = TILE * side - 5
    words = [sys.executable, tmp_path / "killing.py", tmp_path / "k", TILE, n, KILLS]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=300 + 20 * KILLS)
    assert done.returncode == 0, done.stderr
    who, computed = zip(*map(str.split, (tmp_path / "k.log").read_text().splitlines()), strict=True)
    tiles = side * (side + 1) // 2
    print(f"{KILLS} workers killed: {tiles} tiles, {len(computed) - tiles} computed again")
    assert len(set(who)) >= 2, "both took part, or a new one did"
    assert len(set(computed)) == tiles
    # a worker loses the tile that it computes; on a busy machine Dask gives up on one more now and then
    assert len(computed) - tiles <= 2 * KILLS
    kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    x = np.random.default_rng(0).normal(size=(n, 3))
    with jax.enable_x64(False):
        ntklab.gram(kfn, x, store=tmp_path / "alone", tile=TILE, progress=False)
    assert files(tmp_path / "k") == files(tmp_path / "alone")


def test_the_command_computes_in_processes_of_its_own(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 3)))
    code = "from ntklab.cli import main\nif __name__ == '__main__':\n    main()\n"
    (tmp_path / "command.py").write_text(code)
    words = ("gram", "run", "k.zarr", "--network", "fc(2)", "--data", "x.npy", "--tile", "16", "--dtype", "float64")
    done = subprocess.run(
        [sys.executable, "command.py", *words, "--dask", "local:1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "6 of 6" in done.stdout
    assert verify(tmp_path / "k.zarr", sample=6, progress=False).identical == 6


SBATCH = """#!/bin/sh
# stands for Slurm: runs the job here, and answers like sbatch
cp "$1" "$JOBS.sh"
setsid sh "$JOBS.sh" > "$JOBS.log" 2>&1 &
echo $! >> "$JOBS"
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_jobs_of_slurm_compute_the_store_of_a_run_without_them(tmp_path):
    for name, code in {"sbatch": SBATCH, "scancel": "#!/bin/sh\nkill -- -$1\n"}.items():
        (tmp_path / name).write_text(code)
        (tmp_path / name).chmod(0o755)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 3)))
    words = ("gram", "run", "k.zarr", "--network", "fc(2)", "--data", "x.npy", "--tile", "16", "--dtype", "float64")
    settings = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "JOBS": str(tmp_path / "jobs"),
        "DASK_JOBQUEUE__SLURM__CORES": "1",
        "DASK_JOBQUEUE__SLURM__MEMORY": "1GB",
    }
    code = "from ntklab.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--dask", "slurm:1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **settings},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "6 of 6" in done.stdout
    assert (tmp_path / "jobs").read_text().split(), "a job was submitted"
    assert verify(tmp_path / "k.zarr", sample=6, progress=False).identical == 6


def test_jobs_of_unknown_size_are_refused_with_the_way_to_say_it(tmp_path):
    kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    with pytest.raises(InputError, match="DASK_JOBQUEUE__SLURM__CORES"):
        ntklab.gram(kfn, np.eye(3), store=tmp_path / "k", dask="slurm:2", progress=False)
