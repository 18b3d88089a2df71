"""TileGrid: every entry once, and nothing else."""

import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.gram import Tile, TileGrid

SIZES = [1, 2, 3, 4, 5, 7, 8, 12, 13]


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 5, 8, 13, 14, 100])
@pytest.mark.parametrize("n_rows", SIZES)
def test_the_tiles_of_a_rectangle_cover_every_entry_once(n_rows, tile):
    for n_columns in SIZES:
        count = np.zeros((n_rows, n_columns), int)
        for at in TileGrid(n_rows, n_columns, tile, symmetric=False):
            count[at.top : at.bottom, at.left : at.right] += 1
        assert (count == 1).all()


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 5, 8, 13, 14, 100])
@pytest.mark.parametrize("n", SIZES)
def test_the_tiles_of_a_symmetric_matrix_and_their_mirror_images_cover_every_entry_once(n, tile):
    count = np.zeros((n, n), int)
    for at in TileGrid(n, n, tile, symmetric=True):
        assert at.left >= at.top, "the upper triangle only"
        count[at.top : at.bottom, at.left : at.right] += 1
        if not at.on_diagonal:
            count[at.left : at.right, at.top : at.bottom] += 1
    assert (count == 1).all()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("tile", [1, 2, 3, 5, 8, 14])
@pytest.mark.parametrize("n", SIZES)
def test_lengths_and_entries_are_those_of_the_tiles(n, tile, symmetric):
    grid = TileGrid(n, n if symmetric else n + 2, tile, symmetric)
    tiles = list(grid)
    assert len(grid) == len(tiles) == len(set(tiles))
    assert grid.entries == sum(grid.entries_of(at) for at in tiles)
    assert grid.entries == (n * (n + 1) // 2 if symmetric else n * (n + 2))
    for at in tiles:
        rows, columns = np.arange(at.top, at.bottom), np.arange(at.left, at.right)
        wanted = rows[:, None] <= columns if symmetric else np.ones((len(rows), len(columns)))
        assert grid.entries_of(at) == wanted.sum()


@pytest.mark.parametrize("n", SIZES)
def test_no_tile_is_empty_or_larger_than_asked_for(n):
    for tile in (1, 2, 3, 5, 14):
        for at in TileGrid(n, n + 1, tile, symmetric=False):
            assert 1 <= at.bottom - at.top <= tile
            assert 1 <= at.right - at.left <= tile


def test_tiles_come_row_by_row():
    assert list(TileGrid(3, 3, 2, symmetric=True)) == [Tile(0, 2, 0, 2), Tile(0, 2, 2, 3), Tile(2, 3, 2, 3)]
    assert list(TileGrid(3, 2, 2, symmetric=False)) == [Tile(0, 2, 0, 2), Tile(2, 3, 0, 2)]


def test_a_tile_of_a_rectangle_that_crosses_the_diagonal_counts_in_full():
    grid = TileGrid(4, 4, 2, symmetric=False)
    assert grid.entries_of(Tile(0, 2, 0, 2)) == 4


@pytest.mark.parametrize("tile", [0, -1, 2.0, True, "2", None])
def test_a_tile_that_is_no_positive_integer_is_refused(tile):
    with pytest.raises(InputError, match=r"tile is a positive integer.*got"):
        TileGrid(3, 3, tile, symmetric=True)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(0, 3), (3, 0), (0, 0), (-1, 3)])
def test_a_matrix_without_entries_is_refused(n_rows, n_columns):
    with pytest.raises(InputError, match=f"got {n_rows} x {n_columns}"):
        TileGrid(n_rows, n_columns, 2, symmetric=False)


def test_a_symmetric_matrix_that_is_not_square_is_refused():
    with pytest.raises(InputError, match="A symmetric matrix is square, got 3 x 4"):
        TileGrid(3, 4, 2, symmetric=True)
