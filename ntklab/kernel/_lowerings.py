"""What each type of layer becomes in a plan: one short function each; the list of them is in ``_table.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.kernel._plan import Window
from ntklab.spec import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    window_output_size,
)


def identity(builder: Builder, layer: Identity, inputs: tuple[int, ...], at: Place) -> int:
    """Add nothing."""
    return inputs[0]


def dense(builder: Builder, layer: Dense, inputs: tuple[int, ...], at: Place) -> int:
    """Add a dense layer."""
    spatial = builder.values[inputs[0]].spatial
    return _weights(builder, layer, inputs, at, kind="dense", label="Dense", spatial=spatial)


def conv(builder: Builder, layer: Conv, inputs: tuple[int, ...], at: Place) -> int:
    """Add a convolution."""
    return _weights(builder, layer, inputs, at, kind="conv", **_windows(builder, layer, inputs[0]))


def avg_pool(builder: Builder, layer: AvgPool, inputs: tuple[int, ...], at: Place) -> int:
    """Add a pooling of windows."""
    (x,) = inputs
    op = _windows(builder, layer, x)
    key = ("pool", x, op["window"])
    return builder.add(key, at, kind="pool", inputs=inputs, gaussian=builder.gaussian[x], **op)


def global_avg_pool(builder: Builder, layer: GlobalAvgPool, inputs: tuple[int, ...], at: Place) -> int:
    """Add a pooling whose window is everything."""
    (x,) = inputs
    gaussian, whole = builder.gaussian[x], _whole(builder, x)
    return builder.add(("gap", x), at, kind="pool", label="GlobalAvgPool", inputs=inputs, gaussian=gaussian, **whole)


def flatten(builder: Builder, layer: Flatten, inputs: tuple[int, ...], at: Place) -> int:
    """Add the mean over equal positions, where there are positions."""
    (x,) = inputs
    if not builder.values[x].spatial:
        return x
    # Positions differ in variance: the flattened vector is not Gaussian with one covariance.
    return builder.add(
        ("flatten", x), at, kind="flatten", label="Flatten", inputs=inputs, gaussian=False, **_whole(builder, x)
    )


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


def _weights(builder: Builder, layer: Dense | Conv, inputs: tuple[int, ...], at: Place, **op: Any) -> int:
    numbers = [("W_std", layer.W_std)] + ([] if layer.b_std is None else [("b_std", layer.b_std)])
    key = (replace(layer, width=None), *inputs)
    return builder.add(key, at, inputs=inputs, gaussian=True, numbers=numbers, trainable=layer.trainable, **op)


def _windows(builder: Builder, layer: Conv | AvgPool, x: int) -> dict[str, Any]:
    assert isinstance(layer.strides, tuple)
    window = Window(layer.window, layer.strides, layer.padding)
    sizes = zip(builder.values[x].spatial, window.sizes, window.strides, strict=True)
    spatial = tuple(window_output_size(n, k, s, window.padding) for n, k, s in sizes)
    strides = "" if set(window.strides) == {1} else "/" + "x".join(map(str, window.strides))
    label = f"{type(layer).__name__} {'x'.join(map(str, window.sizes))}{strides} {window.padding}"
    return {"label": label, "window": window, "spatial": spatial}


def _whole(builder: Builder, x: int) -> dict[str, Any]:
    spatial = builder.values[x].spatial
    return {"spatial": (), "window": Window(spatial, (1,) * len(spatial), "VALID"), "squeeze": True}
