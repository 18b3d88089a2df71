"""Figures of the studies of finite networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import numpy as np

from ntklab._core import Record
from ntklab.report._finite import chosen_trials, interval, rms
from ntklab.report._names import with_pooling


def _equivalence(record: Record, figure: matplotlib.figure.Figure) -> None:
    figure.set_size_inches(12.5, 4.0)
    left, middle, right = figure.subplots(1, 3)
    results = record.results
    widths, distances = np.asarray(results["widths"]), np.asarray(results["kernel_distance"])
    left.loglog(np.repeat(widths, distances.shape[1]), distances.ravel(), ".", color="#a0b8d0", label="one network")
    left.loglog(widths, rms(distances), "o-", color="#204870", label="root mean square")
    left.loglog(widths, rms(distances)[0] * (widths / widths[0]) ** -0.5, "k--", label="slope -1/2")
    left.set_title(f"NTK at initialisation: slope {results['slope']:.2f}, 95 %: {interval(results, 2)}", fontsize=10)
    left.set_ylabel("relative distance from the closed form")
    trained = np.asarray(results["training_widths"])
    gaps = rms(results["training_distance"])
    for name, column, line in zip(results["time_names"], gaps.T, results["training_slopes"], strict=True):
        label = f"t = {'infinity' if name == 'inf' else name}: {line['slope']:.2f} ({interval(line, 2)})"
        middle.loglog(trained, column, "o-", label=label)
    middle.loglog(trained, gaps[0, -1] * (trained / trained[0]) ** -0.5, "k--", label="slope -1/2")
    middle.set_title("predictions of networks trained to time t", fontsize=10)
    middle.set_ylabel("distance at test points (targets +-1)")
    for word, colour, style in (("accuracy", "#204870", "o-"), ("predicted_accuracy", "#c04020", "s--")):
        values = np.asarray(results[word])[:, :, -1]
        error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        label = "networks" if word == "accuracy" else "closed form, from the networks' start"
        right.errorbar(trained, values.mean(axis=1), error, fmt=style, color=colour, capsize=3, label=label)
    right.set_xscale("log")
    right.set_title("trained to the end", fontsize=10)
    right.set_ylabel("test accuracy, %")
    for axes, name in ((left, "widths"), (middle, "training_widths"), (right, "training_widths")):
        name_ticks(axes, results[name])
        axes.set_xlabel("width")
        axes.legend(fontsize=8)


def _lazy(record: Record, figure: matplotlib.figure.Figure) -> None:
    left, right = figure.subplots(1, 2)
    results = record.results
    alphas, moved = np.asarray(results["alphas"]), np.asarray(results["kernel_moved"])
    left.loglog(np.repeat(alphas, moved.shape[1]), moved.ravel(), ".", color="#a0b8d0", label="one network")
    left.loglog(alphas, rms(moved), "o-", color="#204870", label="root mean square")
    left.loglog(alphas, rms(moved)[-1] * alphas[-1] / alphas, "k--", label="slope -1")
    left.set_title(f"how far the NTK moves: slope {results['slope']:.2f}")
    left.set_ylabel("relative distance of the NTK from its start")
    right.loglog(alphas, rms(results["from_linear"]), "o-", color="#204870", label="test outputs from linearised ones")
    right.loglog(alphas, rms(results["residual"]), "s-", color="#c04020", label="training outputs from targets")
    right.set_title("after training")
    right.set_ylabel("root mean square (targets +-1)")
    for axes in (left, right):
        axes.set_xlabel("scale of the output, alpha")
        axes.legend(fontsize=8)


def _cnn(record: Record, figure: matplotlib.figure.Figure) -> None:
    axes = figure.subplots()
    shown: list[tuple[str, float, float, str]] = []
    for row in record.results["rows"]:
        cnn, cntk = (with_pooling(kind, row["pooling"]) for kind in ("CNN", "CNTK"))
        for network in row["networks"]:
            name = f"{cnn}, depth {row['depth']}, {network['channels']} channels"
            shown.append((name, network["mean"], network["spread"] or 0.0, "#4878a8"))
            stopped = [trial["kernel"]["accuracy"] for trial in chosen_trials(network)]
            shown.append(("its kernel, stopped there", float(np.mean(stopped)), 0.0, "#a0b8d0"))
        shown.append((f"{cntk}, depth {row['depth']}", row["kernel"]["accuracy"], 0.0, "#204870"))
    names, values, errors, colours = zip(*shown, strict=True)
    bars = axes.barh(range(len(names)), values, xerr=errors, color=colours, capsize=3)
    axes.set_yticks(range(len(names)), names)
    axes.bar_label(bars, fmt="%.2f %%", padding=3)
    axes.set_xlim(0, min(100.0, 1.3 * max(values)))
    axes.invert_yaxis()
    settings = record.settings
    axes.set_xlabel(f"test accuracy, {settings['n_train']:,} training and {settings['n_test']:,} test images")
    axes.set_title(f"{settings['data']}; bars: spread over {settings['trials']} trials", fontsize=10)


def name_ticks(axes: Any, values: Sequence[int]) -> None:
    """Name the values themselves on a logarithmic axis."""
    axes.set_xticks(values, [str(value) for value in values])
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


FINITE = {"equivalence": _equivalence, "lazy": _lazy, "cnn": _cnn}
"""Kind of record -> what draws it."""
