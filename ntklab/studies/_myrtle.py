"""Myrtle kernels on CIFAR-10 with regularised whitening, mirror images, and a ridge by leave-one-out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ntklab._core import Record
from ntklab.data import Standardiser, Whitener, load_cifar10, subset
from ntklab.engine import compile
from ntklab.errors import InputError
from ntklab.spec import ExpNormalized, Relu, zoo
from ntklab.studies._mirrored import mirrored, regressions

Preprocessing = Literal["standardised", "whitened"]
ACTIVATIONS = {"relu": Relu(), "gaussian": ExpNormalized()}


def myrtle(
    data: str | os.PathLike[str],
    *,
    depth: Literal[5, 7, 10] = 5,
    activation: Literal["relu", "gaussian"] = "relu",
    preprocessing: Sequence[Preprocessing] = ("standardised", "whitened"),
    regularisation: float = 0.1,
    flips: bool = True,
    n_train: int = 100,
    n_test: int | None = 200,
    seed: int = 0,
    engine: str = "auto",
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    r"""Return what whitening, mirror images and a ridge are worth to a Myrtle kernel on CIFAR-10, NTK and NNGP.

    For each way of preparing pixels the kernels of one draw of images are computed once, and regressions are made of
    them with and without mirror images, with no ridge and with the one of least leave-one-out error.

    Mirror images: these networks see a pair of images as they see the pair of their mirror images, so that regression
    on all images and their mirror images is regression with

    .. math:: \bar K(x, x') = \tfrac12 \left( K(x, x') + K(x, F x') \right),

    twice the entries in place of four times, and a matrix of the same size.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depth, activation
        As :func:`ntklab.spec.zoo.myrtle`; ``"gaussian"`` is the normalised Gaussian kernel of Shankar et al. 2020,
        which has only the ``reference`` engine.
    preprocessing : sequence of {"standardised", "whitened"}
        By channel, as Arora et al. 2019, or :class:`ntklab.data.Whitener`; fitted to all training images found.
    regularisation : float
        Of the whitening.
    flips : bool
        Whether to compute kernels with mirror images, too.
    n_train, n_test : int
        Training images of a class-balanced draw, and test images from the first; None: all.
    seed : int
        Of the draw.
    store : path, optional
        A directory for the matrices (extra ``store``): a run that was stopped goes on there.

    Returns
    -------
    Record
        Of the kind ``myrtle``: a row for each kernel, preparation, with and without mirror images and ridge.

    Raises
    ------
    InputError
        Settings that do not fit, or more images than there are.
    StoreError
        ``store`` has matrices of something else, or cannot be written.

    Notes
    -----
    Cost for each preparation: ``n (n + 1) / 2 + n n_test`` entries without mirror images, with them ``n^2 + n n_test``
    more. Published accuracies, for which see the papers, are of 50,000 training images.

    References
    ----------
    Shankar et al. 2020, "Neural Kernels Without Tangents". Lee et al. 2020, "Finite Versus Infinite Neural Networks: an
    Empirical Study". Li et al. 2019, "Enhanced Convolutional Neural Tangent Kernels".
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"activation is one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
    if not preprocessing or set(preprocessing) - {"standardised", "whitened"}:
        raise InputError(f'preprocessing needs values of "standardised" and "whitened", got {tuple(preprocessing)}.')
    images = load_cifar10(data)
    part = subset(images, n_train, n_test, seed=seed)
    kfn = compile(zoo.myrtle(depth, activation=ACTIVATIONS[activation]), images.image_shape, engine=engine)
    rows: list[dict[str, Any]] = []
    for prepared in preprocessing:
        pixels = (
            Whitener.fit(images.x_train, regularisation=regularisation)
            if prepared == "whitened"
            else Standardiser.fit(images.x_train)
        )
        x_train, x_test = (pixels.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
        place = None if store is None else Path(store) / prepared
        mirror = mirrored(x_train) if flips else None
        made = regressions(kfn, part, x_train, x_test, mirror, place, progress)
        rows += [{"pixels": prepared, **row} for _, row in made]
    settings = {
        "data": images.source,
        "network": f"Myrtle-{depth}, {activation}",
        "regularisation": regularisation,
        "n_train": len(part.x_train),
        "n_test": len(part.x_test),
        "seed": seed,
        "engine": kfn.engine.name,
        "plan": kfn.plan.key,
    }
    return Record.make("myrtle", settings, {"rows": rows})
