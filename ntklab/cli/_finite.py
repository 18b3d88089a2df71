"""`ntklab equivalence`, `ntklab lazy` and `ntklab reproduce cnn`: networks of finite width beside the closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from ntklab import studies
from ntklab.cli._output import cifar_option, engine_option, numbers, output_options, show, store_option

_STORE = store_option("each part's record")


@click.command()
@click.option(
    "--case", default="fc", show_default=True, type=click.Choice(get_args(studies.Case)), help="Kind of network."
)
@click.option("--widths", help="Widths for the kernel, such as 64,128,256.")
@click.option("--training-widths", help="Widths for training.")
@click.option("--seeds", default=32, show_default=True, help="Random networks per width for the kernel.")
@click.option("--training-seeds", default=8, show_default=True, help="Random networks per width for training.")
@_STORE
@output_options
def equivalence(
    case: Any,
    widths: str | None,
    training_widths: str | None,
    seeds: int,
    training_seeds: int,
    store: Path | None,
    json_: Path | None,
    png: Path | None,
) -> None:
    """Finite networks against their infinite-width limit: kernel, training and accuracy; minutes."""
    record = studies.equivalence(
        case,
        widths=numbers(int, widths),
        training_widths=numbers(int, training_widths),
        seeds=seeds,
        training_seeds=training_seeds,
        store=store,
    )
    show(record, json_, png)


@click.command()
@click.option("--alphas", help="Scales of the output, increasing, such as 0.5,2,8.  [default: 1/8 to 16]")
@click.option("--width", default=256, show_default=True, help="Of the hidden layers.")
@click.option("--seeds", default=4, show_default=True, help="Random networks per scale.")
@_STORE
@output_options
def lazy(alphas: str | None, width: int, seeds: int, store: Path | None, json_: Path | None, png: Path | None) -> None:
    """From lazy to rich: how far training moves the tangent kernel, against the scale of the output; minutes."""
    scales = numbers(float, alphas) or studies.ALPHAS
    show(studies.lazy(alphas=scales, width=width, seeds=seeds, store=store), json_, png)


@click.command()
@cifar_option
@click.option("--depths", default="3", show_default=True, help="Weight layers, such as 3,4,6.")
@click.option("--poolings", default="none,gap", show_default=True, help="none is CNN-V, gap is CNN-GAP.")
@click.option("--channels", default="8,32", show_default=True, help="Of the convolutions; the paper has 1024.")
@click.option("--train", default=100, show_default=True, help="Training images, drawn class-balanced.")
@click.option("--test", default=500, show_default=True, help="Test images, from the first.")
@click.option("--kappa", default=0.2, show_default=True, help="Scale of the output.")
@click.option("--rates", default="0.4", show_default=True, help="Shares of the largest stable learning rate.")
@click.option("--epochs", default=100, show_default=True, help="Passes over the training images.")
@click.option("--batch", default=25, show_default=True, help="Images per step.")
@click.option("--trials", default=2, show_default=True, help="Random networks per rate.")
@click.option("--seed", default=0, show_default=True, help="Of the draw of images.")
@engine_option
@_STORE
@output_options
def cnn(
    data: Path,
    depths: str,
    poolings: Any,
    channels: str,
    train: int,
    test: int,
    rates: str,
    json_: Path | None,
    png: Path | None,
    **options: Any,
) -> None:
    """Train CNN-V and CNN-GAP of Arora et al. 2019 beside CNTK-V and CNTK-GAP; minutes as it stands."""
    record = studies.cnn(
        data,
        depths=numbers(int, depths) or (),
        poolings=poolings.split(","),
        channels=numbers(int, channels) or (),
        n_train=train,
        n_test=test,
        rates=numbers(float, rates) or (),
        **options,
    )
    show(record, json_, png)
