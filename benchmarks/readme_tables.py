"""Write the tables of README.md and docs/solvers.md from the records; tests/test_readme.py checks that they agree.

python benchmarks/readme_tables.py
"""

from __future__ import annotations

from pathlib import Path

from ntklab._core import Record

ROOT = Path(__file__).parents[1]
START, END = "<!-- records: made by benchmarks/readme_tables.py -->\n", "<!-- /records -->"


def tables(results: Path) -> str:
    """Return the README's part between the markers."""
    lines = ["| CIFAR-10 (draws) | training images | test images | ours, % | published, % |", "|---|---|---|---|---|"]
    for path in sorted(results.glob("cifar10-*.json")):
        record = Record.load(path)
        s, r = record.settings, record.results
        name = f"{'CNTK-GAP' if s['pooling'] == 'gap' else 'CNTK-V'}, depth {s['depth']} ({s['repeats']})"
        spread = "" if r["spread"] is None else f" ± {r['spread']:.2f}"
        theirs = f"{r['published']['accuracy']:.2f} ({r['published']['name']})" if r["published"] else "-"
        lines.append(f"| {name} | {s['n_train']:,} | {s['n_test']:,} | {r['mean']:.2f}{spread} | {theirs} |")
    lines += [
        "",
        "The test images are the first of the 10,000; one standard error of an accuracy is 1.5 % on 1,017 images "
        "and 3.8 % on 120.",
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


def solvers(results: Path) -> str:
    """Return the part of docs/solvers.md between the markers."""
    lines = []
    for path in sorted(results.glob("solvers*.json")):
        record = Record.load(path)
        s, r = record.settings, record.results
        lines += [
            f"$N$ = {s['n']:,}, {s['outputs']} outputs, {record.environment['cores']} cores:",
            "",
            "| what | seconds | memory beside $K$, $N^2$ | error of predictions |",
            "|---|---|---|---|",
        ]
        for run in r["runs"]:
            if "missing" not in run:
                error = "" if run["error"] is None else f"{run['error']:.0e}"
                lines.append(f"| {run['name']} | {min(run['seconds']):.2f} | {run['memory']:.2f} | {error} |")
        lines += [
            "",
            "| ratio | |",
            "|---|---|",
            *(f"| {name} | {value:.2f} |" for name, value in r["ratios"].items()),
            "",
        ]
    return "\n".join(lines or ["There is no record yet: `python benchmarks/solvers.py` makes one.", ""])


PAGES = {"README.md": tables, "docs/solvers.md": solvers}


def update(page: str, results: Path) -> tuple[str, str]:
    """Return the text of a page, as it is and with its tables written anew."""
    text = (ROOT / page).read_text(encoding="utf-8")
    head, rest = text.split(START)
    return text, head + START + PAGES[page](results) + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(update(page, ROOT / "benchmarks" / "results")[1], encoding="utf-8")
