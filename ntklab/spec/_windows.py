"""Sliding windows: how they are written, how many fit, and what is padded."""

from __future__ import annotations

from typing import Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer, Misfit, Shape, is_size

Padding = Literal["SAME", "VALID", "CIRCULAR"]


def window_output_size(size: int, window: int, stride: int, padding: Padding) -> int:
    """Return how many windows fit along an axis (JAX's rules; CIRCULAR counts as SAME)."""
    return (size - window) // stride + 1 if padding == "VALID" else -(-size // stride)


def window_padding(size: int, window: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return how many positions are added before and after an axis (JAX's rules for SAME)."""
    if padding == "VALID":
        return (0, 0)
    total = max((window_output_size(size, window, stride, padding) - 1) * stride + window - size, 0)
    return (total // 2, total - total // 2)


def settle_window(layer: Layer, field: str) -> None:
    """Check a layer's window (in ``field``), strides and padding, and write sizes out as tuples."""
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
    if padding not in get_args(Padding):
        raise SpecError(f"{name}: padding is one of {', '.join(get_args(Padding))}, got {padding!r}.")
    object.__setattr__(layer, field, window)
    object.__setattr__(layer, "strides", strides)


def slid_shape(window: tuple[int, ...], strides: object, padding: Padding, shape: Shape) -> tuple[int, ...]:
    """Return the spatial sizes that a sliding window leaves, or raise Misfit."""
    spatial = shape[:-1]
    assert isinstance(strides, tuple)
    if len(spatial) != len(window):
        raise Misfit(
            f"its window {window} has {len(window)} axes and its input has {len(spatial)} "
            f"spatial ones; the last axis of a shape is channels (a grey image is (H, W, 1))"
        )
    sizes = []
    for n, k, s in zip(spatial, window, strides, strict=True):
        assert n is not None
        if padding == "VALID" and n < k:
            raise Misfit(f"a window of {k} does not fit into {n} positions; use SAME padding")
        if padding == "CIRCULAR" and max(window_padding(n, k, s, padding)) > n:
            raise Misfit(f"a window of {k} wraps around {n} positions more than once")
        sizes.append(window_output_size(n, k, s, padding))
    return tuple(sizes)
