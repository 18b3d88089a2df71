"""What commands share: options, numbers in text, and what is done with a record: print, keep, draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ntklab import report
from ntklab._core import Record

cifar_option = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Directory with the CIFAR-10 files."
)
engine_option = click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="Engine of the kernels: auto takes the fastest that supports the network.",
)
dtype_option = click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "float64"]),
    help="Precision of the kernels.",
)


def store_option(what: str) -> Any:
    """Return --store: a directory that keeps ``what``."""
    folder = click.Path(file_okay=False, path_type=Path)
    return click.option("--store", type=folder, help=f"Keep {what}; resume there.")


def output_options(command: Any) -> Any:
    """Give a command --png and --json."""
    for option in (
        click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Draw the figure into this file."),
        click.option("--json", "json_", type=click.Path(dir_okay=False, path_type=Path), help="Write the record here."),
    ):
        command = option(command)
    return command


def show(record: Record, json_: Path | None, png: Path | None) -> None:
    """Print the table of a record; write it and its figure where asked."""
    click.echo(report.table(record))
    if json_ is not None:
        record.save(json_)
        click.echo(f"record: {json_}", err=True)
    if png is not None:
        report.draw(record, png)
        click.echo(f"figure: {png}", err=True)


def numbers(kind: Callable[[str], Any], text: str | None, *, zero: bool = False) -> tuple[Any, ...] | None:
    """Return numbers written with commas between them, all positive, or zero where it is allowed; None for none."""
    if text is None:
        return None
    try:
        found = tuple(kind(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(value > 0 or (zero and value == 0) for value in found):
        what = ("" if zero else "positive ") + ("integers" if kind is int else "numbers") + (" from 0" if zero else "")
        raise click.BadParameter(f"expected {what} separated by commas, got {text!r}")
    return found
