"""Composite layers: one after another, and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ntklab.errors import SpecError
from ntklab.spec._layer import Branching, Layer, Misfit, Shape, check_layers, show_shape


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


class _Sum(Branching):
    """The sum of what leaves the parts, which must have one shape."""

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
class Parallel(_Sum):
    """The sum of several branches that all take the same input and have independent weights."""

    positional: ClassVar[str] = "*branches"
    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        check_layers(self, branches)
        if len(branches) < 2:
            raise SpecError(f"Parallel needs at least two branches, got {len(branches)}.")
        object.__setattr__(self, "branches", branches)

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """Its branches by their number."""
        return tuple((f"branch{i}", part) for i, part in enumerate(self.branches))

    def with_parts(self, parts: Sequence[Layer]) -> Parallel:
        """Return it with other branches."""
        return Parallel(*parts)


@dataclass(frozen=True, repr=False, init=False)
class Residual(_Sum):
    """``body(x) + shortcut(x)``; the shortcut is the identity unless given.

    Examples
    --------
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
