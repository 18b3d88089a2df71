"""Convolutions: plain, transposed, and with weights of their own at every position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ntklab.errors import SpecError
from ntklab.spec._layer import LATER, Misfit, Shape, Weighted, is_size
from ntklab.spec._linear import Parameterization, as_tuple, check_weights, out_channels
from ntklab.spec._windows import (
    AnyPadding,
    Padding,
    settle_dilation,
    settle_window,
    slid_shape,
    transposed_padding,
    window_output_size,
)


@dataclass(frozen=True, repr=False)
class Conv(Weighted):
    r"""Convolution over all spatial axes.

    .. math:: y_p = W_{std} / \sqrt{k n} \sum_o W_o x_{p + o} + b_{std}\, b

    Parameters
    ----------
    filter_shape : int or tuple of int
        One size per spatial axis; ``3`` is short for ``(3, 3)``. ``k`` above is their product.
    width, W_std, b_std, trainable, parameterization, s
        As in :class:`Dense`.
    strides : int or tuple of int, optional
        Default 1 along every axis.
    padding : {"VALID", "SAME", "CIRCULAR"} or tuple of (int, int)
        ``SAME`` pads with zeros, ``CIRCULAR`` wraps around, both by the amounts of JAX's ``SAME``. Pairs, one per
        axis, say how many zeros come before and after.
    dilation : int or tuple of int, optional
        Step between the taps of a filter, default 1 along every axis.
    groups : int or "depthwise"
        Each of so many equal groups of output channels reads one group of input channels. ``"depthwise"``: each
        output channel reads one input channel, of infinitely many.

    Notes
    -----
    The kernel of groups, each of infinitely many channels, is that of ``groups=1``. Two cases are not Gaussian, so
    that an activation is refused until a Dense or an ungrouped Conv has mixed the channels: groups of the input's own
    channels, which differ from each other, and depthwise ones, whose channels are products of Gaussians. Their
    kernels themselves are exact, as means over channels, for infinitely many filters per group.

    Examples
    --------
    >>> Conv(3, padding="SAME", W_std=1.5)
    Conv((3, 3), W_std=1.5, padding='SAME')
    >>> Conv((3,), padding=((2, 0),), dilation=2)  # causal, every second step
    Conv((3,), padding=((2, 0),), dilation=(2,))
    """

    positional: ClassVar[str] = "filter_shape"
    filter_shape: int | tuple[int, ...]
    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    strides: int | tuple[int, ...] | None = None
    padding: AnyPadding = "VALID"
    dilation: int | tuple[int, ...] | None = field(default=None, metadata=LATER)
    groups: int | Literal["depthwise"] = field(default=1, metadata=LATER)
    parameterization: Parameterization = field(default="ntk", metadata=LATER)
    s: tuple[int, int] = field(default=(1, 1), metadata=LATER)

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        check_weights(self)
        settle_window(self, "filter_shape", explicit=True)
        settle_dilation(self)
        if not (is_size(self.groups) or self.groups == "depthwise"):
            raise SpecError(f'Conv: groups is a positive integer or "depthwise", got {self.groups!r}.')

    @property
    def window(self) -> tuple[int, ...]:
        """Filter sizes, one per spatial axis."""
        return as_tuple(self.filter_shape)

    @property
    def reach(self) -> tuple[int, ...]:
        """How many positions the filter spans, one number per spatial axis."""
        steps = self.dilation or (1,) * len(self.window)
        assert isinstance(steps, tuple)
        return tuple((k - 1) * d + 1 for k, d in zip(self.window, steps, strict=True))

    def channel_groups(self, channels: int) -> int:
        """Return the number of groups for so many input channels."""
        return channels if self.groups == "depthwise" else self.groups

    def output_shape(self, shape: Shape) -> Shape:
        """Return as many positions as windows fit, with its own channels."""
        own = out_channels(self, shape)
        for name, n in (("input", shape[-1]), ("output", own)):
            groups = self.groups if shape[-1] is None else self.channel_groups(shape[-1])
            if n is not None and isinstance(groups, int) and n % groups:
                raise Misfit(f"{groups} groups do not divide its {n} {name} channels")
        return (*slid_shape(self.reach, self.strides, self.padding, shape), own)


@dataclass(frozen=True, repr=False)
class ConvTranspose(Weighted):
    r"""Transposed convolution: positions move ``strides`` apart and are filled in from their neighbours.

    .. math:: y_p = W_{std} / \sqrt{k n} \sum_{o\,:\ s q = p + o} W_o x_q + b_{std}\, b

    Sizes and offsets are those of :func:`jax.lax.conv_transpose`; ``CIRCULAR`` is the transpose of a circular
    convolution. As there, the scale counts all ``k`` taps, of which about one in ``prod(strides)`` meets an input.

    Parameters
    ----------
    filter_shape, width, W_std, b_std, trainable, strides, parameterization, s
        As in :class:`Conv`.
    padding : {"VALID", "SAME", "CIRCULAR"}
        ``SAME`` and ``CIRCULAR`` make an axis of ``n`` into ``n * stride``, ``VALID`` into all that the filter reaches.

    Examples
    --------
    >>> from ntklab.spec import ConvTranspose, output_shape
    >>> output_shape(ConvTranspose(4, strides=2, padding="SAME"), (8, 8, 3))
    (16, 16, None)
    """

    positional: ClassVar[str] = "filter_shape"
    filter_shape: int | tuple[int, ...]
    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"
    parameterization: Parameterization = "ntk"
    s: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        check_weights(self)
        settle_window(self, "filter_shape")

    @property
    def window(self) -> tuple[int, ...]:
        """Filter sizes, one per spatial axis."""
        return as_tuple(self.filter_shape)

    def amounts(self) -> tuple[tuple[int, int], ...]:
        """Return what is added before and after each axis, once every position is followed by ``stride - 1`` zeros."""
        assert isinstance(self.strides, tuple)
        sizes = zip(self.window, self.strides, strict=True)
        return tuple(transposed_padding(k, s, self.padding) for k, s in sizes)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the larger sizes, with its own channels."""
        assert isinstance(self.strides, tuple)
        slid_shape((1,) * len(self.window), self.strides, "SAME", shape)  # as many axes
        sizes = zip(shape[:-1], self.window, self.strides, self.amounts(), strict=True)
        spatial = (window_output_size((n or 0) * s + sum(pads), k, 1, "VALID") for n, k, s, pads in sizes)
        return (*spatial, out_channels(self, shape))


@dataclass(frozen=True, repr=False)
class ConvLocal(Weighted):
    r"""Convolution with weights and biases of its own at every position.

    .. math:: y_p = W_{std} / \sqrt{k n} \sum_o W_{p,o} x_{p + o} + b_{std}\, b_p

    Different positions are independent of each other. Followed by Flatten, with nothing in between that
    mixes positions, its kernel is that of :class:`Conv`.

    Parameters
    ----------
    filter_shape, width, W_std, b_std, trainable, strides, parameterization, s
        As in :class:`Conv`.
    padding : {"VALID", "SAME", "CIRCULAR"}
        As in :class:`Conv`.

    Examples
    --------
    >>> ConvLocal(3, padding="SAME")
    ConvLocal((3, 3), padding='SAME')
    """

    positional: ClassVar[str] = "filter_shape"
    filter_shape: int | tuple[int, ...]
    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"
    parameterization: Parameterization = "ntk"
    s: tuple[int, int] = (1, 1)

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
        return (*slid_shape(self.window, self.strides, self.padding, shape), out_channels(self, shape))
