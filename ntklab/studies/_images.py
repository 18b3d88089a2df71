"""Kernel regression on images: CIFAR-10 as Arora et al. 2019 did it, and scikit-learn's digits."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntklab._core import Record
from ntklab.data import ImageData, Standardiser, load_cifar10, load_digits, subset
from ntklab.engine import KernelFn, compile
from ntklab.errors import InputError
from ntklab.gram import gram
from ntklab.predict import KernelRegression, accuracy, calibrate, encode, fit
from ntklab.solve import Ridge, eigendecompose
from ntklab.spec import Layer, zoo
from ntklab.studies._published import published_cifar10
from ntklab.studies._statistics import mean_and_spread

DIGITS: dict[str, Layer] = {
    "NTK, 3 dense layers": zoo.fc(3),
    "CNTK-V, depth 6": zoo.cntk(6, "none"),
    "CNTK-GAP, depth 6": zoo.cntk(6, "gap"),
}


def cifar10(
    data: str | os.PathLike[str],
    *,
    depth: int = 11,
    pooling: zoo.Pooling = "gap",
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    repeats: int = 1,
    ridge: float = 0.0,
    dtype: str = "float32",
    engine: str = "auto",
    progress: bool = True,
    save: str | os.PathLike[str] | None = None,
) -> Record:
    """Return the CIFAR-10 accuracy of CNTK-V or CNTK-GAP, by the protocol of Arora et al. 2019.

    Pixels / 255, standardised per channel by all training images found; class-balanced random training subsets;
    labels 0.9 / -0.1; kernel regression solved in float64, without ridge unless asked; the largest output wins.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depth, pooling
        As :func:`ntklab.spec.zoo.cntk`.
    n_train, n_test : int, optional
        Training images drawn (default all) and test images from the first (default all).
    seed, repeats : int
        Draws use seeds ``seed, seed + 1, ...``.
    ridge : float
        Relative to the mean diagonal of the training Gram.
    save : path, optional
        An ``.npz`` for the Grams, labels and predictions of the last draw: entries are what costs.
    """
    if repeats < 1:
        raise InputError(f"repeats is at least 1, got {repeats}.")
    images = load_cifar10(data)
    standardiser = Standardiser.fit(images.x_train)
    kfn = compile(zoo.cntk(depth, pooling), images.image_shape, engine=engine, dtype=np.dtype(dtype), get=("ntk",))
    runs = []
    for draw in range(seed, seed + repeats):
        part = subset(images, n_train, n_test, seed=draw)
        runs.append({"seed": draw} | _regress(kfn, part, standardiser, Ridge(ridge), progress, save).run)
    found = [run["accuracy"] for run in runs]
    published = published_cifar10(depth, pooling, runs[0]["n_train"])
    settings = {
        "data": images.source,
        "depth": depth,
        "pooling": pooling,
        "n_train": runs[0]["n_train"],
        "n_test": runs[0]["n_test"],
        "seed": seed,
        "repeats": repeats,
        "ridge": ridge,
        "dtype": dtype,
        "engine": kfn.engine.name,
        "plan": kfn.plan.key,
    }
    results = {
        **mean_and_spread(found),
        "published": published._asdict() if published else None,
        "runs": runs,
    }
    return Record.make("cifar10", settings, results)


def digits(
    *, n_train: int = 100, n_test: int = 297, seed: int = 0, engine: str = "auto", progress: bool = True
) -> Record:
    """Return the accuracy of three kernels on scikit-learn's 8 x 8 digits: a run of a minute on data at hand."""
    images = subset(load_digits(seed=seed), n_train, n_test, seed=seed)
    standardiser = Standardiser.fit(images.x_train, scale=16.0)
    runs, examples = [], []
    for name, network in DIGITS.items():
        kfn = compile(network, images.image_shape, engine=engine, get=("ntk",))
        head = {"kernel": name, "engine": kfn.engine.name}
        done = _regress(kfn, images, standardiser, Ridge.none(), progress, None)
        runs.append(head | done.run | {"eigenvalues": eigendecompose(done.k_train).eigenvalues[::-1]})
        examples = _examples(images, done)
    settings = {"data": images.source, "n_train": n_train, "n_test": n_test, "seed": seed}
    return Record.make("digits", settings, {"runs": runs, "examples": examples})


class _Regression(NamedTuple):
    """What is said of a regression in a record, and what it was made of."""

    run: dict[str, Any]
    k_train: np.ndarray
    targets: np.ndarray
    model: KernelRegression
    scores: np.ndarray


def _examples(part: ImageData, done: _Regression, count: int = 16) -> list[dict[str, Any]]:
    """Return the first test digits, grey levels 0 to 1, with the predicted class and its calibrated probability."""
    calibration = calibrate(done.model.factor.leave_one_out(done.targets), part.y_train)
    rows = zip(part.x_test, part.y_test, calibration.probabilities(done.scores[:count]), strict=False)
    return [
        {
            "image": image / 16,
            "label": part.class_names[label],
            "predicted": part.class_names[int(p.argmax())],
            "probability": float(p.max()),
        }
        for image, label, p in rows
    ]


def _regress(
    kfn: KernelFn,
    part: ImageData,
    standardiser: Standardiser,
    ridge: Ridge,
    progress: bool,
    save: str | os.PathLike[str] | None,
) -> _Regression:
    x_train, x_test = (standardiser.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
    start = time.perf_counter()
    k_train = gram(kfn, x_train, progress=progress).ntk
    k_test = gram(kfn, x_test, x_train, progress=progress).ntk
    kernel_seconds = time.perf_counter() - start
    targets = encode(part.y_train, "arora", len(part.class_names))
    model = fit(k_train, targets, ridge)
    scores = model.predict(k_test)
    if save is not None:
        Path(save).parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            save,
            k_train=k_train,
            k_test=k_test,
            scores=scores,
            y_train=part.y_train,
            y_test=part.y_test,
            index_train=part.index_train,
            index_test=part.index_test,
        )
    entries = len(x_train) * (len(x_train) + 1) // 2 + len(x_test) * len(x_train)
    run = {
        "n_train": len(x_train),
        "n_test": len(x_test),
        "accuracy": 100.0 * accuracy(scores, part.y_test),
        "entries": entries,
        "kernel_seconds": kernel_seconds,
        "ms_per_entry": 1e3 * kernel_seconds / entries,
        "total_seconds": time.perf_counter() - start,
        "condition_estimate": model.factor.condition_estimate,
        "solver": model.status.name,
    }
    return _Regression(run, k_train, targets, model, scores)
