"""A kernel matrix block by block on the host: in memory, streamed from files, or computed on the fly."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError
from ntklab.solve._gram import checked_gram, symmetry_tolerance
from ntklab.solve._operator import SymmetricOperator, checked_indices, checked_vectors

_TILE = 2048
_FEW = 128
"""Inputs are padded to this many, or to a tile, so that a compiled kernel sees three shapes of blocks."""

Block = Callable[[slice, slice], Any]
Gather = Callable[[np.ndarray, slice], Any]


@dataclass(frozen=True, eq=False)
class BlockOperator:
    """K from a function that returns any block of it; a product touches each pair of points once.

    Y = K V is summed over blocks of the upper triangle, K_IJ for Y_I and its transpose for Y_J, so a block is
    read or computed once per product and at most ``threads + 2`` blocks are in memory.

    Parameters
    ----------
    block
        ``block(rows, columns)`` returns K[rows, columns] for two slices with start and stop; NumPy, JAX or
        anything with ``__array__``, float32 or float64. Only blocks with ``rows.start <= columns.start`` are
        asked for, except by ``rows``.
    size
        N, the number of training points.
    tile
        Side of a block. The default of 2048 holds 16 MB in float32; for files, take the side of their chunks.
    threads
        Threads that call `block` ahead of the sum, and multiply it. The default, 0, does so in the thread of
        the caller, which JAX functions inside ``jax.enable_x64`` need.
    gather
        ``gather(indices, columns)`` returns K[indices, columns], if there is a cheaper way than blocks.

    Raises
    ------
    InputError
        A block of the first points has another shape or dtype, or is not symmetric and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import BlockOperator
    >>> x = np.arange(5.0)
    >>> K = BlockOperator(lambda rows, columns: np.minimum(x[rows, None], x[None, columns]) + 1, 5, tile=2)
    >>> K.matmat(np.ones((5, 1))).ravel()
    array([ 5.,  9., 12., 14., 15.])
    >>> K.rows([3])
    array([[1., 2., 3., 4., 4.]])
    """

    block: Block
    size: int
    tile: int = _TILE
    threads: int = 0
    gather: Gather | None = None

    def __post_init__(self) -> None:
        """Check sizes, and the first block, before any work."""
        for name, value, least in (("size", self.size, 1), ("tile", self.tile, 1), ("threads", self.threads, 0)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} must be an integer of at least {least}, got {value!r}.")
        first = self._first
        if first.dtype not in (np.float32, np.float64):
            raise InputError(f"Blocks of a kernel matrix must be float32 or float64, got {first.dtype}: convert them.")
        if not np.isfinite(first).all():
            raise InputError(
                "The first block of the kernel matrix has NaN or infinite entries: check inputs and kernel."
            )
        worst, scale = float(np.abs(first - first.T).max()), float(np.abs(first.diagonal()).mean())
        if worst > symmetry_tolerance(first.dtype) * scale:
            raise InputError(
                f"The kernel matrix must be symmetric, but its first block differs from its transpose by {worst:.3g} "
                f"where the mean diagonal is {scale:.3g}: rows and columns must be the same training points."
            )

    @cached_property
    def _first(self) -> np.ndarray:
        few = slice(0, min(self.size, self.tile, 8))
        return self._checked(few, few, self.block(few, few))

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        return self.size, self.size

    @property
    def dtype(self) -> np.dtype:
        """Precision of the entries."""
        return self._first.dtype

    @classmethod
    def of_array(cls, gram: ArrayLike, *, tile: int = _TILE) -> "BlockOperator":
        """Return the operator of a matrix in memory, after the checks of :func:`factorise`; no copy.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.solve import BlockOperator
        >>> BlockOperator.of_array([[2.0, 1.0], [1.0, 2.0]]).matmat(np.array([[1.0], [5.0]])).ravel()
        array([ 7., 11.])
        """
        matrix = checked_gram(gram)
        return cls(lambda i, j: matrix[i, j], len(matrix), tile, gather=lambda index, j: matrix[index, j])

    @classmethod
    def of_stored(cls, matrix: Any, *, tile: int | None = None, threads: int = 1) -> "BlockOperator":
        """Return the operator of a matrix in files, which every product reads once, upper triangle only.

        Parameters
        ----------
        matrix
            What has a shape and gives blocks ``matrix[i:j, k:l]``: a matrix of a Gram store, a memory map, Zarr.
        tile
            Default: ``matrix.tile`` where there is one.
        threads
            As for the class.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.solve import BlockOperator
        >>> BlockOperator.of_stored(np.eye(4), tile=2).diagonal()
        array([1., 1., 1., 1.])
        """
        if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"A kernel matrix must have shape (N, N), got {tuple(matrix.shape)}.")
        side = getattr(matrix, "tile", _TILE) if tile is None else tile
        return cls(lambda i, j: np.asarray(matrix[i, j]), matrix.shape[0], side, threads)

    @classmethod
    def of_kernel(
        cls, kernel: Callable[[Any, Any], Any], inputs: Any, *, tile: int = _TILE, threads: int = 0
    ) -> "BlockOperator":
        """Return the operator that computes K_ij = kernel(x_i, x_j) anew for every product.

        Parameters
        ----------
        kernel
            ``kernel(x1, x2)`` returns the (n1, n2) matrix of two sets of inputs, such as
            ``jax.jit(lambda a, b: kfn(a, b).ntk)``.
        inputs
            Training inputs, an array with N rows; a set that does not fill its block repeats its last row, so
            that a compiled kernel compiles three shapes and no more.
        tile
            Side of a block.
        threads
            As for the class; 2 or more use several cores where the kernel itself uses one.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.solve import BlockOperator
        >>> K = BlockOperator.of_kernel(lambda a, b: a @ b.T, np.array([[1.0, 0.0], [1.0, 1.0]]))
        >>> K.diagonal(), K.dtype.name
        (array([1., 2.]), 'float64')
        """

        def block(rows: slice, columns: slice) -> Any:
            i, j = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
            side = _FEW if max(len(i), len(j)) <= _FEW else tile
            return np.asarray(kernel(inputs[_padded(i, side)], inputs[_padded(j, side)]))[: len(i), : len(j)]

        def gather(index: np.ndarray, columns: slice) -> Any:
            j = np.arange(columns.start, columns.stop)
            values = kernel(inputs[_padded(index, _FEW)], inputs[_padded(j, tile)])
            return np.asarray(values)[: len(index), : len(j)]

        return cls(block, len(inputs), tile, threads, gather)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        """Diagonal of K in float64; the first call reads blocks along it."""
        return self._diagonal.copy()

    @cached_property
    def _diagonal(self) -> np.ndarray:
        # With a gather a block is computed, and small ones waste less; from files it is read, a tile at a time.
        step = min(self.tile, _FEW) if self.gather else self.tile
        spans = [slice(at, min(at + step, self.size)) for at in range(0, self.size, step)]
        return np.concatenate([self._checked(s, s, self.block(s, s)).diagonal() for s in spans]).astype(np.float64)

    def rows(self, indices: ArrayLike) -> Float[np.ndarray, "k n"]:
        """Rows K[indices], shape (k, N), in the dtype of the entries.

        With `gather`, k N entries; without, in every tile of rows the span from the first to the last row asked
        for, up to the whole matrix.
        """
        index = checked_indices(indices, self.size, "indices of rows")
        out = np.empty((len(index), self.size), self.dtype)
        for columns in self._spans():
            if self.gather is not None:
                for at in range(0, len(index), _FEW):
                    out[at : at + _FEW, columns] = np.asarray(self.gather(index[at : at + _FEW], columns))
                continue
            for tile in np.unique(index // self.tile):
                inside = np.flatnonzero(index // self.tile == tile)
                span = slice(int(index[inside].min()), int(index[inside].max()) + 1)
                block = self._checked(span, columns, self.block(span, columns))
                out[inside, columns] = block[index[inside] - span.start]
        return out

    def matmat(self, vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """K V in float64; blocks and V are multiplied in the dtype of V and summed over blocks in float64."""
        v = checked_vectors(vectors, self.size)
        out = np.zeros(v.shape)
        for rows, columns, (right, left) in self._upper(partial(self._products, v)):
            out[rows] += right
            out[columns] += left
        return out

    def _products(self, v: np.ndarray, rows: slice, columns: slice, values: Any) -> tuple[np.ndarray, np.ndarray]:
        """What a block adds to its rows of K V, and its transpose to its columns."""
        block = self._checked(rows, columns, values).astype(v.dtype, copy=False)
        # Two equal sets of inputs give a block that is symmetric only within rounding: its mean with the transpose.
        weight = 0.5 if rows == columns else 1.0
        right, left = weight * (block @ v[columns]), weight * (block.T @ v[rows])
        return self._finite(right, rows, columns), self._finite(left, rows, columns)

    def _spans(self) -> list[slice]:
        return [slice(at, min(at + self.tile, self.size)) for at in range(0, self.size, self.tile)]

    def _upper(self, use: Callable[[slice, slice, Any], Any]) -> Iterator[tuple[slice, slice, Any]]:
        """What ``use`` makes of each block of the upper triangle, in order; the next ones are asked for before."""
        spans = self._spans()
        pairs = ((i, j) for at, i in enumerate(spans) for j in spans[at:])
        waiting: deque[tuple[slice, slice, Any]] = deque()
        with ThreadPoolExecutor(max(1, self.threads)) as pool:

            def arrived() -> tuple[slice, slice, Any]:
                rows, columns, made = waiting.popleft()
                return rows, columns, made.result() if self.threads else use(rows, columns, made)

            for rows, columns in pairs:
                # Without threads, JAX still computes the next block while this one is used.
                made = pool.submit(self._used, use, rows, columns) if self.threads else self.block(rows, columns)
                waiting.append((rows, columns, made))
                if len(waiting) > max(1, self.threads):
                    yield arrived()
            while waiting:
                yield arrived()

    def _used(self, use: Callable[[slice, slice, Any], Any], rows: slice, columns: slice) -> Any:
        return use(rows, columns, self.block(rows, columns))

    @staticmethod
    def _checked(rows: slice, columns: slice, values: Any) -> np.ndarray:
        block, wanted = np.asarray(values), (rows.stop - rows.start, columns.stop - columns.start)
        if block.shape != wanted:
            raise InputError(
                f"The block of rows {rows.start}:{rows.stop} and columns {columns.start}:{columns.stop} must have "
                f"shape {wanted}, got {block.shape}."
            )
        return block

    @staticmethod
    def _finite(product: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        if not np.isfinite(product).all():
            raise SolveError(
                f"The product with rows {rows.start}:{rows.stop} and columns {columns.start}:{columns.stop} of the "
                "kernel matrix is not finite: check that block for NaN and infinite entries; or the vectors overflow."
            )
        return product


def as_operator(matrix: SymmetricOperator | ArrayLike) -> SymmetricOperator:
    """An operator as it is, a matrix that names its tiles from its files, and anything else as an array."""
    if isinstance(matrix, SymmetricOperator):
        return matrix
    return BlockOperator.of_stored(matrix) if hasattr(matrix, "tile") else BlockOperator.of_array(matrix)


def _padded(index: np.ndarray, size: int) -> np.ndarray:
    return index[np.minimum(np.arange(size), len(index) - 1)]
