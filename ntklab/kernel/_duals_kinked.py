r"""Closed forms of activations with a kink or a jump at 0: functions of the angle, times powers of the deviations.

All rest on :math:`z = 1 - c` from the distance and on ``relu_dual`` (see ``_relu.py``), so that float32 keeps its
digits where the correlation is near 1. Source: Cho and Saul 2009.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab import spec
from ntklab._core import safe_sqrt
from ntklab.kernel._relu import correlation_gap, relu_dual, small_angle
from ntklab.kernel._rule_activation import Dual, DualValue, Numbers
from ntklab.kernel._values import Sides

_MEAN_OF_HALF = 1.0 / math.sqrt(2.0 * math.pi)


class ReluDual(Dual):
    """``max(x, 0)``."""

    of = spec.Relu

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean of half a Gaussian."""
        return _MEAN_OF_HALF * safe_sqrt(variance)

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return half of it."""
        return 0.5 * variance

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return the formulas of ``_relu.py``."""
        z, gap, product = correlation_gap(distance, *sides.spread("std"), sides.z)
        h, kappa_1, kappa_0 = relu_dual(z)
        return DualValue(0.5 * gap + product * h, 0.5 * product * kappa_1, 0.5 * kappa_0, h)


class _TwoSlopes(Dual):
    r"""Slopes ``a`` and ``b``: :math:`E[\phi\phi] = \tfrac12 (a - b)^2 \sqrt{v_x v_y}\,\kappa_1 + a b\,\Sigma`."""

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of both halves."""
        a, b = self.slopes(p)
        return (b - a) * _MEAN_OF_HALF * safe_sqrt(variance)

    @abstractmethod
    def slopes(self, p: Numbers) -> tuple[Array | float, Array | float]:
        """Return ``a`` and ``b``."""

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean of the squared slopes times the variance."""
        a, b = self.slopes(p)
        return 0.5 * (a * a + b * b) * variance

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        a, b = self.slopes(p)
        kink, line = (a - b) ** 2, a * b
        z, gap, product = correlation_gap(distance, *sides.spread("std"), sides.z)
        h, kappa_1, kappa_0 = relu_dual(z)
        fall, whole = kink * h + 2.0 * line * z, a * a + b * b
        after = 0.5 * whole * gap + product * fall
        cov = 0.5 * kink * product * kappa_1 + line * sides.covariance(distance)
        z = fall / jnp.where(whole > 0.0, whole, 1.0)
        return DualValue(after, cov, 0.5 * kink * kappa_0 + line, z)


class ABReluDual(_TwoSlopes):
    """Both slopes given."""

    of = spec.ABRelu

    def slopes(self, p: Numbers) -> tuple[Array | float, Array | float]:
        """Return ``a`` and ``b``."""
        return p["a"], p["b"]


class LeakyReluDual(_TwoSlopes):
    """The slope of the right side is 1."""

    of = spec.LeakyRelu

    def slopes(self, p: Numbers) -> tuple[Array | float, Array | float]:
        """Return ``alpha`` and 1."""
        return p["alpha"], 1.0


class AbsDual(_TwoSlopes):
    """``|x|``."""

    of = spec.Abs

    def slopes(self, p: Numbers) -> tuple[Array | float, Array | float]:
        """Return -1 and 1."""
        return -1.0, 1.0


class SignDual(Dual):
    r"""``sign(x)``: :math:`E[\phi\phi] = 1 - 2\theta/\pi`, :math:`D' = 4\theta/\pi`; 0 where there is no variance."""

    of = spec.Sign

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return 0."""
        return jnp.zeros_like(variance)

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return 1, or 0 for no variance."""
        return jnp.where(variance > 0.0, 1.0, 0.0).astype(variance.dtype)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        z, _, product = correlation_gap(distance, *sides.spread("std"), sides.z)
        inside = product > 0.0
        apart = 4.0 * angle_part(z)
        v_x, v_y = sides.both(lambda side: self.variance(side.variance, p))
        after, cov = jnp.where(inside, apart, v_x + v_y), jnp.where(inside, 1.0 - 0.5 * apart, 0.0)
        return DualValue(after, cov, jnp.zeros_like(cov))


class RectifiedMonomialDual(Dual):
    r"""``x**n`` for ``x > 0``: :math:`E[\phi\phi] = \frac{1}{2\pi} (\sqrt{v_x v_y})^n J_n(\theta)`."""

    of = spec.RectifiedMonomial

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return :math:`2^{n / 2} \\Gamma(\\frac{n + 1}{2})\\, s^n / (2 \\sqrt\\pi)`."""
        n = p["degree"]
        if n == 0:
            return self.variance(variance, p)
        return 2.0 ** (n / 2 - 1) * math.gamma((n + 1) / 2) / math.sqrt(math.pi) * safe_sqrt(variance) ** n

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return :math:`(2n - 1)!!\\, v^n / 2`."""
        n = p["degree"]
        if n == 0:
            return jnp.where(variance > 0.0, 0.5, 1.0).astype(variance.dtype)
        return 0.5 * _odd_factorial(n) * _power(variance, n)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        n = p["degree"]
        std_x, std_y = sides.spread("std")
        z, gap, product = correlation_gap(distance, std_x, std_y, sides.z)
        scale = _power(product, n)
        h, j = rectified(n, z)
        # s_x**n - s_y**n by its factor s_x - s_y
        factor = sum((_power(std_x, k) * _power(std_y, n - 1 - k) for k in range(n)), start=jnp.zeros_like(product))
        after = 0.5 * _odd_factorial(n) * gap * factor**2 + scale * h
        if n == 0:  # a step, which is 1 at 0
            flat = jnp.where(jnp.maximum(std_x, std_y) > 0.0, 0.5, 1.0).astype(j.dtype)
            v_x, v_y = sides.both(lambda side: self.variance(side.variance, p))
            after = jnp.where(product > 0.0, h, v_x + v_y - 2.0 * flat)
            return DualValue(after, jnp.where(product > 0.0, 0.5 * j, flat), jnp.zeros_like(j))
        return DualValue(after, 0.5 * scale * j, 0.5 * n**2 * _power(product, n - 1) * rectified(n - 1, z)[1])


class ExpNormalizedDual(Dual):
    r""":math:`\sqrt{v_x v_y}\,e^{\gamma(c + shift)}`, with its derivative in :math:`\Sigma` for the tangent kernel."""

    of = spec.ExpNormalized

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return nothing: there is no function."""
        raise NotImplementedError("ExpNormalized has no function, and so no mean")

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return it at correlation 1."""
        return variance * self._top(p)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        z, gap, product = correlation_gap(distance, *sides.spread("std"), sides.z)
        fall = -p["gamma"] * z
        after = self._top(p) * (gap - 2.0 * product * jnp.expm1(fall))
        share = self._top(p) * jnp.exp(fall)
        return DualValue(after, product * share, p["gamma"] * share)

    def _top(self, p: Numbers) -> Array:
        return jnp.exp(p["gamma"] * (1.0 + p["shift"]))


@jax.custom_jvp
def angle_part(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Return :math:`\theta / \pi` at ``z = 1 - c``, with its relative accuracy at ``z -> 0``.

    Its derivative :math:`1 / (\pi\sin\theta)` is infinite at both ends and defined as zero there.
    """
    z = jnp.clip(z, 0.0, 2.0)
    small = small_angle(jnp.minimum(z, 2.0 - z))
    return jnp.where(z < 1.0, small, 1.0 - small)


@angle_part.defjvp
def _angle_part_jvp(primals, tangents):  # pyright: ignore[reportUnusedFunction]
    (z,), (dz,) = primals, tangents
    return angle_part(z), _slope(z) * dz


def _slope(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    squared_sine = z * (2.0 - z)
    inside = squared_sine > 0.0
    return jnp.where(inside, jax.lax.rsqrt(jnp.where(inside, squared_sine, 1.0)) / np.pi, 0.0)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def rectified(n: int, z: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    r"""Return :math:`(2n - 1)!! - J_n / \pi` and :math:`J_n / \pi` at ``z = 1 - c``.

    :math:`J_n = p_n(c) \sin\theta + q_n(c) (\pi - \theta)`; the first result is 0 at ``z = 0``. Derivatives:
    :math:`dJ_n / dc = n^2 J_{n - 1}`.
    """
    z = jnp.clip(z, 0.0, 2.0)
    angle, c, sine = angle_part(z), 1.0 - z, jnp.sqrt(z * (2.0 - z)) / math.pi
    p, q, q_drop = _angular(n)
    below = _evaluate(q, c) * angle - _evaluate(p, c) * sine
    acute = z * _evaluate(q_drop, z) + below
    j = _evaluate(p, c) * sine + _evaluate(q, c) * (1.0 - angle)
    top = _odd_factorial(n)
    return jnp.where(z < 1.0, acute, top - j), jnp.where(z < 1.0, top - acute, j)


@rectified.defjvp
def _rectified_jvp(n, primals, tangents):  # pyright: ignore[reportUnusedFunction]
    (z,), (dz,) = primals, tangents
    slope = n**2 * rectified(n - 1, z)[1] if n else _slope(z)
    return rectified(n, z), (slope * dz, -slope * dz)


@cache
def _angular(n: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return the polynomials ``p`` and ``q`` in ``c``, and ``(q(1) - q(1 - z)) / z`` in ``z``."""
    P = np.polynomial.Polynomial
    c, sine2 = P([0.0, 1.0]), P([1.0, 0.0, -1.0])
    p, q = P([0.0]), P([1.0])
    for k in range(n):
        p, q = sine2 * p.deriv() + 2 * k * c * p + q, sine2 * q.deriv() + (2 * k + 1) * c * q
    drop = (q(1.0) - q(P([1.0, -1.0]))).coef[1:]
    return tuple(p.coef.tolist()), tuple(q.coef.tolist()), tuple(drop.tolist()) or (0.0,)


def _evaluate(coef: tuple[float, ...], x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    total = jnp.full_like(x, coef[-1])
    for a in coef[-2::-1]:
        total = total * x + a
    return total


def _odd_factorial(n: int) -> float:
    """Return ``(2 n - 1)!!``."""
    return float(math.prod(range(1, 2 * n, 2)))


def _power(x: Float[Array, "*shape"], n: int) -> Float[Array, "*shape"]:
    return jnp.ones_like(x) if n == 0 else x**n
