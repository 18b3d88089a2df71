"""Do the kernels and predictions of a saved CIFAR-10 run agree with an independent computation on the same images?

    ntklab reproduce cifar10 --data DIR --depth 6 --pooling none --train 500 --save runs/v.npz
    python benchmarks/independent.py --data DIR --saved runs/v.npz --depth 6 --pooling none --train 500 --test 1017

Takes the first training and test images of the saved run, computes their Grams in float64 NumPy by the textbook
recursion (arccos of correlations; for CNTK-GAP the 4-D oracle of the tests), solves, and compares entries, scores and
labels. Writes benchmarks/results/independent-POOLING.json.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import click
import numpy as np
from agreement import ROOT, load  # the script beside this one

from ntklab._core import Record
from ntklab.data import load_cifar10
from ntklab.report import align
from ntklab.spec import zoo


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path))
@click.option("--saved", required=True, type=click.Path(path_type=Path))
@click.option("--depth", required=True, type=int)
@click.option("--pooling", required=True, type=click.Choice(["none", "gap"]))
@click.option("--train", required=True, type=int)
@click.option("--test", required=True, type=int)
def main(data: Path, saved: Path, depth: int, pooling: str, train: int, test: int) -> None:
    """Compare, print and store."""
    run, images = np.load(saved), load_cifar10(data)
    pixels = images.x_train.astype(np.float64) / 255.0
    mean, std = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    rows = np.searchsorted(images.index_train, run["index_train"][:train])
    x_train = (pixels[rows] - mean) / std
    x_test = (images.x_test[:test].astype(np.float64) / 255.0 - mean) / std
    if pooling == "none":
        k_train = vanilla(x_train, x_train, depth, itself=True)
        k_test = vanilla(x_test, x_train, depth, itself=False)
    else:
        oracle: ModuleType = load("cntk_numpy")
        layers = oracle.of_spec(zoo.cntk(depth, "gap"))
        k_train, k_test = oracle.gram(layers, x_train)[1], oracle.gram(layers, x_test, x_train)[1]
    ours_train, ours_test = run["k_train"][:train, :train], run["k_test"][:test, :train]
    targets = np.where(run["y_train"][:train, None] == np.arange(10), 0.9, -0.1)
    scores = k_test @ np.linalg.solve(k_train, targets)
    ours = ours_test.astype(np.float64) @ np.linalg.solve(ours_train.astype(np.float64), targets)
    diagonal = np.eye(train, dtype=bool)
    hits = [float(np.mean(s.argmax(1) == run["y_test"][:test])) for s in (scores, ours)]
    results = {
        "largest relative error, different training images": np.abs(ours_train / k_train - 1)[~diagonal].max(),
        "largest relative error, diagonal": np.abs(ours_train / k_train - 1)[diagonal].max(),
        "largest relative error, test against training": np.abs(ours_test / k_test - 1).max(),
        "largest difference of scores": np.abs(ours - scores).max(),
        "same labels, %": 100 * np.mean(ours.argmax(1) == scores.argmax(1)),
        "accuracy, independent, %": 100 * hits[0],
        "accuracy, ours, %": 100 * hits[1],
    }
    settings = {"depth": depth, "pooling": pooling, "train": train, "test": test, "data": images.source}
    Record.make("independent", settings, results).save(ROOT / "benchmarks" / "results" / f"independent-{pooling}.json")
    print(align([("", "found"), *((name, f"{value:.3g}") for name, value in results.items())]))


def vanilla(x: np.ndarray, y: np.ndarray, depth: int, itself: bool) -> np.ndarray:
    """Return CNTK-V by the textbook: covariances at equal positions, arccos, all layers trained, W_std**2 = 2."""
    kernel = np.empty((len(x), len(y)))
    variance_y = [box(np.mean(y * y, axis=-1))]  # ReLU with W_std**2 = 2 keeps v, and the next box averages it
    for _ in range(depth - 2):
        variance_y.append(box(variance_y[-1]))
    for i, image in enumerate(x):
        v = 2 * box(np.mean(image * image, axis=-1))
        s = 2 * box(np.mean(image * y, axis=-1))
        t = s
        for layer in range(depth - 1):
            norm = np.sqrt(v * 2 * variance_y[layer])
            c = np.clip(s / norm, -1, 1)
            if itself:
                c[i] = 1.0
            angle = np.pi - np.arccos(c)
            s = norm * (np.sqrt(1 - c * c) + angle * c) / (2 * np.pi)
            t = t * angle / (2 * np.pi)
            if layer < depth - 2:
                v = 2 * box(v / 2)
                s, t = 2 * box(s), 2 * box(t)
                t = t + s
        kernel[i] = 2 * (t.mean(axis=(-2, -1)) + s.mean(axis=(-2, -1)))
    return kernel


def box(a: np.ndarray) -> np.ndarray:
    """Return the zero-padded 3 x 3 mean (divided by 9 everywhere) over the last two axes."""
    a = np.pad(a, [(0, 0)] * (a.ndim - 2) + [(1, 1), (1, 1)])
    a = a[..., :-2, :] + a[..., 1:-1, :] + a[..., 2:, :]
    return (a[..., :-2] + a[..., 1:-1] + a[..., 2:]) / 9.0


if __name__ == "__main__":
    main()
