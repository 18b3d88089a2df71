"""A matrix that stays in its store and is read by rows, blocks and products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ntklab.errors import InputError
from ntklab.gram._store import Store
from ntklab.gram._tiles import Tile


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """One matrix of a store, as if it were whole: sliced, multiplied, or turned into a NumPy array.

    ``K[i]``, ``K[i:j]``, ``K[i:j, k:l]`` read the tiles concerned (the whole tile, whose checksum is compared);
    ``K @ v`` reads every tile once and holds two; ``np.asarray(K)`` needs room for all. Read in blocks of
    ``K.tile`` rows where you can.

    Attributes
    ----------
    store : Store
    which : int
        Place among the store's matrices.

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    >>> K = ntklab.gram(kfn, np.eye(3), store="memory://example", progress=False).ntk
    >>> K.shape, K[0].round(3), (K @ np.ones(3, "float32")).round(2)
    ((3, 3), array([1.333, 0.212, 0.212], dtype=float32), array([1.76, 1.76, 1.76], dtype=float32))
    """

    store: Store
    which: int

    @property
    def shape(self) -> tuple[int, int]:
        """``(n1, n2)``."""
        return self.store.grid.n_rows, self.store.grid.n_columns

    @property
    def dtype(self) -> np.dtype:
        """Of the entries."""
        return self.store.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def tile(self) -> int:
        """Side of the squares that are read at once."""
        return self.store.grid.tile

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        """Return one line that reads nothing."""
        name, word = self.store.matrices[self.which]
        return f"StoredMatrix({word}{f' of {name}' if name else ''}, {self.shape}, {self.dtype}, {self.store.where!r})"

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return rows, a block, or an entry; integers and slices of step 1."""
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, slice(None))
        (top, bottom), (left, right) = _range(rows, self.shape[0]), _range(columns, self.shape[1])
        block = self._block(top, bottom, left, right)
        if not isinstance(columns, slice):
            block = block[:, 0]
        return block if isinstance(rows, slice) else block[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the whole matrix; it is always read anew."""
        whole = self._block(0, self.shape[0], 0, self.shape[1])
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __matmul__(self, v: Any) -> np.ndarray:
        """Return the product with a vector or a few: ``(n2,)`` or ``(n2, k)``; tiles in order, one read of each."""
        v = np.asarray(v)
        if v.ndim not in (1, 2) or v.shape[0] != self.shape[1]:
            raise InputError(f"K @ v needs v of shape ({self.shape[1]},) or ({self.shape[1]}, k), got {v.shape}.")
        out = np.zeros((self.shape[0], *v.shape[1:]), np.result_type(self.dtype, v.dtype))
        for at, values in self.read_tiles(self.store.grid):
            out[at.top : at.bottom] += values @ v[at.left : at.right]
            if self.store.grid.symmetric and not at.on_diagonal:
                out[at.left : at.right] += values.T @ v[at.top : at.bottom]
        return out

    def diagonal(self) -> np.ndarray:
        """Return the entries ``K[i, i]``; only the tiles that hold them are read."""
        out, n = np.empty(min(self.shape), self.dtype), min(self.shape)
        for start in range(0, n, self.tile):
            stop = min(start + self.tile, n)
            out[start:stop] = self._block(start, stop, start, stop).diagonal()
        return out

    def read_tiles(self, tiles: Any) -> Iterator[tuple[Tile, np.ndarray]]:
        """Yield tiles with their values; the next one is being read meanwhile."""
        before = None
        for at in tiles:
            begun = at, self.store.begin(at, self.which)
            if before is not None:
                yield before[0], self.store.wait_for(*before)
            before = begun
        if before is not None:
            yield before[0], self.store.wait_for(*before)

    def _block(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """Return a rectangle, cut along tiles; below the diagonal of a symmetric matrix it reads the transpose."""
        out = np.empty((bottom - top, right - left), self.dtype)
        pieces = {}
        for r0, r1 in _cuts(top, bottom, self.tile):
            for c0, c1 in _cuts(left, right, self.tile):
                below = self.store.grid.symmetric and r0 // self.tile > c0 // self.tile
                pieces[Tile(r0, r1, c0, c1)] = Tile(c0, c1, r0, r1) if below else Tile(r0, r1, c0, c1)
        for at, (stored, values) in zip(pieces, self.read_tiles(pieces.values()), strict=True):
            whole = values if stored == at else values.T
            out[at.top - top : at.bottom - top, at.left - left : at.right - left] = whole
        return out


def _range(key: Any, n: int) -> tuple[int, int]:
    if isinstance(key, slice):
        start, stop, step = key.indices(n)
        if step == 1:
            return start, max(start, stop)
    elif isinstance(key, int | np.integer) and not isinstance(key, bool):
        if -n <= key < n:
            return int(key) % n, int(key) % n + 1
        raise IndexError(f"row or column {key} of {n}")  # IndexError ends Python's own loops over a sequence
    raise InputError(f"A stored matrix takes integers and slices of step 1, got {key!r}; read a block and index that.")


def _cuts(start: int, stop: int, tile: int) -> list[tuple[int, int]]:
    """Cut ``[start, stop)`` at the multiples of ``tile``."""
    inner = range(start - start % tile + tile, stop, tile)
    edges = [start, *inner, stop]
    return list(pairwise(edges)) if stop > start else []
