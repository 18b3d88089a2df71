"""How much memory does a dense network's kernel take beside its result? On CPU, Linux.

    python benchmarks/memory_cpu.py

One process compiles fc(5) and computes a small kernel, so that program, compilation and inputs do not count; then it
computes the kernel of 4,000 inputs of 3,072 numbers in float32, and its highest resident size is set against that of
the result. The inputs are a JAX array: those of NumPy are copied. The error is the largest of 100 entries against the
float64 reference. Writes benchmarks/results/memory-cpu.json.
"""

from __future__ import annotations

from pathlib import Path

import click
import jax
import numpy as np
from agreement import ROOT
from memory import resident

from ntklab import compile
from ntklab._core import Record
from ntklab.report import align
from ntklab.spec import zoo

FEATURES = 3072


@click.command()
@click.option("--n", default=4000, show_default=True)
@click.option("--out", default=ROOT / "benchmarks" / "results" / "memory-cpu.json", type=click.Path(path_type=Path))
def main(n: int, out: Path) -> None:
    """Measure, compare, print and store."""
    x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(n, FEATURES)), dtype=np.float32)
    rows = {}
    for get in (("ntk",), ("nngp", "ntk")):
        kfn = compile(zoo.fc(5), (FEATURES,), get=get)
        jax.block_until_ready(kfn(x[: n // 2]).ntk)
        kfn(x[:2], x[:50])
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest size counts from here
        found = jax.block_until_ready(dict(kfn(x).values))
        peak = resident("VmHWM") - before
        with jax.enable_x64(True):
            exact = compile(zoo.fc(5), (FEATURES,), engine="reference", dtype="float64", get=get)(x[:2], x[:50])
        size = sum(kernel.nbytes for kernel in found.values())
        error = max(float(np.abs(np.asarray(found[w][:2, :50]) / np.asarray(exact.values[w]) - 1).max()) for w in get)
        rows[" and ".join(get)] = {"engine": kfn.engine.name, "result": size, "peak": peak, "error": error}
        del found
    Record.make("memory-cpu", {"n": n, "network": "fc(5)", "features": FEATURES}, {"rows": rows}).save(out)
    cells = [
        (
            what,
            row["engine"],
            f"{row['result'] / 1e6:.0f} MB",
            f"{row['peak'] / row['result']:.2f}",
            f"{row['error']:.1e}",
        )
        for what, row in rows.items()
    ]
    print(align([("kernels", "engine", "result", "peak / result", "error"), *cells]))


if __name__ == "__main__":
    main()
