"""How far is every engine from independent computations of the same kernels?

    python benchmarks/agreement.py

Holds each engine, in both precisions, against the NumPy recursion of Arora et al.'s CNTK written for the tests (all
entries, the diagonal included) and against neural-tangents (float64; its own diagonal carries about 1e-9 of rounding).
Needs the checkout and the oracle (tests/README.md). Writes benchmarks/results/agreement.json. Three minutes.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import jax
import numpy as np

from ntklab import compile
from ntklab._core import Record
from ntklab.engine import ENGINES
from ntklab.report import align
from ntklab.spec import Conv, Dense, Serial
from ntklab.testing import Case, agreement, cntk_cases, window_cases

ROOT = Path(__file__).parents[1]


def load(name: str) -> ModuleType:
    """Load an oracle from the checkout's tests by its file."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "oracles" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Compare, print and store."""
    cntk, rival = load("cntk_numpy"), load("neural_tangents_oracle")
    groups = {
        "cntk(3, 6, 11), both poolings, 8x8x3": cntk_cases(8, 4),
        "cntk(3, 6, 11), both poolings, 32x32x3": cntk_cases(32, 2),
        "2 convolutions, all paddings, strides, filters": window_cases(),
    }
    rows = []
    for group, cases in groups.items():
        for case in cases:
            oracle = cntk.gram(cntk.of_spec(case.network), case.inputs)
            for engine in ENGINES:
                for dtype in ("float64", "float32"):
                    kfn = compile(case.network, case.input_shape, engine=engine.name, dtype=dtype)
                    rows.append((group, engine.name, dtype, "NumPy recursion", agreement(case, kfn, oracle).error))
            rows += against_rival(group, case, rival)
            print(".", end="", flush=True, file=sys.stderr)
    worst: dict[tuple[str, ...], float] = {}
    for *key, error in rows:
        worst[tuple(key)] = max(worst.get(tuple(key), 0.0), error)
    counts = {group: len(cases) for group, cases in groups.items()}
    results = {
        "networks": counts,
        "rows": [
            {"group": g, "engine": e, "dtype": d, "oracle": o, "largest_relative_error": error}
            for (g, e, d, o), error in worst.items()
        ],
    }
    Record.make("agreement", {}, results).save(ROOT / "benchmarks" / "results" / "agreement.json")
    print(
        "\n"
        + align(
            [("networks", "engine", "dtype", "oracle", "largest relative error")]
            + [(*key, f"{error:.1e}") for key, error in worst.items()]
        )
    )


def against_rival(group: str, case: Case, rival: ModuleType) -> list[tuple[str, str, str, str, float]]:
    """Compare with neural-tangents, on the same network with every layer trained: it has no untrained ones."""
    layers = [replace(a, trainable=True) if isinstance(a, Conv | Dense) else a for a in case.network.layers]
    theirs = rival.kernels(Serial(*layers), case.inputs)
    kfn = compile(Serial(*layers), case.input_shape, dtype="float64")
    found = kfn(case.inputs)
    pairs = zip((found.nngp, found.ntk), theirs, strict=True)
    errors = [np.abs(np.asarray(ours) / np.asarray(expected) - 1.0) for ours, expected in pairs]
    same = np.eye(case.count, dtype=bool)
    return [
        (group, kfn.engine.name, "float64", f"neural-tangents, {where}", max(float(e[mask].max()) for e in errors))
        for where, mask in (("different inputs", ~same), ("diagonal", same))
    ]


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
