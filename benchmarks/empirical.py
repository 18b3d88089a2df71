"""What do the three ways to an empirical tangent kernel cost, in time and memory, against each other?

    python benchmarks/empirical.py [--rounds 3]

Each network and method runs in a process of its own, one after the other: the first call compiles, then the median of
some more; peak memory is that of the process less what it had before. Errors are those of float32 against the
Jacobian contraction in float64, on two inputs. Writes benchmarks/results/empirical.json and the table of
docs/guides/any-model.md. About five minutes.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import jax
import numpy as np

from ntklab._core import Record
from ntklab.finite import MethodName, empirical_ntk, network, ntk_costs
from ntklab.spec import AvgPool, Conv, Dense, GlobalAvgPool, Layer, Relu, Residual, Serial, zoo

ROOT = Path(__file__).parents[1]
GUIDE, OUT = ROOT / "docs" / "guides" / "any-model.md", ROOT / "benchmarks" / "results" / "empirical.json"
CHECKED = 2
START, END = "<!-- records: made by benchmarks/empirical.py -->\n", "<!-- /records -->"


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
    jax.block_until_ready(jax.jit(net.apply)(params, x[:1]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    kernel = np.empty(0)
    for _ in range(rounds + 1):
        start = time.perf_counter()
        kernel = empirical_ntk(net, params, x, method=method, **blocks)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    with jax.enable_x64(True):
        exact = network(case.spec, case.shape, width=case.width, outputs=case.outputs, dtype="float64")
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        truth = empirical_ntk(exact, wide, x[:CHECKED], method="jacobian", batch=1, output_batch=1)
    return {
        "seconds": statistics.median(seconds[1:]),
        "spread": max(seconds[1:]) - min(seconds[1:]),
        "first": seconds[0],
        "peak_mb": peak / 1024,
        "stated_mb": costs.bytes[method] / 2**20,
        "operations": costs.operations[method],
        "chosen": ntk_costs(net, params, x).best,
        "parameters": net.num_trainable,
        "error": float(np.abs(kernel[:CHECKED, :CHECKED] - truth).max() / np.abs(truth).max()),
    }


def table(results: dict[str, Any]) -> str:
    """Return the guide's table."""
    lines = [
        "| network | inputs | method | s | operations | MB at most | stated | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, methods in results.items():
        for method, row in methods.items():
            star = " (auto)" if row["chosen"] == method else ""
            lines.append(
                f"| {name} | {CASES[name].inputs} | {method}{star} | {row['seconds']:.3g} | {row['operations']:.1e} | "
                f"{row['peak_mb']:,.0f} | {row['stated_mb']:,.0f} | {row['error']:.0e} |"
            )
    return "\n".join(lines) + "\n"


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
    print(table(results))
    if only is None:
        settings = {"rounds": rounds, "dtype": "float32", "outputs": "mean"}
        Record.make("empirical", settings, results).save(OUT)
        head, rest = GUIDE.read_text(encoding="utf-8").split(START)
        GUIDE.write_text(head + START + table(results) + END + rest.split(END, 1)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
