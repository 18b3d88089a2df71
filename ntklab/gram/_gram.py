"""The public functions of this room; those on stores load TensorStore, which is optional, when they are called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Num

from ntklab.engine import KernelFn
from ntklab.errors import InputError, MissingExtraError
from ntklab.gram._compute import as_kernels, compute_whole
from ntklab.gram._cost import MEMORY
from ntklab.gram._findings import Status, Verification

Location = str | os.PathLike[str] | Mapping[str, Any]
"""A path, a URL (``s3://bucket/name``, ``gs://``, ``memory://``), or a TensorStore key-value store in JSON."""


def gram(
    kfn: KernelFn,
    x1: Num[Any, "n1 *shape"],
    x2: Num[Any, "n2 *shape"] | None = None,
    *,
    tile: int | None = None,
    memory: int = MEMORY,
    store: Location | None = None,
    dask: Any = None,
    progress: bool = True,
) -> Any:
    """Return the whole kernel matrix of one or two sets of inputs, in memory or in a store that survives a crash.

    Parameters
    ----------
    kfn : KernelFn
    x1, x2 : arrays of shape (n1, *input_shape) and (n2, *input_shape)
        Any sizes. ``x2`` left out: the symmetric matrix, of which only the upper triangle is computed; it
        equals its transpose bit for bit.
    tile : int, optional
        Side of the squares that are computed at once; device memory is bounded by it. Entries do not depend on
        it beyond rounding. Default: some seconds of counted work in memory; in a store, at most two minutes by
        a short measurement, and what ``memory`` allows.
    memory : int
        Bytes for tiles, four of which are held at once, where a store's ``tile`` is chosen here. Default: 1 GiB.
    store : path, URL or mapping, optional
        Compute into this Zarr store, tile by tile; needs the extra ``store``. What is there already is not
        computed again, so the same call after a crash, or in several processes at once, completes one matrix,
        bit for bit the same on machines of one kind. The store keeps a copy of the inputs.
    dask : str or distributed.Client, optional
        With ``store``: compute on ``"local:4"``, four processes here, on ``"slurm:20"``, twenty jobs of Slurm, or
        on the workers of ``"tcp://host:8786"``; needs the extra ``dask`` or ``slurm``.
    progress : bool
        Show entries done, entries per second and time left.

    Returns
    -------
    Kernel, or dict of name to Kernel if ``kfn`` has several networks
        Of matrices ``(n1, n2)`` of ``kfn.dtype``: NumPy arrays, memory ``n1 * n2`` numbers each and one tile; or,
        with ``store``, :class:`StoredMatrix`, which reads rows, blocks and products from there.

    Raises
    ------
    InputError
        As ``kfn`` itself, before anything is computed; a tile that is not a positive integer; with ``store``,
        entries that came out non-finite, named by their pair of inputs.
    StoreError
        The place holds another computation (every field that differs is named), or cannot be written.

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
        raise InputError(
            f"kfn is what ntklab.compile(...) returns, got {type(kfn).__name__}; a sampled kernel is called, kfn(x)."
        )
    if kfn.plan.positions:
        raise InputError("gram takes one number per pair of inputs, and kfn was compiled with positions=...: call it.")
    rows: np.ndarray = np.asarray(kfn.check(x1, "x1"))
    columns: np.ndarray | None = None if x2 is None else np.asarray(kfn.check(x2, "x2"))
    if store is not None:
        stored = _stored()
        opened = stored.prepare(store, kfn, rows, columns, tile, memory)
        return stored.run(opened, kfn, dask, progress, (rows, rows if columns is None else columns))
    if dask is not None:
        raise InputError("dask= computes into a store: name one with store=.")
    return as_kernels(compute_whole(kfn, rows, columns, tile, progress))


def open_gram(store: Location) -> Any:
    """Return the matrices of a store, as :func:`gram` returned them; computes nothing, and reads when asked.

    Raises
    ------
    StoreError
        Nothing, or something else, is there. Reading what is not computed yet raises it later.

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(2), input_shape=(3,), get=("ntk",))
    >>> made = ntklab.gram(kfn, np.eye(3), store="memory://opened", progress=False)
    >>> ntklab.open_gram("memory://opened").ntk[0, 1:].round(3)
    array([0.212, 0.212], dtype=float32)
    """
    stored = _stored()
    return stored.matrices_of(stored.existing_store(store))


def resume(store: Location, *, dask: Any = None, progress: bool = True) -> Any:
    """Go on with a store, whose network and inputs are in it, and return its matrices.

    Any number of processes, on any machines that see the store, may call this at once: they share the tiles. The
    arguments are those of :func:`gram`.

    Raises
    ------
    StoreError
        There is no store; or this machine has other versions, another platform or another engine, which would
        mix tiles that differ in their last digits.
    """
    stored = _stored()
    opened = stored.existing_store(store)
    return stored.run(opened, stored.kernel_of(opened), dask, progress)


def status(store: Location) -> Status:
    """Return how far a store is; reads no tile."""
    stored = _stored()
    return stored.status_of(stored.existing_store(store))


def verify(
    store: Location, *, sample: int = 1, repair: bool = False, seed: int = 0, progress: bool = True
) -> Verification:
    """Read every tile of a store, comparing checksums, and compute some anew.

    Parameters
    ----------
    store : path, URL or mapping
    sample : int
        Tiles to compute anew, drawn with ``seed``; 0 needs neither the kernel nor its versions.
    repair : bool
        Drop damaged tiles: the next run computes them.
    seed : int
    progress : bool
    """
    stored = _stored()
    return stored.verify_store(stored.existing_store(store), sample, repair, seed, progress)


def export(store: Location, path: str | os.PathLike[str], *, get: str | None = None, progress: bool = True) -> None:
    """Write a store's matrices as ``.npy`` (one of them) or ``.npz``, holding some rows at a time.

    Parameters
    ----------
    store : path, URL or mapping
    path : path
        Ends in ``.npy`` or ``.npz``; appears when it is whole.
    get : str, optional
        ``"ntk"``, ``"nngp"``, or ``"name.ntk"`` where there are several networks. Default: all.
    progress : bool
    """
    stored = _stored()
    stored.export_store(stored.existing_store(store), path, get, progress)


def _stored() -> ModuleType:
    try:
        from ntklab.gram import _stored as stored
    except ModuleNotFoundError as error:
        if error.name != "tensorstore":
            raise
        raise MissingExtraError("Gram stores need TensorStore: pip install 'ntklab[store]'.") from None
    return stored
