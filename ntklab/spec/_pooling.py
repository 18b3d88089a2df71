"""Pooling: means, sums and maxima over windows, means and sums over everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ntklab.spec._layer import LATER, Layer, Misfit, Shape, check_flag
from ntklab.spec._linear import as_tuple
from ntklab.spec._windows import Padding, settle_window, slid_shape


class _Pool(Layer):
    """Abstract base of what slides a window over positions."""

    positional: ClassVar[str] = "window_shape"
    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None
    padding: Padding

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
class AvgPool(_Pool):
    """Mean over windows.

    With ``strides=1``, odd windows of ``2 c + 1`` and padding ``"SAME"`` it is the local average pooling (LAP) of
    Li et al. 2019, put between the last activation and Flatten: ``AvgPool(2 * c + 1, padding="SAME")``.

    Parameters
    ----------
    window_shape : int or tuple of int
        One size per spatial axis; ``2`` is short for ``(2, 2)``.
    strides : int or tuple of int, optional
        Default 1 along every axis, as in neural-tangents: non-overlapping windows need ``strides=window``.
    padding : {"VALID", "SAME", "CIRCULAR"}
        As in :class:`Conv`, without explicit amounts.
    normalize_edges : bool
        Whether to divide by the number of positions inside the image, where ``SAME`` pads with zeros. By default it
        is always the window's size.

    References
    ----------
    Li et al. 2019, "Enhanced Convolutional Neural Tangent Kernels", for LAP.

    Examples
    --------
    >>> AvgPool(2, strides=2)
    AvgPool((2, 2), strides=(2, 2))
    """

    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"
    normalize_edges: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        """Check the arguments and write sizes out as tuples."""
        super().__post_init__()
        check_flag(self, "normalize_edges")


@dataclass(frozen=True, repr=False)
class SumPool(_Pool):
    """Sum over windows: the mean of :class:`AvgPool` times the window's size.

    Parameters
    ----------
    window_shape, strides, padding
        As in :class:`AvgPool`.

    Examples
    --------
    >>> SumPool((2, 1), padding="SAME")
    SumPool((2, 1), padding='SAME')
    """

    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"


@dataclass(frozen=True, repr=False)
class MaxPool(_Pool):
    r"""Maximum over windows, channel by channel; what pads is never the largest.

    The maximum of several Gaussians has no covariance in closed form, at infinite width neither: exact engines
    refuse it, and ``ntklab.compile(..., engine="monte-carlo")`` samples it.

    Parameters
    ----------
    window_shape, strides, padding
        As in :class:`AvgPool`.

    Raises
    ------
    SpecError
        Arguments out of range; and when compiled for an exact engine.

    Examples
    --------
    >>> MaxPool(2, strides=2)
    MaxPool((2, 2), strides=(2, 2))
    """

    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """Mean over all spatial positions: ``(H, W, C) -> (C,)``."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the channels alone."""
        if len(shape) < 2:
            raise Misfit("it needs spatial axes, and there are none left")
        return shape[-1:]


@dataclass(frozen=True, repr=False)
class GlobalSumPool(Layer):
    """Sum over all spatial positions: ``(H, W, C) -> (C,)``."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the channels alone."""
        if len(shape) < 2:
            raise Misfit("it needs spatial axes, and there are none left")
        return shape[-1:]
