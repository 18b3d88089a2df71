"""`ntklab.gram`: a whole kernel matrix on the host, tile by tile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Num
from tqdm import tqdm

from ntklab.engine import Kernel, KernelFn
from ntklab.errors import InputError
from ntklab.gram._tiles import Tile, TileGrid

_TILE_STEPS = 2e10
"""Counted steps in a tile by default: seconds on two cores, so that progress moves and Ctrl-C is prompt."""
_LARGEST_TILE = 2048


def gram(
    kfn: KernelFn,
    x1: Num[Any, "n1 *shape"],
    x2: Num[Any, "n2 *shape"] | None = None,
    *,
    tile: int | None = None,
    progress: bool = True,
) -> Any:
    """Return the whole kernel matrix of one or two sets of inputs.

    Parameters
    ----------
    kfn : KernelFn
    x1, x2 : arrays of shape (n1, *input_shape) and (n2, *input_shape)
        Any sizes. ``x2`` left out: the symmetric matrix, of which only the upper triangle is computed; it
        equals its transpose bit for bit.
    tile : int, optional
        Side of the squares that are computed at once; device memory is bounded by it. Default: some seconds
        of counted work. Entries do not depend on it beyond rounding.
    progress : bool
        Show entries done, entries per second and time left.

    Returns
    -------
    Kernel, or dict of name to Kernel if ``kfn`` has several networks
        Of NumPy arrays of ``kfn.dtype`` and shape ``(n1, n2)``: memory ``n1 * n2`` numbers each, and one tile.

    Raises
    ------
    InputError
        As ``kfn`` itself, before anything is computed; or a tile that is not a positive integer.

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    >>> ntklab.gram(kfn, np.eye(3), tile=2, progress=False).ntk.round(3)
    array([[1.333, 0.212, 0.212],
           [0.212, 1.333, 0.212],
           [0.212, 0.212, 1.333]], dtype=float32)
    """
    if not isinstance(kfn, KernelFn):
        raise InputError(f"kfn is what ntklab.compile(...) returns, got {type(kfn).__name__}.")
    rows: np.ndarray = np.asarray(kfn.check(x1, "x1"))
    columns: np.ndarray = rows if x2 is None else np.asarray(kfn.check(x2, "x2"))
    symmetric = x2 is None
    grid = TileGrid(len(rows), len(columns), _default_tile(kfn) if tile is None else tile, symmetric)
    out = {
        name: {word: np.empty((grid.n_rows, grid.n_columns), kfn.dtype) for word in kfn.plan.get}
        for name, _ in kfn.plan.outputs
    }
    with tqdm(total=grid.entries, unit=" entries", unit_scale=True, disable=not progress, smoothing=0.1) as bar:
        for at in grid:
            same = symmetric and at.on_diagonal
            _store(
                out,
                at,
                kfn(_side(rows, at.top, grid.tile), None if same else _side(columns, at.left, grid.tile)),
                symmetric,
            )
            bar.update(grid.entries_of(at))
    grams = {name: Kernel(values) for name, values in out.items()}
    return grams[""] if set(grams) == {""} else grams


def _default_tile(kfn: KernelFn) -> int:
    return max(1, min(_LARGEST_TILE, math.isqrt(int(_TILE_STEPS / kfn.plan.work))))


def _side(x: np.ndarray, start: int, tile: int) -> np.ndarray:
    """Return the inputs of a tile's side; a ragged last one repeats an input, so that one shape is compiled."""
    return x[np.minimum(np.arange(start, start + min(tile, len(x))), len(x) - 1)]


def _store(out: dict[str, dict[str, np.ndarray]], at: Tile, kernels: Any, symmetric: bool) -> None:
    kernels = {"": kernels} if isinstance(kernels, Kernel) else kernels
    for name, kernel in kernels.items():
        for word, matrix in out[name].items():
            block = np.asarray(kernel.values[word])[: at.bottom - at.top, : at.right - at.left]
            matrix[at.top : at.bottom, at.left : at.right] = block
            if symmetric and not at.on_diagonal:
                matrix[at.left : at.right, at.top : at.bottom] = block.T
