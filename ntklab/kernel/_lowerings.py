"""What each type of layer becomes in a plan: one short function each; the list of them is in ``_table.py``."""

from __future__ import annotations

from typing import Any

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.spec import Activation


def activation(kind: str) -> Any:
    """Return the lowering of an activation: its float fields are learnable numbers, the others options."""

    def lowering(builder: Builder, layer: Activation, inputs: tuple[int, ...], at: Place) -> int:
        (x,) = inputs
        if not builder.gaussian[x]:
            raise SpecError(
                f"{layer!r} at {at.name} needs a Gaussian input, and what reaches it is not one even "
                f"in infinitely wide networks; put a Dense() or Conv(...) before it. Network: {at.network!r}"
            )
        return builder.add(
            (layer, x),
            at,
            kind=kind,
            label=type(layer).__name__,
            inputs=inputs,
            spatial=builder.values[x].spatial,
            gaussian=False,
            numbers=layer.numbers,
            options=layer.options,
        )

    return lowering
