"""How fast is every engine on this machine's CPU, how exact, and how far from neural-tangents?

    python benchmarks/engines_cpu.py --data DIR [--only "plain_cnn(21, gap)"] [--rounds 5]

One run times all engines and neural-tangents (a process of its own) in turns, on CIFAR-10 images in float32, and takes
medians. Errors are the largest over entries against the reference engine in float64, relative to ``sqrt(K_ii K_jj)``.
Counted work per second is set against this machine's measured peak. Writes benchmarks/results/engines-cpu.json after
each workload; with ``--only`` the others stay as they were.
Needs the checkout, the oracle (tests/README.md) and an otherwise idle machine; about half an hour for everything.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np
from agreement import ROOT
from llvmlite.binding import get_host_cpu_features
from peak import steps_per_second
from workloads import WORKLOADS, Workload, trained

from ntklab import compile
from ntklab._core import Record
from ntklab.data import load_cifar10
from ntklab.engine import ENGINES
from ntklab.kernel import lower
from ntklab.report import align

LEAST_SECONDS = 0.7
MOST_IMAGES = 512


class Rival:
    """neural-tangents behind a pipe."""

    def __init__(self, images: Path) -> None:
        script = [sys.executable, str(Path(__file__).with_name("rival.py")), str(images)]
        self.process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(
        self, workload: str, n1: int, n2: int, *, symmetric: bool = False, same: bool = False, save: str = ""
    ) -> float:
        """Return the seconds of one call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"workload": workload, "n1": n1, "n2": n2, "symmetric": symmetric, "save": save}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise click.ClickException("neural-tangents ended; its message stands above.")
        return json.loads(answer)["seconds"]


def standardised(data: Path, count: int) -> np.ndarray:
    """Return images as Arora et al. 2019 feed them, scaled by channel; mirror images where there are too few."""
    images = load_cifar10(data)
    pixels = np.concatenate((images.x_test, images.x_train))[:count]
    pixels = np.concatenate((pixels, pixels[:, :, ::-1]))[:count].astype(np.float64) / 255.0
    return ((pixels - pixels.mean(axis=(0, 1, 2))) / pixels.std(axis=(0, 1, 2))).astype(np.float32)


def block(workload: Workload, run: Callable[[int, int], float]) -> tuple[int, int]:
    """Return how many images on each side make a call long enough to time; runs it once before, to compile."""
    if workload.whole:
        run(workload.whole, workload.whole)
        return workload.whole, workload.whole
    n1, n2 = 1, 2
    run(n1, n2)
    while run(n1, n2) < LEAST_SECONDS and n1 + n2 < MOST_IMAGES:
        n1, n2 = n2, 2 * n1
        run(n1, n2)
    return n1, n2


def timed(name: str, workload: Workload, images: np.ndarray, rival: Rival, rounds: int) -> dict[str, Any]:
    """Time all engines and neural-tangents on one workload, in turns."""
    x = jnp.asarray(images.reshape((len(images), *workload.shape)))
    runs: dict[str, Callable[[int, int], float]] = {}
    for engine in ENGINES:
        plan = lower(workload.network, workload.shape)
        if not engine.supports(plan, jax.devices()[0], np.dtype("float32")).ok:
            continue
        kfn = compile(workload.network, workload.shape, engine=engine.name)

        def run(n1: int, n2: int, kfn: Any = kfn) -> float:
            start = time.perf_counter()
            jax.block_until_ready(kfn(x[:n1]) if workload.whole else kfn(x[:n1], x[n1 : n1 + n2]))
            return time.perf_counter() - start

        runs[engine.name] = run
    symmetric = bool(workload.whole)
    runs["neural-tangents"] = lambda n1, n2: rival.ask(name, n1, n2, symmetric=symmetric)
    blocks = {who: block(workload, run) for who, run in runs.items()}
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(rounds):
        for who, run in runs.items():
            n1, n2 = blocks[who]
            times[who].append(run(n1, n2) / (n1 * n2))
    errors = measured_errors(name, workload, x[: workload.images], runs, rival)
    work = lower(workload.network, workload.shape).work
    return {
        who: {
            "milliseconds_per_entry": 1e3 * statistics.median(times[who]),
            "all": [1e3 * t for t in times[who]],
            "block": blocks[who],
            "counted_steps_per_second": work / statistics.median(times[who]) * (0.5 if symmetric else 1.0),
            "error_different": errors[who][0],
            "error_diagonal": errors[who][1],
        }
        for who in runs
    }


def measured_errors(name: str, workload: Workload, x: Any, runs: Any, rival: Rival) -> dict[str, tuple[float, float]]:
    """Return the largest relative errors of the NTK over different images, and on the diagonal."""
    found = {}
    with jax.enable_x64(True):
        exact = compile(workload.network, workload.shape, engine="reference", dtype="float64")
        expected = {"ntklab": np.asarray(exact(x).ntk)}
        theirs = compile(trained(workload.network), workload.shape, engine="reference", dtype="float64")
        expected["neural-tangents"] = np.asarray(theirs(x).ntk)
    for who in runs:
        if who == "neural-tangents":
            few = workload.rival_images or len(x)
            with tempfile.TemporaryDirectory() as folder:
                rival.ask(name, few, few, symmetric=True, save=f"{folder}/ntk.npy")
                ntk = np.load(f"{folder}/ntk.npy")
        else:
            ntk = np.asarray(compile(workload.network, workload.shape, engine=who)(x).ntk)
        count = len(ntk)
        truth = expected.get(who, expected["ntklab"])[:count, :count]
        scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
        error = np.abs(ntk - truth) / scale
        found[who] = (float(error[~np.eye(count, dtype=bool)].max()), float(np.diag(error).max()))
    return found


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="CIFAR-10 in any form that ntklab reads.")
@click.option("--only", multiple=True, type=click.Choice(list(WORKLOADS)))
@click.option("--rounds", default=5, show_default=True)
@click.option("--out", default=ROOT / "benchmarks" / "results" / "engines-cpu.json", type=click.Path(path_type=Path))
def main(data: Path, only: tuple[str, ...], rounds: int, out: Path) -> None:
    """Time, compare, print and store."""
    images = standardised(data, 4000)
    found: dict[str, Any] = Record.load(out).results["workloads"] if out.exists() else {}
    settings = {
        "rounds": rounds,
        "dtype": "float32",
        "images": "CIFAR-10 images, standardised by channel",
        "vectors": "AVX-512" if get_host_cpu_features().get("avx512f") else "AVX2",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        rival = Rival(path)
        for name in only or WORKLOADS:
            peak = steps_per_second()  # of this minute: the machine may be shared
            timings = timed(name, WORKLOADS[name], images, rival, rounds)
            found[name] = {who: {**row, "peak_steps_per_second": peak} for who, row in timings.items()}
            rows = found[name].items()
            print(name, {who: f"{row['milliseconds_per_entry']:.3g} ms" for who, row in rows}, flush=True)
            found = {key: found[key] for key in WORKLOADS if key in found}
            Record.make("engines-cpu", settings, {"workloads": found}).save(out)
    print(table(found))


def table(found: dict[str, Any]) -> str:
    """Return the results as aligned text."""
    rows = [("workload", "engine", "ms per entry", "times neural-tangents", "error", "diagonal", "of peak")]
    for name, engines in found.items():
        rival = engines["neural-tangents"]["milliseconds_per_entry"]
        for who, row in engines.items():
            ms = row["milliseconds_per_entry"]
            share = f"{row['counted_steps_per_second'] / row['peak_steps_per_second']:.0%}"
            errors = (f"{row['error_different']:.1e}", f"{row['error_diagonal']:.1e}")
            rows.append((name, who, f"{ms:.4g}", f"{rival / ms:.3g}", *errors, share))
    return align(rows)


if __name__ == "__main__":
    main()
