"""What pooling, pixels, mirror images and a ridge are worth: tables of docs/guides/better-kernels.md, from records.

python benchmarks/tables.py
"""

from __future__ import annotations

from pathlib import Path

from ntklab._core import Record
from ntklab.report._names import by_reach, of_regression


def tables(results: Path) -> str:
    """Return the generated part of the page; a study without a record is named."""
    lines: list[str] = []
    for name, part in {"lap": _lap, "myrtle": _myrtle}.items():
        path = results / f"{name}.json"
        lines += part(Record.load(path)) if path.exists() else [f"No record yet: `ntklab reproduce {name}`."]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _lap(record: Record) -> list[str]:
    s = record.settings
    reaches = s["reaches"]
    lines = [
        f"CNTK-LAP, depth {s['depth']}, accuracy in percent; {_images(record)}; {s['patches']} patches of "
        f"{s['size']} x {s['size']}:",
        "",
        f"| kernel | pixels | mirror images | ridge | {' | '.join(f'reach {reach}' for reach in reaches)} |",
        "|---|---|---|---|" + "---|" * len(reaches),
    ]
    rows = by_reach(record.results["rows"])
    return lines + [f"| {' | '.join((*cells, *(f'{value:.1f}' for value in found)))} |" for cells, found in rows]


def _myrtle(record: Record) -> list[str]:
    lines = [
        f"{record.settings['network']}, accuracy in percent; {_images(record)}; whitening with "
        f"{record.settings['regularisation']} of the mean eigenvalue:",
        "",
        "| kernel | pixels | mirror images | ridge | accuracy |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {' | '.join((*of_regression(row), format(row['accuracy'], '.1f')))} |" for row in record.results["rows"]
    ]


def _images(record: Record) -> str:
    s = record.settings
    error = 100 * (0.25 * 0.75 / s["n_test"]) ** 0.5
    return (
        f"{s['n_train']} training and {s['n_test']} test images ({s['data']}), one standard error about {error:.1f} %, "
        "less between rows, which share images"
    )
