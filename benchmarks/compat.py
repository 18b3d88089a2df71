"""Do programs for neural-tangents find the same after a changed import, and how much sooner?

    python benchmarks/compat.py --rival-python ENV/bin/python [--golden] [--rounds 5]

The programs of ``compat_layers.py`` and ``compat_functions.py`` run in float64 with neural-tangents, in an environment
of its own, and with ``ntklab.compat.neural_tangents`` in this one; numbers are compared relative to the largest of each
array, shapes and dtypes exactly. Then the five of ``compat_speed.py`` run in float32, in turns; times are medians, the
first call, which compiles, apart. Writes benchmarks/results/compat.json; ``--golden`` writes what the original returned
to tests/compat/golden.npz. The environment (Python 3.11):

    pip install jax==0.4.30 jaxlib==0.4.30 'numpy<2.1' 'scipy<1.14' tf2jax==0.3.6 neural-tangents==0.6.5

Needs an otherwise idle machine for the times; about six minutes, four of them for the programs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from compat_speed import PROGRAMS as TIMED

from ntklab._core import Record

HERE = Path(__file__).parent
ROOT = HERE.parent
GOLDEN = ROOT / "tests" / "compat" / "golden.npz"
PACKAGES = {"original": "neural_tangents", "drop-in": "ntklab.compat.neural_tangents"}


def run(pythons: dict[str, str], paths: dict[str, Path], only: str) -> dict[str, Any]:
    """Return what ran, failed and took how long in each environment; both side by side."""
    runs = {}
    for who, package in PACKAGES.items():
        command = [pythons[who], str(HERE / "compat_run.py"), package, str(paths[who]), "--only", only]
        runs[who] = subprocess.Popen(command, env=surroundings())
    for who, process in runs.items():
        if process.wait():
            raise click.ClickException(f"The programs of the {who} ended with {process.returncode}.")
    return {who: json.loads(paths[who].with_suffix(".json").read_text()) for who in runs}


def surroundings() -> dict[str, str]:
    """Return the environment variables of a run: this checkout can be imported."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}


def compare(theirs: Path, ours: Path) -> dict[str, Any]:
    """Return for each program its largest relative error, and which arrays differ in shape, dtype or meaning."""
    found: dict[str, Any] = {}
    with np.load(theirs) as a, np.load(ours) as b:
        for key in sorted({*a.files, *b.files}):
            program, _, name = key.partition("/")
            row = found.setdefault(program, {"error": 0.0, "unlike": [], "ode": False})
            row["ode"] |= name.startswith("ode_")
            if key not in a.files or key not in b.files:
                row["unlike"].append(name)
                continue
            x, y = a[key], b[key]
            if (x.shape, x.dtype) != (y.shape, y.dtype) or (x.dtype.kind != "f" and (x != y).any()):
                row["unlike"].append(name)
            elif x.dtype.kind == "f":
                largest = float(np.abs(x).max()) or 1.0
                row["error"] = max(row["error"], float(np.abs(x - y).max()) / largest)
    return found


class Timed:
    """A package behind a pipe."""

    def __init__(self, python: str, package: str) -> None:
        command = [python, str(HERE / "compat_speed.py"), package]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings()
        )

    def ask(self, program: str, save: str = "") -> float:
        """Return the seconds of one call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"program": program, "save": save}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise click.ClickException("A package ended; its message stands above.")
        return json.loads(answer)["seconds"]


def times(pythons: dict[str, str], rounds: int) -> dict[str, Any]:
    """Return medians of both packages, in turns, and how far their results are apart."""
    both = {who: Timed(pythons[who], package) for who, package in PACKAGES.items()}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in TIMED:
            first = {who: package.ask(name, f"{folder}/{who}.npy") for who, package in both.items()}
            a, b = (np.load(f"{folder}/{who}.npy").astype(np.float64) for who in PACKAGES)
            rows: dict[str, list[float]] = {who: [] for who in both}
            for _ in range(rounds):
                for who, package in both.items():
                    rows[who].append(package.ask(name))
            medians = {who: statistics.median(seconds) for who, seconds in rows.items()}
            found[name] = {
                "seconds": medians,
                "all_seconds": rows,
                "first_call_seconds": first,
                "speedup": medians["original"] / medians["drop-in"],
                "largest_relative_difference": float(np.abs(a - b).max() / np.abs(a).max()),
            }
            click.echo(f"{name}: {medians}, {found[name]['speedup']:.3g} times")
    for package in both.values():
        package.process.kill()
    return found


@click.command(help=__doc__)
@click.option("--rival-python", required=True, help="The interpreter of neural-tangents' environment.")
@click.option("--golden", is_flag=True, help="Write tests/compat/golden.npz.")
@click.option("--only", default="", help="Part of the names of the programs to run; the others stay as they were.")
@click.option("--rounds", default=5, help="How often each timed program runs with each package; 0 leaves it out.")
@click.option("--programs/--no-programs", default=True, help="Whether to run the programs, or keep what was found.")
def main(rival_python: str, golden: bool, only: str, rounds: int, programs: bool) -> None:
    """Run both, compare, time, write."""
    target = HERE / "results" / "compat.json"
    kept = Record.load(target).results if target.exists() else {}
    pythons = {"original": rival_python, "drop-in": sys.executable}
    results: dict[str, Any] = dict(kept)
    if programs:
        with tempfile.TemporaryDirectory() as folder:
            paths = {who: Path(folder) / f"{who}.npz" for who in PACKAGES}
            ran = run(pythons, paths, only)
            if golden:
                with np.load(paths["original"]) as new, np.load(GOLDEN) as old:
                    stay = {
                        key: old[key] for key in old.files if key.partition("/")[0] not in ran["original"]["programs"]
                    }
                    np.savez_compressed(GOLDEN, **stay, **dict(new))
            found = (kept.get("found", {}) if only else {}) | compare(paths["original"], paths["drop-in"])
        results |= {
            "programs": len(found),
            "failed": {who: ran[who]["failed"] for who in ran},
            "versions": {who: ran[who]["versions"] for who in ran},
            "unlike": {name: row["unlike"] for name, row in found.items() if row["unlike"]},
            "largest_error": max(row["error"] for row in found.values() if not row["ode"]),
            "largest_error_of_ode_programs": max(row["error"] for row in found.values() if row["ode"]),
            "found": found,
        }
        click.echo({name: results[name] for name in list(results) if name not in ("found", "speed")})
    if rounds:
        results["speed"] = times(pythons, rounds)
    settings = {"dtype": "float64", "timed_dtype": "float32", "rounds": rounds}
    Record.make("compat", settings, results).save(target)


if __name__ == "__main__":
    main()
