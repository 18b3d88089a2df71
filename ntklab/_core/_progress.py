"""Progress of long work on stderr: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class _Lines:
    """A text stream on which every state of a bar is a line of its own, instead of overwriting the one before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self._stream.write(line + "\n")

    def flush(self) -> None:
        self._stream.flush()


def progress_bar(items: Iterable[Any] | None = None, *, unit: str, show: bool = True, **options: Any) -> tqdm[Any]:
    """Return tqdm's bar on stderr; where stderr is no terminal, it writes a line at most every 30 seconds.

    The first and the last state are always written. ``options`` are those of ``tqdm``.
    """
    options = {"unit": unit, "disable": not show, "smoothing": 0.1, **options}
    if not sys.stderr.isatty():
        seconds = SECONDS_BETWEEN_LINES
        options |= {"file": _Lines(sys.stderr), "mininterval": seconds, "maxinterval": seconds, "ncols": 100}
    return tqdm(items, **options)
