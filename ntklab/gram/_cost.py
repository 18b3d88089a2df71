"""What a matrix will cost, from a short measurement, before anything of it is computed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ntklab.engine import KernelFn
from ntklab.gram._compute import compute_tile, matrices
from ntklab.gram._tiles import Tile, TileGrid

TILE_SECONDS = 120.0
"""What a process that dies may lose."""
MEMORY = 2**30
"""Bytes for tiles in a process by default."""
LARGEST_STORED_TILE = 1024
"""Larger ones compute no faster, and the memory that malloc keeps back grows with them."""
_COPIES = 4  # a tile as results, one on its way to disk with its encoded copy, and what the engine holds
_ENOUGH_SECONDS = 0.3


@dataclass(frozen=True)
class Cost:
    """The cost of one matrix; ``print`` shows the arithmetic.

    Attributes
    ----------
    seconds_per_entry : float
        Measured on a small block by this process.
    grid : TileGrid
    matrices : int
        How many are computed and stored together: nngp and ntk are two.
    itemsize : int
        Bytes of an entry.
    numbers_per_input : int
    """

    seconds_per_entry: float
    grid: TileGrid
    matrices: int
    itemsize: int
    numbers_per_input: int

    @property
    def seconds(self) -> float:
        """On one process like this."""
        return self.seconds_per_entry * self.grid.entries

    @property
    def seconds_per_tile(self) -> float:
        """The most that a process which dies can lose, and the unit that processes share."""
        return self.seconds_per_entry * self.grid.tile**2

    @property
    def tile_bytes(self) -> int:
        """One chunk on disk."""
        return self.matrices * self.grid.tile**2 * self.itemsize

    @property
    def disk(self) -> int:
        """All tiles and the inputs, in bytes."""
        inputs = self.grid.n_rows + (0 if self.grid.symmetric else self.grid.n_columns)
        return self.tile_bytes * len(self.grid) + inputs * self.numbers_per_input * self.itemsize

    @property
    def memory(self) -> int:
        """Of a process, beyond what Python, JAX and the engine take, in bytes."""
        return _COPIES * self.tile_bytes + 2 * self.grid.tile * self.numbers_per_input * self.itemsize

    def __str__(self) -> str:
        """Return the arithmetic of time, memory and disk, a line each."""
        g, one = self.grid, self.matrices * self.itemsize
        half = f"{g.n_rows:,} x {g.n_rows + 1:,} / 2" if g.symmetric else f"{g.n_rows:,} x {g.n_columns:,}"
        whole = g.n_rows * g.n_columns * self.itemsize
        return "\n".join(
            [
                f"entries  {half} = {g.entries:,}",
                f"time     {g.entries:,} x {self.seconds_per_entry:.3g} s (measured here) = {duration(self.seconds)} "
                f"on one process like this; N of them take 1/N",
                f"tiles    {len(g):,} of {g.tile} x {g.tile}, {duration(self.seconds_per_tile)} each, lost by a kill",
                f"disk     {len(g):,} tiles x {g.tile}^2 x {one} bytes + inputs = {size(self.disk)}",
                f"memory   {_COPIES} tiles of {size(self.tile_bytes)} + inputs of two sides = {size(self.memory)} "
                f"per process, besides the program itself",
                f"to load  one matrix whole: {size(whole)}; in float64, as solvers need it: "
                f"{size(whole // self.itemsize * 8)}",
            ]
        )


def estimate(kfn: KernelFn, x1: Any, x2: Any = None, *, tile: int | None = None, memory: int = MEMORY) -> Cost:
    """Return what a stored matrix will cost, by a measurement of seconds (and compilation); computes no more.

    Parameters
    ----------
    kfn : KernelFn
    x1, x2 : arrays of shape (n1, *input_shape) and (n2, *input_shape)
        As for :func:`ntklab.gram`.
    tile : int, optional
        Default: the largest that takes at most two minutes, so that no more is lost when a process dies, that fits
        four times into ``memory``, and that has at most 1024 rows.
    memory : int
        Bytes for tiles in one process.

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.gram import estimate
    >>> from ntklab.spec import zoo
    >>> cost = estimate(ntklab.compile(zoo.fc(2), input_shape=(3,)), np.ones((40, 3)), tile=16)
    >>> len(cost.grid), cost.tile_bytes, cost.disk
    (6, 2048, 12768)
    """
    x1 = np.asarray(kfn.check(x1, "x1"))
    x2 = None if x2 is None else np.asarray(kfn.check(x2, "x2"))
    if tile is not None:
        TileGrid(len(x1), len(x1 if x2 is None else x2), tile, symmetric=x2 is None)  # refuses what is no size
    columns = x1 if x2 is None else x2
    per_entry = _seconds_per_entry(kfn, x1, columns)
    numbers = math.prod(kfn.plan.input_shape)
    q, itemsize = len(matrices(kfn)), kfn.dtype.itemsize
    if tile is None:
        by_time = math.isqrt(max(1, int(TILE_SECONDS / per_entry)))
        by_memory = math.isqrt(max(1, memory // (_COPIES * q * itemsize)))
        tile = min(by_time, by_memory, LARGEST_STORED_TILE, max(len(x1), len(columns)))
        tile -= tile % 16 if tile > 16 else 0
    grid = TileGrid(len(x1), len(columns), tile, symmetric=x2 is None)
    return Cost(per_entry, grid, q, itemsize, numbers)


def _seconds_per_entry(kfn: KernelFn, x1: np.ndarray, x2: np.ndarray) -> float:
    """Compute blocks of growing size until one takes a third of a second, each twice: once to compile."""
    side = 4
    while True:
        rows, columns = min(side, len(x1)), min(side, len(x2))
        grid = TileGrid(rows, columns, side, symmetric=False)
        compute_tile(kfn, x1[:rows], x2[:columns], grid, Tile(0, rows, 0, columns))  # compiles
        started = time.perf_counter()
        compute_tile(kfn, x1[:rows], x2[:columns], grid, Tile(0, rows, 0, columns))
        seconds = time.perf_counter() - started
        if seconds > _ENOUGH_SECONDS or side >= min(LARGEST_STORED_TILE, max(len(x1), len(x2))):
            return seconds / (rows * columns)
        side *= 8


def duration(seconds: float) -> str:
    """Return seconds in the unit that people would use."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} s"


def size(count: float) -> str:
    """Return bytes in the decimal unit that people would use."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
