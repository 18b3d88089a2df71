"""Linear layers: weights, pooling, reshaping. Notation: docs/notation.md.

Every weight layer uses the NTK parameterisation: unit Gaussian weights, scaled in the forward pass by
``W_std / sqrt(fan_in)`` and, for the bias, by ``b_std``. Names and defaults follow neural-tangents' stax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ntklab.spec._layer import Layer, Misfit, Shape, Weighted, check_flag, check_number, check_width
from ntklab.spec._windows import Padding, settle_window, slid_shape


@dataclass(frozen=True, repr=False)
class Dense(Weighted):
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
        check_weights(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same positions with its own channels."""
        return (*shape[:-1], self.width)


@dataclass(frozen=True, repr=False)
class Conv(Weighted):
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

    positional: ClassVar[str] = "filter_shape"
    filter_shape: int | tuple[int, ...]
    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        check_weights(self)
        settle_window(self, "filter_shape")

    @property
    def window(self) -> tuple[int, ...]:
        """Filter sizes, one per spatial axis."""
        return as_tuple(self.filter_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Return as many positions as windows fit, with its own channels."""
        return (*slid_shape(self.window, self.strides, self.padding, shape), self.width)


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

    positional: ClassVar[str] = "window_shape"
    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        settle_window(self, "window_shape")

    @property
    def window(self) -> tuple[int, ...]:
        """Window sizes, one per spatial axis."""
        return as_tuple(self.window_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Return as many positions as windows fit."""
        return (*slid_shape(self.window, self.strides, self.padding, shape), shape[-1])


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """Mean over all spatial positions: ``(H, W, C) -> (C,)``."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the channels alone."""
        if len(shape) < 2:
            raise Misfit("it needs spatial axes, and there are none left")
        return shape[-1:]


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All positions and channels in one vector: ``(H, W, C) -> (H * W * C,)``."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return positions times channels."""
        total: int | None = 1
        for n in shape:
            total = None if n is None or total is None else total * n
        return (total,)


def check_weights(layer: Weighted) -> None:
    """Raise SpecError unless width, W_std, b_std and trainable make sense."""
    check_flag(layer, "trainable")
    check_width(layer, "width")
    check_number(layer, "W_std", 0.0)
    if layer.b_std is not None:
        check_number(layer, "b_std", 0.0)


def as_tuple(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes as the tuple that they were written out to."""
    return (sizes,) if isinstance(sizes, int) else sizes
