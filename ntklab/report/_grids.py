"""Results of any kind as tables: like things become rows, single numbers stand side by side, long lists are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

PUBLISHED, IMAGE = "published", "image"
"""Keys that are shown in other ways: a published number beside ours, pixels in figures."""
_SHORT = 6
_NOTHING = "-"


class Grid(NamedTuple):
    """A table: its title, a header, and rows of as many cells."""

    title: str
    header: Sequence[str]
    rows: list[tuple[str, ...]]


def grids(title: str, value: dict[str, Any]) -> Iterator[Grid]:
    """Yield the tables of nested results, in their order; single numbers come first."""
    single = [(key, cell(inner)) for key, inner in value.items() if not _tabular(inner) and key != PUBLISHED]
    if single:
        yield Grid(title, ("", ""), single)
    for key, inner in value.items():
        if key == PUBLISHED or not _tabular(inner):
            continue
        name = f"{title}: {key}" if title else key
        if isinstance(inner, dict) and not _like(list(inner.values())):
            yield from grids(name, inner)
        else:
            yield from _rows(name, list(_leaves(inner)) if isinstance(inner, dict) else [((), row) for row in inner])


def cell(value: Any) -> str:
    """Return one value as text: numbers to six digits, long lists by their sizes."""
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {cell(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        flat = not any(isinstance(inner, list | dict) for inner in value)
        return ", ".join(map(cell, value)) or "none" if flat and len(value) <= _SHORT else f"{_sizes(value)} values"
    return str(value)


def _tabular(value: Any) -> bool:
    """Tell whether a value is a table of its own: a list of things with names, or things with names inside."""
    return bool(value) and (isinstance(value, dict) or _rows_inside(value))


def _rows_inside(value: Any) -> bool:
    return isinstance(value, list) and _like(value)


def _like(values: list[Any]) -> bool:
    """Tell whether all values are of the same make, and so rows of one table."""
    if len(values) < 1 or not all(isinstance(value, dict) and value for value in values):
        return False
    shared = set(values[0]).intersection(*values[1:])
    nested = all(_like(list(value.values())) for value in values)
    return bool(shared) or nested


def _rows(title: str, found: Sequence[tuple[tuple[str, ...], dict[str, Any]]]) -> Iterator[Grid]:
    """Yield a table of rows, then one for each list of rows inside them, whose row 2.1 is the first inside row 2."""
    inside = list(dict.fromkeys(key for _, row in found for key, inner in row.items() if _rows_inside(inner)))
    if inside and not any(names for names, _ in found):
        found = [((str(number),), row) for number, (_, row) in enumerate(found, 1)]
    depth = max(len(names) for names, _ in found)
    flat = [dict(_flat(row)) for _, row in found]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    rows = [
        (*names, *[""] * (depth - len(names)), *(row.get(column, "") for column in columns))
        for (names, _), row in zip(found, flat, strict=True)
    ]
    yield Grid(title, [""] * depth + columns, rows)
    for key in inside:
        below = [
            ((f"{'.'.join(names)}.{number}",), inner)
            for names, row in found
            for number, inner in enumerate(row.get(key) or (), 1)
        ]
        yield from _rows(f"{title}: {key}", below)


def _leaves(value: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the innermost rows, each with the names on the way to it."""
    for name, inner in value.items():
        if _like(list(inner.values())):
            for names, leaf in _leaves(inner):
                yield (name, *names), leaf
        else:
            yield (name,), inner


def _flat(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in row.items():
        if key == IMAGE or _rows_inside(value):
            continue
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}, ")
        else:
            yield prefix + key, cell(value)


def _sizes(value: Any) -> str:
    sizes = []
    while isinstance(value, list):
        sizes.append(str(len(value)))
        value = value[0] if value else None
    return " x ".join(sizes)
