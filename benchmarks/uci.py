"""NTK classifiers on UCI sets: the study's two methods beside the authors' procedure in plain NumPy and SVC.

    python benchmarks/uci.py --data ARCHIVE --store FOLDER

For every set, smallest first and in one process: kernels of all points for 5 depths and 5 numbers of fixed layers
by the recursion in float64, an SVC for each of 15 kernels and 7 costs on the given split, then four folds (Arora et
al. 2019b, written down again here); and the same by `ntklab.studies.uci`, with support vectors and with ridges.
Seconds hold everything but reading the set; compilation, once per process, is a line of its own. With --store, sets
that are there are not run again. Writes benchmarks/results/uci.json.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from sklearn.svm import SVC

from ntklab import studies
from ntklab._core import Record
from ntklab.data import UciSet, load_uci, uci_sets
from ntklab.report import align

ROOT = Path(__file__).parents[1]
LAYERS, COSTS = 5, [10.0**k for k in range(-2, 5)]


def plain_kernels(x: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """NTKs of all points by layers and fixed layers: one recursion for each number of fixed layers."""
    found = {}
    for fixed in range(LAYERS):
        nngp = x @ x.T
        ntk = np.zeros_like(nngp)
        for depth in range(LAYERS):
            if depth >= fixed:
                ntk = ntk + nngp
                found[depth + 1, fixed] = ntk
            diagonal = np.diag(nngp)
            norm = np.maximum(np.sqrt(np.outer(diagonal, diagonal)), 1e-9)
            cosine = np.clip(nngp / norm, -1, 1)
            angle = math.pi - np.arccos(cosine)
            nngp = (cosine * angle + np.sqrt(1 - cosine**2)) * norm / (2 * math.pi)
            ntk = ntk * angle / (2 * math.pi)
    return found


def plain(part: UciSet) -> dict[str, Any]:
    """The authors' procedure."""
    start = time.perf_counter()
    kernels, y, (train, validation) = plain_kernels(part.x), part.y, part.split

    def score(kernel: np.ndarray, rows: np.ndarray, test: np.ndarray, cost: float) -> float:
        model = SVC(kernel="precomputed", C=cost, cache_size=2000).fit(kernel[rows][:, rows], y[rows])
        return float(np.mean(model.predict(kernel[test][:, rows]) == y[test]))

    best, chosen = -1.0, ((1, 0), 0.0)
    for depth in range(1, LAYERS + 1):
        for fixed in range(depth):
            for cost in COSTS:
                found = score(kernels[depth, fixed], train, validation, cost)
                if found > best:
                    best, chosen = found, ((depth, fixed), cost)
    folds = [score(kernels[chosen[0]], *fold, chosen[1]) for fold in part.folds]
    return {"accuracy": 100 * np.mean(folds), "seconds": time.perf_counter() - start}


@click.command()
@click.option("--data", required=True, help="The archive: a directory or a zip.")
@click.option("--store", type=click.Path(path_type=Path), help="A directory for one record per set, to resume from.")
@click.option("--largest", default=5000, show_default=True, help="Sets of at most so many points.")
@click.option("--save/--no-save", default=True, show_default=True)
def main(data: str, store: Path | None, largest: int, save: bool) -> None:
    """Compare, print and store."""
    sizes = uci_sets(data, largest)
    start = time.perf_counter()
    studies.uci(data, names=list(sizes)[:1], progress=False)
    compiling, runs = time.perf_counter() - start, []
    for name in sizes:
        file = None if store is None else store / f"{name}.json"
        if file is not None and file.exists():
            runs.append(Record.load(file).results)
            continue
        run = studies.uci(data, names=[name], progress=False).results["runs"][0]
        record = Record.make("uci-benchmark-set", {"set": name}, run | {"plain": plain(load_uci(data, name))})
        if file is not None:
            record.save(file)
        runs.append(record.results)
        print(row(record.results), flush=True)
    methods = ("plain", "svm", "ridge")
    seconds = {method: sum(run[method]["seconds"] for run in runs) for method in methods}
    results = {
        "runs": runs,
        "mean": {method: np.mean([run[method]["accuracy"] for run in runs]) for method in methods},
        "seconds": seconds,
        "plain over svm": seconds["plain"] / seconds["svm"],
        "plain over ridge": seconds["plain"] / seconds["ridge"],
        "compiling, once per process": compiling,
    }
    head = ("set", "points", *(f"{method} %" for method in methods), *(f"{method} s" for method in methods))
    total = ("mean, sum", str(len(runs)), *(f"{results['mean'][m]:.2f}" for m in methods))
    print("\n" + align([head, *map(row, runs), (*total, *(f"{seconds[m]:.1f}" for m in methods))]))
    print(f"\nplain / svm {results['plain over svm']:.2f}, plain / ridge {results['plain over ridge']:.1f}")
    if save:
        Record.make("uci-benchmark", {"largest": largest}, results).save(ROOT / "benchmarks/results/uci.json")


def row(run: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    accuracies, seconds = ([run[m][word] for m in ("plain", "svm", "ridge")] for word in ("accuracy", "seconds"))
    return (run["set"], str(run["points"]), *(f"{a:.2f}" for a in accuracies), *(f"{s:.2f}" for s in seconds))


if __name__ == "__main__":
    main()
