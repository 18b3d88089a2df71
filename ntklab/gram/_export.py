"""A store as .npy or .npz, written a block of rows at a time."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ntklab._core import progress_bar
from ntklab.errors import InputError, StoreError
from ntklab.gram._matrix import StoredMatrix
from ntklab.gram._store import Store

_BLOCK_BYTES = 2**28


def export_store(store: Store, path: str | os.PathLike[str], get: str | None, progress: bool) -> None:
    """Write one matrix as .npy, or all (or one) as .npz, whole or not at all."""
    target = Path(path)
    names = {(f"{name}.{word}" if name else word): i for i, (name, word) in enumerate(store.matrices)}
    if get is not None and get not in names:
        raise InputError(f"The store has {', '.join(names)}, not {get!r}: get one of them.")
    chosen = {get: names[get]} if get is not None else names
    if target.suffix not in (".npy", ".npz") or (target.suffix == ".npy" and len(chosen) > 1):
        raise InputError(f"{target.name}: a name in .npz takes {', '.join(names)}; one in .npy takes one of them.")
    if missing := len(store.missing()):
        raise StoreError(
            f"{store.where} is not complete: {missing:,} of {len(store.grid):,} tiles are missing; run it first."
        )
    draft = target.with_name(target.name + ".tmp")
    bytes_ = len(chosen) * store.grid.n_rows * store.grid.n_columns * store.dtype.itemsize
    try:
        with progress_bar(unit="B", total=bytes_, unit_scale=True, show=progress) as bar:
            if target.suffix == ".npy":
                with draft.open("wb") as file:
                    _write(file, StoredMatrix(store, next(iter(chosen.values()))), bar)
            else:
                with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
                    for name, which in chosen.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                            _write(file, StoredMatrix(store, which), bar)
        draft.replace(target)
    except OSError as error:
        raise StoreError(f"Could not write {target}: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _write(file: Any, matrix: StoredMatrix, bar: Any) -> None:
    header = {"descr": npy.dtype_to_descr(matrix.dtype), "fortran_order": False, "shape": matrix.shape}
    npy.write_array_header_2_0(file, header)
    n_rows, n_columns = matrix.shape
    step = max(1, min(matrix.tile, _BLOCK_BYTES // (n_columns * matrix.dtype.itemsize)))
    for start in range(0, n_rows, step):
        block = np.ascontiguousarray(matrix[start : start + step])
        file.write(block.data)
        bar.update(block.nbytes)
