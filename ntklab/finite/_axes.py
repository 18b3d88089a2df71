"""What happens to the output axes of a kernel, and in which portions of outputs it is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int

from ntklab.errors import InputError

Axis = Literal["mean", "trace", "diagonal", "full"]
Outputs = Axis | tuple[Axis, ...]


class Portion(NamedTuple):
    """Outputs computed together: S slices, in each of which F outputs on the left meet G on the right.

    Attributes
    ----------
    left, right : numpy array of int, (S, F) and (S, G)
        Positions in the flattened output.
    diagonal, rows, columns : slice
        Where the result belongs in the axes (D, F, G) of the kernel.
    total : bool
        Whether it is the sum over the slices.
    """

    left: Int[np.ndarray, "S F"]
    right: Int[np.ndarray, "S G"]
    diagonal: slice
    rows: slice
    columns: slice
    total: bool


@dataclass(frozen=True)
class Axes:
    """One word per output axis.

    Attributes
    ----------
    shape : tuple of int
        Of the outputs of one input.
    words : tuple of {"mean", "trace", "diagonal", "full"}
    """

    shape: tuple[int, ...]
    words: tuple[Axis, ...]

    @property
    def table(self) -> Int[np.ndarray, "T D F"]:
        """Return the flat position of every output by traced, diagonal and full axes."""
        groups = [[i for i, word in enumerate(self.words) if word in kind] for kind in _GROUPS]
        flat = np.arange(math.prod(self.shape)).reshape(self.shape).transpose([i for group in groups for i in group])
        return flat.reshape([math.prod(self.shape[i] for i in group) for group in groups])

    @property
    def cotangents(self) -> int:
        """Return how many outputs are pulled back."""
        return math.prod(self.table.shape)

    @property
    def products(self) -> int:
        """Return how many pairs of outputs meet for each pair of inputs."""
        return self.cotangents * self.table.shape[2]

    def portions(self, most: int) -> Iterator[Portion]:
        """Yield all pairs of outputs, at most ``most`` outputs a side at a time."""
        traced, diagonal, full = self.table.shape
        slices, outputs = max(most // max(full, 1), 1), min(most, full)
        if diagonal == 1:
            groups = [(self.table[i, 0], slice(0, 1), True) for i in blocks(traced, slices)]
        else:
            groups = [(self.table[t, i], i, False) for t in range(traced) for i in blocks(diagonal, slices)]
        for index, where, total in groups:
            for rows in blocks(full, outputs):
                for columns in blocks(full, outputs):
                    yield Portion(index[:, rows], index[:, columns], where, rows, columns, total)

    def finish(self, kernel: Float[np.ndarray, "n m D F G"]) -> Float[np.ndarray, "n m ..."]:
        """Return the kernel with its axes written out and means divided by their number."""
        kept = [tuple(n for n, w in zip(self.shape, self.words, strict=True) if w == word) for word in _KEPT]
        count = math.prod(n for n, word in zip(self.shape, self.words, strict=True) if word == "mean")
        shaped = kernel.reshape(kernel.shape[:2] + kept[0] + kept[1] + kept[1])
        return shaped / shaped.dtype.type(count) if count > 1 else shaped


_GROUPS, _KEPT = (("mean", "trace"), ("diagonal",), ("full",)), ("diagonal", "full")


def settle_axes(outputs: Outputs, shape: tuple[int, ...]) -> Axes:
    """Return one word per output axis, or raise InputError."""
    words = (outputs,) * len(shape) if isinstance(outputs, str) else tuple(outputs)
    known = get_args(Axis)
    if any(word not in known for word in ((outputs,) if isinstance(outputs, str) else words)):
        raise InputError(f'outputs is "mean", "trace", "diagonal" or "full", or one of them per axis; got {outputs!r}.')
    if len(words) != len(shape):
        raise InputError(f"outputs has {len(words)} words for outputs of shape {shape}; it needs {len(shape)}.")
    return Axes(shape, words)


def blocks(n: int, size: int) -> list[slice]:
    """Return ``range(n)`` cut into slices of ``size``, the last maybe shorter."""
    return [slice(start, min(start + size, n)) for start in range(0, n, max(size, 1))]


def mirror(kernel: Float[np.ndarray, "n n D F F"]) -> Float[np.ndarray, "n n D F F"]:
    """Return the kernel whose upper triangle (by input, then output) is given, equal to its transpose bit for bit."""
    n, _, d, f, _ = kernel.shape
    square = np.triu(kernel.transpose(2, 0, 3, 1, 4).reshape(d, n * f, n * f))
    whole = square + np.triu(square, 1).swapaxes(1, 2)
    return np.ascontiguousarray(whole.reshape(d, n, f, n, f).transpose(1, 3, 0, 2, 4))
