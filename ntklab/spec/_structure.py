"""Composite layers: one after another, and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ntklab.errors import SpecError
from ntklab.spec._layer import Branching, Chain, Layer, Misfit, Shape, check_layers, show_shape


@dataclass(frozen=True, repr=False)
class Identity(Layer):
    """The input itself."""


@dataclass(frozen=True, repr=False, init=False)
class Serial(Chain):
    """Layers one after another; a Serial inside a Serial is written out flat.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu
    >>> Serial(Dense(W_std=1.5), Serial(Relu(), Dense()))
    Serial(Dense(W_std=1.5), Relu(), Dense())
    """

    positional: ClassVar[str] = "*layers"
    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        check_layers(self, layers)
        flat = tuple(inner for layer in layers for inner in (layer.layers if isinstance(layer, Serial) else (layer,)))
        object.__setattr__(self, "layers", flat)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """Its layers by their number."""
        return tuple((str(i), part) for i, part in enumerate(self.layers))

    def with_parts(self, parts: Sequence[Layer]) -> Serial:
        """Return it with other layers."""
        return Serial(*parts)


class _OneShape(Branching):
    """What leaves the parts must have one shape, and so has the result."""

    def combined_shape(self, shape: Shape, outs: Sequence[Shape]) -> Shape:
        """Return the one shape of all parts."""
        listing = ", ".join(f"{name} {show_shape(o)}" for (name, _), o in zip(self.parts, outs, strict=True))
        merged = outs[0]
        for out in outs[1:]:
            clash = len(out) != len(merged) or any(
                a is not None and b is not None and a != b for a, b in zip(merged, out, strict=True)
            )
            # An input of given channels cannot be added to a layer that is as wide as one likes.
            clash = clash or (merged[-1] is None) != (out[-1] is None)
            if clash and out[:-1] == merged[:-1] and shape[-1] is not None:
                raise Misfit(
                    f"its branches end in different channels ({listing}): the raw input cannot be added to a "
                    f"wide layer; put a Dense() or Conv(...) before the sum"
                )
            if clash:
                raise Misfit(f"its branches end in different shapes: {listing}")
        return merged


@dataclass(frozen=True, repr=False, init=False)
class Parallel(_OneShape):
    """The sum of several branches that all take the same input and have independent weights."""

    positional: ClassVar[str] = "*branches"
    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        _set_branches(self, branches)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """Its branches by their number."""
        return tuple((f"branch{i}", part) for i, part in enumerate(self.branches))

    def with_parts(self, parts: Sequence[Layer]) -> Parallel:
        """Return it with other branches."""
        return Parallel(*parts)


@dataclass(frozen=True, repr=False, init=False)
class Residual(_OneShape):
    """``body(x) + shortcut(x)``; the shortcut is the identity unless given.

    Examples
    --------
    >>> from ntklab.spec import Conv, Relu
    >>> Residual(Relu(), Conv(3, padding="SAME"))
    Residual(Relu(), Conv((3, 3), padding='SAME'))
    """

    positional: ClassVar[str] = "*body"
    body: Serial
    shortcut: Layer = Identity()

    def __init__(self, *body: Layer, shortcut: Layer = Identity()) -> None:
        check_layers(self, (*body, shortcut))
        object.__setattr__(self, "body", Serial(*body))
        object.__setattr__(self, "shortcut", shortcut)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """The two summands, body first."""
        return (("body", self.body), ("shortcut", self.shortcut))

    @property
    def branches(self) -> tuple[Layer, ...]:
        """The two summands, body first."""
        return (self.body, self.shortcut)

    def with_parts(self, parts: Sequence[Layer]) -> Residual:
        """Return it with another body and shortcut."""
        body, shortcut = parts
        return Residual(body, shortcut=shortcut)


@dataclass(frozen=True, repr=False, init=False)
class Product(_OneShape):
    r"""The product of several branches, channel by channel: :math:`y_{pc} = \prod_i f_i(x)_{pc}`.

    .. math:: \Sigma' = \prod_i \Sigma_i, \quad \Theta' = \sum_i \Theta_i \prod_{j \ne i} \Sigma_j

    Gated units are products: ``Product(Serial(Dense(), Relu()), Dense())``. neural-tangents calls it ``FanInProd``.

    All branches but one pass weights of their own, so that they are independent; they need not be Gaussian, nor have
    mean zero. The product is not Gaussian: weights must follow before an activation does.

    Raises
    ------
    SpecError
        Fewer than two branches; and when compiled: shapes that differ, or two branches without weights of their own.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu
    >>> Product(Serial(Dense(), Relu()), Dense(b_std=1.0))
    Product(Serial(Dense(), Relu()), Dense(b_std=1.0))
    """

    positional: ClassVar[str] = "*branches"
    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        _set_branches(self, branches)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """Its branches by their number."""
        return tuple((f"branch{i}", part) for i, part in enumerate(self.branches))

    def with_parts(self, parts: Sequence[Layer]) -> Product:
        """Return it with other branches."""
        return Product(*parts)


@dataclass(frozen=True, repr=False, init=False)
class Concat(Branching):
    r"""Several branches side by side, along channels or along a spatial axis.

    Along channels, with :math:`n_i` channels in branch :math:`i`,

    .. math:: \Sigma' = \sum_i \frac{n_i}{\sum_j n_j} \Sigma_i, \quad
              \Theta' = \sum_i \frac{n_i}{\sum_j n_j} \Theta_i.

    This is where kernels depend on widths, by their ratio: give every branch channels (``Dense(128)`` next to
    ``Dense(384)``: one quarter, three quarters), or none (``Dense()`` next to ``Dense()``: all open widths are the
    same, so one half each). Branches may be of any sort, and share everything. What comes out is no Gaussian with one
    covariance: put an activation into each branch, or weights before it.

    Along a spatial axis, positions of different branches have covariance zero. That asks for independent branches, all
    but one of mean zero, as a sum does; the result is Gaussian if all branches are.

    Parameters
    ----------
    *branches : Layer
        At least two, all from the same input.
    axis : int
        Axis of one input's shape, without a batch axis: -1 for channels (the default), 0 for the first spatial axis.

    Raises
    ------
    SpecError
        Fewer than two branches or an axis that is no integer; and when compiled: shapes that differ along other axes,
        some channels open and others given, or branches along a spatial axis that are not independent.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu
    >>> Concat(Serial(Dense(), Relu()), Dense())
    Concat(Serial(Dense(), Relu()), Dense())
    """

    positional: ClassVar[str] = "*branches"
    branches: tuple[Layer, ...]
    axis: int = -1

    def __init__(self, *branches: Layer, axis: int = -1) -> None:
        _set_branches(self, branches)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise SpecError(f"Concat: axis is an integer, got {axis!r}.")
        object.__setattr__(self, "axis", axis)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """Its branches by their number."""
        return tuple((f"branch{i}", part) for i, part in enumerate(self.branches))

    def with_parts(self, parts: Sequence[Layer]) -> Concat:
        """Return it with other branches."""
        return Concat(*parts, axis=self.axis)

    def combined_shape(self, shape: Shape, outs: Sequence[Shape]) -> Shape:
        """Return the sum of sizes along its axis."""
        rank = len(outs[0])
        listing = ", ".join(f"{name} {show_shape(o)}" for (name, _), o in zip(self.parts, outs, strict=True))
        if not -rank <= self.axis < rank:
            raise Misfit(f"its axis {self.axis} is none of the {rank} axes of what its branches end in: {listing}")
        axis = self.axis % rank
        if len({(*o[:axis], *o[axis + 1 :]) for o in outs}) > 1:
            raise Misfit(f"its branches end in shapes that differ along other axes than {axis}: {listing}")
        sizes = [o[axis] for o in outs]
        known = [n for n in sizes if n is not None]
        if known and len(known) < len(sizes):
            raise Misfit(
                f"its branches end in channels of which some are open and some given ({listing}): their ratio decides "
                f"the kernel, so give a width to all of them or to none"
            )
        return (*outs[0][:axis], sum(known) if known else None, *outs[0][axis + 1 :])


@dataclass(frozen=True, repr=False)
class Repeat(Chain):
    """A layer ``count`` times over, each time with weights of its own: the same as that many written into a Serial.

    The reference engine compiles layers that repeat once, however they were written and whatever their number.

    Parameters
    ----------
    body : Layer
        What is repeated, mostly a Serial; it takes what it makes.
    count : int
        How often; 0 is the identity.

    Raises
    ------
    SpecError
        ``count`` is no integer >= 0.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu
    >>> Repeat(Serial(Dense(), Relu()), count=20)
    Repeat(Serial(Dense(), Relu()), count=20)
    """

    positional: ClassVar[str] = "body"
    body: Layer
    count: int

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_layers(self, (self.body,))
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 0:
            raise SpecError(f"Repeat: count is an integer >= 0, got {self.count!r}.")

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """The copies by their number."""
        return tuple((str(i), self.body) for i in range(self.count))

    def with_parts(self, parts: Sequence[Layer]) -> Layer:
        """Return it with another layer, or a Serial where the copies differ."""
        return Repeat(parts[0], self.count) if len(set(parts)) == 1 else Serial(*parts)


def _set_branches(layer: Branching, branches: tuple[Layer, ...]) -> None:
    check_layers(layer, branches)
    if len(branches) < 2:
        raise SpecError(f"{type(layer).__name__} needs at least two branches, got {len(branches)}.")
    object.__setattr__(layer, "branches", branches)
