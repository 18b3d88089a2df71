"""Closed forms of polynomials: smooth, and by Wick's theorem one sum for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from ntklab import spec
from ntklab.kernel._duals_smooth import Smooth
from ntklab.kernel._increments import Moments
from ntklab.kernel._rule_activation import Numbers


class PolynomialDual(Smooth):
    r""":math:`\sum_k a_k x^k`. With :math:`A_l(v) = \sum_i a_{l + 2i} \frac{(l + 2i)!}{2^i i!\, l!} v^i`,
    :math:`F = \sum_l l!\, A_l(v_x) A_l(v_y) \Sigma^l`: Wick's theorem, one term per number of contractions across.
    """

    of = spec.Polynomial

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the terms without contractions across."""
        return _horner(_terms(self.coef(p), 0), variance)

    def coef(self, p: Numbers) -> Sequence[Any]:
        """Return the coefficients."""
        return [p[f"coef{i}"] for i in range(p["count"])]

    def F(self, m: Moments, p: Numbers) -> Any:
        """Return the sum."""
        return _wick(self.coef(p), m)

    def T(self, m: Moments, p: Numbers) -> Any:
        """Return the sum for the derivative."""
        return _wick([k * a for k, a in enumerate(self.coef(p))][1:], m)


class MonomialDual(PolynomialDual):
    """``x**degree``."""

    of = spec.Monomial

    def coef(self, p: Numbers) -> Sequence[float]:
        """Return the coefficients."""
        return [0.0] * p["degree"] + [1.0]


class HermiteDual(PolynomialDual):
    """The Hermite polynomial of a degree."""

    of = spec.Hermite

    def coef(self, p: Numbers) -> Sequence[float]:
        """Return the coefficients."""
        return hermite(p["degree"])


def hermite(degree: int) -> list[float]:
    """Return the coefficients of the Hermite polynomial of mean square 1."""
    unit = [0] * degree + [1.0 / math.sqrt(math.factorial(degree))]
    return np.polynomial.hermite_e.herme2poly(unit).tolist()


def _wick(coef: Sequence[Any], m: Moments) -> Any:
    total, power = 0.0 * m.covariance, None
    for n in range(len(coef)):
        terms = _terms(coef, n)
        if not all(isinstance(a, float) and a == 0.0 for a in terms):
            product = _horner(terms, m.v_x) * _horner(terms, m.v_y) * math.factorial(n)
            total = total + (product if power is None else product * power)
        power = m.covariance if power is None else power * m.covariance
    return total


def _terms(coef: Sequence[Any], n: int) -> list[Any]:
    """Return the coefficients of :math:`A_n`."""
    return [
        a * (math.factorial(n + 2 * i) / (2**i * math.factorial(i) * math.factorial(n)))
        for i, a in enumerate(coef[n::2])
    ]


def _horner(terms: Sequence[Any], v: Any) -> Any:
    total = 0.0 * v + (terms[-1] if terms else 0.0)
    for a in terms[-2::-1]:
        total = total * v + a
    return total
