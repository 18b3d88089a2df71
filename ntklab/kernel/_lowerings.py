"""What activations become in a plan; the list of what each type of layer becomes is in ``_table.py``."""

from __future__ import annotations

from ntklab.errors import SpecError
from ntklab.kernel._build import OR_SAMPLE, Builder, Lowering, Place
from ntklab.spec import Activation, Layer


def sampled_only(why: str, instead: str) -> Lowering:
    """Return the lowering of a layer that has no kernel in closed form."""

    def lowering(builder: Builder, layer: Layer, inputs: tuple[int, ...], at: Place) -> int:
        raise SpecError(
            f"{layer!r} at {at.name} has no kernel in closed form: {why}; use {instead}, which has one. {OR_SAMPLE} "
            f"Network: {at.network!r}"
        )

    return lowering


def activation(builder: Builder, layer: Activation, inputs: tuple[int, ...], at: Place) -> int:
    """Add an activation: its float fields are learnable numbers, the others options."""
    (x,) = inputs
    if not builder.gaussian[x]:
        raise SpecError(
            f"{layer!r} at {at.name} needs a Gaussian input, and what reaches it is not one even "
            f"in infinitely wide networks; put a Dense() or Conv(...) before it. Network: {at.network!r}"
        )
    return builder.add(
        (layer, x),
        at,
        kind=layer.kind(),
        label=type(layer).__name__,
        inputs=inputs,
        spatial=builder.values[x].spatial,
        gaussian=False,
        numbers=layer.numbers,
        options=layer.options,
    )
