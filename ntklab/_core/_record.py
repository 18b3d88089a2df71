"""Records: what one run was, what it found, and on what; tables and figures are made from these alone."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ntklab._core._files import written_whole
from ntklab.errors import DataError

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """One run: its kind, settings, results and environment; plain JSON values throughout.

    Attributes
    ----------
    kind : str
        Which study or benchmark wrote it; :mod:`ntklab.report` chooses table and figure by it.
    settings : dict
        Everything needed to run it again.
    results : dict
        What was found: numbers, with errors and times where there are any.
    environment : dict
        Versions, device, cores.
    created : str
        UTC time, ISO 8601.
    """

    kind: str
    settings: dict[str, Any]
    results: dict[str, Any]
    environment: dict[str, Any]
    created: str

    @staticmethod
    def make(kind: str, settings: dict[str, Any], results: dict[str, Any]) -> Record:
        """Return a record of this moment and machine; NumPy and JAX values become plain ones."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Record(kind, _plain(settings), _plain(results), environment(), now)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON, whole or not at all."""
        with written_whole(path) as draft:
            draft.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Record:
        """Read a record.

        Raises
        ------
        DataError
            The file is missing, is no JSON, or is not a record of this format.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            found = document.pop("format", None)
            if found != FORMAT:
                raise DataError(
                    f"{path} is not a record of format {FORMAT} (found {found!r}); load it with its own ntklab."
                )
            return Record(**document)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is not a record: {error}. Give the JSON file of a run.") from None


def environment() -> dict[str, Any]:
    """Return versions, device and cores of this machine; nothing that names a person or a place."""
    packages = ("ntklab", "jax", "jaxlib", "numpy", "scipy", "diffrax")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "packages": {name: found for name in packages if (found := _version(name))},
        "command": _command(),
    }


def _command() -> str:
    """Return the `ntklab` command that runs, absolute paths cut to their last part; empty in other programs."""
    if not Path(sys.argv[0]).name.startswith("ntklab"):
        return ""
    return " ".join(["ntklab", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _plain(np.asarray(value).tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)  # JSON has no infinities
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
