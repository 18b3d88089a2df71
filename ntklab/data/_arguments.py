"""Checks of the counts and seeds that callers pass."""

import operator
from typing import Any

from ntklab.errors import InputError


def checked_count(name: str, value: Any, least: int, most: int, what: str) -> int:
    """Return `value` as an int in ``least..most``, the number of `what` that there are to take."""
    count = _integer(name, value)
    if not least <= count <= most:
        raise InputError(f"{name} must be {least}..{most}, as there are {most} {what}; got {count}")
    return count


def checked_seed(value: Any) -> int:
    """Return `value` as an int that ``numpy.random.default_rng`` takes."""
    seed = _integer("seed", value)
    if seed < 0:
        raise InputError(f"seed must not be negative; got {seed}")
    return seed


def _integer(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer; got {value!r}") from None
