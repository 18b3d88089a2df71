"""Temporary files of writers that were killed: found, and removed."""

from __future__ import annotations

import contextlib
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: TensorStore's next write to the same tile removes the file
    fcntl = None


def remove_stale_locks(folder: Path) -> int:
    """Remove every ``*.__lock`` whose writer is gone, and return how many there were.

    TensorStore writes a chunk into such a file, under a lock that the system drops when the writer dies.
    """
    removed = 0
    for path in folder.rglob("*.__lock"):
        with contextlib.suppress(OSError), path.open("r+b") as file:  # a lock that is held raises: somebody writes
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
    return removed
