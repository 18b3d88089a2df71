"""What do depth, the number of pairs, several depths at once, and the NNGP alone cost? On CPU, with ``engine="auto"``.

    python benchmarks/costs_cpu.py [--rounds 5]

All kernels take turns in one run, on random 32x32x3 images in float32; medians. Each is held against the reference
engine in float64 on three images. Writes benchmarks/results/costs-cpu.json. About ten minutes.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from agreement import ROOT

from ntklab import compile
from ntklab._core import Record
from ntklab.engine import KernelFn
from ntklab.report import align
from ntklab.spec import zoo

SHAPE = (32, 32, 3)
DEPTHS = (3, 4, 6, 11, 21)
PAIRS = (16, 32, 64, 128)


def kernels() -> dict[str, tuple[Any, tuple[str, ...], int]]:
    """Return what is timed: network or family, what is asked for, and how many pairs."""
    both = ("nngp", "ntk")
    asked: dict[str, tuple[Any, tuple[str, ...], int]] = {}
    for depth in DEPTHS:
        asked[f"cntk({depth}, gap)"] = (zoo.cntk(depth, "gap"), both, 32)
    for pairs in PAIRS:
        asked[f"cntk(6, gap), {pairs} pairs"] = (zoo.cntk(6, "gap"), both, pairs)
    asked["cntk, five depths, gap"] = ({str(d): zoo.cntk(d, "gap") for d in DEPTHS}, both, 32)
    asked["plain_cnn(20, gap)"] = (zoo.plain_cnn(20, "gap"), both, 32)
    asked["plain_cnn, five depths, gap"] = ({str(d): zoo.plain_cnn(d - 1, "gap") for d in DEPTHS}, both, 32)
    asked["cntk(21, gap), nngp alone"] = (zoo.cntk(21, "gap"), ("nngp",), 32)
    asked["cntk(21, gap), ntk alone"] = (zoo.cntk(21, "gap"), ("ntk",), 32)
    return asked


def error(kfn: KernelFn, network: Any, get: tuple[str, ...], x: np.ndarray) -> float:
    """Return the largest relative error over all networks, kernels and entries."""
    with jax.enable_x64(True):
        exact = compile(network, SHAPE, engine="reference", dtype="float64", get=get)(x)
    found = kfn(x)
    worst = 0.0
    for name in network if isinstance(network, dict) else [None]:
        ours, theirs = (found, exact) if name is None else (found[name], exact[name])
        for word in get:
            truth = np.asarray(theirs.values[word])
            scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
            worst = max(worst, float((np.abs(np.asarray(ours.values[word]) - truth) / scale).max()))
    return worst


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--out", default=ROOT / "benchmarks" / "results" / "costs-cpu.json", type=click.Path(path_type=Path))
def main(rounds: int, out: Path) -> None:
    """Time, compare, print and store."""
    x = np.random.default_rng(0).standard_normal((24, *SHAPE)).astype(np.float32)
    compiled: dict[str, tuple[KernelFn, np.ndarray, np.ndarray]] = {}
    for name, (network, get, pairs) in kernels().items():
        left = 8 if pairs >= 64 else 4
        compiled[name] = (compile(network, SHAPE, get=get), x[:left], x[left : left + pairs // left])
    times: dict[str, list[float]] = {name: [] for name in compiled}
    for turn in range(rounds + 1):  # the first one compiles
        for name, (kfn, x1, x2) in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(kfn(x1, x2))
            if turn > 0:
                times[name].append(time.perf_counter() - start)
    rows = {
        name: {
            "engine": compiled[name][0].engine.name,
            "pairs": pairs,
            "seconds": statistics.median(times[name]),
            "milliseconds_per_entry": 1e3 * statistics.median(times[name]) / pairs,
            "error": error(compiled[name][0], network, get, x[:3]),
        }
        for name, (network, get, pairs) in kernels().items()
    }
    Record.make("costs-cpu", {"rounds": rounds, "shape": SHAPE, "dtype": "float32"}, {"rows": rows}).save(out)
    print(
        align(
            [("kernel", "pairs", "ms per entry", "error")]
            + [
                (name, str(row["pairs"]), f"{row['milliseconds_per_entry']:.3f}", f"{row['error']:.1e}")
                for name, row in rows.items()
            ]
        )
    )


if __name__ == "__main__":
    main()
