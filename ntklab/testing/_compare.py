"""Comparisons that never broadcast and that say where two arrays differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ntklab.errors import InputError


@dataclass(frozen=True)
class Difference:
    """The largest relative error between two arrays, and where it stands.

    Attributes
    ----------
    error : float
        ``max |actual - expected| / scale``; infinite where a value is missing (NaN) on one side only, or
        where something stands next to an expected zero.
    index : tuple of int
        Where that is; ``()`` for scalars and empty arrays.
    actual, expected : float
        Both values there.
    """

    error: float
    index: tuple[int, ...]
    actual: float
    expected: float

    def __str__(self) -> str:
        """Return one line with the error, its index and both values."""
        return (
            f"largest relative error {self.error:.3g} at index {self.index}: "
            f"actual {self.actual!r}, expected {self.expected!r}"
        )


def largest_difference(actual: Any, expected: Any, scale: Any = None) -> Difference:
    """Return the largest relative error between two arrays of the same shape.

    Parameters
    ----------
    actual, expected : array
        NumPy, JAX or anything with ``__array__``. Compared in the wider of both dtypes, at least float64.
    scale : array or float, optional
        What errors are relative to: a positive number or an array of the same shape. Default
        ``|expected|``, entry by entry; where that is zero, only zero is right.

    Raises
    ------
    InputError
        The shapes differ (nothing is broadcast), or values are complex.

    Examples
    --------
    >>> print(largest_difference([1.0, 2.02], [1.0, 2.0]))
    largest relative error 0.01 at index (1,): actual 2.02, expected 2.0
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        raise InputError(f"Arrays of different shapes: actual {actual.shape}, expected {expected.shape}.")
    for name, a in (("actual", actual), ("expected", expected)):
        if not (np.issubdtype(a.dtype, np.floating) or np.issubdtype(a.dtype, np.integer) or a.dtype == bool):
            raise InputError(f"{name} needs real numbers, got dtype {a.dtype}.")
    wide = np.result_type(actual.dtype, expected.dtype, np.float64)
    actual, expected = actual.astype(wide), expected.astype(wide)
    if scale is None:
        size = np.abs(expected)
    else:
        size = np.asarray(scale).astype(wide)
        if size.shape not in ((), expected.shape) or not (size > 0).all():
            raise InputError(
                f"scale is a positive number or an array of them of shape {expected.shape}, got {scale!r}."
            )
        size = np.broadcast_to(size, expected.shape)
    if actual.size == 0:
        return Difference(0.0, (), float("nan"), float("nan"))
    agree = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(all="ignore"):
        error = np.where(agree, 0.0, np.abs(actual - expected) / size)
    error = np.where(np.isnan(error), np.inf, error)
    index = np.unravel_index(int(np.argmax(error)), error.shape)
    return Difference(float(error[index]), tuple(int(i) for i in index), float(actual[index]), float(expected[index]))


def assert_close(actual: Any, expected: Any, tolerance: float, *, scale: Any = None, what: str = "") -> None:
    """Raise AssertionError if any entry is further off than ``tolerance``, and say which is worst.

    Parameters
    ----------
    actual, expected, scale
        As in :func:`largest_difference`.
    tolerance : float
        Largest relative error allowed, such as :func:`ntklab.testing.tolerance` of a dtype.
    what : str
        What is compared, for the message.

    Examples
    --------
    >>> assert_close([1.0, 2.0], [1.0, 2.0], 1e-15)
    >>> assert_close([1.0, 2.02], [1.0, 2.0], 1e-3, what="ntk")
    Traceback (most recent call last):
        ...
    AssertionError: ntk: largest relative error 0.01 at index (1,): actual 2.02, expected 2.0; allowed 0.001
    """
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"tolerance is a relative error in [0, 1), got {tolerance!r}.")
    found = largest_difference(actual, expected, scale)
    if not found.error <= tolerance:
        raise AssertionError(f"{what + ': ' if what else ''}{found}; allowed {tolerance:g}")
