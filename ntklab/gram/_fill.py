"""Filling a store: every missing tile, alone or next to any number of other processes."""

from __future__ import annotations

import time

from ntklab._core import progress_bar
from ntklab.engine import KernelFn, from_recipe
from ntklab.gram._claims import PATIENCE, Claims
from ntklab.gram._compute import compute_tile
from ntklab.gram._manifest import computed_by, require_same
from ntklab.gram._store import Pending, Store

_PATIENCE_IN_TILES = 4.0
_PAUSE = 0.5


def kernel_of(store: Store) -> KernelFn:
    """Return the kernel that a store is computed by, or raise StoreError if this machine or version has another."""
    kfn = from_recipe(store.manifest["kernel"])
    require_same(store.manifest, computed_by(kfn), store.where)
    return kfn


def fill(store: Store, kfn: KernelFn, progress: bool = True) -> int:
    """Return when every tile is committed, by this process or another; the number that this one computed.

    A tile is on its way to disk while the next one is computed: whatever ends this early loses these two at most.
    """
    store.sweep()
    x1, x2 = store.inputs()
    claims, computed = Claims(store), 0
    in_flight: list[Pending] = []
    missing = store.missing()
    left = store.grid.entries_of_all(missing)
    done = store.grid.entries - left
    bar = progress_bar(unit=" entries", total=store.grid.entries, initial=done, unit_scale=True, show=progress)
    with bar:
        try:
            while missing:
                at = claims.take(missing)
                missing = store.missing()
                left, before = store.grid.entries_of_all(missing), left
                bar.update(before - left)
                if at is None:
                    if not _settle(in_flight, claims) and missing:
                        time.sleep(_PAUSE)  # others are computing what is left
                elif at not in missing:
                    claims.release(at)
                else:
                    started = time.monotonic()
                    blocks = compute_tile(kfn, x1, x2, store.grid, at)
                    claims.patience = max(PATIENCE, _PATIENCE_IN_TILES * (time.monotonic() - started))
                    _settle(in_flight, claims)
                    in_flight.append(store.write(at, blocks))
                    del blocks  # while the next tile is computed, one copy is enough
                    computed += 1
        finally:
            try:
                _settle(in_flight, claims)
            finally:
                claims.release_all()
    store.sweep()
    return computed


def _settle(in_flight: list[Pending], claims: Claims) -> bool:
    """Wait until what was written is committed; whether there was anything."""
    anything = bool(in_flight)
    while in_flight:
        tile = in_flight.pop()
        tile.wait()
        claims.release(tile.at)
    return anything
