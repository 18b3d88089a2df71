"""Reproducible parts of a data set."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ntklab.data._arguments import checked_count, checked_seed
from ntklab.data._images import ImageData
from ntklab.errors import InputError


def subset(
    data: ImageData,
    n_train: int | None,
    n_test: int | None = None,
    seed: int = 0,
    *,
    balanced: bool = True,
) -> ImageData:
    """Draw training images with a seed and keep the first test images in order.

    With ``balanced`` every class gives ``n_train // K`` images (``K`` classes) and ``n_train % K`` classes,
    drawn with the seed, give one more. Draws with one seed are nested, balanced or not: the images
    of a smaller ``n_train`` are among those of a larger one, which makes learning curves smoother.
    The drawn images stay in the order in which `data` has them.

    Parameters
    ----------
    data : ImageData
        What to draw from.
    n_train : int or None
        Number of training images, at least 1. None: all, in order, without a draw.
    n_test : int or None
        Number of test images, taken from the front. None: all.
    seed : int
        Seed of ``numpy.random.default_rng``, not negative.
    balanced : bool
        Whether classes are drawn equally (to within one image) or as they come.

    Returns
    -------
    ImageData
        Its ``index_train`` and ``index_test`` are row numbers of the original data, as those of `data` are;
        its ``source`` says what was drawn.

    Raises
    ------
    InputError
        If more images are asked for than there are (of a class, when balanced), or an argument is no
        valid count or seed.

    Examples
    --------
    >>> x = np.zeros((6, 4, 4, 1), np.uint8)
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> data = ImageData(x, y, x, y, ("cat", "dog"), "made up")
    >>> small = subset(data, 4, 3, seed=1)
    >>> small.y_train
    array([0, 0, 1, 1])
    >>> small
    ImageData('made up, 4 of 6 training images (balanced, seed 1), first 3 of 6 test images':
              4 training and 3 test images of 4x4x1 in 2 classes)
    """
    have_train, have_test = len(data.x_train), len(data.x_test)
    source = data.source
    rows = np.arange(have_train)
    if n_train is not None:
        n_train = checked_count("n_train", n_train, 1, have_train, "training images")
        rng = np.random.default_rng(checked_seed(seed))
        rows = _balanced_rows(data, n_train, rng) if balanced else rng.permutation(have_train)[:n_train]
        rows = np.sort(rows)
        how = "balanced" if balanced else "unbalanced"
        source += f", {n_train} of {have_train} training images ({how}, seed {seed})"
    if n_test is None:
        n_test = have_test
    else:
        n_test = checked_count("n_test", n_test, 0, have_test, "test images")
        source += f", first {n_test} of {have_test} test images"
    return dataclasses.replace(
        data,
        x_train=data.x_train[rows],
        y_train=data.y_train[rows],
        x_test=data.x_test[:n_test],
        y_test=data.y_test[:n_test],
        index_train=data.index_train[rows],
        index_test=data.index_test[:n_test],
        source=source,
    )


def _balanced_rows(data: ImageData, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    n_classes = len(data.class_names)
    # Every permutation is drawn in full whatever n is: that is what makes draws of one seed nested.
    order = rng.permutation(n_classes)
    wanted = np.full(n_classes, n // n_classes)
    wanted[order[: n % n_classes]] += 1
    chosen = []
    for label, name in enumerate(data.class_names):
        members = np.flatnonzero(data.y_train == label)
        if wanted[label] > members.size:
            smallest = np.bincount(data.y_train, minlength=n_classes).min()
            raise InputError(
                f"a balanced draw of {n} needs {wanted[label]} training images of class {name!r}, which has "
                f"{members.size}; ask for at most {smallest * n_classes}, or pass balanced=False"
            )
        chosen.append(rng.permutation(members)[: wanted[label]])
    return np.concatenate(chosen)
