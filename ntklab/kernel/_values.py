"""What the two passes carry: values of single inputs, values of pairs, and how the first line up with the second.

Array axes: two block axes ``(b1, b2)`` for pairs (one, ``b``, for single inputs), then positions: none, ``*P``
(equal positions) or ``*P *P`` (all pairs of positions).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntklab._core import safe_sqrt
from ntklab.kernel._plan import Carry
from ntklab.kernel._windows import diagonal


class ImageValue(NamedTuple):
    """What is known of one value for each input alone."""

    variance: Float[Array, "b *P"]
    std: Float[Array, "b *P"]
    distance: Float[Array, "b *P *P"] | None = None  # to itself, between all its positions
    within: Float[Array, "b *P"] | None = None  # half the mean distance inside each pooled window
    own: Float[Array, "b ..."] | None = None  # what else the rule that made it reads again for pairs


class PairValue(NamedTuple):
    """One value for a block of pairs: covariance or distance, and the tangent kernel where there is one."""

    cov: Float[Array, "..."]
    ntk: Float[Array, "..."] | None
    z: Float[Array, "b1 b2"] | None = None  # 1 - c, where it is known better than from the distance


class Sides(NamedTuple):
    """What is known of a value for the two inputs alone, and how it lines up with the axes of pairs."""

    left: ImageValue | None
    right: ImageValue | None
    carry: Carry
    block: bool  # two block axes (pairs), or one (each input with itself)
    z: Float[Array, "b1 b2"] | None = None  # 1 - c of the pairs, where it is known better than from the distance

    def spread(self, name: str) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return one map of both inputs, shaped to broadcast over pairs and positions."""
        return self.both(lambda value: getattr(value, name))

    def both(
        self, read: Callable[[ImageValue], Float[Array, "b *P"]]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return what a function makes of each side, shaped to broadcast over pairs and positions."""
        arrays = []
        for side, value in enumerate((self.left, self.right)):
            assert value is not None
            a = read(value)
            b, spatial = a.shape[0], a.shape[1:]
            lead = ((b, 1), (1, b))[side] if self.block else (b,)
            if self.carry is Carry.ALL:
                ones = (1,) * len(spatial)
                spatial = ((*spatial, *ones), (*ones, *spatial))[side]
            arrays.append(a.reshape((*lead, *spatial)))
        return arrays[0], arrays[1]

    @property
    def ends(self) -> tuple[ImageValue, ImageValue]:
        """The two sides, where both are known."""
        assert self.left is not None
        assert self.right is not None
        return self.left, self.right

    def covariance(self, distance: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the covariance at a distance."""
        left, right = self.spread("variance")
        return 0.5 * (left + right - distance)


def image_value(
    variance: Float[Array, "b *P"],
    distance: Float[Array, "b *P *P"] | None = None,
    within: Float[Array, "b *P"] | None = None,
    own: Float[Array, "b ..."] | None = None,
) -> ImageValue:
    """Return a value of inputs alone, with its standard deviation."""
    return ImageValue(variance, safe_sqrt(variance), distance, within, own)


def aside(own: Float[Array, "b ..."]) -> ImageValue:
    """Return what is no value of a network, but belongs to each input alone: a mask."""
    return ImageValue(own, own, own=own)


def equal_asides(left: ImageValue, right: ImageValue) -> Bool[Array, "b1 b2"]:
    """Return which inputs have equal asides."""
    a, b = (value.variance.reshape((value.variance.shape[0], -1)) for value in (left, right))
    return jnp.all(a[:, None] == b[None], axis=-1)


def pin_same(distance: Float[Array, "..."], same: Array, n: int = 0) -> Float[Array, "..."]:
    """Return distances that are exactly zero where an input meets itself, at equal positions of ``n`` axes each.

    Subtraction alone leaves rounding there, and its square root is what the next activation sees.
    """
    spatial = distance.shape[distance.ndim - 2 * n :]
    itself = jnp.eye(math.prod(spatial[:n]), dtype=bool).reshape((1,) * (distance.ndim - 2 * n) + spatial)
    pinned = itself & same.reshape(same.shape + (1,) * (distance.ndim - same.ndim))
    # zero in value, with the derivatives that it has around there
    return jnp.where(pinned, distance - jax.lax.stop_gradient(distance), distance)


def equal_positions(value: PairValue, n: int) -> PairValue:
    """Return a value on equal positions, of one on all pairs of ``n`` position axes."""
    return PairValue(diagonal(value.cov, n), None if value.ntk is None else diagonal(value.ntk, n))
