"""CIFAR-10 from few images: CNTK-GAP's learning curve, by the protocol of Arora et al. 2019b."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklab._core import Record
from ntklab.data import ImageData, Standardiser, load_cifar10, subset
from ntklab.engine import KernelFn, compile
from ntklab.errors import InputError
from ntklab.gram import gram
from ntklab.predict import accuracy, encode, fit
from ntklab.solve import Ridge
from ntklab.spec import zoo
from ntklab.studies._kept import kept
from ntklab.studies._published import published_cifar10
from ntklab.studies._statistics import mean_and_spread

SIZES = (10, 20, 40, 80, 160, 320)


def small_data(
    data: str | os.PathLike[str],
    *,
    depth: int = 14,
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    n_test: int | None = None,
    pool: int | None = None,
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
    pool : int, optional
        Take all draws from this many training images, a class-balanced draw with ``seed``, and test each on the others
        of them: many draws for the entries of one matrix. Draws then share images, and their means have a standard
        error of at least ``sqrt(p (1 - p) / pool)`` for an accuracy p, which the record gives.
    engine : str
        As for :func:`ntklab.compile`.
    store : path, optional
        A directory for one record per draw, or, with ``pool``, for its matrix (extra ``store``). What is there
        already, of the same settings, is not computed again.
    progress : bool
        Show entries done and time left, for each matrix.

    Returns
    -------
    Record
        Of the kind ``small-data``: per size all accuracies (percent), mean, standard deviation, published number.

    Raises
    ------
    InputError
        No size, no draw, a size that the data or the pool cannot give, or both ``n_test`` and ``pool``.
    DataError
        ``store`` has a record of something else under a name that is needed.
    StoreError
        ``store`` has the matrix of something else, or cannot be written.

    Notes
    -----
    Cost: ``n (n + 1) / 2 + n n_test`` kernel entries per draw, ``n`` the largest size; with a pool of ``m`` images,
    ``m (m + 1) / 2`` in all.
    """
    sizes = sorted(set(sizes))
    if not sizes or sizes[0] < 1 or draws < 1:
        raise InputError(f"small_data needs positive sizes and at least one draw, got sizes {sizes} and draws={draws}.")
    if pool is not None and (n_test is not None or pool <= sizes[-1]):
        raise InputError(
            f"pool={pool} also gives the test images: leave n_test out, and take more than the largest of sizes, "
            f"{sizes[-1]}; got n_test={n_test}."
        )
    images = load_cifar10(data)
    standardiser = Standardiser.fit(images.x_train)
    kfn = compile(zoo.cntk(depth, "gap"), images.image_shape, engine=engine, get=("ntk",))
    tested = {"n_test": len(images.x_test[:n_test])} if pool is None else {"pool": pool, "pool_seed": seed}
    settings = {
        "data": images.source,
        "depth": depth,
        "sizes": sizes,
        **tested,
        "engine": kfn.engine.name,
        "plan": kfn.plan.key,
    }
    seeds = range(seed, seed + draws)
    if pool is None:
        run = partial(_draw, kfn, images, sizes, n_test, standardiser, progress)
        parts = [
            kept(store, f"draw-{draw}", "small-data-draw", settings | {"draw": draw}, partial(run, draw))
            for draw in seeds
        ]
        found = [part["accuracies"] for part in parts]
    else:
        found = _pooled(kfn, subset(images, pool, 0, seed=seed), sizes, seeds, standardiser, store, progress)
    rows = [_row(depth, n, column, pool) for n, column in zip(sizes, zip(*found, strict=True), strict=True)]
    return Record.make("small-data", settings | {"seed": seed, "draws": draws}, {"sizes": rows})


def _draw(
    kfn: KernelFn,
    images: ImageData,
    sizes: Sequence[int],
    n_test: int | None,
    standardiser: Standardiser,
    progress: bool,
    draw: int,
) -> dict[str, list[float]]:
    """Return the accuracy of each size of one draw, in percent; smaller ones are rows of the largest."""
    part = subset(images, sizes[-1], n_test, seed=draw)
    x_train, x_test = (standardiser.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
    k_train = gram(kfn, x_train, progress=progress).ntk
    k_test = gram(kfn, x_test, x_train, progress=progress).ntk
    chosen = [_drawn(part, images, n, draw) for n in sizes]
    return {"accuracies": [_score(part, rows, k_train, k_test, part.y_test) for rows in chosen]}


def _pooled(
    kfn: KernelFn,
    part: ImageData,
    sizes: Sequence[int],
    seeds: Sequence[int],
    standardiser: Standardiser,
    store: str | os.PathLike[str] | None,
    progress: bool,
) -> list[list[float]]:
    """Return what `_draw` does for all draws from the pool, each tested on the images that it has not drawn."""
    place = None if store is None else Path(store) / f"pool-{len(part.x_train)}.zarr"
    x = standardiser.apply(part.x_train, dtype=kfn.dtype)
    kernel = np.asarray(gram(kfn, x, store=place, progress=progress).ntk)

    def score(rows: NDArray[np.bool_]) -> float:
        return _score(part, rows, kernel, kernel[~rows], part.y_train[~rows])

    return [[score(_drawn(part, part, n, draw)) for n in sizes] for draw in seeds]


def _drawn(part: ImageData, images: ImageData, n: int, draw: int) -> NDArray[np.bool_]:
    """Tell for every training image of a part whether it is in the draw of n images."""
    return np.isin(part.index_train, subset(images, n, 0, seed=draw).index_train)


def _score(
    part: ImageData,
    rows: NDArray[np.bool_],
    k_train: NDArray[np.floating],
    k_test: NDArray[np.floating],
    y_test: NDArray[np.integer],
) -> float:
    targets = encode(part.y_train, "arora", len(part.class_names))
    model = fit(k_train[np.ix_(rows, rows)], targets[rows], Ridge.none())
    return 100.0 * accuracy(model.predict(k_test[:, rows]), y_test)


def _row(depth: int, n: int, accuracies: Sequence[float], pool: int | None) -> dict[str, Any]:
    published = published_cifar10(depth, "gap", n)
    mean = float(np.mean(accuracies))
    error = {} if pool is None else {"least_standard_error": float(np.sqrt(mean * (100.0 - mean) / pool))}
    return {
        "n_train": n,
        **mean_and_spread(accuracies),
        **error,
        "accuracies": list(accuracies),
        "published": published._asdict() if published else None,
    }
