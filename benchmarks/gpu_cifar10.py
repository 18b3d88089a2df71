"""How long do CIFAR-10's kernels and their regressions take on a GPU, and what accuracy do they reach?

    python benchmarks/gpu_cifar10.py --data SUBSET --whole ALL [--engine cuda]

Three runs of `ntklab reproduce cifar10`, shortest first: CNTK-V of depth 6 and CNTK-GAP of depth 11 on SUBSET (the
exact first images of every file: 5,085 and 1,017), then CNTK-V of depth 6 on all 60,000 images with the solve. Wanted
on one H100: a minute, ten minutes, ten minutes. Before it, three images of each network are compared with
``reference`` in float64. Each run is stored when it ends: what a limit cuts off loses nothing before it. Has not run
on a GPU yet; on a CPU, ``--engine auto --train 100 --test 50`` tries it. Writes benchmarks/results/gpu-cifar10.json.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from agreement import ROOT

from ntklab import compile, studies
from ntklab._core import Record
from ntklab.data import Standardiser, load_cifar10
from ntklab.report import align
from ntklab.spec import zoo


def error(data: str, depth: int, pooling: zoo.Pooling, engine: str) -> float:
    """Return the largest error of three images' NTKs against float64, relative to ``sqrt(K_ii K_jj)``."""
    images = load_cifar10(data)
    x = Standardiser.fit(images.x_train).apply(images.x_train[:3])
    found = []
    for name, dtype in ((engine, "float32"), ("reference", "float64")):
        with jax.enable_x64(dtype == "float64"):
            kfn = compile(zoo.cntk(depth, pooling), images.image_shape, engine=name, dtype=dtype, get=("ntk",))
            found.append(np.asarray(kfn(x.astype(dtype)).ntk, np.float64))
    ours, theirs = found
    return float(np.max(np.abs(ours - theirs) / np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)))))


@click.command()
@click.option("--data", required=True, help="The exact subset.")
@click.option("--whole", help="All 60,000 images; without it the third run is left out.")
@click.option("--engine", default="cuda", show_default=True)
@click.option("--train", type=int, help="Training images of every run.  [default: all]")
@click.option("--test", type=int, help="Test images of every run.  [default: all]")
@click.option("--out", default=ROOT / "benchmarks" / "results" / "gpu-cifar10.json", type=click.Path(path_type=Path))
def main(data: str, whole: str | None, engine: str, train: int | None, test: int | None, out: Path) -> None:
    """Run, print and store."""
    plan: list[tuple[str, int, zoo.Pooling]] = [(data, 6, "none"), (data, 11, "gap")]
    if whole:
        plan.append((whole, 6, "none"))
    runs: list[dict[str, Any]] = []
    rows = [("network", "images", "accuracy %", "published %", "seconds", "error")]
    for source, depth, pooling in plan:
        off = error(source, depth, pooling, engine)
        start = time.perf_counter()
        record = studies.cifar10(source, depth=depth, pooling=pooling, n_train=train, n_test=test, engine=engine)
        seconds = time.perf_counter() - start
        runs.append({"settings": record.settings, "results": record.results, "seconds": seconds, "error": off})
        settings = {"engine": engine, "device": jax.devices()[0].device_kind}
        Record.make("gpu-cifar10", settings, {"runs": runs}).save(out)
        published = record.results["published"]
        theirs = f"{published['accuracy']:.2f}" if published else "-"
        images = f"{record.settings['n_train']:,}, {record.settings['n_test']:,}"
        name, found = f"cntk({depth}, {pooling})", f"{record.results['mean']:.2f}"
        rows.append((name, images, found, theirs, f"{seconds:.1f}", f"{off:.1e}"))
    print(align(rows))


if __name__ == "__main__":
    main()
