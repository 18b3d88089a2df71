"""The layers: frozen dataclasses without arrays. Notation: docs/notation.md.

Every weight layer uses the NTK parameterisation: unit Gaussian weights, scaled in the forward pass by
``W_std / sqrt(fan_in)`` and, for the bias, by ``b_std``. Names and defaults follow neural-tangents' stax.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import MISSING, dataclass, fields
from typing import Literal, get_args

from ntklab.errors import SpecError

Padding = Literal["SAME", "VALID", "CIRCULAR"]
Shape = tuple[int | None, ...]
"""Spatial sizes, then channels; ``None`` channels stand for a layer as wide as one likes."""


class Layer(ABC):  # noqa: B024 - abstract by what it means: a spec has data, no methods to implement
    """Abstract base of every layer; a whole network is itself a layer, mostly a :class:`Serial`."""

    def __repr__(self) -> str:
        """Return the shortest constructor call that rebuilds this layer."""
        return _call(self, positional=_POSITIONAL.get(type(self), ()))


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    r"""Fully connected layer on the channel axis, :math:`y = W_{std} / \sqrt{n}\, W x + b_{std}\, b`.

    Parameters
    ----------
    width : int, optional
        Output channels of a *finite* network. The kernels do not depend on it; ``None`` lets
        :func:`ntklab.finite.network` choose.
    W_std, b_std : float
        Standard deviations of weights and bias; ``b_std=None`` means no bias.
    trainable : bool
        Whether gradient flow moves this layer. An untrained layer adds nothing to the NTK.

    Examples
    --------
    >>> Dense(W_std=1.5, trainable=False)
    Dense(W_std=1.5, trainable=False)
    """

    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_weights(self)


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    r"""Convolution over all spatial axes.

    .. math:: y_p = W_{std} / \sqrt{k n} \sum_o W_o x_{p + o} + b_{std}\, b

    Parameters
    ----------
    filter_shape : int or tuple of int
        One size per spatial axis; ``3`` is short for ``(3, 3)``. ``k`` above is their product.
    width, W_std, b_std, trainable
        As in :class:`Dense`.
    strides : int or tuple of int, optional
        Default 1 along every axis.
    padding : {"VALID", "SAME", "CIRCULAR"}
        ``SAME`` pads with zeros, ``CIRCULAR`` wraps around, both by the amounts of JAX's ``SAME``.

    Examples
    --------
    >>> Conv(3, padding="SAME", W_std=1.5)
    Conv((3, 3), W_std=1.5, padding='SAME')
    """

    filter_shape: int | tuple[int, ...]
    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        _check_weights(self)
        _settle_window(self, "filter_shape")

    @property
    def window(self) -> tuple[int, ...]:
        """Filter sizes, one per spatial axis."""
        return _as_tuple(self.filter_shape)


@dataclass(frozen=True, repr=False)
class AvgPool(Layer):
    """Mean over windows; always divides by the window size, also where ``SAME`` pads with zeros.

    Parameters
    ----------
    window_shape : int or tuple of int
        One size per spatial axis; ``2`` is short for ``(2, 2)``.
    strides : int or tuple of int, optional
        Default 1 along every axis, as in neural-tangents: non-overlapping windows need ``strides=window``.
    padding : {"VALID", "SAME", "CIRCULAR"}
        As in :class:`Conv`.

    Examples
    --------
    >>> AvgPool(2, strides=2)
    AvgPool((2, 2), strides=(2, 2))
    """

    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        _settle_window(self, "window_shape")

    @property
    def window(self) -> tuple[int, ...]:
        """Window sizes, one per spatial axis."""
        return _as_tuple(self.window_shape)


@dataclass(frozen=True, repr=False)
class Relu(Layer):
    """``max(x, 0)``, elementwise. Needs a weight layer before it: only then is its input Gaussian."""


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """Mean over all spatial positions: ``(H, W, C) -> (C,)``."""


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All positions and channels in one vector: ``(H, W, C) -> (H * W * C,)``."""


@dataclass(frozen=True, repr=False)
class Identity(Layer):
    """The input itself."""


@dataclass(frozen=True, repr=False, init=False)
class Serial(Layer):
    """Layers one after another; a Serial inside a Serial is written out flat.

    Examples
    --------
    >>> Serial(Dense(W_std=1.5), Serial(Relu(), Dense()))
    Serial(Dense(W_std=1.5), Relu(), Dense())
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        _check_layers(self, layers)
        flat = tuple(inner for layer in layers for inner in (layer.layers if isinstance(layer, Serial) else (layer,)))
        object.__setattr__(self, "layers", flat)


@dataclass(frozen=True, repr=False, init=False)
class Parallel(Layer):
    """The sum of several branches that all take the same input and have independent weights."""

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        _check_layers(self, branches)
        if len(branches) < 2:
            raise SpecError(f"Parallel needs at least two branches, got {len(branches)}.")
        object.__setattr__(self, "branches", branches)


@dataclass(frozen=True, repr=False, init=False)
class Residual(Layer):
    """``body(x) + shortcut(x)``; the shortcut is the identity unless given.

    Examples
    --------
    >>> Residual(Relu(), Conv(3, padding="SAME"))
    Residual(Relu(), Conv((3, 3), padding='SAME'))
    """

    body: Serial
    shortcut: Layer = Identity()

    def __init__(self, *body: Layer, shortcut: Layer = Identity()) -> None:
        _check_layers(self, (*body, shortcut))
        object.__setattr__(self, "body", Serial(*body))
        object.__setattr__(self, "shortcut", shortcut)

    @property
    def branches(self) -> tuple[Layer, ...]:
        """The two summands, body first."""
        return (self.body, self.shortcut)


_POSITIONAL: dict[type, tuple[str, ...]] = {
    Conv: ("filter_shape",),
    AvgPool: ("window_shape",),
    Serial: ("*layers",),
    Parallel: ("*branches",),
    Residual: ("*body",),
}


def _call(layer: Layer, positional: tuple[str, ...]) -> str:
    words: list[str] = []
    for field in fields(layer):  # pyright: ignore[reportArgumentType]
        value = getattr(layer, field.name)
        if f"*{field.name}" in positional:
            words += [repr(inner) for inner in (value.layers if isinstance(value, Serial) else value)]
        elif field.name in positional:
            words.append(repr(value))
        elif field.name == "strides":
            words += [f"strides={value!r}"] if set(value) != {1} else []
        elif field.default is MISSING or value != field.default:
            words.append(f"{field.name}={value!r}")
    return f"{type(layer).__name__}({', '.join(words)})"


def _check_layers(owner: Layer, layers: tuple[Layer, ...]) -> None:
    for layer in layers:
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}() with parentheses" if isinstance(layer, type) else ""
            raise SpecError(f"{type(owner).__name__} takes layers, got {layer!r}{hint}.")


def _check_weights(layer: Dense | Conv) -> None:
    name = type(layer).__name__
    if not isinstance(layer.trainable, bool):
        raise SpecError(f"{name}: trainable is True or False, got {layer.trainable!r}.")
    if layer.width is not None and not _is_size(layer.width):
        raise SpecError(f"{name}: width is a positive integer or None, got {layer.width!r}.")
    for field in ("W_std", "b_std"):
        value: object = getattr(layer, field)
        if value is None and field == "b_std":
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
            raise SpecError(f"{name}: {field} is a finite number >= 0, got {value!r}.")
        object.__setattr__(layer, field, float(value) + 0.0)  # -0.0 becomes 0.0: equal layers, equal JSON


def _settle_window(layer: Conv | AvgPool, field: str) -> None:
    name = type(layer).__name__
    window = getattr(layer, field)
    for what, sizes in ((field, window), ("strides", layer.strides)):
        if not isinstance(sizes, int | tuple | list) and not (what == "strides" and sizes is None):
            raise SpecError(f"{name}: {what} is a positive integer or a tuple of them, got {sizes!r}.")
    window = (window, window) if isinstance(window, int) else tuple(window)
    strides = layer.strides
    if strides is None:
        strides = (1,) * len(window)
    strides = (strides,) * len(window) if isinstance(strides, int) else tuple(strides)
    for what, sizes in ((field, window), ("strides", strides)):
        if not sizes or not all(map(_is_size, sizes)):
            raise SpecError(f"{name}: {what} is a positive integer or a tuple of them, got {sizes!r}.")
    if len(strides) != len(window):
        raise SpecError(f"{name}: {field} {window} and strides {strides} differ in length; give one stride per axis.")
    if layer.padding not in get_args(Padding):
        raise SpecError(f"{name}: padding is one of {', '.join(get_args(Padding))}, got {layer.padding!r}.")
    object.__setattr__(layer, field, window)
    object.__setattr__(layer, "strides", strides)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _as_tuple(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    return (sizes,) if isinstance(sizes, int) else sizes
