"""Constant arrays inside layers, as nested tuples: hashable, comparable, and plain lists in JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer

_SHOWN = 16


class Numbers(tuple):
    """A nested tuple of floats with a shape; printed in full only while it is small."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes, outermost axis first."""
        return _shape(self)

    def __repr__(self) -> str:
        """Return the tuples, or their shape where they are many."""
        if math.prod(self.shape) <= _SHOWN:
            return super().__repr__()
        return f"<array of shape {self.shape}>"


def settle_numbers(layer: Layer, field: str) -> None:
    """Turn a number, nested sequences or an array in a field into a float or :class:`Numbers`."""
    given = getattr(layer, field)
    tolist = getattr(given, "tolist", None)
    value = _settled(tolist() if callable(tolist) else given)
    if value is None:
        raise SpecError(
            f"{type(layer).__name__}: {field} is an array of finite numbers (NumPy, JAX or nested lists whose rows "
            f"have equal lengths), got {given!r}."
        )
    object.__setattr__(layer, field, Numbers(value) if isinstance(value, tuple) else value)


def flat(value: float | Sequence[Any]) -> Iterator[float]:
    """Yield the numbers of nested tuples, last axis fastest."""
    if isinstance(value, tuple):
        for inner in value:
            yield from flat(inner)
    else:
        assert isinstance(value, float)
        yield value


def _settled(value: object) -> Any:
    """Return nested tuples of floats, or None where rows differ in shape or something is no finite number."""
    if isinstance(value, bool | int | float):
        return float(value) + 0.0 if math.isfinite(value) else None  # -0.0 becomes 0.0: equal layers, equal JSON
    if not isinstance(value, tuple | list) or not value:
        return None
    rows = tuple(map(_settled, value))
    return rows if None not in rows and len({_shape(row) for row in rows}) == 1 else None


def _shape(value: object) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, tuple) else ()
