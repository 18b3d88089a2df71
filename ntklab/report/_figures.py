"""Figures from Records; imported only when one is asked for, because it needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import numpy as np

from ntklab._core import Record
from ntklab.errors import InputError


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


def _equivalence(record: Record, figure: matplotlib.figure.Figure) -> None:
    left, right = figure.subplots(1, 2)
    results = record.results
    widths, distances = np.asarray(results["widths"]), np.asarray(results["kernel_distance"])
    rms = np.sqrt(np.mean(np.square(distances), axis=1))
    left.loglog(np.repeat(widths, distances.shape[1]), distances.ravel(), ".", color="#a0b8d0", label="one network")
    left.loglog(widths, rms, "o-", color="#204870", label="root mean square")
    left.loglog(widths, rms[0] * (widths / widths[0]) ** -0.5, "k--", label="slope -1/2")
    left.set_title(f"NTK at initialisation: slope {results['slope']:.2f} +- {results['slope_standard_error']:.2f}")
    left.set_xlabel("width")
    left.set_ylabel("relative distance from the closed form")
    left.legend()
    gaps = np.sqrt(np.mean(np.square(results["training_distance"]), axis=1))
    for t, column in zip(results["times"], gaps.T, strict=True):
        right.loglog(results["training_widths"], column, "o-", label=f"t = {t:.3g}")
    right.set_title("trained by gradient flow to time t")
    right.set_xlabel("width")
    right.set_ylabel("distance at test points (targets +-1)")
    right.legend()


_FIGURES: dict[str, Callable[[Record, matplotlib.figure.Figure], None]] = {
    "digits": _accuracies,
    "cifar10": _accuracies,
    "equivalence": _equivalence,
}
