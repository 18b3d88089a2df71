"""CNTK with local average pooling, mirror images and random patches on CIFAR-10."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ntklab._core import Record
from ntklab.data import PatchFeatures, Standardiser, load_cifar10, subset
from ntklab.engine import compile
from ntklab.errors import InputError
from ntklab.spec import zoo
from ntklab.studies._mirrored import mirrored, regressions
from ntklab.studies._published import LAP

Pixels = Literal["standardised", "patches"]


def lap(
    data: str | os.PathLike[str],
    *,
    depth: int = 6,
    reaches: Sequence[int] = (0, 2, 4),
    pixels: Sequence[Pixels] = ("standardised", "patches"),
    patches: int = 64,
    size: int = 5,
    threshold: float = 0.25,
    flips: bool = True,
    n_train: int = 100,
    n_test: int | None = 500,
    seed: int = 0,
    engine: str = "auto",
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    r"""Return what local average pooling, mirror images and random patches are worth to a CNTK on CIFAR-10.

    The kernels of all reaches come from one pass, NTK and NNGP (CNN-GP), on pixels and on the responses to random
    patches of all training images; regressions are made of them with and without mirror images, with no ridge and with
    the one of least leave-one-out error.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depth : int
        As :func:`ntklab.spec.zoo.cntk_lap`.
    reaches : sequence of int
        How far local pooling reaches; 0 is CNTK-V, and reaches of the image's size pool globally.
    pixels : sequence of {"standardised", "patches"}
        By channel, as Arora et al. 2019, or :class:`ntklab.data.PatchFeatures`; fitted to all training images found.
    patches, size, threshold
        As :class:`ntklab.data.PatchFeatures`; the paper has 2,048 patches.
    flips : bool
        Whether to compute kernels with mirror images, too.
    n_train, n_test : int
        Training images of a class-balanced draw, and test images from the first; None: all.
    seed : int
        Of the draw, and of patches.
    store : path, optional
        A directory for the matrices (extra ``store``): a run that was stopped goes on there.

    Returns
    -------
    Record
        Of the kind ``lap``: a row for each kernel, way of preparing, reach, with and without mirror images and ridge;
        the published accuracy, of 50,000 training images.

    Raises
    ------
    InputError
        Settings that do not fit, or more images than there are.
    StoreError
        ``store`` has matrices of something else, or cannot be written.

    Notes
    -----
    Cost: ``n (n + 1) / 2 + n n_test`` entries without mirror images, with them ``n^2 + n n_test`` more; twice that for
    both ways of preparing. The largest reach sets the time of an entry: ``(4 reach + 1)^2`` displacements of 1,024.

    References
    ----------
    Li et al. 2019, "Enhanced Convolutional Neural Tangent Kernels".
    """
    if not reaches:
        raise InputError("reaches needs a value at least, 0 for none.")
    if not pixels or set(pixels) - {"standardised", "patches"}:
        raise InputError(f'pixels needs values of "standardised" and "patches", got {tuple(pixels)}.')
    networks = {str(reach): zoo.cntk_lap(depth, reach) for reach in sorted(set(reaches))}
    images = load_cifar10(data)
    part = subset(images, n_train, n_test, seed=seed)
    rows: list[dict[str, Any]] = []
    engines: dict[str, str] = {}
    for prepared in pixels:
        apply = (
            PatchFeatures.fit(images.x_train, count=patches, size=size, threshold=threshold, seed=seed).apply
            if prepared == "patches"
            else Standardiser.fit(images.x_train).apply
        )
        # responses to a mirror image are not the mirrored responses, but with their channels in another order
        raw = (part.x_train, part.x_test, *([mirrored(part.x_train)] if flips else []))
        x_train, x_test, *mirror = (apply(x, dtype="float32") for x in raw)
        kfn = compile(networks, x_train.shape[1:], engine=engine)
        engines[prepared] = kfn.engine.name
        place = None if store is None else Path(store) / prepared
        made = regressions(kfn, part, x_train, x_test, mirror[0] if flips else None, place, progress)
        rows += [{"pixels": prepared, "reach": int(reach), **row} for reach, row in made]
    settings = {
        "data": images.source,
        "depth": depth,
        "reaches": sorted(set(reaches)),
        "pixels": pixels,
        "patches": patches,
        "size": size,
        "threshold": threshold,
        "n_train": len(part.x_train),
        "n_test": len(part.x_test),
        "seed": seed,
        "engines": engines,
    }
    return Record.make("lap", settings, {"rows": rows, "paper": LAP._asdict()})
