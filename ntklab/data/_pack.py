"""Inputs with structure as one array, as layers such as ``spec.Mask`` read them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklab.errors import InputError

ABSENT = -1e9
"""What marks absence unless told otherwise: the default of ``spec.Mask``."""


def pack_ragged(
    inputs: Sequence[Any], shape: Sequence[int] | None = None, *, constant: float = ABSENT
) -> NDArray[np.floating]:
    """Fill sequences or images of different sizes up to one size, as ``spec.Mask(constant)`` reads them.

    Parameters
    ----------
    inputs : sequence of arrays
        Of shapes ``(L, C)`` each, or ``(H, W, C)``, ...: the same number of axes and of channels.
    shape : sequence of int, optional
        Spatial sizes to fill up to: ``(L,)`` or ``(H, W)``. Default: the largest of each. Kernels between two sets need
        one shape for both.
    constant : float
        What fills: a number that float32 holds exactly and that is none of the features.

    Returns
    -------
    ndarray, (n, *shape, C)
        What is absent comes last along each axis. float32 if all inputs are, else float64.

    Raises
    ------
    InputError
        No input; inputs with no channels axis, of different ranks or channels, empty, or larger than ``shape``; values
        that are not finite real numbers; a constant that is among them or that float32 rounds.

    Examples
    --------
    >>> pack_ragged([[[1.0]], [[2.0], [3.0]]], constant=-1.0)[..., 0]
    array([[ 1., -1.],
           [ 2.,  3.]])
    """
    arrays = [_features(x, f"input {i}") for i, x in enumerate(inputs)]
    if not arrays:
        raise InputError("pack_ragged needs at least one input, got none.")
    if not np.isfinite(constant) or float(np.float32(constant)) != constant:
        raise InputError(f"constant is a number that float32 holds exactly, such as -1e9; got {constant!r}.")
    first = arrays[0]
    for i, x in enumerate(arrays):
        if x.ndim != first.ndim or x.shape[-1] != first.shape[-1]:
            raise InputError(
                f"Inputs have the same axes and channels; input 0 has shape {first.shape}, input {i} {x.shape}."
            )
        if (x == constant).any():
            raise InputError(
                f"Input {i} has the number {constant!r} among its features, which would mark them as absent; choose "
                f"another constant, here and in spec.Mask."
            )
    largest = tuple(max(sizes) for sizes in zip(*(x.shape[:-1] for x in arrays), strict=True))
    sizes = largest if shape is None else tuple(shape)
    if len(sizes) != len(largest) or any(n < m for n, m in zip(sizes, largest, strict=True)):
        raise InputError(f"shape has a size for each spatial axis, at least {largest} for these inputs; got {shape!r}.")
    packed = np.full((len(arrays), *sizes, first.shape[-1]), constant, np.result_type(*arrays))
    for row, x in zip(packed, arrays, strict=True):
        row[tuple(slice(n) for n in x.shape[:-1])] = x
    return packed


def _features(x: Any, name: str) -> NDArray[np.floating]:
    """Return one input as floating-point numbers, or raise InputError."""
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(f"{name} is no array: {error}") from None
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"{name} has positions and channels, such as (L, C) with L >= 1 and C >= 1, got shape {array.shape}."
        )
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds real numbers, got dtype {array.dtype}.")
    array = array.astype(np.float32 if array.dtype == np.float32 else np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} has NaN or infinite values; clean or drop it.")
    return array
