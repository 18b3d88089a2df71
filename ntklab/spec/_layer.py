"""What every layer is: a frozen dataclass that prints, compares and tells the shape that it makes."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from typing import Any, ClassVar

from ntklab.errors import SpecError

Shape = tuple[int | None, ...]
"""Spatial sizes, then channels; ``None`` channels stand for a layer as wide as one likes."""


LATER = {"later": True}
"""Metadata of fields that came after their layer: where they have their default, JSON leaves them out."""


class Misfit(Exception):
    """Why a layer cannot take its input; becomes a SpecError that shows the whole network."""


class Layer(ABC):  # noqa: B024 - abstract by what it means: most layers are data alone
    """Abstract base of every layer; a whole network is itself a layer, mostly a :class:`Serial`."""

    positional: ClassVar[str] = ""
    """The field written without its name: ``"window"``, or ``"*layers"`` for as many as one likes."""

    @property
    def parts(self) -> tuple[tuple[str, Layer], ...]:
        """The layers inside this one, with the names that paths use; none but in composite layers."""
        return ()

    def with_parts(self, parts: Sequence[Layer]) -> Layer:
        """Return this layer with other parts, in the order of :attr:`parts`."""
        assert not parts
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape made of an input of this shape, the same by default; raise :class:`Misfit` if none is."""
        return shape

    def __repr__(self) -> str:
        """Return the shortest constructor call that rebuilds this layer."""
        words: list[str] = []
        for field in fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            if self.positional == f"*{field.name}":
                words += [repr(inner) for inner in (value if isinstance(value, tuple) else value.layers)]
            elif self.positional == field.name:
                words.append(repr(value))
            elif field.default is MISSING or value != field.default:
                words += [f"{field.name}={value!r}"] if self._told(field.name, value) else []
        return f"{type(self).__name__}({', '.join(words)})"

    def _told(self, field: str, value: Any) -> bool:
        """Whether a value that is not the field's default must be written."""
        return field != "strides" or set(value) != {1}


class Weighted(Layer):
    """Abstract base of layers with weights of their own: what leaves them is Gaussian with mean zero, and new.

    Not quite so where they end in an activation, as recurrent layers do (``centred`` is False), nor are the channels
    of those seen by the output alone (``hidden``).
    """

    centred: ClassVar[bool] = True
    hidden: ClassVar[bool] = False
    width: int | None
    b_std: float | None
    trainable: bool

    def settled(self, width: int, hidden: int) -> Weighted:
        """Return it with open widths settled: ``width`` channels, and ``hidden`` wherever else it is wide inside."""
        return self if self.width is not None else replace(self, width=width)  # pyright: ignore[reportArgumentType]


class Chain(Layer):
    """Abstract base of layers whose parts come one after another."""


class Branching(Layer):
    """Abstract base of layers whose parts all take the same input; what they make of it is combined."""

    def combined_shape(self, shape: Shape, outs: Sequence[Shape]) -> Shape:
        """Return the shape made of what leaves the parts, or raise :class:`Misfit`."""
        raise NotImplementedError


def show_shape(shape: Shape) -> str:
    """Return a shape as messages write it."""
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def check_layers(owner: Layer, layers: Sequence[object]) -> None:
    """Raise SpecError unless all are layers."""
    for layer in layers:
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}() with parentheses" if isinstance(layer, type) else ""
            raise SpecError(f"{type(owner).__name__} takes layers, got {layer!r}{hint}.")


def check_number(layer: Layer, field: str, least: float = -math.inf) -> None:
    """Raise SpecError unless a field is a finite number, at least ``least``; make it a float."""
    value: object = getattr(layer, field)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least
    if not fits:
        bound = "" if least == -math.inf else f" >= {least:g}"
        raise SpecError(f"{type(layer).__name__}: {field} is a finite number{bound}, got {value!r}.")
    assert isinstance(value, int | float)
    object.__setattr__(layer, field, float(value) + 0.0)  # -0.0 becomes 0.0: equal layers, equal JSON


def check_flag(layer: Layer, field: str) -> None:
    """Raise SpecError unless a field is a bool."""
    value: object = getattr(layer, field)
    if not isinstance(value, bool):
        raise SpecError(f"{type(layer).__name__}: {field} is True or False, got {value!r}.")


def check_width(layer: Layer, field: str) -> None:
    """Raise SpecError unless a field is a positive integer or None."""
    value: object = getattr(layer, field)
    if value is not None and not is_size(value):
        raise SpecError(f"{type(layer).__name__}: {field} is a positive integer or None, got {value!r}.")


def is_size(value: object) -> bool:
    """Return whether a value is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
