"""Empirical tangent kernels of the same functions: ours, neural-tangents' and the recipes of ``torch.func``.

    python benchmarks/empirical_rivals.py --rival-python ENV/bin/python [--torch-python ENV/bin/python] [--rounds 5]

Each way runs in a process of its own (``empirical_run.py``), on the same weights and inputs, in turns; the first call,
which compiles, is apart, and what takes more than ten seconds gets one more. Seconds are medians in float32; memory
is how far a later call raised the highest resident size. Kernels are compared in float64. Without
``--torch-python`` the record says what was left out. Environments:

    pip install jax==0.4.30 jaxlib==0.4.30 'numpy<2.1' 'scipy<1.14' tf2jax==0.3.6 neural-tangents==0.6.5  (Python 3.11)
    pip install torch numpy

Writes benchmarks/results/empirical-rivals.json; then run benchmarks/tables.py. Ten minutes for five rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from compat import surroundings  # the script beside this one
from empirical_run import CASES, CHECKED

from ntklab._core import Record

SLOW = 10.0
HERE = Path(__file__).parent
OURS = ("ntklab jacobian", "ntklab vector", "ntklab structured")
THEIRS = ("neural-tangents jacobian", "neural-tangents vector", "neural-tangents structured")
TORCH = ("torch.func jacobian", "torch.func vector")


class Way:
    """One way behind a pipe."""

    def __init__(self, python: str, name: str) -> None:
        command = [python, str(HERE / "empirical_run.py"), name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings()
        )

    def ask(self, case: str, save: str = "") -> dict[str, Any]:
        """Return what one call found; a process that ended, for want of memory say, is an error of this way."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is not None:
            return {"error": f"ended with {self.process.returncode}"}
        print(json.dumps({"case": case, "save": save}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"error": f"ended with {self.process.wait()}"}


def compare(case: str, pythons: dict[str, str], rounds: int, folder: str) -> dict[str, Any]:
    """Return medians, peaks and errors of every way for one case."""
    ways = {name: Way(python, name) for name, python in pythons.items()}
    files = {name: f"{folder}/{i}.npy" for i, name in enumerate(ways)}
    first = {name: way.ask(case, files[name]) for name, way in ways.items()}
    able = {name: way for name, way in ways.items() if "error" not in first[name]}
    calls: dict[str, list[dict[str, Any]]] = {name: [] for name in able}
    for done in range(rounds):
        for name, way in able.items():
            if done == 0 or first[name]["seconds"] < SLOW:
                calls[name].append(way.ask(case))
    for way in ways.values():
        way.process.kill()
    truth = np.load(files[OURS[0]])
    scale = np.abs(truth).max()
    found: dict[str, Any] = {name: first[name] for name in ways if name not in able}
    for name, answers in calls.items():
        seconds = [answer["seconds"] for answer in answers]
        found[name] = {
            "seconds": statistics.median(seconds),
            "all_seconds": seconds,
            "forward_seconds": min(answer["forward"] for answer in answers),
            "first_call_seconds": first[name]["seconds"],
            "peak": max(answer["peak"] for answer in answers),
            "first_call_peak": first[name]["peak"],
            "error_float32": float(np.abs(np.array(answers[-1]["corner"]) - truth).max() / scale),
            "difference_float64": float(np.abs(np.load(files[name]) - truth).max() / scale),
        }
    return found


@click.command(help=__doc__)
@click.option("--rival-python", required=True, help="The interpreter of neural-tangents' environment.")
@click.option("--torch-python", help="The interpreter of an environment with PyTorch.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--only", default="", help="Part of the names of the cases; the others stay as they were.")
def main(rival_python: str, torch_python: str | None, rounds: int, only: str) -> None:
    """Measure, compare, print and store."""
    target = HERE / "results" / "empirical-rivals.json"
    cases = Record.load(target).results["cases"] if only and target.exists() else {}
    pythons = dict.fromkeys(OURS, sys.executable) | dict.fromkeys(THEIRS, rival_python)
    if torch_python:
        pythons |= dict.fromkeys(TORCH, torch_python)
    else:
        click.echo("no --torch-python: torch.func is left out")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if only in case:
                cases[case] = compare(case, pythons, rounds, folder)
                for name, row in cases[case].items():
                    click.echo(f"{case}, {name}: { {k: v for k, v in row.items() if k != 'all_seconds'} }")
    settings = {
        "rounds": rounds,
        "inputs": {name: case["inputs"] for name, case in CASES.items()},
        "checked_inputs": CHECKED,
        "timed_dtype": "float32",
        "left_out": [] if torch_python else ["torch.func: no interpreter was named"],
    }
    Record.make("empirical-rivals", settings, {"cases": cases}).save(target)


if __name__ == "__main__":
    main()
