"""Networks of finite width beside the closed form: tables of docs/guides/finite-width.md, from the records there are.

python benchmarks/tables.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ntklab._core import Record
from ntklab.report._finite import chosen_trials, rms
from ntklab.report._names import with_pooling

CASES = {"fc": "three dense layers", "residual": "two residual blocks", "cnn": "CNTK-V", "gap": "CNTK-GAP"}


def tables(results: Path) -> str:
    """Return the generated part of the page; studies without a record are named, and nothing is said for them."""
    found: dict[str, Record] = {}
    missing = []
    commands = {f"equivalence-{case}": f"ntklab equivalence --case {case}" for case in CASES}
    for name, command in {**commands, "lazy": "ntklab lazy", "cnn": "ntklab reproduce cnn"}.items():
        if (results / f"{name}.json").exists():
            found[name] = Record.load(results / f"{name}.json")
        else:
            missing.append(f"`{command}`")
    widths = {case: found[f"equivalence-{case}"] for case in CASES if f"equivalence-{case}" in found}
    lines = [*_kernels(widths), "", *_training(widths)]
    for case, what in CASES.items():
        lines += _figure(results, f"equivalence-{case}", f"{what}: kernel, predictions, accuracy against width")
    parts: dict[str, tuple[Callable[[Record], list[str]], str]] = {
        "lazy": (_lazy, "How far the kernel moves against the scale of the output"),
        "cnn": (_cnn, "Trained networks beside their kernels"),
    }
    for name, (part, what) in parts.items():
        if name in found:
            lines += ["", *part(found[name]), *_figure(results, name, what)]
    lines += ["", f"No record yet: {', '.join(missing)}." if missing else "Every study above has its record."]
    return "\n".join(lines) + "\n"


def _kernels(records: dict[str, Record]) -> list[str]:
    lines = [
        "| `--case` | networks per width | widths | distance of the NTK, narrowest and widest | slope, 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for case, record in records.items():
        r = record.results
        first, *_, last = rms(r["kernel_distance"])
        span = f"{r['widths'][0]} to {r['widths'][-1]}"
        lines.append(f"| `{case}` | {record.settings['seeds']} | {span} | {first:.3f}, {last:.3f} | {_slope(r)} |")
    return lines


def _training(records: dict[str, Record]) -> list[str]:
    times = next(iter(records.values())).results["time_names"]
    lines = [
        f"| `--case` | networks per width | widths | {' | '.join(f'slope, t = {name}' for name in times)} | "
        "distance at the end, narrowest and widest | accuracy, widest, % | closed form, % |",
        f"|---|---|---|{'---|' * len(times)}---|---|---|",
    ]
    slopes = []
    for case, record in records.items():
        r = record.results
        first, *_, last = rms(r["training_distance"])[:, -1]
        ours, closed = (np.mean(np.asarray(r[word])[-1, :, -1]) for word in ("accuracy", "predicted_accuracy"))
        span = f"{r['training_widths'][0]} to {r['training_widths'][-1]}"
        cells = [
            f"`{case}`", str(record.settings["training_seeds"]), span,
            *map(_slope, r["training_slopes"]), f"{first:.3f}, {last:.3f}", f"{ours:.1f}", f"{closed:.1f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        slopes += [r, *r["training_slopes"]]
    inside = sum(low <= -0.5 <= high for low, high in (line["slope_interval"] for line in slopes))
    return [*lines, "", f"{inside} of the {len(slopes)} intervals contain -0.5."]


def _lazy(record: Record) -> list[str]:
    s, r = record.settings, record.results
    lines = [
        f"From lazy to rich: width {s['width']}, {s['seeds']} networks per scale. Slope of the second column over the "
        f"upper half of the scales: {r['slope']:.2f} (theory: -1).",
        "",
        r"| $\alpha$ | NTK moved by | test outputs from linear | training outputs from targets | accuracy, % |",
        "|---|---|---|---|---|",
    ]
    columns = (rms(r[name]) for name in ("kernel_moved", "from_linear", "residual"))
    for alpha, *values, accuracy in zip(r["alphas"], *columns, np.mean(r["accuracy"], axis=1), strict=True):
        lines.append(f"| {alpha:g} | {' | '.join(f'{value:.2g}' for value in values)} | {accuracy:.1f} |")
    return lines


def _cnn(record: Record) -> list[str]:
    s = record.settings
    lines = [
        f"CIFAR-10, {s['n_train']:,} training and {s['n_test']:,} test images, $\\kappa$ = {s['kappa']:g}:",
        "",
        "| | accuracy, % | training error left | published, % |",
        "|---|---|---|---|",
    ]
    for row in record.results["rows"]:
        cnn, cntk = (f"{with_pooling(kind, row['pooling'])}, depth {row['depth']}" for kind in ("CNN", "CNTK"))
        theirs = {name: f"{value['accuracy']:.2f}" if value else "-" for name, value in row["published"].items()}
        for network in row["networks"]:
            trials = chosen_trials(network)
            spread = "" if network["spread"] is None else f" ± {network['spread']:.2f}"
            name = f"{cnn}, {network['channels']} channels"
            left = f"{np.mean([trial['residual'] for trial in trials]):.2f}"
            lines.append(f"| {name} | {network['mean']:.2f}{spread} | {left} | {theirs['cnn']} |")
            stopped = (np.mean([trial["kernel"][key] for trial in trials]) for key in ("accuracy", "residual"))
            lines.append(f"| its kernel, stopped there | {' | '.join(f'{mean:.2f}' for mean in stopped)} | - |")
        lines.append(f"| {cntk} | {row['kernel']['accuracy']:.2f} | 0 | {theirs['cntk']} |")
    lines += ["", "The published numbers are of another protocol:", ""]
    return lines + [f"- {line}." for line in record.results["differences"]]


def _figure(results: Path, name: str, what: str) -> list[str]:
    there = (results / f"{name}.png").exists()
    return ["", f"![{what}](../../benchmarks/results/{name}.png)"] if there else []


def _slope(line: dict[str, Any]) -> str:
    low, high = line["slope_interval"]
    return f"{line['slope']:.3f} ({low:.3f} to {high:.3f})"
