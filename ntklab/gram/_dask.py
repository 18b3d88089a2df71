"""Filling a store by Dask: one task per tile, few in flight, each safe to run twice."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import dask.config
from distributed import Client, LocalCluster, as_completed

from ntklab._core import precision_for, progress_bar
from ntklab.engine import KernelFn
from ntklab.errors import InputError, MissingExtraError
from ntklab.gram._compute import compute_tile
from ntklab.gram._fill import kernel_of
from ntklab.gram._store import Store, open_store
from ntklab.gram._tiles import Tile

_SETTINGS = {"distributed.scheduler.allowed-failures": 20}  # of 3 by default: a tile is not guilty of its worker's end
# 15 s by default: a worker that dies twice within it is given up, and a run whose workers all did waits for ever
_LOCAL_SETTINGS = {**_SETTINGS, "distributed.deploy.lost-worker-timeout": "1 day"}
_RETRIES = 5
_TASKS_PER_THREAD, _LEAST_TASKS = 2, 8


def fill_by_dask(store: Store, cluster: Any, progress: bool) -> None:
    """Return when every tile is committed by the workers of ``"local:4"``, ``"slurm:20"``, ``"tcp://host:8786"``
    or a Client.

    Few tasks are in flight, no result is fetched, and each task is released when it ends: Dask computes finished
    tasks again when the worker dies that holds their results, however small.
    """
    store.sweep()
    missing = store.missing()
    location = json.dumps(store.place.spec().to_json())
    done = store.grid.entries - store.grid.entries_of_all(missing)
    bar = progress_bar(unit=" entries", total=store.grid.entries, initial=done, unit_scale=True, show=progress)
    with bar, _client(cluster) as client:
        while missing:  # what a task left, for whatever reason, is submitted again
            todo, running, tiles = iter(missing), as_completed(), {}

            def submit(todo: Iterator[Tile], running: Any, tiles: dict[str, Tile]) -> None:
                threads: Any = client.nthreads()  # workers come and go
                room = max(_LEAST_TASKS, _TASKS_PER_THREAD * sum(threads.values())) - running.count()
                for at in islice(todo, max(0, room)):
                    future = client.submit(_commit_tile, location, tuple(at), pure=False, retries=_RETRIES)
                    tiles[str(future.key)] = at
                    running.add(future)

            submit(todo, running, tiles)
            for future in running:
                at = tiles.pop(str(future.key))
                if future.status == "error":
                    future.result()  # raises; results that are right stay where they are: the tile is in the store
                elif store.has(at):
                    bar.update(store.grid.entries_of(at))
                future.release()
                submit(todo, running, tiles)
            missing = store.missing()
    store.sweep()


def _commit_tile(location: str, where: tuple[int, int, int, int]) -> None:
    """Compute and commit one tile on a worker, unless it is there."""
    store, kfn = _opened(location)
    at = Tile(*where)
    if not store.has(at):
        with precision_for(store.dtype):
            store.write(at, compute_tile(kfn, *store.inputs(), store.grid, at)).wait()


@functools.lru_cache(maxsize=1)
def _opened(location: str) -> tuple[Store, KernelFn]:
    """Open a store once per worker process, not once per tile."""
    store = open_store(json.loads(location))
    if store is None:
        raise InputError(f"This worker finds no Gram store at {location}: all of them need to see one file system.")
    with precision_for(store.dtype):
        return store, kernel_of(store)


@contextlib.contextmanager
def _client(cluster: Any) -> Iterator[Client]:
    if isinstance(cluster, Client):
        yield cluster
        return
    kind, _, count = str(cluster).partition(":")
    counted = count.isdecimal() and int(count) > 0
    if kind == "local" and counted:
        with (
            dask.config.set(_LOCAL_SETTINGS),
            LocalCluster(n_workers=int(count), threads_per_worker=1, dashboard_address=None) as local,  # pyright: ignore[reportArgumentType]
            Client(local) as client,
        ):
            yield client
    elif kind == "slurm" and counted:
        try:
            from ntklab.gram._slurm import slurm_client
        except ModuleNotFoundError as error:
            if error.name != "dask_jobqueue":
                raise
            raise MissingExtraError(f"dask={cluster!r} needs dask-jobqueue: pip install 'ntklab[slurm]'.") from None
        with dask.config.set(_SETTINGS), slurm_client(int(count)) as client:
            yield client
    elif "://" in str(cluster):
        try:
            client = Client(str(cluster))
        except OSError as error:
            raise InputError(
                f"No Dask scheduler answers at {cluster}: {error}. Is it running? Check the address."
            ) from None
        with client:
            yield client
    else:
        raise InputError(
            f'dask is "local:4" for four processes here, "slurm:20" for twenty jobs, "tcp://host:8786", or a Client; '
            f"got {cluster!r}."
        )
