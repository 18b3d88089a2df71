"""One tile of a kernel matrix, and a whole matrix in memory."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import jax
import numpy as np

from ntklab._core import progress_bar
from ntklab.engine import Kernel, KernelFn
from ntklab.gram._tiles import Tile, TileGrid

_TILE_STEPS = 2e10
"""Counted steps in a tile by default: seconds on two cores, so that progress moves and Ctrl-C is prompt."""
_TILE_STEPS_OFF_CPU = 5e13
"""The same on an H100, by the count of its kernel's instructions: smaller tiles would not fill it."""
_LARGEST_TILE = 2048


class Inputs(Protocol):
    """Inputs that are read a slice of rows at a time: a NumPy array, or an array of a store."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def matrices(kfn: KernelFn) -> list[tuple[str, str]]:
    """Return the name of the network and the word of ``get`` of every matrix that ``kfn`` computes, in order."""
    return [(name, word) for name, _ in kfn.plan.outputs for word in kfn.plan.get]


def as_kernels(values: dict[tuple[str, str], Any]) -> Any:
    """Return values by network and word as a Kernel, or as a dict of them where networks have names."""
    kernels: dict[str, Kernel] = {}
    for (name, word), value in values.items():
        kernels.setdefault(name, Kernel({})).values[word] = value
    return kernels[""] if set(kernels) == {""} else kernels


def compute_tile(kfn: KernelFn, x1: Inputs, x2: Inputs, grid: TileGrid, at: Tile) -> list[np.ndarray]:
    """Return one tile of every matrix of ``matrices(kfn)``."""
    return finish_tile(start_tile(kfn, x1, x2, grid, at), at)


def compute_whole(
    kfn: KernelFn, x1: np.ndarray, x2: np.ndarray | None, tile: int | None, progress: bool
) -> dict[tuple[str, str], np.ndarray]:
    """Return every matrix of ``matrices(kfn)``, whole, in memory."""
    columns = x1 if x2 is None else x2
    grid = TileGrid(len(x1), len(columns), _default_tile(kfn) if tile is None else tile, symmetric=x2 is None)
    out = {which: np.empty((grid.n_rows, grid.n_columns), kfn.dtype) for which in matrices(kfn)}
    with progress_bar(unit=" entries", total=grid.entries, unit_scale=True, show=progress) as bar:
        for at, blocks in _all_tiles(kfn, x1, columns, grid):
            for matrix, block in zip(out.values(), blocks, strict=True):
                matrix[at.top : at.bottom, at.left : at.right] = block
                if grid.symmetric and not at.on_diagonal:
                    matrix[at.left : at.right, at.top : at.bottom] = block.T
            bar.update(grid.entries_of(at))
    return out


def _all_tiles(
    kfn: KernelFn, x1: np.ndarray, x2: np.ndarray, grid: TileGrid
) -> Iterator[tuple[Tile, list[np.ndarray]]]:
    """Yield all tiles in order, computed by all devices in turns: none of them waits while a tile is copied."""
    turns, ahead = devices_in_turns()
    running: deque[tuple[Tile, list[Any]]] = deque()
    for at, device in zip(grid, turns, strict=False):
        running.append((at, start_tile(kfn, x1, x2, grid, at, device)))
        if len(running) == ahead:
            done, arrays = running.popleft()
            yield done, finish_tile(arrays, done)
    for done, arrays in running:
        yield done, finish_tile(arrays, done)


def devices_in_turns() -> tuple[Iterator[Any], int]:
    """Return this process's devices again and again, and how many tiles to begin before the first is waited for.

    That is one for each device, two where copies take time. A single device is left to JAX (None), as naming it would
    compile anew what was compiled without its name; so is the one that the user has set as JAX's default.
    """
    chosen = getattr(jax.config, "jax_default_device", None)
    if isinstance(chosen, str):  # a platform stands for its first device
        chosen = jax.local_devices(backend=chosen)[0]
    devices = jax.local_devices() if chosen is None else [chosen]
    ahead = len(devices) * (1 if devices[0].platform == "cpu" else 2)
    return itertools.cycle(devices if len(devices) > 1 else [None]), ahead


def start_tile(kfn: KernelFn, x1: Inputs, x2: Inputs, grid: TileGrid, at: Tile, device: Any | None = None) -> list[Any]:
    """Return a tile's arrays, which JAX may still be computing."""
    rows = _side(x1, at.top, grid.tile)
    columns = None if grid.symmetric and at.on_diagonal else _side(x2, at.left, grid.tile)
    with contextlib.nullcontext() if device is None else jax.default_device(device):
        kernels = kfn(rows, columns)
    kernels = {"": kernels} if isinstance(kernels, Kernel) else kernels
    return [kernels[name].values[word] for name, word in matrices(kfn)]


def finish_tile(arrays: list[Any], at: Tile) -> list[np.ndarray]:
    """Wait for a tile's arrays, and return them without what lies beyond the matrix."""
    return [np.asarray(a)[: at.bottom - at.top, : at.right - at.left] for a in arrays]


def _default_tile(kfn: KernelFn) -> int:
    steps = _TILE_STEPS if jax.default_backend() == "cpu" else _TILE_STEPS_OFF_CPU
    return max(1, min(_LARGEST_TILE, math.isqrt(int(steps / kfn.plan.work))))


def _side(x: Inputs, start: int, tile: int) -> np.ndarray:
    """Return the inputs of a tile's side; a ragged last one repeats an input, so that one shape is compiled."""
    block = x[start : start + tile]
    return block[np.minimum(np.arange(min(tile, len(x))), len(block) - 1)] if len(block) < tile else block
