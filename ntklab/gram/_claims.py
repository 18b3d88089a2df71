"""Who computes which tile just now: advice between processes that share a store and know nothing else of each other.

A claim is a small key, written only if nobody else's is there. Nothing rests on it but time: a tile that two
processes compute is the same tile, committed whole by each. So a claim needs no clock that machines agree on. One
that has not changed for a while by this process's own clock, or whose process on this machine is gone, may be taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable
from typing import Any

from ntklab.gram._store import NOTHING_LOST, Store, told
from ntklab.gram._tiles import Tile

PATIENCE = 60.0


class Claims:
    """The claims of one process on the tiles of one store.

    Attributes
    ----------
    patience : float
        Seconds after which the claim of a process on another machine counts as left behind; several times what a
        tile takes. Too short a time costs a tile computed twice, never a wrong one.
    """

    def __init__(self, store: Store, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._store = store
        self._mine: dict[str, Any] = {}
        self._seen: dict[str, tuple[Any, float]] = {}
        self._name = json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()

    def take(self, tiles: Iterable[Tile]) -> Tile | None:
        """Claim the first of these tiles that nobody else has claimed, or return None."""
        with told(f"claim a tile in {self._store.where}", NOTHING_LOST):
            found = self._others()
            for at in tiles:
                key = _key(at)
                if key in self._mine or not self._is_free(key, found.get(key)):
                    continue
                before = found.get(key) or self._store.claims.read(key).result()
                if before.state == "value" and key not in found:
                    continue
                stamp = self._store.claims.write(key, self._name, if_equal=before.stamp.generation).result()
                if stamp.generation:  # empty if another process was faster
                    self._mine[key] = stamp.generation
                    return at
        return None

    def release(self, at: Tile) -> None:
        """Give a tile back: it is committed, or will not be computed here."""
        generation = self._mine.pop(_key(at))
        with told(f"give a claim in {self._store.where} back", NOTHING_LOST):
            self._store.claims.write(_key(at), None, if_equal=generation).result()

    def release_all(self) -> None:
        """Give back whatever is still claimed, as far as the store lets us."""
        for key, generation in self._mine.items():
            with contextlib.suppress(ValueError):
                self._store.claims.write(key, None, if_equal=generation).result()
        self._mine.clear()

    def _others(self) -> dict[str, Any]:
        keys = [key.decode() for key in self._store.claims.list().result()]
        reading = {key: self._store.claims.read(key) for key in keys if key not in self._mine}
        read = {key: future.result() for key, future in reading.items()}
        now = time.monotonic()
        for key, result in read.items():
            known = self._seen.get(key)
            if known is None or known[0] != result.stamp.generation:
                self._seen[key] = (result.stamp.generation, now)
        return {key: result for key, result in read.items() if result.state == "value"}

    def _is_free(self, key: str, claim: Any) -> bool:
        if claim is None:
            return True
        waited = time.monotonic() - self._seen[key][1]
        return waited > self.patience or _is_gone(claim.value)


def _key(at: Tile) -> str:
    return f"{at.top}-{at.left}"


def _is_gone(claim: bytes) -> bool:
    try:
        owner = json.loads(claim)
        if owner["host"] != socket.gethostname():
            return False
        os.kill(owner["process"], 0)
    except ProcessLookupError:
        return True
    except (ValueError, LookupError, TypeError, PermissionError):
        return False
    return False
