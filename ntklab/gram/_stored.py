"""Kernel matrices in a store: made or gone on with, and opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntklab.engine import KernelFn
from ntklab.errors import MissingExtraError, StoreError
from ntklab.gram._check import status_of as status_of
from ntklab.gram._check import verify_store as verify_store
from ntklab.gram._compute import as_kernels
from ntklab.gram._cost import estimate
from ntklab.gram._export import export_store as export_store
from ntklab.gram._fill import fill
from ntklab.gram._fill import kernel_of as kernel_of
from ntklab.gram._manifest import manifest, require_same
from ntklab.gram._matrix import StoredMatrix
from ntklab.gram._store import Location, Store, create_store, open_store
from ntklab.gram._tiles import TileGrid


def prepare(
    location: Location, kfn: KernelFn, x1: np.ndarray, x2: np.ndarray | None, tile: int | None, memory: int
) -> Store:
    """Return the store of this computation, which nothing else may be in; computes no tile."""
    if tile is not None:
        TileGrid(len(x1), len(x1 if x2 is None else x2), tile, symmetric=x2 is None)  # refuses what is no size
    store = open_store(location)
    if tile is not None:
        side = tile
    else:
        side = store.grid.tile if store is not None else estimate(kfn, x1, x2, memory=memory).grid.tile
    wanted = manifest(kfn, x1, x2, side)  # reads all inputs, once
    if store is None:
        store = create_store(location, wanted, x1, x2)
    if tile is None:
        wanted["tile"] = store.grid.tile  # chosen by a process that was faster
    require_same(store.manifest, wanted, store.where)
    return store


def run(
    store: Store, kfn: KernelFn, dask: Any, progress: bool, inputs: tuple[np.ndarray, np.ndarray] | None = None
) -> Any:
    """Compute what is missing, here or on Dask, and return the matrices of the store."""
    if dask is None:
        fill(store, kfn, progress, inputs)
    else:
        try:
            from ntklab.gram._dask import fill_by_dask
        except ModuleNotFoundError as error:
            if error.name not in ("dask", "distributed"):
                raise
            raise MissingExtraError("dask= needs Dask: pip install 'ntklab[dask]'.") from None
        fill_by_dask(store, dask, progress)
    return matrices_of(store)


def matrices_of(store: Store) -> Any:
    """Return the matrices of a store as kernels."""
    return as_kernels({which: StoredMatrix(store, i) for i, which in enumerate(store.matrices)})


def existing_store(location: Location) -> Store:
    """Return the store at a place, or raise StoreError."""
    store = open_store(location)
    if store is None:
        raise StoreError(f"There is no Gram store at {location}; ntklab.gram(..., store=...) makes one.")
    return store
