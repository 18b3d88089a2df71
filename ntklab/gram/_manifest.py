"""What a store holds: a manifest of plain JSON values, and the comparison of two."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ntklab._core import environment
from ntklab.engine import KernelFn, recipe
from ntklab.errors import StoreError
from ntklab.gram._compute import matrices
from ntklab.gram._tiles import TileGrid

FORMAT = 1
"""Raised whenever the layout of a store changes."""
FIELDS = ("format", "x1", "x2", "tile", "matrices", "kernel", "versions")
_BLOCK_BYTES = 2**22


def manifest(kfn: KernelFn, x1: np.ndarray, x2: np.ndarray | None, tile: int) -> dict[str, Any]:
    """Return the manifest: everything that the bytes of a matrix depend on, and no time or place."""
    return {
        "format": FORMAT,
        "x1": describe(x1, kfn.dtype),
        "x2": None if x2 is None else describe(x2, kfn.dtype),
        "tile": tile,
        "matrices": [list(which) for which in matrices(kfn)],
        **computed_by(kfn),
    }


def computed_by(kfn: KernelFn) -> dict[str, Any]:
    """Return the part of a manifest that says by what the matrices are computed."""
    packages = environment()["packages"]
    return {"kernel": recipe(kfn), "versions": {name: packages.get(name) for name in ("ntklab", "jax", "jaxlib")}}


def describe(x: np.ndarray, dtype: np.dtype) -> dict[str, Any]:
    """Return shape and SHA-256 of inputs as the kernel sees them: in its dtype, row by row."""
    digest = hashlib.sha256()
    step = rows_per_block(x.shape[1:], dtype)
    for start in range(0, len(x), step):
        digest.update(np.ascontiguousarray(x[start : start + step], dtype.newbyteorder("<")).data)
    return {"shape": list(x.shape), "sha256": digest.hexdigest()}


def rows_per_block(input_shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Return how many inputs make about 4 MB: a tile then reads little more than its own rows."""
    return max(1, _BLOCK_BYTES // max(1, int(np.prod(input_shape)) * dtype.itemsize))


def grid_of(found: dict[str, Any]) -> TileGrid:
    """Return the tiles of a manifest."""
    symmetric = found["x2"] is None
    rows, columns = found["x1"]["shape"][0], found["x1" if symmetric else "x2"]["shape"][0]
    return TileGrid(rows, columns, found["tile"], symmetric)


def require_same(found: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    """Raise StoreError naming every field of ``wanted`` that a store has otherwise."""
    ours, theirs = _fields(wanted), _fields({key: found.get(key) for key in wanted})
    lines = [
        "  {}: {} in the store, {} now".format(key, *_contrast(theirs.get(key), ours.get(key)))
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
    if lines:
        remedy = "Name another path, or compute with what the store was made with."
        raise StoreError("\n".join([f"{where} holds another computation. {remedy} It differs in", *lines]))


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in document.items():
        fields |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return fields


def _contrast(one: Any, other: Any) -> tuple[str, str]:
    """Return two values as text, long ones from shortly before the place where they part."""
    texts = ["nothing" if value is None else str(value) for value in (one, other)]
    parting = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, parting - 30)
    cut = [
        ("..." if start else "") + text[start : start + 60] + ("..." if len(text) > start + 60 else "")
        for text in texts
    ]
    return cut[0], cut[1]
