"""Text tables of the studies of finite networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntklab.report._align import align
from ntklab.report._names import with_pooling


def _equivalence(settings: dict[str, Any], results: dict[str, Any]) -> str:
    kernel = [("width", "NTK distance (rms)")]
    kernel += [(str(w), f"{d:.4f}") for w, d in zip(results["widths"], rms(results["kernel_distance"]), strict=True)]
    gaps = rms(results["training_distance"])
    accuracy, predicted = (np.asarray(results[word]) for word in ("accuracy", "predicted_accuracy"))
    words = [f"t = {name}" for name in results["time_names"]]
    training: list[tuple[str, ...]] = [("width", *words, "accuracy %", "predicted %")]
    for i, width in enumerate(results["training_widths"]):
        cells = (*(f"{gap:.4f}" for gap in gaps[i]), *(f"{a[i, :, -1].mean():.1f}" for a in (accuracy, predicted)))
        training.append((str(width), *cells))
    lines: list[tuple[str, ...]] = [("slope", *(f"{line['slope']:.2f}" for line in results["training_slopes"]), "", "")]
    lines += [("95 %", *(interval(line, 2) for line in results["training_slopes"]), "", "")]
    return "\n".join(
        [
            f"{settings['network']}; {settings['data']}",
            "",
            f"empirical NTK of one random network against the closed form, {settings['seeds']} seeds:",
            "",
            align(kernel),
            "",
            f"slope of the log-log line: {results['slope']:.3f} +- {results['slope_standard_error']:.3f}, "
            f"95 % interval {interval(results, 3)}; theory: -0.5",
            "",
            f"networks trained by gradient flow against the closed form at {settings['n_test']} test points, targets "
            f"+-1, {settings['training_seeds']} seeds; t over the largest eigenvalue, accuracies at the end:",
            "",
            align(training + lines),
        ]
    )


def _lazy(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("alpha", "kernel moved", "from linear", "residual", "accuracy %", "steps")]
    columns = (rms(results[name]) for name in ("kernel_moved", "from_linear", "residual"))
    means = (np.mean(results[name], axis=1) for name in ("accuracy", "steps"))
    for alpha, *small, accuracy, steps in zip(results["alphas"], *columns, *means, strict=True):
        rows.append((f"{alpha:g}", *(f"{value:.2g}" for value in small), f"{accuracy:.1f}", f"{steps:.0f}"))
    head = f"{settings['network']}, width {settings['width']}, {settings['seeds']} seeds; {settings['data']}"
    return f"{head}\n\n{align(rows)}\n\nslope of kernel moved, upper half: {results['slope']:.2f}; theory: -1"


def _cnn(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("network", "depth", "accuracy %", "train %", "residual", "rate", "published %")]
    for row in results["rows"]:
        cnn, cntk = (with_pooling(kind, row["pooling"]) for kind in ("CNN", "CNTK"))
        theirs = {name: f"{value['accuracy']:.2f}" if value else "" for name, value in row["published"].items()}
        for network in row["networks"]:
            trials = chosen_trials(network)
            spread = "" if network["spread"] is None else f" +- {network['spread']:.2f}"
            ours = (f"{cnn}, {network['channels']} channels", trials, spread, theirs["cnn"])
            there = ("  its kernel, stopped there", [trial["kernel"] for trial in trials], "", "")
            for name, runs, scatter, beside in (ours, there):
                names = ("accuracy", "train_accuracy", "residual")
                mean, train, left = (np.mean([run[key] for run in runs]) for key in names)
                cells = (f"{mean:.2f}{scatter}", f"{train:.1f}", f"{left:.2f}", f"{network['rate']:g}", beside)
                rows.append((name, str(row["depth"]), *cells))
        ours = (f"{row['kernel']['accuracy']:.2f}", "100.0", "0", "")
        rows.append((cntk, str(row["depth"]), *ours, theirs["cntk"]))
    head = (
        f"{settings['data']}: {settings['n_train']:,} training and {settings['n_test']:,} test images, kappa "
        f"{settings['kappa']:g}, {settings['epochs']} epochs, {settings['trials']} trials"
    )
    differences = [f"  - {line}" for line in results["differences"]]
    return "\n".join([head, "", align(rows), "", "Published numbers are of another protocol:", *differences])


def chosen_trials(network: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trials of the rate that stands for a network of the cnn study."""
    return next(run["trials"] for run in network["runs"] if run["rate"] == network["rate"])


def rms(values: Any) -> np.ndarray:
    """Return root mean squares over the second axis, that of seeds."""
    return np.sqrt(np.mean(np.square(values), axis=1))


def interval(line: dict[str, Any], digits: int) -> str:
    """Return the 95 % interval of a slope as text."""
    low, high = line["slope_interval"]
    return f"{low:.{digits}f} to {high:.{digits}f}"


FINITE = {"equivalence": _equivalence, "lazy": _lazy, "cnn": _cnn}
"""Kind of record -> its table."""
