r"""Arithmetic on a value at a pair together with its increments to either input alone, without cancellation.

A dual is a function :math:`F(v_x, v_y, \Sigma)`, and the distance after the activation is
:math:`D' = [F(v_x, v_x, v_x) - F(v_x, v_y, \Sigma)] + [F(v_y, v_y, v_y) - F(v_x, v_y, \Sigma)]`. Subtracting values
loses all digits of near-duplicates. A :class:`Varied` carries both differences next to the value and passes them
through every operation by rules such as :math:`\Delta(ab) = \Delta a\, b + (a + \Delta a)\, \Delta b`: they keep their
relative accuracy, and where ``D = 0`` they are exactly 0. So each dual is written once, as plain arithmetic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Varied(NamedTuple):
    """A value at a pair, and how much larger it is at either input with itself."""

    at: Float[Array, "..."]
    dx: Float[Array, "..."]
    dy: Float[Array, "..."]

    @property
    def x(self) -> Float[Array, "..."]:
        """The value at the first input with itself."""
        return self.at + self.dx

    @property
    def y(self) -> Float[Array, "..."]:
        """The value at the second input with itself."""
        return self.at + self.dy

    def __add__(self, other: Any) -> Varied:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add."""
        if isinstance(other, Varied):
            return Varied(self.at + other.at, self.dx + other.dx, self.dy + other.dy)
        return Varied(self.at + other, self.dx, self.dy)

    __radd__ = __add__

    def __neg__(self) -> Varied:
        """Change the sign."""
        return Varied(-self.at, -self.dx, -self.dy)

    def __sub__(self, other: Any) -> Varied:
        """Subtract."""
        return self + (-other)

    def __rsub__(self, other: Any) -> Varied:
        """Subtract from a number."""
        return (-self) + other

    def __mul__(self, other: Any) -> Varied:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Multiply."""
        if isinstance(other, Varied):
            dx = self.dx * other.at + self.x * other.dx
            dy = self.dy * other.at + self.y * other.dy
            return Varied(self.at * other.at, dx, dy)
        return Varied(self.at * other, self.dx * other, self.dy * other)

    __rmul__ = __mul__  # pyright: ignore[reportAssignmentType]

    def __truediv__(self, other: Any) -> Varied:
        """Divide."""
        if not isinstance(other, Varied):
            return self * (1.0 / other)
        return self * (1.0 / other)

    def __rtruediv__(self, other: Any) -> Varied:
        """Divide a number by it."""
        inverse = 1.0 / self.at
        return Varied(inverse, -self.dx * inverse / self.x, -self.dy * inverse / self.y) * other


def pair_of(distance: Float[Array, "..."], v_x: Float[Array, "..."], v_y: Float[Array, "..."]) -> Moments:
    r"""Return the arguments of a dual at a pair, with their increments, from the distance and the variances."""
    distance, v_x, v_y = jnp.broadcast_arrays(distance, v_x, v_y)
    delta = v_x - v_y
    zero = jnp.zeros_like(delta)
    covariance = Varied(0.5 * (v_x + v_y - distance), 0.5 * (delta + distance), 0.5 * (distance - delta))
    # v_x v_y - Sigma**2, from differences: exactly zero for equal inputs
    area = 0.25 * (distance * (2.0 * (v_x + v_y) - distance) - delta * delta)
    return Moments(
        Varied(v_x, zero, -delta),
        Varied(v_y, delta, zero),
        covariance,
        Varied(distance, -distance, -distance),
        Varied(area, -area, -area),
    )


def alone(variance: Float[Array, "..."]) -> Moments:
    """Return the arguments of a dual for an input with itself, as plain arrays."""
    zero = jnp.zeros_like(variance)
    return Moments(variance, variance, variance, zero, zero)


class Moments(NamedTuple):
    """What a dual depends on: both variances and the covariance; distance and area, which follow from them, exactly."""

    v_x: Any
    v_y: Any
    covariance: Any
    distance: Any
    area: Any


def sqrt(a: Any) -> Any:
    """Return the square root of something positive."""
    if not isinstance(a, Varied):
        return jnp.sqrt(a)
    root = jnp.sqrt(a.at)
    return Varied(root, a.dx / (root + jnp.sqrt(a.x)), a.dy / (root + jnp.sqrt(a.y)))


def exp(a: Any) -> Any:
    """Return the exponential."""
    if not isinstance(a, Varied):
        return jnp.exp(a)
    return Varied(jnp.exp(a.at), exp_difference(a.at, a.dx), exp_difference(a.at, a.dy))


def exp_gap(low: Any, gap: Any) -> Any:
    """Return ``exp(low + gap) - exp(low)``."""
    if not isinstance(low, Varied):
        return exp_difference(low, gap)
    return (exp(low + gap) - exp(low))._replace(at=exp_difference(low.at, gap.at))


def exp_difference(p: Float[Array, "..."], d: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return ``exp(p + d) - exp(p)`` without cancellation, and without overflow where the result has none."""
    up = d > 0.0
    rise = -jnp.exp(p + d) * jnp.expm1(jnp.where(up, -d, 0.0))
    return jnp.where(up, rise, jnp.exp(p) * jnp.expm1(jnp.where(up, 0.0, d)))


def angle(sine: Any, cosine: Any) -> Any:
    """Return the angle of a sine and a cosine > 0, between -pi/2 and pi/2; both may have one positive factor."""
    if not isinstance(sine, Varied):
        return jnp.arctan2(sine, cosine)

    def turn(s: Array, c: Array, ds: Array, dc: Array) -> Array:
        return jnp.arctan2(ds * c - s * dc, (s + ds) * s + (c + dc) * c)

    at = jnp.arctan2(sine.at, cosine.at)
    return Varied(at, turn(sine.at, cosine.at, sine.dx, cosine.dx), turn(sine.at, cosine.at, sine.dy, cosine.dy))
