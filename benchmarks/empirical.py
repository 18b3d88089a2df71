"""What do the three ways to an empirical tangent kernel cost, in time and memory, against each other?

    python benchmarks/empirical.py [--rounds 3]

Each network and method runs in a process of its own, one after the other: the first call compiles, then the median of
some more; memory is how far a later call, and apart the first, raised the highest resident size. Errors are those of
float32 against the Jacobian contraction in float64, on two inputs. Writes benchmarks/results/empirical.json; then run
benchmarks/tables.py. About five minutes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click
import jax
import numpy as np
from memory import measured  # the script beside this one

from ntklab._core import Record
from ntklab.finite import MethodName, empirical_ntk, network, ntk_costs
from ntklab.spec import AvgPool, Conv, Dense, GlobalAvgPool, Layer, Relu, Residual, Serial, zoo

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks" / "results" / "empirical.json"
CHECKED = 2


class Case(NamedTuple):
    """A network, its inputs, and the methods that it is timed with."""

    spec: Layer
    shape: tuple[int, ...]
    width: int
    outputs: int
    inputs: int
    methods: tuple[MethodName, ...]


def block(width: int, halve: bool) -> Layer:
    """Return a residual block of two convolutions, as in ResNet-18, without normalisation."""
    body = (Relu(), Conv(3, width, strides=1 + halve, padding="SAME"), Relu(), Conv(3, width, padding="SAME"))
    shortcut = Conv(1, width, strides=2) if halve else None
    return Residual(*body, shortcut=shortcut) if shortcut else Residual(*body)


def resnet18() -> Layer:
    """Return the convolutions of ResNet-18 for images of 32 x 32: 11 million parameters."""
    stages = [block(width, halve) for width in (64, 128, 256, 512) for halve in (width > 64, False)]
    return Serial(Conv(3, 64, padding="SAME"), *stages, Relu(), GlobalAvgPool(), Dense())


THREE: tuple[MethodName, ...] = ("jacobian", "vector", "structured")
CASES = {
    "fc 3 x 2048, 1 output": Case(zoo.fc(4), (784,), 2048, 1, 16, THREE),
    "fc 3 x 2048, 10 outputs": Case(zoo.fc(4), (784,), 2048, 10, 16, THREE),
    "conv 4 x 64, pooled, 10 outputs": Case(
        Serial(
            *(Conv(3, padding="SAME"), Relu(), AvgPool(2, strides=2)) * 2,
            *(Conv(3, padding="SAME"), Relu()) * 2,
            GlobalAvgPool(),
            Dense(),
        ),
        (32, 32, 3),
        64,
        10,
        8,
        THREE,
    ),
    "ResNet-18, 10 outputs": Case(resnet18(), (32, 32, 3), 64, 10, 2, ("jacobian", "structured")),
}


def measure(name: str, method: MethodName, rounds: int) -> dict[str, Any]:
    """Return times, peak memory and error of one method on one network."""
    case = CASES[name]
    net = network(case.spec, case.shape, width=case.width, outputs=case.outputs)
    params = net.init(jax.random.key(0))
    x = np.random.default_rng(0).standard_normal((case.inputs, *case.shape)).astype(np.float32)
    # The best for the other two: no derivative is taken twice. One output at a time, as all would not fit.
    blocks: Any = {} if method == "structured" else {"batch": case.inputs, "output_batch": 1}
    costs = ntk_costs(net, params, x, **blocks)
    calls = [measured(lambda: empirical_ntk(net, params, x, method=method, **blocks)) for _ in range(rounds + 1)]
    kernel, seconds = calls[-1][0], [call[1] for call in calls]
    with jax.enable_x64(True):
        exact = network(case.spec, case.shape, width=case.width, outputs=case.outputs, dtype="float64")
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        truth = empirical_ntk(exact, wide, x[:CHECKED], method="jacobian", batch=1, output_batch=1)
    return {
        "seconds": statistics.median(seconds[1:]),
        "spread": max(seconds[1:]) - min(seconds[1:]),
        "first": seconds[0],
        "peak_mb": max(peak for _, _, peak in calls[1:]) / 2**20,
        "first_peak_mb": calls[0][2] / 2**20,
        "stated_mb": costs.bytes[method] / 2**20,
        "operations": costs.operations[method],
        "chosen": ntk_costs(net, params, x).best,
        "parameters": net.num_trainable,
        "inputs": case.inputs,
        "error": float(np.abs(kernel[:CHECKED, :CHECKED] - truth).max() / np.abs(truth).max()),
    }


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", help="One of the networks; stores nothing.")
@click.option("--worker", nargs=2, hidden=True)
def main(rounds: int, only: str | None, worker: tuple[str, Any] | None) -> None:
    """Measure all, print and store."""
    if worker:
        print(json.dumps(measure(*worker, rounds)))
        return
    results: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        for method in case.methods if only in (None, name) else ():
            command = [sys.executable, __file__, "--rounds", str(rounds), "--worker", name, method]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results.setdefault(name, {})[method] = json.loads(done.stdout.splitlines()[-1])
            print(name, method, results[name][method], flush=True)
    if only is None:
        settings = {"rounds": rounds, "dtype": "float32", "outputs": "mean"}
        Record.make("empirical", settings, results).save(OUT)


if __name__ == "__main__":
    main()
