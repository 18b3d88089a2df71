r"""Duals of any function, by quadrature over the two Gaussians of each pair; kinks and jumps at 0 cost no accuracy.

In polar coordinates :math:`u = s_x r \cos\psi`, :math:`v = s_y r \cos(\psi - \theta)` the signs of ``u`` and ``v``
change on four rays only. Gauss-Legendre rules in each sector and along the radius converge geometrically for functions
that are analytic on both sides of 0, and the thin sectors of nearly equal inputs are resolved like any other. The
distance is the mean of :math:`(\phi(u) - \phi(v))^2`, a sum of squares: exactly 0 where ``D`` is. Cost: thousands of
evaluations per pair. The derivative in the distance goes through :math:`\theta`; at correlations of exactly 1 and -1 it
is defined as zero, which is right where an input meets itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.kernel._duals_kinked import angle_part
from ntklab.kernel._duals_smooth import ExactGeluDual
from ntklab.kernel._plan import Carry
from ntklab.kernel._relu import correlation_gap
from ntklab.kernel._rule_activation import Dual, DualValue, Numbers
from ntklab.kernel._values import ImageValue, Sides

NODES = {"float64": (32, 48), "float32": (20, 32)}
"""Nodes in each of four sectors, and along the radius; :func:`quadrature_error` states what they leave."""
_FARTHEST = 9.0


class QuadratureDual(Dual):
    """The dual of ``phi(x, p)``, an elementwise function of JAX arrays."""

    work = 40 * 4 * 20 * 32

    def __init__(self, phi: Callable[[Array, Numbers], Array], nodes: Mapping[str, tuple[int, int]] = NODES) -> None:
        self.phi, self.nodes = phi, nodes

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean over one Gaussian."""
        positive = variance > 0.0
        std = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
        g, w = _half_line(2 * self.nodes[variance.dtype.name][1])
        g, w = np.concatenate([-g, g]), np.concatenate([w, w])
        g, w = (jnp.asarray(a, variance.dtype).reshape((-1,) + (1,) * variance.ndim) for a in (g, w))
        return jnp.sum(w * jnp.square(self.phi(g * std[None], p)), axis=0)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return the means over two Gaussians, angle by angle."""
        dtype = distance.dtype
        std_x, std_y = sides.spread("std")
        z, _, _ = correlation_gap(distance, std_x, std_y)
        theta = math.pi * angle_part(z)
        std_x, std_y, theta = jnp.broadcast_arrays(std_x, std_y, theta)
        nodes, weights = (jnp.asarray(a, dtype) for a in _unit(self.nodes[dtype.name][0]))
        radius, mass = (jnp.asarray(a, dtype) for a in _radius(self.nodes[dtype.name][1]))
        column = (-1,) + (1,) * theta.ndim
        radius, mass = radius.reshape(column), mass.reshape(column)

        @jax.checkpoint
        def add(total: DualValue, node: tuple[Array, Array]) -> tuple[DualValue, None]:
            t, weight = node
            for start, width in ((0.0, theta), (theta, math.pi - theta)):
                psi = start - 0.5 * math.pi + width * t
                # cos(psi - theta) from the sine of a small difference would do no better: both are smooth in theta
                u, v = radius * (std_x * jnp.cos(psi))[None], radius * (std_y * jnp.cos(psi - theta))[None]
                for sign in (1.0, -1.0):
                    values = (*self._both(sign * u, p), *self._both(sign * v, p))
                    total = _accumulate(total, mass * (weight * jnp.broadcast_to(width, theta.shape))[None], *values)
            return total, None

        zero = jnp.zeros(theta.shape, dtype)
        total, _ = jax.lax.scan(add, DualValue(zero, zero, zero), (nodes, weights))
        # compilers round phi(u) and phi(v) apart
        return total._replace(distance=jnp.where(distance == 0.0, 0.0, total.distance))

    def _both(self, x: Array, p: Numbers) -> tuple[Array, Array]:
        return jax.jvp(lambda x: self.phi(x, p), (x,), (jnp.ones_like(x),))


def quadrature_error(dual: QuadratureDual, std: float, p: Numbers, dtype: str) -> float:
    """Return how much half as many nodes again change a dual at a standard deviation, relative to its variance.

    The largest change of covariance and distance over correlations from -1 to 1, and over the variance itself.
    """
    more = {name: (3 * angles // 2, 3 * radii // 2) for name, (angles, radii) in dual.nodes.items()}
    z = jnp.linspace(0.0, 2.0, 17, dtype=dtype)
    variance = jnp.full_like(z, std * std)
    side = ImageValue(variance, jnp.full_like(z, std))
    sides, distance = Sides(side, side, Carry.NUMBER, block=False), 2.0 * variance * z
    both = (dual, QuadratureDual(dual.phi, more))
    results = [(d.variance(variance, p), *d.pair(distance, sides, p)[:2]) for d in both]
    differences = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), *results)
    return float(jnp.max(jnp.stack(differences)) / jnp.max(results[1][0]))


def _accumulate(total: DualValue, mass: Array, a: Array, da: Array, b: Array, db: Array) -> DualValue:
    terms = (jnp.square(a - b), a * b, da * db)
    return DualValue(*(t + jnp.sum(mass * term, axis=0) for t, term in zip(total, terms, strict=True)))


@cache
def _unit(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss-Legendre rule on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return 0.5 * (1.0 + x), 0.5 * w


@cache
def _radius(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and masses for ``r exp(-r**2 / 2) / (2 pi)``; the masses of a full turn add up to 1."""
    x, w = _unit(count)
    r = _FARTHEST * x
    mass = w * r * np.exp(-0.5 * r * r)
    return r, mass / (mass.sum() * 2.0 * math.pi)


@cache
def _half_line(count: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = _unit(count)
    g = _FARTHEST * x
    mass = w * np.exp(-0.5 * g * g)
    return g, 0.5 * mass / mass.sum()


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer et al. 2017, "Self-Normalizing Neural Networks"."""


def _elu(x: Array, alpha: Any) -> Array:
    left = jnp.where(x > 0.0, 0.0, x)
    return jnp.where(x > 0.0, x, alpha * jnp.expm1(left))


FUNCTIONS: dict[str, Callable[[Array, Numbers], Array]] = {
    "elu": lambda x, p: _elu(x, p["alpha"]),
    "elementwise": lambda x, p: p["fn"](x),
    "gelu_tanh": lambda x, p: 0.5 * x * (1.0 + jnp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "selu": lambda x, p: SELU_SCALE * _elu(x, SELU_ALPHA),
    "sigmoid": lambda x, p: 0.5 * (1.0 + jnp.tanh(0.5 * x)),
    "silu": lambda x, p: 0.5 * x * (1.0 + jnp.tanh(0.5 * x)),
    "softplus": lambda x, p: jnp.logaddexp(x, 0.0),
    "tanh": lambda x, p: jnp.tanh(x),
}
"""What has no closed form, by kind."""


class GeluDual(Dual):
    """Gelu: a closed form, or of its approximation by tanh a quadrature."""

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the function that was asked for."""
        return (_GELU_TANH if p["approximate"] else _GELU).variance(variance, p)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return that of the function that was asked for."""
        return (_GELU_TANH if p["approximate"] else _GELU).pair(distance, sides, p)


_GELU, _GELU_TANH = ExactGeluDual(), QuadratureDual(FUNCTIONS["gelu_tanh"])
