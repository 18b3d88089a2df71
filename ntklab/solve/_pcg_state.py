"""State of a conjugate gradient run, and the file that keeps it."""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ntklab._core import written_whole
from ntklab.errors import DataError

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class State:
    """Everything that the next iteration depends on; a new one is made by every iteration.

    `p` and `rho` are the last direction and the last r' P^{-1} r; `checked` holds the norms of the residuals, relative
    to the targets, when they were last recomputed from X.
    """

    x: Float[np.ndarray, "n c"]
    r: Float[np.ndarray, "n c"]
    p: Float[np.ndarray, "n c"]
    rho: Float[np.ndarray, " c"]
    checked: Float[np.ndarray, " c"]
    iterations: Int[np.ndarray, " c"]
    products: Int[np.ndarray, ""]
    history: Float[np.ndarray, "k c"]

    def arrays(self) -> list[np.ndarray]:
        """All fields, in order."""
        return [getattr(self, name) for name in NAMES]

    @staticmethod
    def of(arrays: Sequence[np.ndarray]) -> "State":
        """Return the state of these fields, in order."""
        return State(*arrays)


NAMES = tuple(field.name for field in fields(State))


def sha256(array: np.ndarray) -> str:
    """Hash of the bytes of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def save(path: Path, state: State, manifest: dict[str, Any]) -> None:
    """Write the state, whole or not at all."""
    document = json.dumps({"format": _FORMAT, **manifest}, sort_keys=True)
    contents: dict[str, Any] = dict(zip(NAMES, state.arrays(), strict=True))
    contents |= {"manifest": document, "digest": _digest(document, state)}
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(file, **contents)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path, manifest: dict[str, Any]) -> State | None:
    """Read a state of the problem that `manifest` describes; None if there is no file.

    Raises DataError for a damaged file, and for one of another problem.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            document, digest = str(stored["manifest"]), str(stored["digest"])
            state = State.of([stored[name] for name in NAMES])
        found = json.loads(document)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no readable checkpoint ({error}): delete it to start anew.") from None
    if _digest(document, state) != digest:
        raise DataError(f"{path} is damaged, its content does not have its own hash: delete it to start anew.")
    wanted = {"format": _FORMAT, **manifest}
    different = [key for key in wanted if found.get(key) != wanted[key]]
    if different:
        shown = "; ".join(f"{key} was {found.get(key)!r} and is {wanted[key]!r}" for key in different)
        raise DataError(
            f"{path} is a checkpoint of another problem: {shown}. Give this one a file of its own, or delete that."
        )
    return state


def _digest(document: str, state: State) -> str:
    return hashlib.sha256("".join([document, *map(sha256, state.arrays())]).encode()).hexdigest()
