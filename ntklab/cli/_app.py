"""The `ntklab` command: parse, call one function, print, exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ntklab import __version__, report, studies
from ntklab._core import Record, precision_for
from ntklab.cli._finite import cnn, equivalence, lazy
from ntklab.cli._gram import gram
from ntklab.cli._images import cifar10_table, lap, myrtle
from ntklab.cli._output import cifar_option, dtype_option, engine_option, numbers, output_options, show, store_option
from ntklab.errors import InputError, NtklabError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ntklab")
def app() -> None:
    """Exact kernels of infinitely wide neural networks, and what follows from them."""


for command in (gram, equivalence, lazy):
    app.add_command(command)


@app.group()
def reproduce() -> None:
    """Published results, computed anew."""


@reproduce.command()
@click.option("--train", default=100, show_default=True, help="Training images.")
@click.option("--test", default=297, show_default=True, help="Test images.")
@click.option("--seed", default=0, show_default=True, help="Of the draw of images.")
@engine_option
@output_options
def digits(train: int, test: int, seed: int, engine: str, json_: Path | None, png: Path | None) -> None:
    """Three kernels on scikit-learn's 8 x 8 digits: about a minute, nothing to download."""
    show(studies.digits(n_train=train, n_test=test, seed=seed, engine=engine), json_, png)


@reproduce.command()
@cifar_option
@click.option("--depth", default=11, show_default=True, help="Weight layers: depth - 1 convolutions and one dense.")
@click.option("--pooling", default="gap", show_default=True, type=click.Choice(["none", "gap"]), help="none is CNTK-V.")
@click.option("--train", type=int, help="Training images, drawn class-balanced.  [default: all]")
@click.option("--test", type=int, help="Test images, from the first.  [default: all]")
@click.option("--seed", default=0, show_default=True, help="Seed of the first draw.")
@click.option("--repeats", default=1, show_default=True, help="Draws, with seeds counting up.")
@click.option("--ridge", default=0.0, show_default=True, help="Relative to the mean diagonal.")
@dtype_option
@engine_option
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Keep the last draw's Grams (.npz).")
@output_options
def cifar10(
    data: Path,
    depth: int,
    pooling: Any,
    train: int | None,
    test: int | None,
    seed: int,
    repeats: int,
    ridge: float,
    dtype: str,
    engine: str,
    save: Path | None,
    json_: Path | None,
    png: Path | None,
) -> None:
    """CNTK on CIFAR-10 by the protocol of Arora et al. 2019."""
    with precision_for(dtype):
        record = studies.cifar10(
            data,
            depth=depth,
            pooling=pooling,
            n_train=train,
            n_test=test,
            seed=seed,
            repeats=repeats,
            ridge=ridge,
            dtype=dtype,
            engine=engine,
            save=save,
        )
    show(record, json_, png)


@reproduce.command("small-data")
@cifar_option
@click.option("--depth", default=14, show_default=True, help="Weight layers.")
@click.option("--sizes", default="10,20,40,80,160,320", show_default=True, help="Numbers of training images.")
@click.option("--draws", default=20, show_default=True, help="Class-balanced draws, with seeds counting up.")
@click.option("--test", type=int, help="Test images, from the first.  [default: all]")
@click.option("--pool", type=int, help="Draw from this many images, and test on the others of them: one matrix.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first draw.")
@engine_option
@store_option("draws, or the pool's matrix")
@output_options
def small_data(
    data: Path,
    depth: int,
    sizes: str,
    draws: int,
    test: int | None,
    json_: Path | None,
    png: Path | None,
    **options: Any,
) -> None:
    """CIFAR-10 from few images: CNTK-GAP's learning curve (Arora et al. 2019b)."""
    few = numbers(int, sizes) or ()
    record = studies.small_data(data, depth=depth, sizes=few, draws=draws, n_test=test, **options)
    show(record, json_, png)


@reproduce.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The UCI archive: a directory or a zip.")
@click.option("--methods", default="svm,ridge", show_default=True, help="svm needs scikit-learn.")
@click.option("--sets", help="Names of sets, such as lenses,ecoli.  [default: all that the paper takes]")
@click.option("--largest", default=5000, show_default=True, help="Sets of at most so many points.")
@store_option("each set's record")
@output_options
def uci(
    data: Path,
    methods: Any,
    sets: str | None,
    largest: int,
    store: Path | None,
    json_: Path | None,
    png: Path | None,
) -> None:
    """NTK classifiers on UCI sets by the procedure of Arora et al. 2019b."""
    names = sets.split(",") if sets else None
    show(studies.uci(data, methods=methods.split(","), names=names, largest=largest, store=store), json_, png)


for command in (cifar10_table, cnn, lap, myrtle):
    reproduce.add_command(command)


@app.command("report")
@click.argument("records", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--html",
    default="report.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page.",
)
@click.option("--png", type=click.Path(file_okay=False, path_type=Path), help="Put the figures here, too.")
def report_(records: tuple[Path, ...], html: Path, png: Path | None) -> None:
    """One HTML page from RECORDs of any kind: tables, figures, published numbers. Computes nothing."""
    named = {path.stem: Record.load(path) for path in records}
    if len(named) < len(records):
        raise InputError("Two records have the same file name: rename one, as the page names them by it.")
    written = {html: report.page(named).encode()}
    if png is not None:
        images = {
            f"{name}-{what}": image for name, record in named.items() for what, image in report.figures(record).items()
        }
        images |= {name.replace(", ", "-").replace(" ", "-"): image for name, image in report.curves(named).items()}
        written |= {png / f"{name}.png": image for name, image in images.items()}
    for path, content in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        click.echo(path)


@app.group()
def bench() -> None:
    """How fast this machine is."""


@bench.command()
@click.option("--minutes", default=7.5, show_default=True, help="What is not begun by then is left out.")
@click.option("--json", "json_", type=click.Path(dir_okay=False, path_type=Path), help="Write the record here.")
def gpu(minutes: float, json_: Path | None) -> None:
    """Every engine on this machine's GPU: time, error, and hours for all of CIFAR-10."""
    show(studies.bench_gpu(minutes=minutes), json_, None)


@app.command()
@click.option("--json", "json_", type=click.Path(dir_okay=False, path_type=Path), help="Write the record here.")
def verify(json_: Path | None) -> None:
    """Check that this machine and its JAX compute right values; exit status 1 if not."""
    record = studies.verify()
    show(record, json_, None)
    if not record.results["ok"]:
        sys.exit(1)


def main() -> None:
    """Run the command; our own errors and Ctrl-C end it with one line, not a traceback."""
    try:
        app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped", err=True)
        sys.exit(130)
    except NtklabError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)  # the class is a heading of docs/errors.md
        sys.exit(2)
