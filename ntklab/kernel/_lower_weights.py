"""What layers with weights become in a plan: one short function each; the list of them is in ``_table.py``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.kernel._plan import Window
from ntklab.spec import AvgPool, Conv, ConvLocal, ConvTranspose, Dense, Layer, SumPool

Inputs = tuple[int, ...]


def dense(builder: Builder, layer: Dense, inputs: Inputs, at: Place) -> int:
    """Add a dense layer."""
    return _weights(builder, layer, inputs, at, "dense", label="Dense")


def conv(builder: Builder, layer: Conv, inputs: Inputs, at: Place) -> int:
    """Add a convolution; grouped ones do not mix channels, which matters to what may follow."""
    assert isinstance(layer.strides, tuple)
    window = Window(layer.window, layer.strides, "VALID")
    steps = layer.dilation
    plain = isinstance(layer.padding, str) and steps is None
    if isinstance(layer.padding, str):
        window = replace(window, padding=layer.padding)
    else:
        window = replace(window, amounts=layer.padding)
    if isinstance(steps, tuple):
        window = replace(window, dilation=steps)
    like_any_other = layer.groups == 1 or (layer.groups != "depthwise" and builder.alike[inputs[0]])
    return _weights(
        builder,
        layer,
        inputs,
        at,
        "conv" if plain else "weights",
        label=window_label(layer),
        window=window,
        gaussian=like_any_other,
        alike=layer.groups == 1 or builder.alike[inputs[0]],
    )


def conv_transpose(builder: Builder, layer: ConvTranspose, inputs: Inputs, at: Place) -> int:
    """Add a convolution of what has zeros between its positions."""
    assert isinstance(layer.strides, tuple)
    ones = (1,) * len(layer.window)
    window = Window(layer.window, ones, layer.padding, spread=layer.strides, amounts=layer.amounts())
    return _weights(builder, layer, inputs, at, "weights", label=window_label(layer), window=window)


def conv_local(builder: Builder, layer: ConvLocal, inputs: Inputs, at: Place) -> int:
    """Add a convolution with weights of its own at every position."""
    assert isinstance(layer.strides, tuple)
    window = Window(layer.window, layer.strides, layer.padding)
    return _weights(builder, layer, inputs, at, "local", label=window_label(layer), window=window)


def _weights(
    builder: Builder,
    layer: Dense | Conv | ConvTranspose | ConvLocal,
    inputs: Inputs,
    at: Place,
    kind: str,
    *,
    gaussian: bool = True,
    alike: bool = True,
    **op: Any,
) -> int:
    numbers = [("W_std", layer.W_std)] + ([] if layer.b_std is None else [("b_std", layer.b_std)])
    fan_in = _fan_in(builder, layer, at)
    if fan_in is not None:
        kind, op["options"] = "local" if kind == "local" else "weights", (("fan_in", fan_in),)
    return builder.add(
        (replace(layer, width=None), fan_in, *inputs),
        at,
        kind=kind,
        inputs=inputs,
        spatial=spatial_of(layer, at),
        gaussian=gaussian,
        alike=alike,
        numbers=numbers,
        trainable=layer.trainable,
        **op,
    )


def _fan_in(builder: Builder, layer: Dense | Conv | ConvTranspose | ConvLocal, at: Place) -> float | None:
    """Return how many inputs a unit has before widening, where the tangent kernel depends on it."""
    if layer.parameterization == "ntk" or not (layer.trainable and builder.tangents):
        return None
    channels = at.input_shape[-1]
    if isinstance(layer, Conv) and layer.groups == "depthwise":
        channels = 1
    if channels is None:
        raise SpecError(
            f"{layer!r} at {at.name}: under the standard parameterisation the NTK grows with the number of channels "
            f"that enter, so the layer before must have a width. Network: {at.network!r}"
        )
    groups = layer.groups if isinstance(layer, Conv) and isinstance(layer.groups, int) else 1
    taps = 1 if isinstance(layer, Dense) else math.prod(layer.window)
    return taps * channels / groups / layer.s[0]


def spatial_of(layer: Layer, at: Place) -> tuple[int, ...]:
    """Return the spatial sizes that a layer leaves where it stands."""
    return tuple(n for n in layer.output_shape(at.input_shape)[:-1] if n is not None)


def window_label(layer: Conv | ConvTranspose | ConvLocal | AvgPool | SumPool) -> str:
    """Return how a plan writes a layer with a window."""
    assert isinstance(layer.strides, tuple)
    strides = "" if set(layer.strides) == {1} else "/" + "x".join(map(str, layer.strides))
    padding = layer.padding if isinstance(layer.padding, str) else "padded"
    return f"{type(layer).__name__} {'x'.join(map(str, layer.window))}{strides} {padding}"
