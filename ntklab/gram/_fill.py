"""Filling a store: every missing tile, alone or next to any number of other processes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from ntklab._core import progress_bar
from ntklab.engine import KernelFn, from_recipe
from ntklab.gram._claims import PATIENCE, Claims
from ntklab.gram._compute import Inputs, devices_in_turns, finish_tile, start_tile
from ntklab.gram._manifest import computed_by, require_same
from ntklab.gram._store import Pending, Store
from ntklab.gram._tiles import Tile

_PATIENCE_IN_TILES = 4.0
_PAUSE = 0.5
_SECONDS_BETWEEN_LISTINGS = 2.0


def kernel_of(store: Store) -> KernelFn:
    """Return the kernel that a store is computed by, or raise StoreError if this machine or version has another."""
    kfn = from_recipe(store.manifest["kernel"])
    require_same(store.manifest, computed_by(kfn), store.where)
    return kfn


def fill(
    store: Store, kfn: KernelFn, progress: bool = True, inputs: tuple[np.ndarray, np.ndarray] | None = None
) -> int:
    """Return when every tile is committed, by this process or another; the number that this one computed.

    A tile is on its way to disk while the next one is computed, and every device has a tile, a GPU two: whatever ends
    this early loses these at most. On one CPU they are two.
    ``inputs`` spares reading those of the store, where the caller has them in memory.
    """
    store.sweep()
    rows, x2 = store.inputs() if inputs is None else inputs
    x1 = _Latest(rows)
    claims, todo, computed = Claims(store), _Todo(store, progress), 0
    turns, ahead = devices_in_turns()
    running: deque[tuple[Tile, float, list[Any]]] = deque()
    in_flight: list[Pending] = []
    tile = np.empty((len(store.matrices), store.grid.tile, store.grid.tile), store.dtype)
    with todo.bar:
        try:
            while todo.missing:
                at = claims.take(todo.missing)
                if at is not None and store.has(at):
                    claims.release(at)
                    todo.committed(at)
                    continue
                if at is not None:
                    started = time.monotonic()
                    running.append((at, started, start_tile(kfn, x1, x2, store.grid, at, next(turns))))
                    if len(running) < ahead:
                        continue
                if running:
                    done, started, arrays = running.popleft()
                    blocks = finish_tile(arrays, done)
                    claims.patience = max(PATIENCE, _PATIENCE_IN_TILES * (time.monotonic() - started))
                    _settle(in_flight, claims, todo)
                    in_flight.append(store.write(done, blocks, tile))
                    del arrays, blocks  # while the next tile is computed, one copy is enough
                    computed += 1
                    todo.list_again(_SECONDS_BETWEEN_LISTINGS)
                else:
                    if not _settle(in_flight, claims, todo):
                        time.sleep(_PAUSE)  # others are computing what is left
                    todo.list_again()
        finally:
            try:
                _settle(in_flight, claims, todo)
            finally:
                claims.release_all()
    store.sweep()
    return computed


class _Latest:
    """Inputs that remember the slice read last: a row of tiles has one and the same."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._held: tuple[slice, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, rows: slice) -> np.ndarray:
        if self._held is None or self._held[0] != rows:
            self._held = (rows, self._inputs[rows])
        return self._held[1]


class _Todo:
    """The tiles that are not committed, as far as this process knows, and the bar that shows it."""

    def __init__(self, store: Store, progress: bool) -> None:
        self.missing = dict.fromkeys(store.missing())
        self._store, self._listed = store, time.monotonic()
        entries = store.grid.entries
        done = entries - store.grid.entries_of_all(self.missing)
        self.bar = progress_bar(unit=" entries", total=entries, initial=done, unit_scale=True, show=progress)

    def committed(self, at: Tile) -> None:
        if at in self.missing:
            del self.missing[at]
            self.bar.update(self._store.grid.entries_of(at))

    def list_again(self, after: float = 0.0) -> None:
        """Look what other processes have committed, if the last look is so many seconds ago."""
        if time.monotonic() - self._listed >= after:
            still = set(self._store.missing())
            for at in [at for at in self.missing if at not in still]:
                self.committed(at)
            self._listed = time.monotonic()


def _settle(in_flight: list[Pending], claims: Claims, todo: _Todo) -> bool:
    """Wait until what was written is committed; whether there was anything."""
    anything = bool(in_flight)
    while in_flight:
        pending = in_flight.pop()
        pending.wait()
        claims.release(pending.at)
        todo.committed(pending.at)
    return anything
