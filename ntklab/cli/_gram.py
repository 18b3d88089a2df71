"""`ntklab gram`: kernel matrices that take hours, in a store that any number of runs complete."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

import ntklab
from ntklab import gram as compute_gram
from ntklab._core import precision_for
from ntklab.cli._output import dtype_option, engine_option
from ntklab.errors import InputError, NtklabError
from ntklab.gram import estimate, export, resume, status, verify
from ntklab.spec import Layer, from_json, zoo


@click.group()
def gram() -> None:
    """Kernel matrices that take hours: planned, computed into a store, checked, exported."""


def _kernel_options(required: bool) -> Callable[[Any], Any]:
    options = (
        click.option("--network", required=required, help="""JSON file, or a call such as 'cntk(11, "gap")'."""),
        click.option("--data", required=required, help="Inputs: x.npy, or arrays.npz:name."),
        click.option("--data2", help="Inputs of the columns.  [default: the same; a symmetric matrix]"),
        click.option("--get", default="nngp,ntk", show_default=True, help="nngp, ntk, or both."),
        dtype_option,
        engine_option,
        click.option("--tile", type=int, help="Side of a tile.  [default: two minutes, by measurement]"),
        click.option("--memory", default=1.0, show_default=True, help="GB for tiles in one process."),
    )

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@gram.command()
@_kernel_options(required=True)
def plan(tile: int | None, memory: float, **kernel: Any) -> None:
    """Print time, memory and disk before anything is computed."""
    with precision_for(kernel["dtype"]):
        kfn, x1, x2 = _kernel(**kernel)
        click.echo(f"engine   {str(kfn.engine).splitlines()[0]}")
        click.echo(str(estimate(kfn, x1, x2, tile=tile, memory=int(memory * 1e9))))


@gram.command()
@click.argument("store")
@_kernel_options(required=False)
@click.option("--dask", help="local:4 for four processes here, slurm:20 for twenty jobs, or tcp://host:8786.")
def run(store: str, tile: int | None, memory: float, dask: str | None, **kernel: Any) -> None:
    """Compute what STORE misses; begin it where --network and --data are given.

    Run it again after a crash, or as often as you like at once, on any machines that see STORE: the runs share
    the tiles. A store that was begun needs no options; it holds network and inputs.
    """
    place = _place(store)
    if kernel["network"] is None and kernel["data"] is None:
        with precision_for(status(place).manifest["kernel"]["dtype"]):
            resume(place, dask=dask)
    elif kernel["network"] is None or kernel["data"] is None:
        raise InputError("A new store needs --network and --data; one that was begun needs neither.")
    else:
        with precision_for(kernel["dtype"]):
            kfn, x1, x2 = _kernel(**kernel)
            compute_gram(kfn, x1, x2, tile=tile, memory=int(memory * 1e9), store=place, dask=dask)
    _show_status(store)


@gram.command("status")
@click.argument("store")
def status_(store: str) -> None:
    """Print what STORE holds and how far it is."""
    _show_status(store)


@gram.command("verify")
@click.argument("store")
@click.option("--sample", default=1, show_default=True, help="Tiles to compute anew; 0 reads checksums only.")
@click.option("--seed", default=0, show_default=True, help="Of the sample.")
@click.option("--repair", is_flag=True, help="Drop damaged tiles; `ntklab gram run STORE` computes them.")
def verify_(store: str, sample: int, seed: int, repair: bool) -> None:
    """Compare every checksum and compute a sample anew; exit status 1 if something is wrong."""
    place = _place(store)
    with precision_for(status(place).manifest["kernel"]["dtype"]):
        found = verify(place, sample=sample, seed=seed, repair=repair)
    click.echo(f"read      {found.tiles:,} tiles; {len(found.damaged):,} damaged, {found.missing:,} not computed yet")
    for at, reason in found.damaged:
        click.echo(f"damaged   rows {at.top}:{at.bottom}, columns {at.left}:{at.right}: {reason}")
    click.echo(
        f"computed  {found.recomputed:,} tiles anew: {found.identical:,} the same bit for bit, largest relative "
        f"difference {found.largest_difference:.2g} ({found.tolerance:.2g} may be rounding)"
    )
    if found.damaged:
        done = "dropped; `ntklab gram run` computes them" if repair else "`--repair` drops them, a run computes them"
        click.echo(f"repair    {done}")
    click.echo("ok" if found.ok else "WRONG")
    if not found.ok:
        raise SystemExit(1)


@gram.command("export")
@click.argument("store")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--get", help="ntk, nngp, or NAME.ntk.  [default: all, which needs .npz]")
def export_(store: str, path: Path, get: str | None) -> None:
    """Write STORE's matrices to PATH, in .npy or .npz."""
    export(_place(store), path, get=get)
    click.echo(f"written   {path}")


def _show_status(store: str) -> None:
    found = status(_place(store))
    about = found.manifest
    columns = (about["x2"] or about["x1"])["shape"][0]
    words = ", ".join(".".join(filter(None, which)) for which in about["matrices"])
    kernel = about["kernel"]
    click.echo(f"matrices  {words}: {about['x1']['shape'][0]:,} x {columns:,} of {kernel['dtype']}")
    click.echo(f"made by   engine {kernel['engine']} on {kernel['platform']}, jax {about['versions']['jax']}")
    share = 100 * found.entries_done / found.entries
    click.echo(
        f"tiles     {found.tiles_done:,} of {found.tiles:,} of side {about['tile']}, {share:.1f} % of the entries"
    )
    claimed = "" if not found.claimed else f"; {found.claimed:,} tiles claimed by processes, running or killed"
    click.echo(f"{'complete' if found.complete else 'not complete'}{claimed}")


def _kernel(network: str, data: str, data2: str | None, get: str, dtype: Any, engine: str) -> Any:
    x1 = _array(data)
    kfn = ntklab.compile(_network(network), x1.shape[1:], engine=engine, dtype=dtype, get=get.split(","))
    return kfn, x1, None if data2 is None else _array(data2)


def _network(text: str) -> Layer:
    """Read a network: a JSON file, or a call of the zoo with plain arguments."""
    if Path(text).is_file():
        return from_json(Path(text).read_text(encoding="utf-8"))
    try:
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        build = {maker.__name__: maker for maker in (zoo.cntk, zoo.cntk_lap, zoo.fc, zoo.myrtle, zoo.plain_cnn)}[
            call.func.id
        ]
        arguments = [ast.literal_eval(argument) for argument in call.args]
        return build(*arguments, **{word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg})
    except (SyntaxError, AssertionError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, NtklabError):
            raise
        example = "'cntk(11, \"gap\")' or 'fc(3)'"
        raise InputError(
            f"--network is a file with what ntklab.spec.to_json returns, or a call such as {example}; got {text!r}."
        ) from None


def _array(text: str) -> Any:
    """Read x.npy, mapped rather than copied, or a named array of an .npz."""
    path, _, name = text.partition(".npz:")
    try:
        if name:
            with np.load(f"{path}.npz") as arrays:
                return arrays[name]
        return np.load(text, mmap_mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{text} is no x.npy or arrays.npz:name that can be read: {error}") from None


def _place(store: str) -> Any:
    return json.loads(store) if store.startswith("{") else store
