"""Figures from Records; imported only when one is asked for, because it needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report._finite_figures import FINITE


def draw(record: Record, path: str | os.PathLike[str]) -> None:
    """Draw the figure of a record into a PNG file."""
    if record.kind not in _FIGURES:
        raise InputError(f"No figure for records of kind {record.kind!r}; there is one for {', '.join(_FIGURES)}.")
    figure = matplotlib.figure.Figure(figsize=(9, 3.8), layout="constrained", dpi=150)
    _FIGURES[record.kind](record, figure)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _accuracies(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    runs = record.results["runs"]
    names = [run.get("kernel", f"seed {run.get('seed')}") for run in runs]
    bars = axes.barh(names, [run["accuracy"] for run in runs], color="#4878a8")
    axes.bar_label(bars, fmt="%.2f %%", padding=3)
    published = record.results.get("published")
    if published:
        label = f"published, {published['name']}: {published['accuracy']:.2f} %"
        axes.axvline(published["accuracy"], color="#c04020", linestyle="--", label=label)
        axes.legend()
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    settings = record.settings
    axes.set_xlabel(f"test accuracy, {settings['n_train']} training and {settings['n_test']} test images")
    axes.set_title(settings["data"])


_FIGURES: dict[str, Callable[[Record, matplotlib.figure.Figure], None]] = {
    "digits": _accuracies,
    "cifar10": _accuracies,
    **FINITE,
}
