"""Is a store right? Every checksum, and a few tiles computed anew."""

from __future__ import annotations

import numpy as np

from ntklab._core import progress_bar
from ntklab.errors import StoreError
from ntklab.gram._compute import compute_tile
from ntklab.gram._fill import kernel_of
from ntklab.gram._findings import Status, Verification
from ntklab.gram._store import Store
from ntklab.gram._tiles import Tile

_ROUNDINGS = 100.0


def status_of(store: Store) -> Status:
    """Return how far a store is."""
    missing = store.missing()
    entries = store.grid.entries
    return Status(
        tiles=len(store.grid),
        tiles_done=len(store.grid) - len(missing),
        entries=entries,
        entries_done=entries - store.grid.entries_of_all(missing),
        claimed=len(store.claims.list().result()),
        manifest=store.manifest,
    )


def verify_store(store: Store, sample: int, repair: bool, seed: int, progress: bool) -> Verification:
    """Read every tile and compute some anew."""
    kfn = kernel_of(store) if sample else None
    missing = set(store.missing())
    there = [at for at in store.grid if at not in missing]
    damaged: list[tuple[Tile, str]] = []
    for at in progress_bar(there, unit=" tiles", desc="checksums", show=progress):
        try:
            store.read(at)
        except StoreError as error:
            damaged.append((at, str(error.__cause__ or error).splitlines()[0]))
            if repair:
                store.drop(at)
    identical, largest, recomputed = 0, 0.0, []
    if kfn is not None:
        wrong = {at for at, _ in damaged}
        sound = [at for at in there if at not in wrong]
        chosen = np.random.default_rng(seed).permutation(len(sound))[:sample]
        recomputed = [sound[i] for i in chosen]
        x1, x2 = store.inputs()
        for at in progress_bar(recomputed, unit=" tiles", desc="recomputing", show=progress):
            stored, anew = store.read(at), np.stack(compute_tile(kfn, x1, x2, store.grid, at))
            identical += bool((stored == anew).all())
            largest = max(largest, float(np.abs(stored - anew).max() / np.abs(anew).max()))
    tolerance = _ROUNDINGS * float(np.finfo(store.dtype).eps)
    return Verification(
        len(there), len(missing), tuple(damaged), len(recomputed), identical, largest, tolerance, repair
    )
