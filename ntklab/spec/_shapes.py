"""Shape inference: what comes out of each layer, or an error that shows where the network breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ntklab.errors import SpecError
from ntklab.spec._layers import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    Padding,
    Parallel,
    Residual,
    Serial,
    Shape,
)


@dataclass(frozen=True)
class Step:
    """One layer where it stands in the network: its path, and the shapes that enter and leave it."""

    path: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape


def output_shape(network: Layer, input_shape: Sequence[int]) -> Shape:
    """Return the shape of the network's output for one input, channels last, ``None`` = any width.

    Parameters
    ----------
    network : Layer
    input_shape : sequence of int
        ``(d,)`` for vectors, ``(H, W, C)`` for images, ``(L, C)`` for sequences; no batch axis.

    Raises
    ------
    SpecError
        A layer cannot take what reaches it; the message shows the network up to that layer.

    Examples
    --------
    >>> from ntklab.spec import AvgPool, Conv, Serial
    >>> output_shape(Serial(Conv(3, padding="SAME"), AvgPool(2, strides=2)), (32, 32, 3))
    (16, 16, None)
    """
    return infer_shapes(network, input_shape)[-1].output_shape


def infer_shapes(network: Layer, input_shape: Sequence[int]) -> tuple[Step, ...]:
    """Return one :class:`Step` per layer in order of computation, composite layers after their parts."""
    if not isinstance(network, Layer):
        raise SpecError(f"A network is a layer such as Serial(...), got {network!r}.")
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise SpecError(
            f"input_shape is the shape of one input, channels last and without a batch axis, "
            f"such as (d,) or (H, W, C); got {input_shape!r}."
        )
    steps: list[Step] = []
    try:
        _walk(network, shape, "", steps)
    except _Misfit as misfit:
        raise SpecError(_report(misfit, network, shape, steps)) from None
    return tuple(steps)


def window_output_size(size: int, window: int, stride: int, padding: Padding) -> int:
    """Return how many windows fit along an axis (JAX's rules; CIRCULAR counts as SAME)."""
    return (size - window) // stride + 1 if padding == "VALID" else -(-size // stride)


def window_padding(size: int, window: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return how many positions are added before and after an axis (JAX's rules for SAME)."""
    if padding == "VALID":
        return (0, 0)
    total = max((window_output_size(size, window, stride, padding) - 1) * stride + window - size, 0)
    return (total // 2, total - total // 2)


class _Misfit(Exception):
    """A layer that cannot take its input; becomes a SpecError once the whole network can be shown."""

    def __init__(self, path: str, layer: Layer, shape: Shape, reason: str) -> None:
        self.path, self.layer, self.shape, self.reason = path, layer, shape, reason


def _walk(layer: Layer, shape: Shape, path: str, steps: list[Step]) -> Shape:
    if isinstance(layer, Serial):
        out = shape
        for name, part in children(layer):
            out = _walk(part, out, join(path, name), steps)
    elif isinstance(layer, Parallel | Residual):
        outs = [_walk(part, shape, join(path, name), steps) for name, part in children(layer)]
        out = _common_shape(layer, shape, path, outs)
    else:
        out = _leaf_shape(layer, shape, path)
    steps.append(Step(path, layer, shape, out))
    return out


def children(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Yield the parts of a composite layer with the names that paths use."""
    if isinstance(layer, Serial):
        yield from ((str(i), part) for i, part in enumerate(layer.layers))
    elif isinstance(layer, Residual):
        yield from (("body", layer.body), ("shortcut", layer.shortcut))
    elif isinstance(layer, Parallel):
        yield from ((f"branch{i}", part) for i, part in enumerate(layer.branches))


def join(path: str, name: str) -> str:
    """Return the path of a part: ``"3"`` and ``"body"`` give ``"3.body"``."""
    return f"{path}.{name}" if path else name


def _leaf_shape(layer: Layer, shape: Shape, path: str) -> Shape:
    if isinstance(layer, Dense):
        return (*shape[:-1], layer.width)
    if isinstance(layer, Conv):
        return (*_windows(layer, shape, path), layer.width)
    if isinstance(layer, AvgPool):
        return (*_windows(layer, shape, path), shape[-1])
    if isinstance(layer, GlobalAvgPool):
        if len(shape) < 2:
            raise _Misfit(path, layer, shape, "it needs spatial axes, and there are none left")
        return shape[-1:]
    if isinstance(layer, Flatten):
        total: int | None = 1
        for n in shape:
            total = None if n is None or total is None else total * n
        return (total,)
    return shape


def _windows(layer: Conv | AvgPool, shape: Shape, path: str) -> tuple[int, ...]:
    spatial, strides = shape[:-1], layer.strides
    assert isinstance(strides, tuple)
    if len(spatial) != len(layer.window):
        raise _Misfit(
            path,
            layer,
            shape,
            f"its window {layer.window} has {len(layer.window)} axes and its input has {len(spatial)} "
            f"spatial ones; the last axis of a shape is channels (a grey image is (H, W, 1))",
        )
    sizes = []
    for n, k, s in zip(spatial, layer.window, strides, strict=True):
        assert n is not None
        if layer.padding == "VALID" and n < k:
            raise _Misfit(path, layer, shape, f"a window of {k} does not fit into {n} positions; use SAME padding")
        if layer.padding == "CIRCULAR" and max(window_padding(n, k, s, layer.padding)) > n:
            raise _Misfit(path, layer, shape, f"a window of {k} wraps around {n} positions more than once")
        sizes.append(window_output_size(n, k, s, layer.padding))
    return tuple(sizes)


def _common_shape(layer: Layer, shape: Shape, path: str, outs: list[Shape]) -> Shape:
    names = [name for name, _ in children(layer)]
    listing = ", ".join(f"{n} {_show(o)}" for n, o in zip(names, outs, strict=True))
    merged = list(outs[0])
    for out in outs[1:]:
        clash = len(out) != len(merged) or any(
            a is not None and b is not None and a != b for a, b in zip(merged, out, strict=True)
        )
        # An input of given channels cannot be added to a layer that is as wide as one likes.
        clash = clash or (merged[-1] is None) != (out[-1] is None)
        if clash and out[:-1] == tuple(merged[:-1]) and shape[-1] is not None:
            raise _Misfit(
                path,
                layer,
                shape,
                f"its branches end in different channels ({listing}): the raw input cannot be added to a "
                f"wide layer; put a Dense() or Conv(...) before the sum",
            )
        if clash:
            raise _Misfit(path, layer, shape, f"its branches end in different shapes: {listing}")
    return tuple(merged)


def _show(shape: Shape) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def _report(misfit: _Misfit, network: Layer, shape: Shape, steps: list[Step]) -> str:
    where = f" at {misfit.path}" if misfit.path else ""
    lines = [
        f"{misfit.layer!r}{where} cannot take an input of shape {_show(misfit.shape)}: {misfit.reason}.",
        f"network: {network!r}",
        f"  {'input':24} {_show(shape)}",
    ]
    lines += [
        f"  {step.path:10} {type(step.layer).__name__:13} {_show(step.output_shape)}"
        for step in steps
        if not isinstance(step.layer, Serial)
    ]
    lines.append(f"> {misfit.path:10} {type(misfit.layer).__name__:13} does not fit")
    return "\n".join(lines)
