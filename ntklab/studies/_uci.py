"""NTK classifiers on the UCI archive, by the procedure of Arora et al. 2019b."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from ntklab._core import Record, progress_bar
from ntklab.data import UciSet, load_uci, uci_sets
from ntklab.engine import compile
from ntklab.errors import InputError, MissingExtraError, PrecisionWarning
from ntklab.gram import gram
from ntklab.predict import accuracy, choose_ridge, encode, fit
from ntklab.spec import Dense, Layer, Relu, Serial
from ntklab.studies._kept import kept
from ntklab.studies._published import UCI
from ntklab.studies._statistics import mean_and_spread

Method = Literal["svm", "ridge"]
Key = tuple[int, int]
"""Layers, and how many of them are not trained."""
METHODS: tuple[Method, ...] = ("svm", "ridge")
LAYERS = 5
COSTS = tuple(10.0**k for k in range(-2, 5))
_LOO_ROWS = 600
"""Rows on which networks and ridges are compared, at most: 15 eigendecompositions."""


def uci(
    data: str | os.PathLike[str],
    *,
    methods: Sequence[Method] = METHODS,
    names: Sequence[str] | None = None,
    largest: int = 5000,
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    """Return the accuracy of NTK classifiers on UCI sets, over four folds, by the procedure of Arora et al. 2019b.

    Kernels are NTKs of 1 to 5 dense layers with ReLU between them, no bias, of which the first 0, 1, ... are not
    trained: 15 of them, the last of each depth an NNGP kernel. Two methods:

    - ``"svm"``, as the authors: an SVC for each kernel and C in 10^-2 ... 10^4 is trained on one half of the given
      split; the best on the other half is trained on each of four folds. A C beyond the largest dual coefficient of a
      smaller one changes nothing, and is left out.
    - ``"ridge"``: kernel regression on centred one-hot labels. Kernel and ridge have the smallest leave-one-out error
      on the rows of the split, at most 600 of them; then the same folds.

    Parameters
    ----------
    data : path
        As for :func:`ntklab.data.uci_sets`.
    methods : sequence of {"svm", "ridge"}
        ``"svm"`` needs scikit-learn.
    names : sequence of str, optional
        Sets to run; by default all with at most ``largest`` points and no separate test file, smallest first.
    store : path, optional
        A directory for one record per set. Sets that are there already, by the same methods, are not run again.

    Returns
    -------
    Record
        Per set accuracies (percent), choices and seconds; per method the mean, its spread over sets, and, where there
        are two methods, Friedman rank, P90, P95 and PMA.

    Raises
    ------
    DataError
        A set is missing or damaged, or ``store`` has a record of something else under its name.
    """
    unknown = set(methods) - set(METHODS)
    if unknown or not methods:
        raise InputError(f"methods are some of {', '.join(METHODS)}, got {', '.join(methods) or 'none'}.")
    sizes = uci_sets(data, largest)
    missing = [name for name in names or () if name not in sizes]
    if missing:
        known = ", ".join(sizes)
        raise InputError(f"{data} has no set {', '.join(missing)} of at most {largest} points; it has {known}.")
    svm = _svm() if "svm" in methods else None
    runs = []
    for name in progress_bar(names or list(sizes), desc="UCI", unit=" sets", show=progress):
        settings = {"set": name, "methods": list(methods)}
        run = partial(lambda name: _run(load_uci(data, name), methods, svm), name)
        runs.append(kept(store, name, "uci-set", settings, run))
    settings = {"methods": methods, "largest": largest, "sets": len(runs)}
    return Record.make("uci", settings, summary(runs, methods) | {"published": UCI._asdict()})


def summary(runs: Sequence[dict[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    """Return the statistics of the paper's table over sets, next to the sets themselves.

    P90 and P95 are the percentages of sets on which a method has at least 90 % and 95 % of the best method's accuracy,
    PMA the mean percentage of it, the Friedman rank the mean rank (1 is best, ties share). All compare the methods of
    this record with each other; the paper compares others, so that only means stand beside its means.
    """
    table = np.array([[run[method]["accuracy"] for method in methods] for run in runs])
    relative = 100 * table / table.max(axis=1, keepdims=True)
    better = (table[:, None, :] > table[:, :, None]).sum(axis=2)  # [set, method]: how many are better
    equal = (table[:, None, :] == table[:, :, None]).sum(axis=2)
    ranks = 1 + better + (equal - 1) / 2
    found = {}
    for k, method in enumerate(methods):
        found[method] = {
            **mean_and_spread(table[:, k]),
            "friedman_rank": ranks[:, k].mean(),
            "p90": 100 * np.mean(relative[:, k] >= 90),
            "p95": 100 * np.mean(relative[:, k] >= 95),
            "pma": relative[:, k].mean(),
            "seconds": sum(run[method]["seconds"] for run in runs),
        }
    return {"methods": found, "runs": list(runs)}


def networks(features: int) -> dict[Key, Layer]:
    """Return the 15 networks by number of layers and of those that are not trained; sums over features, not means."""
    found = {}
    for depth in range(1, LAYERS + 1):
        for fixed in range(depth):
            layers: list[Layer] = []
            for i in range(depth):
                std = math.sqrt(features) if i == 0 else 1.0
                layers += [Dense(W_std=std, trainable=i >= fixed), Relu()]
            found[depth, fixed] = Serial(*layers[:-1])
    return found


def kernels(which: Sequence[Key], x: np.ndarray, x2: np.ndarray | None = None) -> dict[Key, np.ndarray]:
    """Return the kernels of some of :func:`networks`, in float32; one layer alone is linear, and a matrix product."""
    made = networks(x.shape[1])
    deep = {f"{depth} {fixed}": made[depth, fixed] for depth, fixed in which if depth > 1}
    found: dict[Key, np.ndarray] = {}
    if deep:
        kfn = compile(deep, (x.shape[1],), get=("ntk",))
        values = gram(kfn, x, x2, progress=False)
        found = {key: values[f"{key[0]} {key[1]}"].ntk for key in which if key[0] > 1}
    if (1, 0) in which:
        found[1, 0] = (x @ (x if x2 is None else x2).T).astype(np.float32)
    return {key: found[key] for key in which}


def _run(part: UciSet, methods: Sequence[Method], svm: Any) -> dict[str, Any]:
    head = {"set": part.name, "points": len(part.x), "features": part.x.shape[1], "classes": part.n_classes}
    run = {"svm": lambda: _by_svm(part, svm), "ridge": lambda: _by_ridge(part)}
    for method in methods:
        start = time.perf_counter()
        found = run[method]()
        head[method] = found | {"seconds": time.perf_counter() - start}
    return head


def _by_svm(part: UciSet, svm: Any) -> dict[str, Any]:
    (train, validation), y = part.split, part.y
    best, chosen = -1.0, (0, 0, 0.0)
    which = list(networks(part.x.shape[1]))
    k_train, k_val = kernels(which, part.x[train]), kernels(which, part.x[validation], part.x[train])
    for depth, fixed in which:
        own, cross = (k.pop((depth, fixed)).astype(np.float64) for k in (k_train, k_val))
        for cost in COSTS:
            score, largest = svm(own, y[train], cross, y[validation], cost)
            if score > best:
                best, chosen = score, (depth, fixed, cost)
            if largest < cost:
                break
    depth, fixed, cost = chosen
    scores = []
    for own, cross, fold in _folds(part, (depth, fixed)):
        scores.append(svm(own.astype(np.float64), y[fold[0]], cross.astype(np.float64), y[fold[1]], cost)[0])
    return {"accuracy": 100 * np.mean(scores), "validation": 100 * best, "depth": depth, "fixed": fixed, "C": cost}


def _by_ridge(part: UciSet) -> dict[str, Any]:
    rows = np.sort(np.concatenate(part.split))
    if len(rows) > _LOO_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _LOO_ROWS, replace=False))
    targets = encode(part.y, "centred-one-hot", part.n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)  # candidates that float32 cannot carry lose by their error
        found = kernels(list(networks(part.x.shape[1])), part.x[rows])
        choices = {key: choose_ridge(found.pop(key), targets[rows]) for key in list(found)}
        best = min(choices, key=lambda key: choices[key].scores.min())
        ridge = choices[best].ridge
        scores = []
        for own, cross, (train, test) in _folds(part, best):
            scores.append(accuracy(fit(own, targets[train], ridge).predict(cross), part.y[test]))
    loo = float(choices[best].scores.min())
    chosen = {"depth": best[0], "fixed": best[1], "ridge": ridge.value}
    return {"accuracy": 100 * np.mean(scores), "loo_error": loo} | chosen


def _folds(part: UciSet, key: Key) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    """Yield training and test kernels of each fold, cut from one matrix of all points."""
    whole = kernels([key], part.x)[key]
    for train, test in part.folds:
        yield whole[np.ix_(train, train)], whole[np.ix_(test, train)], (train, test)


def _svm() -> Any:
    try:
        from ntklab.studies import _support_vectors
    except ImportError as error:
        raise MissingExtraError("method svm needs scikit-learn: run pip install 'ntklab[sklearn]'") from error
    return _support_vectors.fit_and_score
