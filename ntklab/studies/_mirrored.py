"""Kernels of images and of mirror images, and the regressions that are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklab.data import ImageData
from ntklab.engine import KernelFn
from ntklab.gram import gram
from ntklab.predict import accuracy, choose_ridge, encode, fit
from ntklab.solve import Ridge


def mirrored(images: NDArray[Any]) -> NDArray[Any]:
    """Return images (n, H, W, C) with left and right changed."""
    return np.ascontiguousarray(images[:, :, ::-1])


def regressions(
    kfn: KernelFn,
    part: ImageData,
    x_train: NDArray[Any],
    x_test: NDArray[Any],
    mirror: NDArray[Any] | None,
    place: Path | None,
    progress: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the network's name and what a record says of each regression on the prepared images of ``part``.

    There is one for each kernel, with and without mirror images, and ridge; ``mirror`` are the mirrored training
    images, if they are wanted.
    """
    for name, kind, flipped, k_train, k_test in _kernels(kfn, x_train, x_test, mirror, place, progress):
        for found in _by_ridge(k_train, k_test, part):
            yield name, {"kind": kind, "mirror_images": flipped, **found}


def _kernels(
    kfn: KernelFn,
    x_train: NDArray[Any],
    x_test: NDArray[Any],
    mirror: NDArray[Any] | None,
    place: Path | None,
    progress: bool,
) -> Iterator[tuple[str, str, bool, NDArray[Any], NDArray[Any]]]:
    r"""Yield the network's name, ``nngp`` or ``ntk``, whether mirror images count, and the kernels of a regression.

    A network that sees a pair of images as it sees the pair of their mirror images makes of all images and their
    mirror images a regression with

    .. math:: \bar K(x, x') = \tfrac12 \left( K(x, x') + K(x, F x') \right).
    """

    def whole(name: str, *inputs: NDArray[Any]) -> Mapping[str, Any]:
        made = gram(kfn, *inputs, store=None if place is None else place / f"{name}.zarr", progress=progress)
        return made if isinstance(made, Mapping) else {"": made}

    alone = whole("train", x_train), whole("test", x_test, x_train)
    other = None if mirror is None else (whole("train-mirror", x_train, mirror), whole("test-mirror", x_test, mirror))
    for name in alone[0]:
        for kind in ("nngp", "ntk"):
            straight = [np.asarray(getattr(kernel[name], kind)) for kernel in alone]
            yield name, kind, False, straight[0], straight[1]
            if other is not None:
                across = [np.asarray(getattr(kernel[name], kind)) for kernel in other]
                k_train, k_test = ((a + b) / 2 for a, b in zip(straight, across, strict=True))
                # symmetric but for the rounding of float32
                yield name, kind, True, (k_train + k_train.T) / 2, k_test


def _by_ridge(k_train: NDArray[Any], k_test: NDArray[Any], part: ImageData) -> list[dict[str, Any]]:
    """Return accuracies without a ridge, and with the one that leave-one-out likes best."""
    targets = encode(part.y_train, "arora", len(part.class_names))
    choice = choose_ridge(k_train, targets)
    models = {"none": (0.0, fit(k_train, targets, Ridge.none())), "loo": (choice.ridge.value, choice.regression)}
    return [
        {"chosen": how, "ridge": value, "accuracy": 100.0 * accuracy(model.predict(k_test), part.y_test)}
        for how, (value, model) in models.items()
    ]
