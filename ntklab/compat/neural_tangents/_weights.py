"""Layers with weights, and pooling: names, arguments and defaults of neural-tangents' stax."""

from __future__ import annotations

import enum
import string
from collections.abc import Callable, Sequence
from typing import Any

from ntklab import spec
from ntklab.compat.neural_tangents._fn import Triple, triple
from ntklab.compat.neural_tangents._trace import Value, on_value
from ntklab.errors import SpecError
from ntklab.spec import Layer

Numbers3 = tuple[str, str, str]


class Padding(enum.Enum):
    """Names of paddings."""

    CIRCULAR = "CIRCULAR"
    SAME = "SAME"
    VALID = "VALID"


def Dense(
    out_dim: int,
    W_std: float = 1.0,
    b_std: float | None = None,
    batch_axis: int = 0,
    channel_axis: int = -1,
    parameterization: str = "ntk",
    s: tuple[int, int] = (1, 1),
) -> Triple:
    """Fully connected layer on the channel axis: :class:`ntklab.spec.Dense`."""
    layer = spec.Dense(out_dim, W_std, b_std, parameterization=_lower(parameterization), s=s)
    return _at("Dense", batch_axis, channel_axis, lambda value: value.then(layer))


def Conv(
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str = "VALID",
    W_std: float = 1.0,
    b_std: float | None = None,
    dimension_numbers: Numbers3 | None = None,
    parameterization: str = "ntk",
    s: tuple[int, int] = (1, 1),
) -> Triple:
    """Convolution over all spatial axes: :class:`ntklab.spec.Conv`."""
    given = (out_chan, filter_shape, strides, padding, W_std, b_std, dimension_numbers, parameterization, s)
    return _convolution(spec.Conv, *given)


def ConvTranspose(
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str = "VALID",
    W_std: float = 1.0,
    b_std: float | None = None,
    dimension_numbers: Numbers3 | None = None,
    parameterization: str = "ntk",
    s: tuple[int, int] = (1, 1),
) -> Triple:
    """Transposed convolution: :class:`ntklab.spec.ConvTranspose`."""
    given = (out_chan, filter_shape, strides, padding, W_std, b_std, dimension_numbers, parameterization, s)
    return _convolution(spec.ConvTranspose, *given)


def ConvLocal(
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str = "VALID",
    W_std: float = 1.0,
    b_std: float | None = None,
    dimension_numbers: Numbers3 | None = None,
    parameterization: str = "ntk",
    s: tuple[int, int] = (1, 1),
) -> Triple:
    """Convolution with weights of its own at every position: :class:`ntklab.spec.ConvLocal`."""
    given = (out_chan, filter_shape, strides, padding, W_std, b_std, dimension_numbers, parameterization, s)
    return _convolution(spec.ConvLocal, *given)


def AvgPool(
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str = "VALID",
    normalize_edges: bool = False,
    batch_axis: int = 0,
    channel_axis: int = -1,
) -> Triple:
    """Mean over windows: :class:`ntklab.spec.AvgPool`."""
    layer = spec.AvgPool(tuple(window_shape), _sizes(strides), _word(padding), normalize_edges)
    return _at("AvgPool", batch_axis, channel_axis, lambda value: value.then(layer))


def SumPool(
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str = "VALID",
    batch_axis: int = 0,
    channel_axis: int = -1,
) -> Triple:
    """Sum over windows: :class:`ntklab.spec.SumPool`."""
    layer = spec.SumPool(tuple(window_shape), _sizes(strides), _word(padding))
    return _at("SumPool", batch_axis, channel_axis, lambda value: value.then(layer))


def GlobalAvgPool(batch_axis: int = 0, channel_axis: int = -1) -> Triple:
    """Mean over all positions: :class:`ntklab.spec.GlobalAvgPool`."""
    return _at("GlobalAvgPool", batch_axis, channel_axis, _everywhere(spec.GlobalAvgPool()))


def GlobalSumPool(batch_axis: int = 0, channel_axis: int = -1) -> Triple:
    """Sum over all positions: :class:`ntklab.spec.GlobalSumPool`."""
    return _at("GlobalSumPool", batch_axis, channel_axis, _everywhere(spec.GlobalSumPool()))


def Flatten(batch_axis: int = 0, batch_axis_out: int = 0) -> Triple:
    """All positions and channels in one vector: :class:`ntklab.spec.Flatten`."""
    if batch_axis_out not in (0, 1, -1, -2):
        raise SpecError(f"Flatten: batch_axis_out is 0 or 1, got {batch_axis_out!r}.")

    def run(value: Value) -> Value:
        value.check_axes("Flatten", batch_axis)
        return value.then(spec.Flatten(), batch_axis_out % 2, 1 - batch_axis_out % 2)

    return triple(on_value("Flatten", run, (batch_axis, -1 if batch_axis % 2 == 0 else 0)))


def _convolution(
    kind: Any,
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Any,
    W_std: float,
    b_std: float | None,
    dimension_numbers: Numbers3 | None,
    parameterization: str,
    s: tuple[int, int],
) -> Triple:
    name, window = kind.__name__, tuple(filter_shape)
    lhs, rhs, out = dimension_numbers or _usual_axes(len(window))
    letters = [c for c in rhs if c not in "OI"]
    inputs, outputs = ([c for c in word if c not in "NC"] for word in (lhs, out))
    if inputs != outputs or sorted(inputs) != sorted(letters) or len(letters) != len(window):
        raise SpecError(
            f"{name}: dimension_numbers {(lhs, rhs, out)} reorder the spatial axes, or are not {len(window)} of them; "
            f"transpose the inputs once, before the network."
        )
    places = [letters.index(c) for c in inputs]
    shared = {"parameterization": _lower(parameterization), "s": s}
    if window:
        steps = None if strides is None else tuple(strides[i] for i in places)
        sizes = tuple(window[i] for i in places)
        layer = kind(sizes, out_chan, W_std, b_std, strides=steps, padding=_word(padding), **shared)
    else:
        layer = spec.Dense(out_chan, W_std, b_std, **shared)
    axes = lhs.index("N"), lhs.index("C")
    moved = out.index("N"), out.index("C")
    return _at(name, *axes, lambda value: value.then(layer, *moved))


def _usual_axes(n: int) -> Numbers3:
    spatial = "".join(c for c in string.ascii_uppercase if c not in "NCIO")[:n]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def _everywhere(layer: Layer) -> Callable[[Value], Value]:
    def run(value: Value) -> Value:
        if len(value.shape) == 1:
            return value
        first = value.batch_axis < value.channel_axis
        return value.then(layer, int(not first), int(first))

    return run


def _at(name: str, batch_axis: int, channel_axis: int, run: Callable[[Value], Value]) -> Triple:
    def checked(value: Value) -> Value:
        value.check_axes(name, batch_axis, channel_axis)
        return run(value)

    return triple(on_value(name, checked, (batch_axis, channel_axis)))


def _sizes(sizes: Sequence[int] | None) -> Any:
    return None if sizes is None else tuple(sizes)


def _word(padding: Any) -> Any:
    return getattr(padding, "name", padding)


def _lower(word: Any) -> Any:
    return word.lower() if isinstance(word, str) else word
