"""The door to the figures, which need matplotlib."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from ntklab._core import Record
from ntklab.errors import MissingExtraError


def draw(record: Record, path: str | os.PathLike[str]) -> None:
    """Draw the main figure of a record into a PNG file; needs matplotlib.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    InputError
        There is no figure for this kind of record.
    """
    _figures().draw(record, path)


def figures(record: Record) -> dict[str, bytes]:
    """Return all figures of a record as PNG files, by name; none where its kind has none.

    ``"results"`` is what :func:`draw` draws; ``"spectra"`` and ``"examples"`` (images, predictions, uncertainties) are
    there if the record holds such. Needs matplotlib.
    """
    return _figures().figures(record)


def curves(records: Mapping[str, Record]) -> dict[str, bytes]:
    """Return learning curves through CIFAR-10 records that differ in their training images alone, as PNG files."""
    return _figures().curves(records)


def _figures() -> Any:
    try:
        return importlib.import_module("ntklab.report._figures")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise MissingExtraError("Figures need matplotlib: pip install 'ntklab[plot]'.") from None
