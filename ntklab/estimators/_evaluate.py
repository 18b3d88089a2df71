"""Networks by name, and their kernels on rows of features: what all estimators share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ntklab._core import precision_for
from ntklab.engine import KernelFn, compile
from ntklab.errors import InputError
from ntklab.gram import gram
from ntklab.spec import Layer, zoo

Word = Literal["nngp", "ntk"]

NAMED: dict[str, Callable[[Any], Layer]] = {
    "fc": lambda depth: zoo.fc(depth, b_std=0.5),  # without a bias, rows that are multiples of each other are alike
    "cntk-v": lambda depth: zoo.cntk(depth, "none"),
    "cntk-gap": lambda depth: zoo.cntk(depth, "gap"),
    "cntk-lap": lambda depth: zoo.cntk_lap(depth, 4),
    "plain-cnn-v": lambda depth: zoo.plain_cnn(depth, "none"),
    "plain-cnn-gap": lambda depth: zoo.plain_cnn(depth, "gap"),
    "myrtle": zoo.myrtle,
    "rntk": zoo.rntk,
    "transformer": zoo.transformer,
}
"""Networks of :mod:`ntklab.spec.zoo` with one number, their depth; none but ``fc`` has a bias, and the reach is 4."""

_FREE_STEPS = 1e9
"""Counted steps that take less time than compiling a network for one more shape."""


def named_network(network: str | Layer, depth: int) -> Layer:
    """Return the network itself, or the one of this name and depth."""
    if isinstance(network, Layer):
        return network
    if network not in NAMED:
        raise InputError(f"network is a network of ntklab.spec or one of {', '.join(NAMED)}; got {network!r}.")
    return NAMED[network](depth)


def kernel_function(
    network: Layer, features: int, image_shape: Sequence[int] | None, word: Word, engine: str, dtype: str
) -> KernelFn:
    """Return the compiled kernel of inputs that come as rows of features."""
    shape = (features,) if image_shape is None else tuple(image_shape)
    if math.prod(shape) != features:
        raise InputError(f"image_shape {shape} has {math.prod(shape)} numbers, X has {features} columns: give as many.")
    with _precision(dtype):
        return compile(network, shape, engine=engine, dtype=np.dtype(dtype), get=(word,))


def kernel_matrix(kfn: KernelFn, x1: np.ndarray, x2: np.ndarray | None = None, progress: bool = False) -> np.ndarray:
    """Return the kernel of rows of features, shape ``(n1, n2)``; ``x2=None`` is the symmetric case.

    Engines compile once for each number of inputs. So where entries are cheap, inputs are repeated up to a power of
    two: folds of a cross-validation, or predictions for 7 and then 8 points, then compile nothing anew.
    """
    sizes = [len(x1)] if x2 is None else [len(x1), len(x2)]
    padded = [max(16, 2 ** math.ceil(math.log2(n))) for n in sizes]
    entries = padded[0] * padded[-1] - sizes[0] * sizes[-1]
    if entries * kfn.plan.work > _FREE_STEPS:
        padded = sizes
    with _precision(kfn.dtype.name):
        rows = [_images(kfn, x, n) for x, n in zip((x1, x2), padded, strict=False)]
        (values,) = gram(kfn, *rows, progress=progress).values.values()
    return np.ascontiguousarray(values[: sizes[0], : sizes[-1]])


def kernel_diagonal(kfn: KernelFn, x: np.ndarray) -> np.ndarray:
    """Return the kernel of every row with itself, shape ``(n,)``."""
    with _precision(kfn.dtype.name):
        (values,) = kfn.diagonal(_images(kfn, x, 2 ** math.ceil(math.log2(len(x))))).values.values()
        return np.asarray(values)[: len(x)]


def _images(kfn: KernelFn, x: Any, n: int) -> np.ndarray:
    return x[np.minimum(np.arange(n), len(x) - 1)].reshape(n, *kfn.plan.input_shape)


def _precision(dtype: str) -> Any:
    """Return a context with JAX's 64-bit mode, where it is needed."""
    if dtype not in ("float32", "float64"):
        raise InputError(f'dtype is "float32" or "float64", got {dtype!r}.')
    return precision_for(dtype)
