"""A Gram matrix on disk or in an object store: Zarr 3; one tile is one chunk is one commit.

zarr.json        group; its attribute "ntklab" is the manifest
K/               (matrices, n1, n2), chunks (matrices, tile, tile), NaN where nothing was computed, CRC-32C
K/claims/        who computes what just now; advice, not truth
x-<sha256>/      the inputs as the kernel sees them, so that any machine can go on with the store alone
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from ntklab.errors import InputError, StoreError
from ntklab.gram._locks import remove_stale_locks
from ntklab.gram._manifest import FIELDS, FORMAT, grid_of, rows_per_block
from ntklab.gram._tiles import Tile, TileGrid

Location = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a URL (``s3://bucket/name``, ``gs://``, ``memory://``), or a TensorStore key-value store in JSON."""

NOTHING_LOST = "The tiles stored before are safe: make room or give the right to write, and run again."

_RETRIES = {"max_retries": 6}  # a minute of a server's troubles; TensorStore's 32 are a quarter of an hour
_CONTEXT = ts.Context({"s3_request_retries": _RETRIES, "gcs_request_retries": _RETRIES})  # one: so is memory://
_QUICK = ts.Context({"file_io_sync": False})  # claims need not survive a power cut


@dataclass(frozen=True)
class Store:
    """An open store. :func:`open_store` and :func:`create_store` make it; values change on disk only."""

    where: str
    manifest: dict[str, Any]
    grid: TileGrid
    place: ts.KvStore
    claims: ts.KvStore
    K: ts.TensorStore

    @property
    def matrices(self) -> list[tuple[str, str]]:
        """Network and word of every matrix, in the order of the first axis of ``K``."""
        return [(name, word) for name, word in self.manifest["matrices"]]

    @property
    def dtype(self) -> np.dtype:
        """Of the entries."""
        return np.dtype(self.manifest["kernel"]["dtype"])

    @property
    def local(self) -> Path | None:
        """The directory, if the store is one."""
        spec = self.place.spec().to_json()
        return Path(spec["path"]) if spec["driver"] == "file" else None

    def missing(self) -> list[Tile]:
        """Return the tiles that are not committed, in order, from a listing of the chunks."""
        with told(f"list the tiles of {self.where}"):
            keys = self.place.list(ts.KvStore.KeyRange("K/c/", "K/c0")).result()
        done = {key.decode() for key in keys}
        return [at for at in self.grid if self._key(at) not in done]

    def has(self, at: Tile) -> bool:
        """Whether a tile is committed."""
        key = self._key(at)
        with told(f"list the tiles of {self.where}"):
            return bool(self.place.list(ts.KvStore.KeyRange(key, key + "\0")).result())

    def write(self, at: Tile, blocks: list[np.ndarray], into: np.ndarray | None = None) -> Pending:
        """Begin to commit a tile of all matrices; its ``wait`` returns when it is on disk, whole.

        ``into`` is room for a tile, to be left alone until then: new memory for every tile costs its page faults.
        """
        into = None if into is None else into[:, : at.bottom - at.top, : at.right - at.left]
        values = np.stack(blocks, out=into)
        if not np.isfinite(values).all():
            which, row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
            name, word = self.matrices[which]
            raise InputError(
                f"The {word}{f' of {name!r}' if name else ''} of inputs {at.top + row} and {at.left + column} came out "
                f"as {values[which, row, column]} in {self.dtype}; nothing of its tile was stored. Rescale these "
                f"inputs, or compute in float64."
            )
        region = self.K[:, at.top : at.bottom, at.left : at.right]
        # a store in memory would keep the room itself instead of a copy, and the next tile goes into the same room
        share = self.local is not None
        return Pending(self, at, region.write(values, can_reference_source_data_indefinitely=share))

    def read(self, at: Tile, which: slice | int = slice(None)) -> np.ndarray:
        """Return a tile, or any rectangle inside one, of one matrix or of all."""
        return self.wait_for(at, self.begin(at, which))

    def begin(self, at: Tile, which: slice | int) -> Any:
        """Begin to read a rectangle; :meth:`wait_for` returns it."""
        return self.K[which, at.top : at.bottom, at.left : at.right].read()

    def wait_for(self, at: Tile, future: Any) -> np.ndarray:
        """Return what was read, if it is whole and was computed."""
        what = f"rows {at.top}:{at.bottom}, columns {at.left}:{at.right} of {self.where}"
        repair = "`ntklab gram verify --repair` drops damaged tiles, and a new run computes them."
        with told(f"read {what}", repair):
            values = future.result()
        if np.isnan(values).any():
            if self.has(at):
                raise StoreError(f"Could not read {what}: NaN under a right checksum. {repair}")
            left = len(self.missing())
            raise StoreError(
                f"No {what}: {left:,} of {len(self.grid):,} tiles are not computed. Run the computation again; it "
                f"goes on where it stopped."
            )
        return values

    def drop(self, at: Tile) -> None:
        """Delete a tile."""
        with told(f"delete a damaged tile of {self.where}"):
            self.place.write(self._key(at), None).result()

    def inputs(self) -> tuple[StoredInputs, StoredInputs]:
        """Return the inputs of rows and of columns, which are read when they are sliced."""
        x1 = self._inputs("x1")
        return x1, x1 if self.grid.symmetric else self._inputs("x2")

    def _inputs(self, which: str) -> StoredInputs:
        name = _inputs_name(self.manifest[which])
        with told(f"open the inputs in {self.where}"):
            array = ts.open({"driver": "zarr3", "kvstore": _below(self.place, name)}, context=_CONTEXT).result()
        return StoredInputs(array, self.where, self.manifest[which]["shape"][0])

    def sweep(self) -> None:
        """Remove the unfinished files of writers that are gone."""
        if self.local is not None:
            remove_stale_locks(self.local)

    def _key(self, at: Tile) -> str:
        return f"K/c/0/{at.top // self.grid.tile}/{at.left // self.grid.tile}"


@dataclass(frozen=True)
class Pending:
    """A tile on its way to disk."""

    store: Store
    at: Tile
    future: Any

    def wait(self) -> None:
        """Return when the tile is committed, or raise StoreError."""
        with told(f"store a tile in {self.store.where}", NOTHING_LOST):
            self.future.result()


@dataclass(frozen=True)
class StoredInputs:
    """The inputs in a store, read by slices of rows."""

    array: Any
    where: str
    rows: int

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return a slice of rows as a NumPy array."""
        with told(f"read the inputs in {self.where}"):
            block = self.array[slice(*rows.indices(self.rows))].read().result()
        if np.isnan(block).any():
            raise StoreError(f"The inputs in {self.where} are damaged; compute into another path, or copy them back.")
        return block


def open_store(location: Location) -> Store | None:
    """Return the store at a place, or None if nothing is there; StoreError if something else is."""
    where, place, claims = _places(location)
    with told(f"read {where}"):
        root = place.read("zarr.json").result()
    if root.state != "value":
        return None
    found = _manifest_of(root.value)
    if found is None or found["format"] != FORMAT:
        said = "no Gram store" if found is None else f"a Gram store of format {found['format']!r}, not {FORMAT}"
        raise StoreError(f"{where} holds {said}; name another path.")
    grid = grid_of(found)
    with told(f"open {where}"):
        shape = (len(found["matrices"]), grid.n_rows, grid.n_columns)
        chunk = (shape[0], min(grid.tile, shape[1]), min(grid.tile, shape[2]))
        K = _create_array(place, "K", shape, chunk, found["kernel"]["dtype"])
    return Store(where, found, grid, place, claims, K)


def create_store(location: Location, manifest: dict[str, Any], x1: np.ndarray, x2: np.ndarray | None) -> Store:
    """Return the store at a place, made now or by a process that was faster; the caller compares manifests."""
    where, place, _ = _places(location)
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ntklab": manifest}}
    with told(f"create {where}", "Name a place that can be written to, with room."):
        for name, x in (("x1", x1), ("x2", x2)):
            if x is not None:  # first, and under a name that only equal inputs have: a store always has its inputs
                _write_inputs(place, manifest, manifest[name], x)
        empty = place.read("zarr.json").result()
        if empty.state != "value":
            place.write("zarr.json", json.dumps(group, indent=1).encode(), if_equal=empty.stamp.generation).result()
    store = open_store(location)
    assert store is not None
    return store


def _write_inputs(place: ts.KvStore, manifest: dict[str, Any], described: dict[str, Any], x: np.ndarray) -> None:
    dtype = np.dtype(manifest["kernel"]["dtype"])
    step = min(len(x), rows_per_block(x.shape[1:], dtype))
    array = _create_array(place, _inputs_name(described), x.shape, (step, *x.shape[1:]), dtype.name)
    for start in range(0, len(x), step):
        block = x[start : start + step].astype(dtype)
        array[start : start + len(block)].write(block).result()


def _inputs_name(described: dict[str, Any]) -> str:
    return f"x-{described['sha256'][:16]}"


def _places(location: Location) -> tuple[str, ts.KvStore, ts.KvStore]:
    if isinstance(location, Mapping):
        spec: Any = {"path": "", **location}
    elif "://" in os.fspath(location):
        with told(f"understand {location}", "URLs are such as s3://bucket/name and gs://bucket/name."):
            spec = ts.KvStore.Spec(os.fspath(location)).to_json()
    else:
        spec = {"driver": "file", "path": os.path.abspath(os.fspath(location))}
    if spec["path"] and not spec["path"].endswith("/"):
        spec = {**spec, "path": spec["path"] + "/"}
    where = os.fspath(location) if not isinstance(location, Mapping) else json.dumps(dict(location))
    with told(f"open {where}"):
        claims = {**spec, "path": spec["path"] + "K/claims/"}
        quick = _QUICK if spec["driver"] == "file" else _CONTEXT
        return (
            where,
            ts.KvStore.open(spec, context=_CONTEXT).result(),
            ts.KvStore.open(claims, context=quick).result(),
        )


def _create_array(place: ts.KvStore, name: str, shape: Sequence[int], chunk: Sequence[int], dtype: str) -> Any:
    metadata = {
        "shape": list(shape),
        "data_type": dtype,
        "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    }
    spec = {"driver": "zarr3", "kvstore": _below(place, name), "metadata": metadata}
    return ts.open(spec, create=True, open=True, context=_CONTEXT).result()


def _below(place: ts.KvStore, name: str) -> dict[str, Any]:
    spec = place.spec().to_json()
    return {**spec, "path": f"{spec.get('path', '')}{name}/"}


def _manifest_of(document: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(document)["attributes"]["ntklab"]
        return found if set(found) == set(FIELDS) else None
    except (ValueError, LookupError, TypeError):
        return None


@contextmanager
def told(doing: str, advice: str = "") -> Iterator[None]:
    """Turn what TensorStore raises into a StoreError that says what could not be done."""
    try:
        yield
    except (ValueError, OSError, NotImplementedError) as error:
        raise StoreError(f"Could not {doing}: {str(error).splitlines()[0]}. {advice}".rstrip()) from error
