"""What does a store cost over the computation alone, in time and in memory?

    python benchmarks/store.py --n 20000 --directory DIR

Computes the tiles of a dense network's Gram matrix and drops them, and computes them into a store, each in a fresh
process, in turn. Memory is the highest resident size beyond that after a first small matrix: program, JAX and inputs
do not count, compilation and everything in flight do. The error is that of sampled entries against the textbook
recursion in float64. Writes benchmarks/results/store.json. Three minutes for n = 20,000 on two cores.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
from memory import resident  # the script beside this one

import ntklab
from ntklab._core import Record
from ntklab.gram import TileGrid, verify
from ntklab.gram._compute import compute_tile
from ntklab.gram._cost import LARGEST_STORED_TILE
from ntklab.report import align
from ntklab.spec import zoo

ROOT = Path(__file__).parents[1]
PIXELS = 784


@click.command()
@click.option("--n", default=20_000, show_default=True, help="Inputs.")
@click.option("--depth", default=5, show_default=True, help="Dense layers.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--directory", default=".", show_default=True, type=click.Path(path_type=Path), help="For the store.")
@click.option("--save/--no-save", default=True)
@click.option("--child", hidden=True, type=click.Choice(["alone", "store"]))
def main(n: int, depth: int, repeats: int, directory: Path, save: bool, child: str | None) -> None:
    """Measure, print and store."""
    kfn = ntklab.compile(zoo.fc(depth), input_shape=(PIXELS,), engine="reference")
    x = np.random.default_rng(0).normal(size=(n, PIXELS)).astype(np.float32)
    place = directory / "benchmark-store.zarr"
    if child is not None:
        print(json.dumps(measure(kfn, x, None if child == "alone" else place)))
        return
    runs: dict[str, list[dict[str, float]]] = {"alone": [], "store": []}
    for _ in range(repeats):
        for kind, found in runs.items():
            shutil.rmtree(place, ignore_errors=True)
            options = ["--n", n, "--depth", depth, "--directory", directory, "--child", kind]
            words = [sys.executable, __file__, *map(str, options)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout))
            print(kind, found[-1], file=sys.stderr)
    checked, matrix = verify(place, sample=2), ntklab.open_gram(place).ntk
    i, j = np.random.default_rng(1).integers(0, n, (2, 100))
    stored = np.array([matrix[int(a), int(b)] for a, b in zip(i, j, strict=True)])
    error = np.abs(stored / textbook(x[i], x[j], depth) - 1).max()
    best = {kind: min(run["seconds"] for run in found) for kind, found in runs.items()}
    peak = {kind: max(run["peak_bytes"] for run in found) for kind, found in runs.items()}
    tile = matrix.tile**2 * 2 * 4
    results = {
        "runs": runs,
        "overhead, %": 100 * (best["store"] / best["alone"] - 1),
        "peak memory of the store's run, MB": peak["store"] / 1e6,
        "peak memory without a store, MB": peak["alone"] / 1e6,
        "two tiles + 200 MB, MB": 2 * tile / 1e6 + 200,
        "store, GB": sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e9,
        "tiles": checked.tiles,
        "tiles damaged": len(checked.damaged),
        "largest relative error of sampled entries": error,
    }
    shutil.rmtree(place)
    settings = {"n": n, "depth": depth, "repeats": repeats, "tile": matrix.tile, "dtype": "float32"}
    if save:
        Record.make("store", settings, results).save(ROOT / "benchmarks" / "results" / "store.json")
    lines = [(name, f"{value:.4g}") for name, value in results.items() if name != "runs"]
    lines += [(f"seconds, {kind}", ", ".join(f"{run['seconds']:.1f}" for run in found)) for kind, found in runs.items()]
    print(align([("", "found"), *lines]))


def measure(kfn: ntklab.KernelFn, x: np.ndarray, place: Path | None) -> dict[str, float]:
    """Return the seconds of all tiles, after compilation, and the highest memory beyond that of a small matrix."""
    grid = TileGrid(len(x), len(x), min(LARGEST_STORED_TILE, len(x)), symmetric=True)
    ntklab.gram(kfn, x[:64], tile=32, store="memory://small", progress=False)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest size counts from here
    for at in list(grid)[:2]:
        compute_tile(kfn, x, x, grid, at)
    started = time.perf_counter()
    if place is None:
        for at in grid:
            compute_tile(kfn, x, x, grid, at)
    else:
        ntklab.gram(kfn, x, tile=grid.tile, store=place, progress=False)
    return {"seconds": time.perf_counter() - started, "peak_bytes": resident("VmHWM") - before}


def textbook(x: np.ndarray, y: np.ndarray, depth: int) -> np.ndarray:
    """Return the NTK of pairs of rows by the recursion with arccos, in float64, W_std**2 = 2."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    u, v, s = (2 * np.mean(a * b, axis=1) for a, b in ((x, x), (y, y), (x, y)))
    t = s
    for _ in range(depth - 1):
        c = np.clip(s / np.sqrt(u * v), -1, 1)
        angle = np.pi - np.arccos(c)
        s = np.sqrt(u * v) * (np.sqrt(1 - c * c) + c * angle) / np.pi  # ReLU with W_std**2 = 2 keeps u and v
        t = t * angle / np.pi + s
    return t


if __name__ == "__main__":
    main()
