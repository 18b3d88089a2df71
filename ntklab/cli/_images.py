"""`ntklab reproduce cifar10-table`, `myrtle` and `lap`: kernels on CIFAR-10, many from one pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ntklab import studies
from ntklab.cli._output import cifar_option, engine_option, numbers, output_options, show, store_option

_STORE = store_option("the matrices")


def _mirrored_options(n_test: int, seed_of: str) -> Callable[[Any], Any]:
    """Return what gives a command the options of a draw with mirror images, and of output."""

    def give(command: Any) -> Any:
        for option in (
            output_options,
            _STORE,
            engine_option,
            click.option("--seed", default=0, show_default=True, help=seed_of),
            click.option("--test", default=n_test, show_default=True, help="Test images, from the first."),
            click.option("--train", default=100, show_default=True, help="Training images, drawn class-balanced."),
            click.option(
                "--flips/--no-flips", default=True, show_default=True, help="Kernels with mirror images, too."
            ),
        ):
            command = option(command)
        return command

    return give


@click.command("cifar10-table")
@cifar_option
@click.option("--depths", default="3,4,6,11,21", show_default=True, help="Weight layers; all in one pass.")
@click.option("--poolings", default="none", show_default=True, help="none is CNTK-V, gap is CNTK-GAP; or both.")
@click.option("--kinds", default="ntk,nngp", show_default=True, help="Kernels, of ntk and nngp.")
@click.option("--train", default=2000, show_default=True, help="Training images, drawn class-balanced.")
@click.option("--test", type=int, help="Test images, from the first.  [default: all]")
@click.option("--classes", default=10, show_default=True, help="The first so many; 2 is CIFAR-2.")
@click.option("--repeats", default=1, show_default=True, help="Draws, with seeds counting up.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first draw.")
@engine_option
@_STORE
@output_options
def cifar10_table(
    data: Path,
    depths: str,
    poolings: Any,
    kinds: Any,
    train: int,
    test: int | None,
    json_: Path | None,
    png: Path | None,
    **options: Any,
) -> None:
    """Table 1 of Arora et al. 2019: CNTK-V and CNTK-GAP by depth, NTK beside NNGP."""
    record = studies.cifar10_table(
        data,
        depths=numbers(int, depths) or (),
        poolings=poolings.split(","),
        kinds=kinds.split(","),
        n_train=train,
        n_test=test,
        **options,
    )
    show(record, json_, png)


@click.command()
@cifar_option
@click.option("--depth", default=5, show_default=True, type=click.Choice([5, 7, 10]), help="Of the Myrtle network.")
@click.option(
    "--activation", default="relu", show_default=True, type=click.Choice(["relu", "gaussian"]), help="gaussian is slow."
)
@click.option("--preprocessing", default="standardised,whitened", show_default=True, help="One, or both.")
@click.option(
    "--regularisation", default=0.1, show_default=True, help="Of the whitening: share of the mean eigenvalue."
)
@_mirrored_options(200, "Of the draw.")
def myrtle(
    data: Path, preprocessing: str, train: int, test: int, json_: Path | None, png: Path | None, **options: Any
) -> None:
    """What whitening, mirror images and a ridge are worth to a Myrtle kernel (Shankar et al. 2020)."""
    ways: Any = preprocessing.split(",")
    show(studies.myrtle(data, preprocessing=ways, n_train=train, n_test=test, **options), json_, png)


@click.command()
@cifar_option
@click.option("--depth", default=6, show_default=True, help="Weight layers.")
@click.option("--reaches", default="0,2,4", show_default=True, help="Of local pooling; all in one pass, 0 is CNTK-V.")
@click.option("--pixels", default="standardised,patches", show_default=True, help="One, or both.")
@click.option("--patches", default=64, show_default=True, help="Random patches, half of them mirror images.")
@click.option("--size", default=5, show_default=True, help="Of patches.")
@click.option("--threshold", default=0.25, show_default=True, help="What responses to patches lose.")
@_mirrored_options(500, "Of the draw, and of patches.")
def lap(
    data: Path,
    reaches: str,
    pixels: str,
    train: int,
    test: int,
    json_: Path | None,
    png: Path | None,
    **options: Any,
) -> None:
    """What local pooling, mirror images and random patches are worth to a CNTK (Li et al. 2019)."""
    found = numbers(int, reaches, zero=True) or ()
    ways: Any = pixels.split(",")
    show(studies.lap(data, reaches=found, pixels=ways, n_train=train, n_test=test, **options), json_, png)
