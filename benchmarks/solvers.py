"""Solvers and predictors against SciPy, NumPy, scikit-learn and neural-tangents: time, memory, error.

    python benchmarks/solvers.py --n 5000

Each case runs in a process of its own on the same problem: a Gaussian kernel of random points with a ridge of 1e-3
times the mean diagonal. Time is the smallest of the repeats, without making the kernel. Memory is the peak of the
process above what it held with the kernel in place, in kernel matrices (8 N^2 bytes), sampled from /proc: Linux only.
Error is the largest difference of test predictions from those of NumPy's LU solver, relative to the largest prediction.
Cases whose package is not installed are reported as such. Writes benchmarks/results/solvers.json.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import scipy.linalg

from ntklab._core import Record
from ntklab.predict import choose_ridge, fit, gradient_flow
from ntklab.report import align
from ntklab.solve import Ridge, eigendecompose, ridge_path

ROOT = Path(__file__).parents[1]
DIMENSION, OUTPUTS, TEST, WIDTH, VALUE = 20, 10, 500, 0.02, 1e-3
RIDGE = Ridge(VALUE)
RIDGES = [Ridge(float(value)) for value in np.logspace(-6, 1, 30)]
TIME = 100.0


class Problem(NamedTuple):
    """Training and test points with their kernels and targets; `gram` may be overwritten."""

    points: np.ndarray
    test_points: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    targets: np.ndarray


def problem(n: int) -> Problem:
    """The problem for n training points, made in blocks so that no second matrix is ever held."""
    rng = np.random.default_rng(0)
    points, test_points = rng.normal(size=(n, DIMENSION)), rng.normal(size=(TEST, DIMENSION))
    gram = np.empty((n, n))
    for start in range(0, n, 256):
        gram[start : start + 256] = rbf(points[start : start + 256], points)
    for start in range(0, n, 256):  # products of different shapes round differently
        gram[start : start + 256, start:] = gram[start:, start : start + 256].T
        block = gram[start : start + 256, start : start + 256]
        block[:] = (block + block.T) / 2
    targets = np.sin(points[:, :OUTPUTS]) + 0.1 * rng.normal(size=(n, OUTPUTS))
    return Problem(points, test_points, gram, rbf(test_points, points), targets)


def rbf(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """exp(-WIDTH ||x - y||^2)."""
    squared = np.sum(x * x, axis=1)[:, None] + np.sum(y * y, axis=1) - 2 * (x @ y.T)
    return np.exp(-WIDTH * np.maximum(squared, 0.0))


def scipy_in_place(p: Problem) -> np.ndarray:
    """What a user of SciPy who minds memory writes."""
    p.gram[np.diag_indices(len(p.gram))] += VALUE
    factor = scipy.linalg.cho_factor(p.gram.T, lower=True, overwrite_a=True)
    return p.cross @ scipy.linalg.cho_solve(factor, p.targets)


def kernel_ridge(p: Problem) -> np.ndarray:
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(alpha=VALUE, kernel="precomputed").fit(p.gram, p.targets).predict(p.cross)


def gaussian_process(p: Problem) -> np.ndarray:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    kernel = RBF((2 * WIDTH) ** -0.5)
    oracle = GaussianProcessRegressor(kernel, alpha=VALUE, optimizer=None).fit(p.points, p.targets)
    return oracle.predict(p.test_points)


@functools.cache
def rival() -> Any:
    """neural_tangents.predict, as the tests load it."""
    from agreement import load  # the script beside this one

    return load("neural_tangents_oracle").load()[1]


def neural_tangents(p: Problem, step: float | None) -> np.ndarray:
    import jax

    jax.config.update("jax_enable_x64", True)
    predict = rival()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        function = predict.gradient_descent_mse(jax.numpy.asarray(p.gram), p.targets, diag_reg=VALUE)
        zero = 0.0
        return np.asarray(function(step, zero, zero, jax.numpy.asarray(p.cross))[1])


CASES: dict[str, tuple[str, str, Callable[[Problem], Any]]] = {
    # name: (group, package needed, function returning test predictions or None)
    "SciPy cho_factor + cho_solve, in place": ("solve", "scipy", scipy_in_place),
    "ntklab fit, in place": (
        "solve",
        "ntklab",
        lambda p: fit(p.gram, p.targets, RIDGE, overwrite=True).predict(p.cross),
    ),
    "ntklab fit": ("solve", "ntklab", lambda p: fit(p.gram, p.targets, RIDGE).predict(p.cross)),
    "ntklab fit, float32 factor refined": (
        "solve",
        "ntklab",
        lambda p: fit(p.gram, p.targets, RIDGE, precision="float32").predict(p.cross),
    ),
    "scikit-learn KernelRidge": ("solve", "sklearn", kernel_ridge),
    "scikit-learn GaussianProcessRegressor, kernel included": ("solve", "sklearn", gaussian_process),
    "neural-tangents gradient_descent_mse, t = inf": ("solve", "neural_tangents", lambda p: neural_tangents(p, None)),
    "SciPy eigh (evr)": (
        "spectrum",
        "scipy",
        lambda p: scipy.linalg.eigh(p.gram, check_finite=False, driver="evr") and None,
    ),
    "NumPy eigh": ("spectrum", "numpy", lambda p: np.linalg.eigh(p.gram) and None),
    "ntklab eigendecompose": ("spectrum", "ntklab", lambda p: eigendecompose(p.gram) and None),
    "ntklab eigendecompose + path of 30 ridges": (
        "spectrum",
        "ntklab",
        lambda p: ridge_path(eigendecompose(p.gram), p.targets, RIDGES) and None,
    ),
    "ntklab choose_ridge (30 ridges) + predict": (
        "spectrum",
        "ntklab",
        lambda p: choose_ridge(p.gram, p.targets, ridges=RIDGES).regression.predict(p.cross) is None,
    ),
    "ntklab gradient flow at a finite time": (
        "flow",
        "ntklab",
        lambda p: gradient_flow(p.gram, p.cross, p.targets, TIME / p.targets.size, ridge=RIDGE).test,
    ),
    "neural-tangents gradient_descent_mse, finite t": ("flow", "neural_tangents", lambda p: neural_tangents(p, TIME)),
}


class Peak:
    """The largest resident memory while a block runs, above what it was at the start."""

    def __enter__(self) -> Peak:
        self.base = self.top = resident()
        self.running = True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.thread.join()

    def _watch(self) -> None:
        while self.running:
            self.top = max(self.top, resident())
            time.sleep(0.002)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(name: str, n: int, repeats: int) -> dict[str, Any]:
    """Run one case here; the kernel is copied anew for every repeat, which is not timed."""
    group, package, function = CASES[name]
    if importlib.util.find_spec(package) is None:
        return {"name": name, "group": group, "missing": package}
    original, seconds = problem(n), []
    given, result = original._replace(gram=original.gram.copy()), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other packages' deprecations
        with Peak() as peak:
            result = function(given)
        for _ in range(repeats):
            given.gram[:] = original.gram
            begin = time.perf_counter()
            function(given)
            seconds.append(time.perf_counter() - begin)
    error = None
    if isinstance(result, np.ndarray):
        expected = reference(original, group)
        error = float(np.abs(result - expected).max() / np.abs(expected).max())
    memory = (peak.top - peak.base) / (8 * n * n)
    return {"name": name, "group": group, "seconds": seconds, "memory": memory, "error": error}


def reference(p: Problem, group: str) -> np.ndarray:
    """Predictions by LU; through time by NumPy's own eigenvectors, written out."""
    if group == "solve":
        p.gram[np.diag_indices(len(p.gram))] += VALUE
        return p.cross @ np.linalg.solve(p.gram, p.targets)
    values, vectors = np.linalg.eigh(p.gram)
    rates = values + VALUE
    gain = -np.expm1(-rates * TIME / p.targets.size) / rates
    return p.cross @ (vectors @ (gain[:, None] * (vectors.T @ p.targets)))


@click.command()
@click.option("--n", default=5000, show_default=True, help="Training points.")
@click.option("--repeats", default=3, show_default=True, help="Timed runs of each case, after one that is not.")
@click.option("--only", default="", help="Only cases whose name contains this.")
@click.option("--case", default="", hidden=True, help="Measure this case in this process and print JSON.")
@click.option("--save/--no-save", default=True, show_default=True)
def main(n: int, repeats: int, only: str, case: str, save: bool) -> None:
    """Compare, print and store."""
    if case:
        print(json.dumps(measure(case, n, repeats)))
        return
    runs = []
    for name in (name for name in CASES if only in name):
        command = [sys.executable, __file__, "--n", str(n), "--repeats", str(repeats), "--case", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
        print(".", end="", flush=True, file=sys.stderr)
    best = {run["name"]: min(run["seconds"]) for run in runs if "seconds" in run}
    memory = {run["name"]: run["memory"] for run in runs if "memory" in run}
    ratios = {}
    for title, ours, theirs in (
        ("Cholesky path: time over SciPy's", "ntklab fit, in place", "SciPy cho_factor + cho_solve, in place"),
        ("30 ridges with leave-one-out: time over one decomposition", "ntklab eigendecompose + path of 30 ridges",
         "ntklab eigendecompose"),
        ("one decomposition: time over SciPy's", "ntklab eigendecompose", "SciPy eigh (evr)"),
    ):  # fmt: skip
        if ours in best and theirs in best:
            ratios[title] = best[ours] / best[theirs]
    if "ntklab fit, in place" in memory:
        ratios["Cholesky path: memory in kernel matrices, the kernel included"] = 1 + memory["ntklab fit, in place"]
    rows = [("case", "seconds", "memory / N^2", "error"), *(row(run) for run in runs)]
    print("\n" + align(rows) + "\n\n" + align([("ratio", ""), *((k, f"{v:.3f}") for k, v in ratios.items())]))
    if save:
        settings = {"n": n, "outputs": OUTPUTS, "test": TEST, "ridge": VALUE, "repeats": repeats, "only": only}
        record = Record.make("solvers", settings, {"runs": runs, "ratios": ratios})
        record.save(ROOT / "benchmarks" / "results" / "solvers.json")


def row(run: dict[str, Any]) -> tuple[str, str, str, str]:
    """One line of the table."""
    if "missing" in run:
        return run["name"], f"no {run['missing']}", "", ""
    error = "" if run["error"] is None else f"{run['error']:.1e}"
    return run["name"], f"{min(run['seconds']):.3f}", f"{run['memory']:.2f}", error


if __name__ == "__main__":
    main()
