"""Tiles of a Gram matrix: integers only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ntklab.errors import InputError


class Tile(NamedTuple):
    """Rows ``[top, bottom)`` and columns ``[left, right)`` of the matrix."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def on_diagonal(self) -> bool:
        """Whether rows and columns are the same, which only counts in a symmetric matrix."""
        return (self.top, self.bottom) == (self.left, self.right)


@dataclass(frozen=True)
class TileGrid:
    """The cut of an ``n_rows x n_columns`` matrix into squares of ``tile``, ragged at the far edges.

    Examples
    --------
    >>> grid = TileGrid(5, 5, tile=2, symmetric=True)
    >>> len(grid), grid.entries, list(grid)[-1]
    (6, 15, Tile(top=4, bottom=5, left=4, right=5))
    """

    n_rows: int
    n_columns: int
    tile: int
    symmetric: bool

    def __post_init__(self) -> None:
        """Check the sizes."""
        if not isinstance(self.tile, int) or isinstance(self.tile, bool) or self.tile < 1:
            raise InputError(f"tile is a positive integer, the side of a tile in entries; got {self.tile!r}.")
        if self.n_rows < 1 or self.n_columns < 1:
            raise InputError(f"A Gram matrix needs rows and columns, got {self.n_rows} x {self.n_columns}.")
        if self.symmetric and self.n_rows != self.n_columns:
            raise InputError(f"A symmetric matrix is square, got {self.n_rows} x {self.n_columns}.")

    def __len__(self) -> int:
        rows, columns = -(-self.n_rows // self.tile), -(-self.n_columns // self.tile)
        return rows * (rows + 1) // 2 if self.symmetric else rows * columns

    def __iter__(self) -> Iterator[Tile]:
        """Yield tiles row by row; of a symmetric matrix the upper triangle only."""
        for top in range(0, self.n_rows, self.tile):
            for left in range(top if self.symmetric else 0, self.n_columns, self.tile):
                bottom, right = min(top + self.tile, self.n_rows), min(left + self.tile, self.n_columns)
                yield Tile(top, bottom, left, right)

    @property
    def entries(self) -> int:
        """Entries that have to be computed."""
        return self.n_rows * (self.n_rows + 1) // 2 if self.symmetric else self.n_rows * self.n_columns

    def entries_of(self, tile: Tile) -> int:
        """Entries of one tile that have to be computed."""
        n = tile.bottom - tile.top
        return n * (n + 1) // 2 if self.symmetric and tile.on_diagonal else n * (tile.right - tile.left)

    def entries_of_all(self, tiles: Iterable[Tile]) -> int:
        """Entries of several tiles that have to be computed."""
        return sum(map(self.entries_of, tiles))
