"""Sliding windows: how they are written, how many fit, and what is padded."""

from __future__ import annotations

from typing import Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer, Misfit, Shape, is_size

Padding = Literal["SAME", "VALID", "CIRCULAR"]
AnyPadding = Padding | tuple[tuple[int, int], ...]
"""A rule, or how many zeros come before and after each axis."""
AxisPadding = Padding | tuple[int, int]


def axis_paddings(padding: AnyPadding, axes: int) -> list[AxisPadding]:
    """Return the padding of each of so many axes."""
    return [padding] * axes if isinstance(padding, str) else list(padding)


def window_output_size(size: int, window: int, stride: int, padding: AxisPadding) -> int:
    """Return how many windows fit along an axis (JAX's rules; CIRCULAR counts as SAME)."""
    if padding in ("SAME", "CIRCULAR"):
        return -(-size // stride)
    return (size + sum(window_padding(size, window, stride, padding)) - window) // stride + 1


def window_padding(size: int, window: int, stride: int, padding: AxisPadding) -> tuple[int, int]:
    """Return how many positions are added before and after an axis (JAX's rules for SAME)."""
    if isinstance(padding, tuple):
        return padding
    if padding == "VALID":
        return (0, 0)
    total = max((window_output_size(size, window, stride, padding) - 1) * stride + window - size, 0)
    return (total // 2, total - total // 2)


def transposed_padding(window: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return what a transposed convolution adds before and after an axis whose positions stand ``stride`` apart.

    By JAX's rules; the last position is followed by ``stride - 1`` zeros, too. CIRCULAR adds by wrapping around.
    """
    beyond = max(window - stride, 0)
    if padding == "VALID":
        return (window - 1, beyond)
    if padding == "CIRCULAR":
        return (window - 1 - beyond // 2, beyond // 2)
    before = window - 1 if stride > window - 1 else -(-(window + stride - 2) // 2)
    return (before, window - 1 - before)


def settle_window(layer: Layer, field: str, *, explicit: bool = False) -> None:
    """Check a layer's window (in ``field``), strides and padding, and write sizes out as tuples.

    ``explicit`` allows amounts of padding.
    """
    name = type(layer).__name__
    window, strides = getattr(layer, field), getattr(layer, "strides")  # noqa: B009 - not every layer has them
    for what, sizes in ((field, window), ("strides", strides)):
        if not isinstance(sizes, int | tuple | list) and not (what == "strides" and sizes is None):
            raise SpecError(f"{name}: {what} is a positive integer or a tuple of them, got {sizes!r}.")
    window = (window, window) if isinstance(window, int) else tuple(window)
    if strides is None:
        strides = (1,) * len(window)
    strides = (strides,) * len(window) if isinstance(strides, int) else tuple(strides)
    for what, sizes in ((field, window), ("strides", strides)):
        if not sizes or not all(map(is_size, sizes)):
            raise SpecError(f"{name}: {what} is a positive integer or a tuple of them, got {sizes!r}.")
    if len(strides) != len(window):
        raise SpecError(f"{name}: {field} {window} and strides {strides} differ in length; give one stride per axis.")
    padding = getattr(layer, "padding")  # noqa: B009
    if explicit and isinstance(padding, tuple | list):
        padding = _settled_amounts(name, padding, len(window))
    elif padding not in get_args(Padding):
        also = " or a pair of amounts per axis" if explicit else ""
        raise SpecError(f"{name}: padding is one of {', '.join(get_args(Padding))}{also}, got {padding!r}.")
    object.__setattr__(layer, field, window)
    object.__setattr__(layer, "strides", strides)
    object.__setattr__(layer, "padding", padding)


def settle_dilation(layer: Layer) -> None:
    """Check a layer's dilation; 1 along every axis is None."""
    given = getattr(layer, "dilation")  # noqa: B009
    axes = len(getattr(layer, "window"))  # noqa: B009
    steps = (given,) * axes if isinstance(given, int) else given
    if steps is None:
        return
    if not isinstance(steps, tuple | list) or len(steps) != axes or not all(map(is_size, steps)):
        raise SpecError(
            f"{type(layer).__name__}: dilation is a positive integer or one per axis ({axes} of them), got {given!r}."
        )
    object.__setattr__(layer, "dilation", tuple(steps) if set(steps) != {1} else None)


def _settled_amounts(name: str, padding: object, axes: int) -> tuple[tuple[int, int], ...]:
    assert isinstance(padding, tuple | list)
    pairs = [tuple(pair) for pair in padding if isinstance(pair, tuple | list) and len(pair) == 2]
    if not len(pairs) == len(padding) == axes or not all(n == 0 or is_size(n) for pair in pairs for n in pair):
        raise SpecError(
            f"{name}: explicit padding is a pair of integers >= 0 for each of its {axes} axes, got {padding!r}."
        )
    return tuple((pair[0], pair[1]) for pair in pairs)


def slid_shape(window: tuple[int, ...], strides: object, padding: AnyPadding, shape: Shape) -> tuple[int, ...]:
    """Return the spatial sizes that a sliding window leaves, or raise Misfit."""
    spatial = shape[:-1]
    assert isinstance(strides, tuple)
    if len(spatial) != len(window):
        raise Misfit(
            f"its window {window} has {len(window)} axes and its input has {len(spatial)} "
            f"spatial ones; the last axis of a shape is channels (a grey image is (H, W, 1))"
        )
    sizes = []
    for n, k, s, way in zip(spatial, window, strides, axis_paddings(padding, len(window)), strict=True):
        assert n is not None
        if way not in ("SAME", "CIRCULAR") and n + sum(window_padding(n, k, s, way)) < k:
            raise Misfit(f"a window of {k} does not fit into {n} positions; use SAME padding")
        if way == "CIRCULAR" and max(window_padding(n, k, s, way)) > n:
            raise Misfit(f"a window of {k} wraps around {n} positions more than once")
        sizes.append(window_output_size(n, k, s, way))
    return tuple(sizes)
