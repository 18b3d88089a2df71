"""What does depth cost to compile, with repeated operations in a loop and one after another, and to run?

python benchmarks/depth.py [--json FILE] [--unrolled DEPTH]

One after another, 50 layers took XLA two minutes: without a loop networks are compiled up to --unrolled layers only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ntklab._core import Record
from ntklab.kernel import Plan, find_loops, image_pass, learned_numbers, lower, pair_pass
from ntklab.spec import Conv, Dense, GlobalAvgPool, Layer, Relu, Repeat, Serial

DEPTHS, PAIRS, RUNS = (20, 50, 200), 8, 5


def networks(depth: int) -> dict[str, tuple[Layer, tuple[int, ...]]]:
    """Return the networks of one depth, and the shapes of their inputs."""
    dense, conv = Dense(W_std=2**0.5, b_std=0.1), Conv(3, W_std=2**0.5, padding="SAME")
    return {
        "`Repeat(Serial(Dense(), Relu()), n)`": (Serial(Repeat(Serial(dense, Relu()), depth), Dense()), (64,)),
        "`Repeat(Serial(Conv(3), Relu()), n)`, pooled": (
            Serial(Repeat(Serial(conv, Relu()), depth), GlobalAvgPool(), Dense()),
            (8, 8, 3),
        ),
    }


def measured(plan: Plan, x: np.ndarray, loops: tuple[Any, ...]) -> tuple[dict[str, float], list[np.ndarray]]:
    """Return seconds to compile and to run once, and the kernels."""

    def kernels(x: jax.Array, learned: Any) -> Any:
        own = image_pass(plan, x, learned, loops=loops)
        return pair_pass(plan, x, x, own, own, learned, loops)

    learned = learned_numbers(plan, "float32")
    start = time.perf_counter()
    compiled = jax.jit(kernels).lower(x, learned).compile()
    took = {"compile": time.perf_counter() - start}
    runs = []
    for _ in range(RUNS):
        start = time.perf_counter()
        found = jax.block_until_ready(compiled(x, learned))
        runs.append(time.perf_counter() - start)
    return took | {"run": float(np.median(runs))}, [np.asarray(a) for a in jax.tree.leaves(found)]


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "depth.json")
    parser.add_argument("--unrolled", type=int, default=20)
    out, most, rows = parser.parse_args().json, parser.parse_args().unrolled, []
    settings = {"depths": DEPTHS, "inputs": PAIRS, "dtype": "float32", "runs": RUNS}
    for depth in DEPTHS:
        for name, (network, shape) in networks(depth).items():
            x = np.random.default_rng(0).normal(size=(PAIRS, *shape)).astype(np.float32)
            start = time.perf_counter()
            plan = lower(network, shape)
            row: dict[str, Any] = {"network": name, "depth": depth, "plan": time.perf_counter() - start}
            row["loop"], looped = measured(plan, x, find_loops(plan, learned_numbers(plan, "float32")))
            if depth <= most:
                row["unrolled"], unrolled = measured(plan, x, ())
                row["difference"] = max(
                    float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(looped, unrolled, strict=True)
                )
            print(row, flush=True)
            rows.append(row)
            Record.make("depth", settings, {"rows": rows}).save(out)  # rows take minutes: none is lost


if __name__ == "__main__":
    main()
