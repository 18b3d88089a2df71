r"""Closed forms of smooth activations, each written once as a function of variances and covariance.

``F`` is :math:`E[\phi(u)\phi(v)]` and ``T`` is :math:`E[\phi'(u)\phi'(v)] = \partial F / \partial\Sigma`. The
arithmetic of ``_increments.py`` makes the distance after the activation of the same ``F``. Nothing divides by a
variance: inputs of zeros have values and derivatives like any other. Limits: for large variances float32 has an error
of about ``eps * v`` in :math:`v_x v_y - \Sigma^2`, where the correlation is near -1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab import spec
from ntklab.kernel._increments import Moments, alone, angle, exp, exp_gap, pair_of, sqrt
from ntklab.kernel._rule_activation import Dual, DualValue, Numbers
from ntklab.kernel._values import Sides


class Smooth(Dual):
    """A dual by its formulas ``F`` and ``T``."""

    @abstractmethod
    def F(self, m: Moments, p: Numbers) -> Any:
        r"""Return :math:`E[\phi(u)\phi(v)]`."""

    @abstractmethod
    def T(self, m: Moments, p: Numbers) -> Any:
        r"""Return :math:`E[\phi'(u)\phi'(v)]`."""

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return ``F`` of an input with itself."""
        return self.F(alone(variance), p)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return what becomes of a pair."""
        m = pair_of(distance, *sides.spread("variance"))
        value = self.F(m, p)
        return DualValue(value.dx + value.dy, value.at, self.T(Moments(*(term.at for term in m)), p))


class ErfDual(Smooth):
    r""":math:`a\,\mathrm{erf}(b x) + c`; the angle's sine is :math:`2 b^2 \Sigma`. Source: Williams 1997, eq. 11."""

    of = spec.Erf

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the shift."""
        return p["c"] * jnp.ones_like(variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return 2 / pi times the angle."""
        return p["a"] ** 2 * (2.0 / math.pi) * angle(2.0 * p["b"] ** 2 * m.covariance, self._cosine(m, p)) + p["c"] ** 2

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        return (4.0 / math.pi) * (p["a"] * p["b"]) ** 2 / self._cosine(m, p)

    def _cosine(self, m: Moments, p: Numbers) -> Any:
        b = 2.0 * p["b"] ** 2
        return sqrt(b * (m.v_x + m.v_y) + b * b * m.area + 1.0)


class SigmoidLikeDual(ErfDual):
    """The error function nearest to a sigmoid."""

    of = spec.Sigmoid_like

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of Erf."""
        return super().mean(variance, SIGMOID_LIKE)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return that of Erf."""
        return super().F(m, SIGMOID_LIKE)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return that of Erf."""
        return super().T(m, SIGMOID_LIKE)


SIGMOID_LIKE = {"a": 0.5, "b": 1.0 / 2.4020563531719796, "c": 0.5}


class ExactGeluDual(Smooth):
    r""":math:`x\,\Phi(x)`. Source: Tsuchida et al. 2020, "Avoiding Kernel Fixed Points"."""

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the variance times the mean slope's density."""
        return variance / jnp.sqrt(2.0 * math.pi * (1.0 + variance))

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return the linear quarter, the angle's part and the rest."""
        cosine, s = self._cosine(m), m.covariance
        rest = (s * s / cosine + m.v_x * m.v_y * cosine) / ((m.v_x + 1.0) * (m.v_y + 1.0))
        return 0.25 * s + (0.5 / math.pi) * (s * angle(s, cosine) + rest)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        cosine, s = self._cosine(m), m.covariance
        bracket = 1.0 / cosine**2 + (1.0 - m.v_x * m.v_y) / ((1.0 + m.v_x) * (1.0 + m.v_y)) + 1.0
        return 0.25 + (0.5 / math.pi) * (angle(s, cosine) + s / cosine * bracket)

    def _cosine(self, m: Moments) -> Any:
        return sqrt(m.v_x + m.v_y + m.area + 1.0)


class SinDual(Smooth):
    r""":math:`a \sin(b x + c)`: an even part of weight :math:`\sin^2 c` and an odd one of :math:`\cos^2 c`."""

    of = spec.Sin

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the even part."""
        return p["a"] * jnp.sin(p["c"]) * jnp.exp(-0.5 * p["b"] ** 2 * variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return both parts; their exponentials are :math:`e^{b^2 (\\pm\\Sigma - (v_x + v_y) / 2)}`."""
        odd, even = self._parts(m, p)
        odd_weight, even_weight = self._weights(p)
        return 0.5 * p["a"] ** 2 * (odd_weight * odd + even_weight * even)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return the same with the weights exchanged."""
        odd, even = self._parts(m, p)
        odd_weight, even_weight = self._weights(p)
        return 0.5 * (p["a"] * p["b"]) ** 2 * (odd_weight * even + even_weight * odd)

    def _parts(self, m: Moments, p: Numbers) -> tuple[Any, Any]:
        b = p["b"] ** 2
        up, down = -0.5 * b * m.distance, b * (0.5 * m.distance - (m.v_x + m.v_y))
        return exp_gap(down, 2.0 * b * m.covariance), exp(up) + exp(down)

    def _weights(self, p: Numbers) -> tuple[Any, Any]:
        return jnp.cos(p["c"]) ** 2, jnp.sin(p["c"]) ** 2


class CosDual(SinDual):
    r""":math:`a \cos(b x + c)`."""

    of = spec.Cos

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the even part."""
        return p["a"] * jnp.cos(p["c"]) * jnp.exp(-0.5 * p["b"] ** 2 * variance)

    def _weights(self, p: Numbers) -> tuple[Any, Any]:
        return jnp.sin(p["c"]) ** 2, jnp.cos(p["c"]) ** 2


class RbfDual(Smooth):
    r""":math:`\sqrt2 \sin(\sqrt{2\gamma} x + \pi/4)`: :math:`e^{-\gamma D}`. Source: Rahimi and Recht 2007."""

    of = spec.Rbf

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the even part."""
        return jnp.exp(-p["gamma"] * variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return the Gaussian kernel."""
        return exp(-p["gamma"] * m.distance)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        return 2.0 * p["gamma"] * self.F(m, p)


class GaussianDual(Smooth):
    r""":math:`a\,e^{b x^2}`: a determinant. Source: Williams 1997, for ``b < 0``."""

    of = spec.Gaussian

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return one over the root of the determinant."""
        return p["a"] / jnp.sqrt(1.0 - 2.0 * p["b"] * variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return one over the root of the determinant."""
        return p["a"] ** 2 / sqrt(self._determinant(m, p))

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        return 4.0 * (p["a"] * p["b"]) ** 2 * m.covariance / self._determinant(m, p) ** 1.5

    def _determinant(self, m: Moments, p: Numbers) -> Any:
        b = 2.0 * p["b"]
        return b * b * m.area - b * (m.v_x + m.v_y) + 1.0


class ExpDual(Smooth):
    r""":math:`a\,e^{b x}`: the mean of a log-normal."""

    of = spec.Exp

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean of a log-normal."""
        return p["a"] * jnp.exp(0.5 * p["b"] ** 2 * variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return it."""
        return p["a"] ** 2 * exp(p["b"] ** 2 * (m.v_x + m.v_y - 0.5 * m.distance))

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        return p["b"] ** 2 * self.F(m, p)


class GaborDual(Smooth):
    r""":math:`e^{-x^2} \sin x`: a Gaussian integral with a phase."""

    of = spec.Gabor

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return 0."""
        return jnp.zeros_like(variance)

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return the difference of two exponentials."""
        det, low = self._terms(m)
        return 0.5 * exp_gap(low, 2.0 * m.covariance / det) / sqrt(det)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return its derivative."""
        det, low = self._terms(m)
        s, total = m.covariance, m.v_x + m.v_y
        shared = 1.0 + 2.0 * total + 4.0 * (s * s + m.v_x * m.v_y)
        odd = 4.0 * s * (4.0 * m.area + 3.0 * total + 2.0)
        high = jnp.exp(low + 2.0 * s / det)
        return 0.5 * (jnp.exp(low) * (shared - odd) + high * (shared + odd)) / det**2.5

    def _terms(self, m: Moments) -> tuple[Any, Any]:
        det = 2.0 * (m.v_x + m.v_y) + 4.0 * m.area + 1.0
        return det, -0.5 * (m.v_x + m.v_y + 2.0 * m.covariance + 4.0 * m.area) / det
