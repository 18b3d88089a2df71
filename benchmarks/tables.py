"""Write the tables of PAGES from the records; tests/test_tables.py checks that they agree.

python benchmarks/tables.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import better_kernels
import finite_width
import layers
import numpy as np

from ntklab._core import Record
from ntklab.report._names import with_pooling

ROOT = Path(__file__).parents[1]
START, END = "<!-- records: made by benchmarks/tables.py -->\n", "<!-- /records -->"


def readme(results: Path) -> str:
    """Return the README's part between its markers."""
    lines = ["| CIFAR-10 (draws) | training images | test images | ours, % | published, % |", "|---|---|---|---|---|"]
    for s, row in sorted(
        _cifar10(results), key=lambda found: (found[0].get("classes", 10), found[1]["pooling"], found[1]["depth"])
    ):
        if row["published"]:
            of = "CIFAR-2, " if s.get("classes") == 2 else ""
            name = f"{of}{with_pooling('CNTK', row['pooling'])}, depth {row['depth']} ({s['repeats']})"
            theirs = f"{row['published']['accuracy']:.2f} ({row['published']['name']})"
            lines.append(f"| {name} | {s['n_train']:,} | {s['n_test']:,} | {_mean(row)} | {theirs} |")
    lines = list(dict.fromkeys(lines))  # a row of a table may have been a run of its own, with the same draws
    lines += [
        "",
        "The test images are the first of the 10,000; one standard error of an accuracy is 1.5 % on 1,017 images "
        "and 3.3 % on 200. CIFAR-2 is all images of the first two classes, here JPEG copies of them: 0.6 %.",
    ]
    lines += [
        "",
        "| finite against infinite width | widths | slope of the NTK's distance (theory: -0.5) |",
        "|---|---|---|",
    ]
    for path in sorted(results.glob("equivalence-*.json")):
        record = Record.load(path)
        r = record.results
        slope = f"{r['slope']:.3f} ± {r['slope_standard_error']:.3f}"
        lines.append(f"| `{record.settings['case']}` | {r['widths'][0]} to {r['widths'][-1]} | {slope} |")
    lines += [
        "",
        "| largest relative error over all entries | engine | precision | against | error |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['group']} | {row['engine']} | {row['dtype']} | {row['oracle']} | {row['largest_relative_error']:.1e} |"
        for row in Record.load(results / "agreement.json").results["rows"]
    ]
    return "\n".join(lines) + "\n"


def _cifar10(results: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield settings and results of every CNTK on CIFAR-10, those of tables row by row."""
    for path in sorted(results.glob("cifar10-*.json")):
        record = Record.load(path)
        if record.kind == "cifar10-table":
            yield from ((record.settings, row) for row in record.results["rows"])
        else:
            yield record.settings, {**record.results, **{key: record.settings[key] for key in ("pooling", "depth")}}


def _mean(row: dict[str, Any]) -> str:
    return f"{row['mean']:.2f}" + ("" if row["spread"] is None else f" ± {row['spread']:.2f}")


def engines(results: Path) -> str:
    """Return the tables of docs/engines.md."""
    lines: list[str] = []
    for name in ("engines-cpu", "engines-cpu-avx512"):
        record = Record.load(results / f"{name}.json")
        peaks = sorted(
            {row["peak_steps_per_second"] for rows in record.results["workloads"].values() for row in rows.values()}
        )
        lines += [""] if lines else []
        lines += [
            f"{_machine(record)}, {record.settings['vectors']}; {peaks[0] / 1e9:,.0f}e9 to {peaks[-1] / 1e9:,.0f}e9 "
            "steps per second at most.",
            "",
            "| 32x32x3 images | engine | ms per entry | times neural-tangents | error, different | diagonal "
            "| of peak |",
            "|---|---|---|---|---|---|---|",
        ]
        for workload, rows in record.results["workloads"].items():
            rival = rows["neural-tangents"]["milliseconds_per_entry"]
            for who, row in rows.items():
                ms = row["milliseconds_per_entry"]
                cells = (
                    f"`{workload}`", who, f"{ms:.3g}", f"{rival / ms:.3g}", f"{row['error_different']:.1e}",
                    f"{row['error_diagonal']:.1e}",
                    f"{row['counted_steps_per_second'] / row['peak_steps_per_second']:.0%}",
                )  # fmt: skip
                lines.append("| " + " | ".join(cells) + " |")
    record = Record.load(results / "costs-cpu.json")
    lines += [
        "",
        f'{_machine(record)}; `engine="auto"`.',
        "",
        "| kernel | engine | pairs | ms per entry | error |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['engine']} | {row['pairs']} | {row['milliseconds_per_entry']:.3g} | {row['error']:.1e} |"
        for name, row in record.results["rows"].items()
    ]
    record = Record.load(results / "memory-cpu.json")
    n, row = record.settings["n"], record.results["rows"]["ntk"]
    lines += [
        "",
        f"Memory, beside the inputs: {row['peak'] / row['result']:.2f} times the result for "
        f"`{record.settings['network']}`, {n:,} inputs of {record.settings['features']:,} numbers ({row['engine']}).",
    ]
    return "\n".join(lines) + "\n"


def solvers(results: Path) -> str:
    """Return the tables of docs/solvers.md."""
    record = Record.load(results / "solvers.json")
    s, r = record.settings, record.results
    lines = [
        f"$N$ = {s['n']:,}, {s['outputs']} outputs, {record.environment['cores']} cores, best of {s['repeats']} runs:",
        "",
        "| what | seconds | memory beside $K$, in $N^2$ | error of predictions |",
        "|---|---|---|---|",
    ]
    for run in r["runs"]:
        if "missing" not in run:
            error = "" if run["error"] is None else f"{run['error']:.0e}"
            lines.append(f"| {run['name']} | {min(run['seconds']):.2f} | {run['memory']:.2f} | {error} |")
    lines += ["", "| ratio | |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in r["ratios"].items())]
    return "\n".join(lines) + "\n"


def empirical(results: Path) -> str:
    """Return the tables of docs/guides/any-model.md."""
    record = Record.load(results / "empirical-rivals.json")
    s = record.settings
    lines = [
        "| function | way | s | s, forward | times our best | MB | MB, first call | error | float64, from ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, ways in record.results["cases"].items():
        best = min(row["seconds"] for name, row in ways.items() if name.startswith("ntklab"))
        for name, row in ways.items():
            head = f"| {case}, {s['inputs'][case]} inputs | {name} |"
            if "error" in row:
                lines.append(f"{head} fails: `{row['error']}` | | | | | | |")
                continue
            cells = (
                f"{row['seconds']:.3g}", f"{row['forward_seconds']:.2g}", f"{row['seconds'] / best:.3g}",
                f"{row['peak'] / 2**20:,.0f}", f"{row['first_call_peak'] / 2**20:,.0f}", f"{row['error_float32']:.0e}",
                f"{row['difference_float64']:.0e}",
            )  # fmt: skip
            lines.append(f"{head} {' | '.join(cells)} |")
    for what in s["left_out"]:
        lines += ["", f"Left out: {what}."]
    lines += [
        "",
        f"{_machine(record)}, on one of them. Our three ways and what `ntk_costs` says of them:",
        "",
        "| network | inputs | method | s | operations | MB | MB, first call | stated | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, methods in Record.load(results / "empirical.json").results.items():
        for method, row in methods.items():
            star = " (auto)" if row["chosen"] == method else ""
            lines.append(
                f"| {name} | {row['inputs']} | {method}{star} | {row['seconds']:.3g} | {row['operations']:.1e} | "
                f"{row['peak_mb']:,.0f} | {row['first_peak_mb']:,.0f} | {row['stated_mb']:,.0f} | {row['error']:.0e} |"
            )
    return "\n".join(lines) + "\n"


def overview(results: Path) -> str:
    """Return the tables of docs/benchmarks.md: published numbers beside ours, UCI, and what every record answers."""
    uci = Record.load(results / "uci.json")
    r, names = (
        uci.results,
        {"plain": "the authors' procedure in NumPy and SVC", "svm": "ours, SVM", "ridge": "ours, ridge"},
    )
    lines = [readme(results)]
    for path in sorted(results.glob("cifar10-table-*.json")):
        record = Record.load(path)
        depths = record.settings["depths"]
        lines += [
            f"| {record.settings['n_train']:,} training images | {' | '.join(f'depth {depth}' for depth in depths)} |",
            f"|---|{'---|' * len(depths)}",
        ]
        for pooling, kind in dict.fromkeys((row["pooling"], row["kind"]) for row in record.results["rows"]):
            name = f"{with_pooling('CNTK', pooling)}, {kind.upper()}"
            rows = [row for row in record.results["rows"] if (row["pooling"], row["kind"]) == (pooling, kind)]
            lines.append(f"| {name} | {' | '.join(map(_mean, rows))} |")
        lines.append("")
    lines += [
        f"| {len(r['runs'])} UCI sets, in one run | mean accuracy, % | seconds |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {r['mean'][who]:.2f} | {r['seconds'][who]:.1f} |" for who, name in names.items()]
    lines += ["", "| record | question, or command | machine | day |", "|---|---|---|---|"]
    for path in sorted(results.glob("*.json")):
        record = Record.load(path)
        script = ROOT / "benchmarks" / f"{record.kind.removesuffix('-benchmark').replace('-', '_')}.py"
        what = f"`{record.environment['command']}`"
        if script.exists():
            question = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
            what = f"{question.splitlines()[0]} (`benchmarks/{script.name}`)"
        on = f"{record.environment['cores']} cores, jax {record.environment['packages']['jax']}"
        lines.append(f"| `{path.name}` | {what} | {on} | {record.created[:10]} |")
    return "\n".join(lines) + "\n"


def learning_curve(results: Path) -> str:
    """Return the table of docs/guides/cifar10.md."""
    record = Record.load(results / "small-data.json")
    s, rows = record.settings, record.results["sizes"]
    lines = [
        f"CNTK-GAP, depth {s['depth']}; {s['draws']} class-balanced draws from {s['pool']} images of {s['data']}, each "
        "tested on the others.",
        "",
        "| training images | ours, % | published, % | difference, in published spreads |",
        "|---|---|---|---|",
    ]
    for row in rows:
        theirs = row["published"]
        away = (row["mean"] - theirs["accuracy"]) / theirs["spread"]
        lines.append(
            f"| {row['n_train']} | {row['mean']:.2f} ± {row['spread']:.2f} | "
            f"{theirs['accuracy']:.2f} ± {theirs['spread']:.2f} | {away:+.2f} |"
        )
    worst = max(row["least_standard_error"] for row in rows)
    lines += [
        "",
        f"± is the standard deviation over draws. Ours have one pool: means have a standard error of {worst:.1f} % and "
        "more from its images alone. Published: Arora et al. 2019b, tested on 10,000 images.",
    ]
    return "\n".join(lines) + "\n"


def newcomer(results: Path) -> str:
    """Return the table of docs/guides/quickstart.md."""
    record = Record.load(results / "newcomer.json")
    r = record.results
    lines = [
        f"{record.environment['cores']} cores, jax {record.environment['packages']['jax']}; medians (and ranges) of "
        f"{record.settings['rounds']} rounds, each from nothing:",
        "",
        "| step, each a process of its own | seconds | since the beginning |",
        "|---|---|---|",
    ]
    since = np.cumsum(list(r["seconds"].values()), axis=0)
    for (name, seconds), total in zip(r["seconds"].items(), since, strict=True):
        spread = f"{np.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
        lines.append(f"| {name} | {spread} | {np.median(total):.0f} |")
    left = " and ".join(map(str, sorted(set(r["tiles_left_by_the_kill"]))))
    lines += ["", f"The kill, `SIGKILL`, left {left} of {r['tiles']} tiles; the next run computed the others."]
    return "\n".join(lines) + "\n"


def _machine(record: Record) -> str:
    environment = record.environment
    return f"{environment['cores']} cores, jax {environment['packages']['jax']}, {record.settings['rounds']} rounds"


PAGES = {
    "README.md": readme,
    "docs/engines.md": engines,
    "docs/layers.md": lambda results: layers.table(),
    "docs/guides/any-model.md": empirical,
    "docs/guides/better-kernels.md": better_kernels.tables,
    "docs/guides/cifar10.md": learning_curve,
    "docs/guides/finite-width.md": finite_width.tables,
    "docs/guides/quickstart.md": newcomer,
    "docs/solvers.md": solvers,
    "docs/benchmarks.md": overview,
}


def update(text: str, tables: str) -> str:
    """Return a page's text with its tables written anew."""
    head, rest = text.split(START)
    return head + START + tables + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    for name, tables in PAGES.items():
        page = ROOT / name
        page.write_text(
            update(page.read_text(encoding="utf-8"), tables(ROOT / "benchmarks" / "results")), encoding="utf-8"
        )
