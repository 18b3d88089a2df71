"""Everything that is to be measured on a GPU, in one call of at most eight minutes.

    python benchmarks/gpu.py [--minutes 7.5] [--device gpu]

``ntklab bench gpu`` with two things more: neural-tangents' analytic part on the same JAX, where it is installed
(tests/README.md), and the share of the limit that benchmarks/results/gpu-resources.json counts. Writes
benchmarks/results/gpu.json. Timings do not depend on the images, which are made up.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jax
from agreement import ROOT, load
from workloads import trained

from ntklab import report, studies
from ntklab._core import Record
from ntklab.spec import Layer

RESULTS = ROOT / "benchmarks" / "results"


def neural_tangents(network: Layer) -> Callable[[Any, Any], Any]:
    """Return neural-tangents' NTK of a network, all of whose layers are trained there."""
    compiled = load("neural_tangents_oracle").compiled(trained(network), "ntk")

    def run(x1: Any, x2: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return compiled(x1, x2)

    return run


def limits() -> dict[str, float]:
    """Return the counted limits of networks in milliseconds: of instructions, or of memory where it is slower."""
    found: dict[str, float] = {}
    for row in Record.load(RESULTS / "gpu-resources.json").results["networks"].values():
        if "limit_ms_per_entry" in row:
            slower = max(row["limit_ms_per_entry"], row.get("memory_limit_ms_per_entry", 0.0))
            found[row["network"]] = found.get(row["network"], 0.0) + slower
    return found


@click.command()
@click.option("--minutes", default=7.5, show_default=True)
@click.option("--device", default="gpu", show_default=True, help="The platform that JAX uses; cpu only to try this.")
@click.option("--size", default=32, show_default=True, help="Height and width of images.")
@click.option("--out", default=RESULTS / "gpu.json", type=click.Path(path_type=Path))
def main(minutes: float, device: str, size: int, out: Path) -> None:
    """Time, compare, print and store."""
    rivals = {"neural-tangents": neural_tangents} if importlib.util.find_spec("neural_tangents") else {}
    record = studies.bench_gpu(
        device=device, workloads=studies.gpu_workloads(size), minutes=minutes, rivals=rivals, limits=limits()
    )
    record.save(out)
    print(report.table(record))


if __name__ == "__main__":
    main()
