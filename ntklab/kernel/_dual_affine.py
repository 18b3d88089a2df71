r"""Activations scaled and shifted, :math:`\psi(x) = a\,\phi(i x) + b`: any dual that knows its mean gives the next.

The shift cancels in the distance. Where the dual knows ``z = 1 - c`` after it, so does this one: with ``r`` the
deviation :math:`\sqrt{E[\phi^2]}` and ``m`` the mean, :math:`\psi` is a constant :math:`a m + b` and an orthogonal rest
of size :math:`\lvert a\rvert\sqrt{r^2 - m^2}`, and two vectors of which ``z`` of the rests is known have
:math:`z' = p_2 q_2 z_2 + \frac12 (p_1 - q_1)^2 + \frac12 (p_2 - q_2)^2`, by their shares ``p`` and ``q``.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab import spec
from ntklab._core import safe_sqrt
from ntklab.errors import SpecError
from ntklab.kernel._rule_activation import Dual, DualValue, Numbers, inside
from ntklab.kernel._values import ImageValue, Sides


class AffineDual(Dual):
    """The dual around that of another activation, which it finds by its kind."""

    of = spec.Affine

    def __init__(self, duals: Mapping[str, Dual]) -> None:
        self.duals = duals

    def steps(self, p: Numbers) -> int:
        """Return those of the dual inside, and a few more."""
        dual, inner = self._inside(p)
        return dual.steps(inner) + 10

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean scaled and shifted."""
        dual, inner = self._inside(p)
        return p["scale"] * dual.mean(p["input_scale"] ** 2 * variance, inner) + p["shift"]

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the square, expanded."""
        dual, inner = self._inside(p)
        variance, a, b = p["input_scale"] ** 2 * variance, p["scale"], p["shift"]
        return a * a * dual.variance(variance, inner) + 2.0 * a * b * dual.mean(variance, inner) + b * b

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        dual, inner = self._inside(p)
        a, b, i = p["scale"], p["shift"], p["input_scale"]
        left, right = (_scaled(value, i) for value in sides.ends)
        sides = sides._replace(left=left, right=right)
        after = dual.pair(i * i * distance, sides, inner)
        m_x, m_y = sides.both(lambda side: dual.mean(side.variance, inner))
        cov = a * a * after.cov + a * b * (m_x + m_y) + b * b
        z = None
        if after.z is not None:
            r_x, r_y = sides.both(lambda side: safe_sqrt(dual.variance(side.variance, inner)))
            (p_0, p_1, p_2), (q_0, q_1, q_2) = (_shares(r, m, a, b) for r, m in ((r_x, m_x), (r_y, m_y)))
            z = p_0 * q_0 * after.z + 0.5 * jnp.square(p_1 - q_1) + 0.5 * jnp.square(p_2 - q_2)
            z = jnp.where(distance == 0.0, 0.0, z)  # compilers round the sides apart, and the next root has a cusp
        return DualValue(a * a * after.distance, cov, jnp.square(a * i) * after.tangent, z)

    def _inside(self, p: Numbers) -> tuple[Dual, Numbers]:
        kind, options = p["of"]
        if kind not in self.duals:
            raise SpecError(f"Affine of an activation that has no dual: {kind}; docs/extending.md says how to add one.")
        return self.duals[kind], inside(p, "activation.", options)


def _scaled(value: ImageValue, i: Array) -> ImageValue:
    return value._replace(variance=i * i * value.variance, std=jnp.abs(i) * value.std)


def _shares(r: Array, m: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return scaled deviation, constant and rest, over the deviation of the whole."""
    constant, rest = a * m + b, jnp.abs(a) * safe_sqrt(jnp.square(r) - jnp.square(m))
    total = safe_sqrt(jnp.square(constant) + jnp.square(rest))
    share = jnp.where(total > 0.0, 1.0 / jnp.where(total > 0.0, total, 1.0), 0.0)
    return jnp.abs(a) * r * share, constant * share, rest * share
