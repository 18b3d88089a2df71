"""Class labels as regression targets, and back."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ntklab.errors import InputError

Coding = Literal["arora", "centred-one-hot", "one-hot"]


def encode(labels: ArrayLike, coding: Coding, n_classes: int | None = None) -> Float[np.ndarray, "n c"]:
    """Regression targets for class labels.

    With e_c the one-hot vector of class c out of C:

    - ``"arora"``: e_c - 0.1, so 0.9 for the class and -0.1 elsewhere, whatever C is. Arora et al. (2019,
      arXiv:1904.11955), experiments on CIFAR-10.
    - ``"centred-one-hot"``: e_c - 1 / C; every row sums to 0. The same as ``"arora"`` for C = 10.
    - ``"one-hot"``: e_c.

    Parameters
    ----------
    labels
        Integer classes 0 .. C - 1, shape (N,).
    coding
        One of the names above. No default: codings change predictions, because the kernel regression has
        no bias.
    n_classes
        C, at least 2. By default the largest label plus one; pass it where the data may lack the last class.

    Returns
    -------
    Float[np.ndarray, "n c"]
        Targets in float64, shape (N, C).

    Raises
    ------
    InputError
        The labels are not integers, not one-dimensional, empty, negative, or at least `n_classes`; the
        coding is unknown; there are fewer than two classes.

    Examples
    --------
    >>> from ntklab.predict import encode
    >>> encode([0, 2], "one-hot")
    array([[1., 0., 0.],
           [0., 0., 1.]])
    >>> encode([1], "arora", n_classes=3)
    array([[-0.1,  0.9, -0.1]])
    >>> encode([1, 0], "centred-one-hot")
    array([[-0.5,  0.5],
           [ 0.5, -0.5]])
    """
    if coding not in get_args(Coding):
        names = ", ".join(repr(name) for name in get_args(Coding))
        raise InputError(f"Unknown label coding {coding!r}: choose one of {names}.")
    classes = class_labels(labels)
    largest = int(classes.max())
    count = largest + 1 if n_classes is None else n_classes
    if count < 2:
        raise InputError(f"Classification needs at least 2 classes, got {count}: pass n_classes.")
    if largest >= count:
        raise InputError(f"Labels must be below n_classes = {count}, but {largest} occurs: labels count from 0.")
    offset = {"arora": 0.1, "centred-one-hot": 1 / count, "one-hot": 0.0}[coding]
    targets = np.full((classes.shape[0], count), 0.0 - offset)
    targets[np.arange(classes.shape[0]), classes] = 1 - offset
    return targets


def decode(scores: ArrayLike) -> Int[np.ndarray, " m"]:
    """The class with the largest score, argmax_c f_c(x); the first one where several are equal.

    Parameters
    ----------
    scores
        Predictions, shape (M, C) with C >= 2. One argmax undoes every coding of :func:`encode`.

    Returns
    -------
    Int[np.ndarray, " m"]
        Classes 0 .. C - 1, shape (M,).

    Raises
    ------
    InputError
        The scores have another shape, are not real or contain NaN.

    Examples
    --------
    >>> from ntklab.predict import decode
    >>> decode([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1]])
    array([1, 0])
    """
    array = np.asarray(scores)
    if array.ndim != 2 or array.shape[1] < 2:
        raise InputError(f"Scores must have shape (M, C) with C >= 2 classes, got {array.shape}.")
    if array.dtype.kind not in "fiu":
        raise InputError(f"Scores must be real numbers, got dtype {array.dtype}.")
    if np.isnan(array).any():
        raise InputError(
            f"Row {int(np.argwhere(np.isnan(array))[0][0])} of the scores contains NaN: check kernel and targets."
        )
    return np.argmax(array, axis=1)


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Fraction of points whose largest score is at their label, between 0 and 1.

    Parameters
    ----------
    scores
        Predictions, shape (M, C).
    labels
        Integer classes, shape (M,).

    Returns
    -------
    float
        Number of hits over M.

    Raises
    ------
    InputError
        Scores or labels have the wrong kind or shape, or a label is not below C.

    Examples
    --------
    >>> from ntklab.predict import accuracy
    >>> accuracy([[0.1, 0.7], [0.9, 0.0], [0.2, 0.3]], [1, 0, 0])
    0.666667
    """
    predicted = decode(scores)
    classes = class_labels(labels)
    if classes.shape != predicted.shape:
        raise InputError(
            f"There must be one label for each of {predicted.shape[0]} rows of scores, got {classes.shape[0]}."
        )
    n_classes = np.asarray(scores).shape[1]
    if int(classes.max()) >= n_classes:
        raise InputError(
            f"Labels must be below {n_classes}, as there are scores for so many, got {int(classes.max())}."
        )
    return float(np.mean(predicted == classes))


def class_labels(labels: ArrayLike) -> Int[np.ndarray, " n"]:
    """Integer classes of shape (N,), at least one and none negative."""
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InputError(f"Labels must have shape (N,), got {array.shape}.")
    if array.size == 0:
        raise InputError("There are no labels: at least one is needed.")
    if array.dtype.kind not in "iu":
        raise InputError(f"Labels must be integers 0 .. C - 1, got dtype {array.dtype}: convert them first.")
    if int(array.min()) < 0:
        raise InputError(f"Labels must be 0 or more, but {int(array.min())} occurs.")
    return array
