"""Parts of a long study, kept as records in a directory: what is there already is not computed again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntklab._core import Record
from ntklab.errors import DataError


def kept(
    store: str | os.PathLike[str] | None,
    name: str,
    kind: str,
    settings: dict[str, Any],
    compute: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Return the results of one part: of the record ``store/name.json`` if there is one, else computed and kept.

    Raises
    ------
    DataError
        The record there is of other settings.
    """
    file = None if store is None else Path(store) / f"{name}.json"
    wanted = Record.make(kind, settings, {})
    if file is not None and file.exists():
        found = Record.load(file)
        if (found.kind, found.settings) != (kind, wanted.settings):
            raise DataError(f"{file} is of {found.settings}, not {wanted.settings}: name another store.")
        return found.results
    record = Record.make(kind, settings, compute())
    if file is not None:
        record.save(file)
    return record.results
