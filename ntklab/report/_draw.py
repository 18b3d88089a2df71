"""The door to the figures, which need matplotlib."""

from __future__ import annotations

import os

from ntklab._core import Record
from ntklab.errors import MissingExtraError


def draw(record: Record, path: str | os.PathLike[str]) -> None:
    """Draw the figure of a record into a PNG file; needs matplotlib.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    InputError
        There is no figure for this kind of record.
    """
    try:
        from ntklab.report._figures import draw as draw_now
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MissingExtraError("Figures need matplotlib: pip install 'ntklab[plot]'.") from None
    draw_now(record, path)
