"""Table 1 of Arora et al. 2019: CNTK-V and CNTK-GAP of several depths from one pass each, and their NNGP kernels."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ntklab._core import Record
from ntklab.data import ImageData, Standardiser, load_cifar10, subset
from ntklab.engine import KernelFn, compile
from ntklab.errors import InputError
from ntklab.gram import gram
from ntklab.predict import accuracy, encode, fit
from ntklab.solve import Ridge
from ntklab.spec import zoo
from ntklab.studies._published import published_cifar2, published_cifar10
from ntklab.studies._statistics import mean_and_spread

Kind = Literal["ntk", "nngp"]
DEPTHS = (3, 4, 6, 11, 21)


def cifar10_table(
    data: str | os.PathLike[str],
    *,
    depths: Sequence[int] = DEPTHS,
    poolings: Sequence[zoo.Pooling] = ("none",),
    kinds: Sequence[Kind] = ("ntk", "nngp"),
    n_train: int | None = 2000,
    n_test: int | None = None,
    classes: int = 10,
    repeats: int = 1,
    seed: int = 0,
    engine: str = "auto",
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    """Return CIFAR-10 accuracies of CNTK-V and CNTK-GAP by depth, of their NTK and their NNGP kernel.

    The protocol is that of :func:`cifar10`. All depths share one pass over the pairs of images, whose cost is that of
    the deepest. The NNGP kernel is that of a network of which only the last layer is trained.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depths, poolings
        As :func:`ntklab.spec.zoo.cntk`. ``"none"`` is CNTK-V; an entry of ``"gap"`` costs some thousand times as much.
    kinds : sequence of {"ntk", "nngp"}
    n_train, n_test : int, optional
        Training images of a class-balanced draw, and test images from the first. None: all.
    classes : int
        Take the first so many classes only. 2 is CIFAR-2, of Table 2: automobiles and aeroplanes.
    repeats, seed : int
        Draws use seeds ``seed, seed + 1, ...``.
    engine : str
        As for :func:`ntklab.compile`.
    store : path, optional
        A directory for the matrices of each pooling and draw (extra ``store``): a run that was stopped goes on there.

    Returns
    -------
    Record
        Of the kind ``cifar10-table``: a row for each pooling, kind and depth with all accuracies (percent), their mean
        and standard deviation over draws, and the published number where there is one of this size.

    Raises
    ------
    InputError
        Nothing to compute, fewer than two classes, or more images than there are.
    StoreError
        ``store`` has matrices of something else, or cannot be written.

    Notes
    -----
    Published: for all training images (10 classes: 50,000; 2 classes: 10,000) and for 2,000 of 10 classes, "-2K",
    where the paper does not say which 2,000.

    References
    ----------
    Arora, Du, Hu, Li, Salakhutdinov, Wang 2019, "On Exact Computation with an Infinitely Wide Neural Net", Tables 1, 2.
    """
    if not (depths and poolings and kinds) or set(poolings) - {"none", "gap"} or set(kinds) - {"ntk", "nngp"}:
        raise InputError(
            'Depths, poolings (of "none" and "gap") and kinds (of "ntk" and "nngp") each need a value at least, got '
            f"{tuple(depths)}, {tuple(poolings)}, {tuple(kinds)}."
        )
    if repeats < 1:
        raise InputError(f"repeats is at least 1, got {repeats}.")
    images = _first_classes(load_cifar10(data), classes)
    standardiser = Standardiser.fit(images.x_train)
    draws = [subset(images, n_train, n_test, seed=draw) for draw in range(seed, seed + repeats)]
    rows, engines = [], {}
    for pooling in poolings:
        networks = {str(depth): zoo.cntk(depth, pooling) for depth in sorted(set(depths))}
        kfn = compile(networks, images.image_shape, engine=engine, get=tuple(kinds))
        engines[pooling] = kfn.engine.name
        found: dict[tuple[Kind, int], list[float]] = {}
        for number, part in enumerate(draws, seed):
            place = None if store is None else Path(store) / f"{pooling}-{number}"
            for key, value in _accuracies(kfn, part, standardiser, kinds, place, progress).items():
                found.setdefault(key, []).append(value)
        size = len(draws[0].x_train)
        rows += [_row(pooling, kind, depth, size, classes, values) for (kind, depth), values in found.items()]
    settings = {
        "data": images.source,
        "depths": sorted(set(depths)),
        "poolings": poolings,
        "kinds": kinds,
        "n_train": len(draws[0].x_train),
        "n_test": len(draws[0].x_test),
        "classes": classes,
        "repeats": repeats,
        "seed": seed,
        "engines": engines,
    }
    return Record.make("cifar10-table", settings, {"rows": rows})


def _first_classes(images: ImageData, classes: int) -> ImageData:
    """Return the images of the first classes."""
    names = images.class_names
    if not 2 <= classes <= len(names):
        raise InputError(f"classes is between 2 and {len(names)}, got {classes}.")
    if classes == len(names):
        return images
    train, test = images.y_train < classes, images.y_test < classes
    return dataclasses.replace(
        images,
        x_train=images.x_train[train],
        y_train=images.y_train[train],
        index_train=images.index_train[train],
        x_test=images.x_test[test],
        y_test=images.y_test[test],
        index_test=images.index_test[test],
        class_names=names[:classes],
        source=f"{images.source}, first {classes} classes",
    )


def _accuracies(
    kfn: KernelFn,
    part: ImageData,
    standardiser: Standardiser,
    kinds: Sequence[Kind],
    place: Path | None,
    progress: bool,
) -> dict[tuple[Kind, int], float]:
    """Return the accuracy of each kernel of one draw, in percent."""
    x_train, x_test = (standardiser.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
    train_place, test_place = (None if place is None else place / f"{name}.zarr" for name in ("train", "test"))
    k_train = gram(kfn, x_train, store=train_place, progress=progress)
    k_test = gram(kfn, x_test, x_train, store=test_place, progress=progress)
    targets = encode(part.y_train, "arora", len(part.class_names))
    found: dict[tuple[Kind, int], float] = {}
    for kind in kinds:
        for name in k_train:
            model = fit(np.asarray(getattr(k_train[name], kind)), targets, Ridge.none())
            scores = model.predict(np.asarray(getattr(k_test[name], kind)))
            found[kind, int(name)] = 100.0 * accuracy(scores, part.y_test)
    return found


def _row(pooling: zoo.Pooling, kind: Kind, depth: int, size: int, classes: int, values: list[float]) -> dict[str, Any]:
    lookup = {10: published_cifar10, 2: published_cifar2}.get(classes)
    published = lookup(depth, pooling, size) if lookup and kind == "ntk" else None
    return {
        "pooling": pooling,
        "kind": kind,
        "depth": depth,
        **mean_and_spread(values),
        "accuracies": values,
        "published": published._asdict() if published else None,
    }
