"""Text tables from Records; nothing is computed here but roundings and means of what a Record holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report._align import align
from ntklab.report._finite import FINITE
from ntklab.report._names import by_reach, of_regression, with_pooling


def table(record: Record) -> str:
    """Return the table of a record as text, with the published number beside ours where there is one."""
    if record.kind not in _TABLES:
        raise InputError(f"No table for records of kind {record.kind!r}; there is one for {', '.join(_TABLES)}.")
    return _TABLES[record.kind](record.settings, record.results)


def _digits(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("kernel", "accuracy %", "ms per entry", "kernel s", "condition", "engine")]
    rows += [
        (
            run["kernel"],
            f"{run['accuracy']:.2f}",
            f"{run['ms_per_entry']:.4f}",
            f"{run['kernel_seconds']:.1f}",
            f"{run['condition_estimate']:.1e}",
            run["engine"],
        )
        for run in results["runs"]
    ]
    head = f"{settings['data']}: {settings['n_train']} training and {settings['n_test']} test images, no ridge"
    return f"{head}\n\n{align(rows)}"


def _cifar10(settings: dict[str, Any], results: dict[str, Any]) -> str:
    name = with_pooling("CNTK", settings["pooling"])
    rows = [("seed", "accuracy %", "ms per entry", "kernel s", "condition", "solver")]
    rows += [
        (
            str(run["seed"]),
            f"{run['accuracy']:.2f}",
            f"{run['ms_per_entry']:.4f}",
            f"{run['kernel_seconds']:.1f}",
            f"{run['condition_estimate']:.1e}",
            run["solver"],
        )
        for run in results["runs"]
    ]
    spread = "" if results["spread"] is None else f" +- {results['spread']:.2f} (standard deviation over draws)"
    published = results["published"]
    theirs = (
        f"published: {published['accuracy']:.2f} % for {published['name']}; {published['source']}"
        if published
        else f"published: no number for {settings['n_train']:,} training images"
    )
    return "\n".join(
        [
            f"{name}, depth {settings['depth']}, {settings['n_train']:,} training and {settings['n_test']:,} "
            f"test images, {settings['dtype']}, engine {settings['engine']}; {settings['data']}",
            "",
            align(rows),
            "",
            f"ours:      {results['mean']:.2f} %{spread}",
            theirs,
        ]
    )


def _small_data(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("training images", "accuracy %", "published %")]
    for row in results["sizes"]:
        published = row["published"] or {}
        theirs = _with_spread(published["accuracy"], published["spread"]) if published else "-"
        rows.append((str(row["n_train"]), _with_spread(row["mean"], row["spread"]), theirs))
    tested = "tested on the rest of a pool of {pool:,}" if "pool" in settings else "{n_test:,} test images"
    head = (
        f"CNTK-GAP, depth {settings['depth']}, {settings['draws']} class-balanced draws, {tested.format(**settings)}, "
        f"engine {settings['engine']}; {settings['data']}"
    )
    sources = sorted({row["published"]["source"] for row in results["sizes"] if row["published"]})
    return "\n".join([head, "", align(rows), *(f"\npublished: {source}" for source in sources)])


def _cifar10_table(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("kernel", "depth", "accuracy %", "published %")]
    for row in results["rows"]:
        name = f"{with_pooling('CNTK', row['pooling'])}, {row['kind'].upper()}"
        theirs = f"{row['published']['accuracy']:.2f} ({row['published']['name']})" if row["published"] else "-"
        rows.append((name, str(row["depth"]), _with_spread(row["mean"], row["spread"]), theirs))
    engines = ", ".join(sorted(set(settings["engines"].values())))
    head = (
        f"{settings['data']}: {settings['n_train']:,} training and {settings['n_test']:,} test images, "
        f"{settings['repeats']} draws, engine {engines}"
    )
    return f"{head}\n\n{align(rows)}"


def _myrtle(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("kernel", "pixels", "mirror images", "ridge, of the mean diagonal", "accuracy %")]
    for row in results["rows"]:
        ridge = "none" if row["chosen"] == "none" else f"{row['ridge']:.1e} (leave-one-out)"
        rows.append((*of_regression(row)[:3], ridge, f"{row['accuracy']:.2f}"))
    head = (
        f"{settings['network']}: {settings['n_train']:,} training and {settings['n_test']:,} test images, engine "
        f"{settings['engine']}; {settings['data']}"
    )
    return f"{head}\n\n{align(rows)}"


def _lap(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("kernel", "pixels", "mirror images", "ridge", *(f"reach {reach}" for reach in settings["reaches"]))]
    rows += [(*cells, *(f"{accuracy:.2f}" for accuracy in found)) for cells, found in by_reach(results["rows"])]
    engines = ", ".join(sorted(set(settings["engines"].values())))
    head = (
        f"CNTK-LAP, depth {settings['depth']}, accuracy in percent by reach: {settings['n_train']:,} training and "
        f"{settings['n_test']:,} test images, {settings['patches']} patches of width {settings['size']}, "
        f"engine {engines}; {settings['data']}"
    )
    theirs = "published: {accuracy:.0f} % ({name}; {source})".format(**results["paper"])
    return f"{head}\n\n{align(rows)}\n\n{theirs}"


def _with_spread(mean: float, spread: float | None) -> str:
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} +- {spread:.2f}"


def _verify(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("", "check", "found")]
    rows += [("ok" if c["ok"] else "WRONG", c["name"], c["detail"]) for c in results["checks"]]
    last = "this machine computes right" if results["ok"] else "this machine computes WRONG values; do not use it"
    return f"{align(rows)}\n\n{last}"


def _bench_gpu(settings: dict[str, Any], results: dict[str, Any]) -> str:
    rows = [("workload", "engine", "ms per entry", "error, different", "diagonal", "of limit", "hours for CIFAR-10")]
    rows += [
        (
            name,
            who,
            f"{run['milliseconds_per_entry']:.4g}",
            f"{run['error_different']:.1e}" if "error_different" in run else "-",
            f"{run['error_diagonal']:.1e}" if "error_diagonal" in run else "-",
            f"{run['share_of_limit']:.0%}" if "share_of_limit" in run else "-",
            f"{run['hours_for_cifar10']:.3g}",
        )
        for name, engines in results["workloads"].items()
        for who, run in engines.items()
    ]
    if not results["left_out"]:
        return align(rows)
    return f"{align(rows)}\nleft out after {settings['minutes']:g} minutes: {'; '.join(results['left_out'])}"


def _uci(settings: dict[str, Any], results: dict[str, Any]) -> str:
    methods = list(results["methods"])
    rows = [("set", "points", *(f"{m} %" for m in methods), *(f"{m} s" for m in methods))]
    for run in results["runs"]:
        cells = [f"{run[m]['accuracy']:.2f}" for m in methods] + [f"{run[m]['seconds']:.2f}" for m in methods]
        rows.append((run["set"], str(run["points"]), *cells))
    words = {"mean": "mean accuracy %", "spread": "spread over sets", "friedman_rank": "Friedman rank"}
    words |= {"p90": "P90", "p95": "P95", "pma": "PMA", "seconds": "seconds"}
    totals = [("", *methods)]
    for word, name in words.items():
        values = [results["methods"][m][word] for m in methods]
        totals.append((name, *("" if value is None else f"{value:.2f}" for value in values)))
    published = results["published"]
    sets = f"{settings['sets']} sets of at most {settings['largest']:,} points, four folds"
    theirs = f"published: {published['accuracy']:.2f} % for {published['name']}; {published['source']}"
    return "\n".join([sets, "", align(rows), "", align(totals), "", theirs])


_TABLES: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "digits": _digits,
    "cifar10": _cifar10,
    "cifar10-table": _cifar10_table,
    "myrtle": _myrtle,
    "lap": _lap,
    **FINITE,
    "small-data": _small_data,
    "uci": _uci,
    "verify": _verify,
    "bench-gpu": _bench_gpu,
}
