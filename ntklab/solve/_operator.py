"""What iterative solvers ask of a kernel matrix: size, diagonal, some rows, and products with vectors."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.solve._gram import target_array


@runtime_checkable
class SymmetricOperator(Protocol):
    """A symmetric matrix K that need not be in memory; any object with these five members is one.

    :class:`BlockOperator` and :class:`ShardedOperator` are; so is a class of your own.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64: the precision of the entries."""
        ...

    def diagonal(self) -> Float[np.ndarray, " n"]:
        """Diagonal of K in float64, shape (N,)."""
        ...

    def rows(self, indices: ArrayLike) -> Float[np.ndarray, "k n"]:
        """Rows K[indices], shape (k, N), in the dtype of the entries."""
        ...

    def matmat(self, vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """K V in float64, shape (N, C); entries and V are multiplied in the dtype of V, float32 or float64."""
        ...


@runtime_checkable
class ReplicatedOperator(SymmetricOperator, Protocol):
    """An operator whose products need several processes, which all run the same solver."""

    @property
    def leader(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        ...

    def agree(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the leader's arrays, of the same shapes and dtypes, in every process."""
        ...


def checked_indices(indices: ArrayLike, n: int, name: str) -> np.ndarray:
    """Indices of rows as a one-dimensional integer array; `name` is what the error calls them."""
    index = np.asarray(indices)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise InputError(f"The {name} must be a list of integers, got dtype {index.dtype} and shape {index.shape}.")
    if index.size and (index.min() < 0 or index.max() >= n):
        raise InputError(f"The {name} must lie between 0 and {n - 1}, got {int(index.min())} .. {int(index.max())}.")
    return index.astype(np.int64)


def checked_vectors(vectors: np.ndarray, n: int) -> np.ndarray:
    """V of a product, shape (N, C), in float32 or float64."""
    if vectors.ndim != 2 or vectors.shape[0] != n or vectors.dtype not in (np.float32, np.float64):
        raise InputError(
            f"A product needs vectors of shape ({n}, C) in float32 or float64, got {vectors.shape} in {vectors.dtype}."
        )
    return vectors


def checked_targets(targets: ArrayLike, n: int) -> Float[np.ndarray, "n *c"]:
    """Right-hand sides as float64, shape (N,) or (N, C), all finite."""
    right = target_array(targets, n)
    if right.size == 0:
        raise InputError(
            f"Targets must have shape ({n},) or ({n}, C), one row for each of the {n} training points; "
            f"got {right.shape}."
        )
    return right
