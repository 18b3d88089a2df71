"""Figures from Records; imported only when one is asked for, because it needs matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report._finite_figures import FINITE, name_ticks
from ntklab.report._names import with_pooling

Painter = Callable[[Record, matplotlib.figure.Figure], None]

RED, BLUE = "#c04020", "#4878a8"
_WIDE = (9.0, 3.8)


def draw(record: Record, path: str | os.PathLike[str]) -> None:
    """Draw the main figure of a record into a PNG file."""
    if record.kind not in _FIGURES:
        raise InputError(f"No figure for records of kind {record.kind!r}; there is one for {', '.join(_FIGURES)}.")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(_png(_FIGURES[record.kind], record))


def figures(record: Record) -> dict[str, bytes]:
    """Return all figures of a record as PNG files, by name."""
    found: dict[str, Painter] = {"results": _FIGURES[record.kind]} if record.kind in _FIGURES else {}
    runs = record.results.get("runs")
    if isinstance(runs, list) and any(isinstance(run, dict) and run.get("eigenvalues") for run in runs):
        found["spectra"] = _spectra
    if record.results.get("examples"):
        found["examples"] = _examples
    return {name: _png(painter, record) for name, painter in found.items()}


def curves(records: Mapping[str, Record]) -> dict[str, bytes]:
    """Return accuracy against training images for every kernel of which there are records of several sizes."""
    kernels: dict[str, list[dict[str, Any]]] = {}
    for record in records.values():
        if record.kind == "cifar10":
            s, r = record.settings, record.results
            name = f"{with_pooling('CNTK', s['pooling'])}, depth {s['depth']}"
            row = {"n_train": s["n_train"], "mean": r["mean"], "spread": r["spread"], "published": r["published"]}
            kernels.setdefault(name, []).append(row)
    several = {name: rows for name, rows in kernels.items() if len({row["n_train"] for row in rows}) > 1}
    return {
        name: _png(lambda rows, figure, name=name: _curve(rows, figure, name), sorted(rows, key=lambda r: r["n_train"]))
        for name, rows in several.items()
    }


def _png(painter: Callable[[Any, matplotlib.figure.Figure], None], what: Any) -> bytes:
    figure = matplotlib.figure.Figure(figsize=_WIDE, layout="constrained", dpi=150)
    painter(what, figure)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _accuracies(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    runs = record.results["runs"]
    names = [run.get("kernel", f"seed {run.get('seed')}") for run in runs]
    bars = axes.barh(names, [run["accuracy"] for run in runs], color=BLUE)
    axes.bar_label(bars, fmt="%.2f %%", label_type="center", color="white")
    published = record.results.get("published")
    if published:
        label = f"published, {published['name']}: {published['accuracy']:.2f} %"
        axes.axvline(published["accuracy"], color=RED, linestyle="--", label=label)
        axes.legend()
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    settings = record.settings
    axes.set_xlabel(f"test accuracy, {settings['n_train']} training and {settings['n_test']} test images")
    axes.set_title(settings["data"], fontsize=9, wrap=True)


def _curve(rows: Sequence[dict[str, Any]], figure: matplotlib.figure.Figure, title: str) -> None:
    axes = figure.subplots()
    for name, values, colour in (
        ("ours", [(row["n_train"], row["mean"], row["spread"]) for row in rows], BLUE),
        (
            "published",
            [(row["n_train"], p["accuracy"], p.get("spread")) for row in rows if (p := row["published"])],
            RED,
        ),
    ):
        if values:
            n, means, spreads = zip(*values, strict=True)
            axes.errorbar(
                n, means, [spread or 0.0 for spread in spreads], fmt="o-", color=colour, capsize=3, label=name
            )
    axes.set_xscale("log")
    name_ticks(axes, [row["n_train"] for row in rows])
    axes.set_xlabel("training images")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title)
    axes.legend()


def _small_data(record: Record, figure: matplotlib.figure.Figure) -> None:
    _curve(record.results["sizes"], figure, record.settings["data"])


def _cifar10_table(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    rows, depths = record.results["rows"], record.settings["depths"]
    for pooling, kind in dict.fromkeys((row["pooling"], row["kind"]) for row in rows):
        name = f"{with_pooling('CNTK', pooling)}, {kind.upper()}"
        part = [row for row in rows if (row["pooling"], row["kind"]) == (pooling, kind)]
        spreads = [row["spread"] or 0.0 for row in part]
        bars = axes.errorbar(depths, [row["mean"] for row in part], spreads, fmt="o-", capsize=3, label=name)
        known = [(row["depth"], row["published"]["accuracy"]) for row in part if row["published"]]
        if known:
            axes.plot(
                *zip(*known, strict=True), "s--", color=bars[0].get_color(), mfc="none", label=f"{name}, published"
            )
    axes.set_xscale("log")
    name_ticks(axes, depths)
    axes.set_xlabel("layers with weights")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(f"{record.settings['n_train']:,} training images; {record.settings['data']}", fontsize=10)
    axes.legend()


def _spectra(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    for index, run in enumerate(record.results["runs"]):
        values = run.get("eigenvalues") or []
        axes.loglog(np.arange(1, len(values) + 1), values, ".-", label=run.get("kernel", f"run {index}"))
    axes.set_xlabel("index")
    axes.set_ylabel("eigenvalue")
    axes.legend()


def _examples(record: Record, figure: matplotlib.figure.Figure) -> None:
    examples = record.results["examples"]
    columns = min(len(examples), 8)
    rows = -(-len(examples) // columns)
    for axes, example in zip(np.ravel(figure.subplots(rows, columns, squeeze=False)), examples, strict=False):
        image = np.asarray(example["image"], np.float64)
        axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
        right = example["label"] == example["predicted"]
        said = f"{example['predicted']}, {example['probability']:.0%}"
        words = said if right else f"{said}\nis {example['label']}"
        axes.set_title(words, fontsize=9, color="black" if right else RED)
    for axes in figure.axes:
        axes.set_axis_off()


def _speeds(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    workloads = record.results["workloads"]
    engines = list(dict.fromkeys(who for rows in workloads.values() for who in rows))
    for index, who in enumerate(engines):
        there = [(place, rows[who]) for place, rows in enumerate(workloads.values()) if who in rows]
        at = [place + (index - (len(engines) - 1) / 2) * 0.8 / len(engines) for place, _ in there]
        axes.bar(at, [row["milliseconds_per_entry"] for _, row in there], 0.8 / len(engines), label=who)
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds per entry")
    axes.set_xticks(range(len(workloads)), list(workloads), rotation=20, ha="right", fontsize=8)
    axes.legend()


_FIGURES: dict[str, Painter] = {
    "digits": _accuracies,
    "cifar10": _accuracies,
    **FINITE,
    "cifar10-table": _cifar10_table,
    "small-data": _small_data,
    "engines-cpu": _speeds,
    "bench-gpu": _speeds,
}
