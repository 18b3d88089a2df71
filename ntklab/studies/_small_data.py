"""CIFAR-10 from few images: CNTK-GAP's learning curve, by the protocol of Arora et al. 2019b."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntklab._core import Record
from ntklab.data import ImageData, Standardiser, load_cifar10, subset
from ntklab.engine import KernelFn, compile
from ntklab.errors import DataError, InputError
from ntklab.gram import gram
from ntklab.predict import accuracy, encode, fit
from ntklab.solve import Ridge
from ntklab.spec import zoo
from ntklab.studies._published import published_cifar10

SIZES = (10, 20, 40, 80, 160, 320)


def small_data(
    data: str | os.PathLike[str],
    *,
    depth: int = 14,
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    n_test: int | None = None,
    seed: int = 0,
    engine: str = "auto",
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    """Return the CIFAR-10 accuracy of CNTK-GAP against the number of training images, over class-balanced draws.

    As Arora et al. 2019b: random class-balanced subsets, mean and standard deviation over draws. Ours: the subsets of
    one draw are nested, so that its kernel is computed once, for the largest; kernel regression in float64 without
    ridge on labels 0.9 / -0.1; pixels standardised by channel with all training images found.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depth : int
        Layers with weights, as :func:`ntklab.spec.zoo.cntk`.
    sizes : sequence of int
        Numbers of training images.
    draws, seed : int
        Draws use seeds ``seed, seed + 1, ...``.
    n_test : int, optional
        Test images, from the first; all by default. The published numbers are on all 10,000.
    engine : str
        As for :func:`ntklab.compile`.
    store : path, optional
        A directory for one record per draw. Draws that are there already, of the same settings, are not run again.
    progress : bool
        Show entries done and time left, for each matrix.

    Returns
    -------
    Record
        Of the kind ``small-data``: per size all accuracies (percent), mean, standard deviation, published number.

    Raises
    ------
    InputError
        No size, no draw, or a size that the data cannot give.
    DataError
        ``store`` has a record of something else under a name that is needed.

    Notes
    -----
    Cost: ``n (n + 1) / 2 + n n_test`` kernel entries per draw, ``n`` the largest size.
    """
    sizes = sorted(set(sizes))
    if not sizes or sizes[0] < 1 or draws < 1:
        raise InputError(f"small_data needs positive sizes and at least one draw, got sizes {sizes} and draws={draws}.")
    images = load_cifar10(data)
    standardiser = Standardiser.fit(images.x_train)
    kfn = compile(zoo.cntk(depth, "gap"), images.image_shape, engine=engine, get=("ntk",))
    largest = [subset(images, sizes[-1], n_test, seed=draw) for draw in range(seed, seed + draws)]
    settings = {
        "data": images.source,
        "depth": depth,
        "sizes": sizes,
        "n_test": len(largest[0].x_test),
        "engine": kfn.engine.name,
        "plan": kfn.plan.key,
    }
    found = []
    for draw, part in enumerate(largest, seed):
        file = None if store is None else Path(store) / f"draw-{draw}.json"
        if file is not None and file.exists():
            record = Record.load(file)
            if record.settings != settings | {"draw": draw}:
                raise DataError(f"{file} is of {record.settings}, not {settings}: name another store.")
        else:
            smaller = [subset(images, n, 0, seed=draw) for n in sizes]
            accuracies = _draw(kfn, part, smaller, standardiser, progress)
            record = Record.make("small-data-draw", settings | {"draw": draw}, {"accuracies": accuracies})
            if file is not None:
                record.save(file)
        found.append(record.results["accuracies"])
    rows = [_row(depth, n, column) for n, column in zip(sizes, zip(*found, strict=True), strict=True)]
    return Record.make("small-data", settings | {"seed": seed, "draws": draws}, {"sizes": rows})


def _draw(
    kfn: KernelFn, part: ImageData, smaller: Sequence[ImageData], standardiser: Standardiser, progress: bool
) -> list[float]:
    """Return the accuracy of each of the smaller draws, which are rows of the largest, in percent."""
    x_train, x_test = (standardiser.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
    k_train = gram(kfn, x_train, progress=progress).ntk
    k_test = gram(kfn, x_test, x_train, progress=progress).ntk
    targets = encode(part.y_train, "arora", len(part.class_names))
    accuracies = []
    for few in smaller:
        rows = np.flatnonzero(np.isin(part.index_train, few.index_train))
        model = fit(k_train[np.ix_(rows, rows)], targets[rows], Ridge.none())
        accuracies.append(100.0 * accuracy(model.predict(k_test[:, rows]), part.y_test))
    return accuracies


def _row(depth: int, n: int, accuracies: Sequence[float]) -> dict[str, Any]:
    published = published_cifar10(depth, "gap", n)
    return {
        "n_train": n,
        "mean": float(np.mean(accuracies)),
        "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "accuracies": list(accuracies),
        "published": published._asdict() if published else None,
    }
