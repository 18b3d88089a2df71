"""Does a kernel regression that fits nowhere get solved: in time, in memory, through a kill, and by two processes?

    python benchmarks/iterative.py --data DIR --folder runs/iterative --n 100000 --rank 4000

CIFAR-10 in grey at 8 x 8 and its mirror images (up to 100,000 points), the NTK of three dense layers computed on the
fly in float32, ten labels, RPCholesky preconditioner, ridge 1e-4 of the mean diagonal, residual 1e-6.
Solves it in one process, in one that is killed in the middle and resumed, and in two JAX processes; then, in memory
at 4,000 points, the choices that a guide is about. Every step keeps its result or its checkpoint in the folder: the
same command goes on where it was interrupted. Writes benchmarks/results/iterative-N.json and, from all such records,
the tables of docs/guides/iterative.md.

A product is n^2 / 2 entries, each some 20 ns of one core: 100 s of one core at n = 100,000.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from threadpoolctl import threadpool_limits

import ntklab
from ntklab._core import Record
from ntklab.data import load_cifar10
from ntklab.predict import accuracy, encode
from ntklab.solve import (
    BlockOperator,
    Ridge,
    ShardedOperator,
    conjugate_gradients,
    factorise,
    fit_nystrom,
    gaussian_nystrom,
    nystrom_error,
    rpcholesky,
    uniform_centres,
)
from ntklab.spec import zoo

ROOT = Path(__file__).parents[1]
GUIDE, RESULTS = ROOT / "docs" / "guides" / "iterative.md", ROOT / "benchmarks" / "results"
START, END = "<!-- records: made by benchmarks/iterative.py -->\n", "<!-- /records -->"
SIDE, DEPTH, SMALL = 8, 3, 4000
VARIANTS = ("one process", "killed and resumed", "two processes")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Where CIFAR-10 lies; needed the first time.")
@click.option("--kind", default="auto", help="Which form of CIFAR-10, as ntklab.data.load_cifar10.")
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="For checkpoints and results.")
@click.option("--n", default=100_000)
@click.option("--rank", default=400)
@click.option("--ridge", default=1e-4)
@click.option("--tolerance", default=1e-6)
@click.option("--only", multiple=True, type=click.Choice(VARIANTS), help="Default: all three.")
@click.option("--worker", hidden=True)
@click.option("--process", default=0, hidden=True)
@click.option("--port", default=0, hidden=True)
def main(
    data: Path | None, kind: Any, only: tuple[str, ...], worker: str | None, process: int, port: int, **settings: Any
) -> None:
    """Solve, compare, print and store."""
    folder: Path = settings.pop("folder")
    if worker:
        work(folder, worker, process, port, settings)
        return
    n = settings["n"]
    folder.mkdir(parents=True, exist_ok=True)
    source = prepare(data, kind, folder)
    found = {variant: run(folder, variant, settings) for variant in only or VARIANTS}
    alphas = [np.load(place(folder, variant, settings, "npy")) for variant in found]
    apart = [float(np.linalg.norm(a - alphas[0]) / np.linalg.norm(alphas[0])) for a in alphas]
    results = {
        "solves": found,
        "alpha against the first solve": dict(zip(found, apart, strict=True)),
        "residual of 100 rows in float64": check(folder, n, alphas[0], settings["ridge"]),
        "in memory": choices(folder, settings["ridge"]),
    }
    setup = {"data": source, "points": n, "features": SIDE**2, "network": str(zoo.fc(DEPTH, W_std=zoo.HE)), **settings}
    Record.make("iterative", setup, results).save(RESULTS / f"iterative-{n}.json")
    GUIDE.write_text(update(GUIDE.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    print(tables(RESULTS))


def update(text: str, results: Path) -> str:
    """Return the guide's text with its tables written anew."""
    head, rest = text.split(START)
    return head + START + tables(results) + END + rest.split(END, 1)[1]


def tables(results: Path) -> str:
    """Return the guide's part between its markers."""
    records = [Record.load(path) for path in results.glob("iterative-*.json")]
    records.sort(key=lambda record: record.settings["points"])
    lines = ["| points, rank | solve | iterations | s a product | GB | to the first |", "|---|---|---|---|---|---|"]
    for record in records:
        for name, solve in record.results["solves"].items():
            apart = record.results["alpha against the first solve"][name]
            lines.append(
                f"| {record.settings['points']:,}, {record.settings['rank']:,} | {name} | {solve['iterations']} | "
                f"{solve['s a product']:.3g} | {solve['GB at most']:.2g} | {apart:.1g} |"
            )
    memory = records[-1].results["in memory"]
    lines += [
        "",
        f"| {memory['points']:,} points in memory | s | iterations | alpha against Cholesky |",
        "|---|---|---|---|",
    ]
    lines.append(f"| Cholesky | {memory['direct']['s']:.2g} | | |")
    for name, found in memory["solves"].items():
        seconds = found["s for the preconditioner"] + found["s"]
        lines.append(f"| {name} | {seconds:.2g} | {found['iterations']} | {found['alpha against direct']:.1g} |")
    lines += ["", "| Nystrom regression | s | test predictions against all points | accuracy, % |", "|---|---|---|---|"]
    lines.append(f"| all points (Cholesky) | {memory['direct']['s']:.2g} | | {memory['direct']['accuracy, %']:.1f} |")
    for name, found in memory["Nystrom"].items():
        lines.append(f"| {name} | {found['s']:.2g} | {found['test']:.2g} | {found['accuracy, %']:.1f} |")
    return "\n".join(lines) + "\n"


def prepare(data: Path | None, kind: Any, folder: Path) -> str:
    """Keep images, mirror images and test images as unit vectors in the folder; return where they come from."""
    if (folder / "source.txt").exists():
        return (folder / "source.txt").read_text()
    if data is None:
        raise click.UsageError("--data is needed the first time.")
    images = load_cifar10(data, kind=kind)
    train = np.concatenate([images.x_train, images.x_train[:, :, ::-1]])
    mean = features(train).mean(axis=0)
    for name, pixels in {"x": train, "test_x": images.x_test}.items():
        values = features(pixels) - mean
        np.save(folder / f"{name}.npy", (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32))
    np.save(folder / "y.npy", np.tile(images.y_train, 2))
    np.save(folder / "test_y.npy", images.y_test)
    (folder / "source.txt").write_text(images.source)
    return images.source


def features(pixels: np.ndarray) -> np.ndarray:
    """Return grey means of 8 x 8 windows, one row per image."""
    side = pixels.shape[1] // SIDE
    grey = pixels.mean(axis=3, dtype=np.float32).reshape(-1, SIDE, side, SIDE, side)
    return grey.mean(axis=(2, 4)).reshape(len(pixels), -1).astype(np.float64)


def load(folder: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n training inputs and their targets, from the start of a random order that does not depend on n."""
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    if n > len(x):
        raise click.UsageError(f"There are {len(x)} images with their mirror images, not {n}.")
    chosen = np.random.default_rng(0).permutation(len(x))[:n]
    return x[chosen], encode(y[chosen], "arora", n_classes=10)


def kernel(dtype: str) -> Any:
    """Return the NTK as a function of two sets of inputs."""
    kfn = ntklab.compile(zoo.fc(DEPTH, W_std=zoo.HE), input_shape=(SIDE**2,), dtype=dtype, get=("ntk",))
    return jax.jit(lambda a, b: kfn(a, b).ntk)


def run(folder: Path, variant: str, settings: dict[str, Any]) -> dict[str, float]:
    """Return what the workers of a variant found; start them unless they have finished before."""
    done = place(folder, variant, settings, "json")
    if not done.exists():
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, __file__, "--folder", str(folder), *options, "--worker", variant]
        if variant == "killed and resumed":
            kill_in_the_middle(command, place(folder, variant, settings, "npz"))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        count = 2 if variant == "two processes" else 1
        workers = [subprocess.Popen([*command, "--process", str(i), "--port", port]) for i in range(count)]
        if any(worker.wait() for worker in workers):
            raise SystemExit(f"{variant}: a worker failed; the same command goes on where it stopped.")
    return json.loads(done.read_text())


def place(folder: Path, variant: str, settings: dict[str, Any], kind: str) -> Path:
    """Return the file that keeps a variant's run (npz), answer (npy) or costs (json) with these settings."""
    return folder / f"{'-'.join([variant, *map(str, settings.values())])}.{kind}"


def kill_in_the_middle(command: list[str], path: Path) -> None:
    """Start a worker and kill it after its tenth iteration, unless that happened before."""
    worker = subprocess.Popen(command)
    try:
        while iterations(path) < 10 and worker.poll() is None:
            time.sleep(0.2)
        worker.send_signal(signal.SIGKILL)
    finally:
        worker.kill()
        worker.wait()
    print(f"killed after iteration {iterations(path)}", file=sys.stderr)


def iterations(path: Path) -> int:
    """Return how far a checkpoint is; 0 if there is none."""
    if not path.exists():
        return 0
    with np.load(path) as stored:
        return len(stored["history"]) - 1


def work(folder: Path, variant: str, process: int, port: int, settings: dict[str, Any]) -> None:
    """Solve, and keep the answer with its costs."""
    if variant == "two processes":
        jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
    x, y = load(folder, settings["n"])
    start = time.perf_counter()
    if variant == "two processes":
        k = ShardedOperator.of_kernel(kernel("float32"), x)
    else:
        k = BlockOperator.of_kernel(kernel("float32"), x, threads=os.cpu_count() or 1)
    low_rank = rpcholesky(k, settings["rank"], seed=0)
    middle = time.perf_counter()
    file, tolerance = place(folder, variant, settings, "npz"), settings["tolerance"]
    before = iterations(file)
    with threadpool_limits(1):  # the operator's own threads multiply
        solution = conjugate_gradients(
            k, y, Ridge(settings["ridge"]), preconditioner=low_rank, tolerance=tolerance, checkpoint=file, save_every=0
        )
    end = time.perf_counter()
    if process == 0:
        products = len(solution.history) - before + (before > 0)
        results = {
            "iterations": int(solution.iterations.max()),
            "residual": float(solution.residuals.max()),
            "trace captured": low_rank.captured,
            "s for the preconditioner": middle - start,
            "s for the products of this run": end - middle,
            "s a product": (end - middle) / products,
            "GB at most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        np.save(place(folder, variant, settings, "npy"), solution.alpha)
        place(folder, variant, settings, "json").write_text(json.dumps(results))


def check(folder: Path, n: int, alpha: np.ndarray, ridge: float) -> float:
    """Return ||y - (K + lambda I) alpha|| / ||y|| of 100 rows, their kernel computed anew in float64."""
    x, y = load(folder, n)
    rows = np.random.default_rng(1).choice(n, size=100, replace=False)
    with jax.enable_x64(True):
        k = kernel("float64")
        strips = [np.asarray(k(x[rows], x[at : at + 5000])) for at in range(0, n, 5000)]
        mean = float(np.mean(np.asarray(k(x[:1], x[:1]))))  # the same for all unit vectors
    left = y[rows] - np.hstack(strips) @ alpha - ridge * mean * alpha[rows]
    return float(np.linalg.norm(left) / np.linalg.norm(y[rows]))


def choices(folder: Path, ridge: float) -> dict[str, Any]:
    """Compare preconditioners, precisions and Nystrom regression with the direct solution, in memory."""
    x, y = load(folder, SMALL)
    test_x, test_y = np.load(folder / "test_x.npy"), np.load(folder / "test_y.npy")
    kfn = ntklab.compile(zoo.fc(DEPTH, W_std=zoo.HE), input_shape=(SIDE**2,), get=("ntk",))
    gram = ntklab.gram(kfn, x, progress=False).ntk
    k_test = ntklab.gram(kfn, test_x, x, progress=False).ntk.astype(np.float64)
    operator, start = BlockOperator.of_array(gram), time.perf_counter()
    exact = factorise(gram, Ridge(ridge)).solve(y)
    direct = {"s": time.perf_counter() - start, "accuracy, %": 100 * accuracy(k_test @ exact, test_y)}
    solves: dict[str, Any] = {}
    nystrom: dict[str, Any] = {}
    for name, make in {"none": None, "rpcholesky": rpcholesky, "gaussian_nystrom": gaussian_nystrom}.items():
        for products in ("float64", "float32"):
            start = time.perf_counter()
            low_rank = make(operator, 400, seed=0) if make else None
            solve = partial(conjugate_gradients, operator, y, Ridge(ridge), preconditioner=low_rank)
            made = time.perf_counter()
            solution = solve(products=products, progress=False)
            solves[f"{name}, {products}"] = {
                "s for the preconditioner": made - start,
                "s": time.perf_counter() - made,
                "iterations": int(solution.iterations.max()),
                "products": solution.products,
                "alpha against direct": float(np.linalg.norm(solution.alpha - exact) / np.linalg.norm(exact)),
            }
    for m in (SMALL // 40, SMALL // 10, SMALL // 4):
        for name, centres in {
            "uniform": uniform_centres(SMALL, m, seed=0),
            "rpcholesky": rpcholesky(operator, m, seed=0).pivots,
        }.items():
            start = time.perf_counter()
            regression = fit_nystrom(gram[:, centres], centres, y, Ridge(ridge))
            seconds = time.perf_counter() - start
            scores = regression.predict(k_test[:, centres])
            nystrom[f"{m:,} {name} centres"] = {
                "s": seconds,
                "accuracy, %": 100 * accuracy(scores, test_y),
                "test": float(np.linalg.norm(scores - k_test @ exact) / np.linalg.norm(k_test @ exact)),
                **vars(nystrom_error(regression, exact, operator)),
            }
    return {"points": SMALL, "direct": direct, "solves": solves, "Nystrom": nystrom}


if __name__ == "__main__":
    main()
