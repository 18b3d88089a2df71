r"""Duals of any function, by quadrature over the two Gaussians of each pair; kinks and jumps at 0 cost no accuracy.

In polar coordinates :math:`u = s_x r \sin o`, :math:`v = s_y r \sin(\theta + o)` the signs of ``u`` and ``v`` change on
four rays only. Each sector between them is cut in half, and in each half the angle :math:`o` from its ray, like the
radius, is :math:`\delta \sinh(\mu t)` with ``t`` a Gauss-Legendre node: nodes as dense as the function needs that
changes on a scale of 1, however large the standard deviation, or narrow the sector of nearly equal inputs. The distance
is the mean of :math:`(\phi(u) - \phi(v))^2`, a sum of squares: exactly 0 where ``D`` is. Cost: thousands of evaluations
per pair. The derivative in the distance goes through :math:`\theta`; at correlations of exactly 1 and -1 it is defined
as zero, which is right where an input meets itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab import spec
from ntklab.kernel._duals_kinked import angle_part
from ntklab.kernel._duals_smooth import ExactGeluDual
from ntklab.kernel._functions import gelu_tanh
from ntklab.kernel._relu import correlation_gap
from ntklab.kernel._rule_activation import Dual, DualValue, Numbers
from ntklab.kernel._values import Sides

NODES = {"float64": (24, 48), "float32": (12, 28)}
"""Nodes in each of eight half sectors, and along the radius; ``quadrature_error`` states what they leave."""
_FARTHEST = 9.0
_LEAST_STD = 0.1


class QuadratureDual(Dual):
    """The dual of ``phi(x, p)``, an elementwise function of JAX arrays."""

    work = 40 * 8 * 12 * 28

    def __init__(self, phi: Callable[[Array, Numbers], Array], nodes: Mapping[str, tuple[int, int]] = NODES) -> None:
        self.phi, self.nodes = phi, nodes

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean over one Gaussian."""
        return self._alone(lambda x: self.phi(x, p), variance)

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return the mean square over one Gaussian."""
        return self._alone(lambda x: jnp.square(self.phi(x, p)), variance)

    def _alone(self, f: Callable[[Array], Array], variance: Float[Array, "..."]) -> Float[Array, "..."]:
        positive = variance > 0.0
        std = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
        g, width = _stretched(2 * self.nodes[variance.dtype.name][1], _FARTHEST, _scale(std))
        mass = _share(width * jnp.exp(-0.5 * jnp.square(g)), 0.5)
        x = g * std[None]
        return jnp.sum(mass * (f(x) + f(-x)), axis=0)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return the means over two Gaussians, angle by angle."""
        dtype = distance.dtype
        std_x, std_y = sides.spread("std")
        z, _, _ = correlation_gap(distance, std_x, std_y, sides.z)
        theta = math.pi * angle_part(z)
        std_x, std_y, theta = jnp.broadcast_arrays(std_x, std_y, theta)
        angles, radii = self.nodes[dtype.name]
        std_x, std_y, theta = std_x[None], std_y[None], theta[None]
        std = jnp.maximum(std_x, std_y)
        radius, mass = _stretched(radii, _FARTHEST, _scale(std[0]))
        mass = _share(mass * radius * jnp.exp(-0.5 * jnp.square(radius)), 0.5 / math.pi)
        x, y, delta = radius * std_x, radius * std_y, _scale(radius * std)

        zero = jnp.zeros(theta.shape[1:], dtype)

        @jax.checkpoint
        def add(total: DualValue, node: tuple[Array, Array, Array]) -> tuple[DualValue, None]:
            t, weight, sign = node  # the thin sector, sign -1, and the wide one
            o, weight = _stretch(t, weight, 0.5 * jnp.where(sign < 0.0, theta, math.pi - theta), delta)
            near, far = jnp.sin(o), jnp.sin(theta + sign * o)
            here = DualValue(zero, zero, zero)  # few terms at a time: less rounding than in one long sum
            for u, v in ((x * near, sign * y * far), (sign * x * far, y * near)):
                for u_, v_ in ((u, v), (-u, -v)):
                    here = _accumulate(here, mass * weight, *self._both(u_, p), *self._both(v_, p))
            return jax.tree.map(jnp.add, total, here), None

        t, weight = _unit(angles)
        nodes = np.tile(t, 2), np.tile(weight, 2), np.repeat([-1.0, 1.0], angles)
        total, _ = jax.lax.scan(add, DualValue(zero, zero, zero), tuple(jnp.asarray(a, dtype) for a in nodes))
        # compilers round phi(u) and phi(v) apart
        return total._replace(distance=jnp.where(distance == 0.0, 0.0, total.distance))

    def _both(self, x: Array, p: Numbers) -> tuple[Array, Array]:
        return jax.jvp(lambda x: self.phi(x, p), (x,), (jnp.ones_like(x),))


def _accumulate(total: DualValue, mass: Array, a: Array, da: Array, b: Array, db: Array) -> DualValue:
    terms = (jnp.square(a - b), a * b, da * db)
    known = total.distance, total.cov, total.tangent
    return DualValue(*(t + jnp.sum(mass * term, axis=0) for t, term in zip(known, terms, strict=True)))


def _share(mass: Array, total: float) -> Array:
    """Return masses that add up to what is known: rounding of one kind for all nodes leaves no bias."""
    return mass * (total / jnp.sum(mass, axis=0, keepdims=True))


def _scale(std: Array) -> Array:
    """Return over which length a function changes that changes over 1 in its argument; any length is right."""
    return jax.lax.stop_gradient(1.0 / jnp.maximum(std, _LEAST_STD))


def _stretch(t: Array, weight: Array, length: float | Array, delta: Array) -> tuple[Array, Array]:
    """Return nodes on ``[0, length]``, dense within ``delta`` of 0, and their weights."""
    mu = jnp.arcsinh(length / delta)
    return delta * jnp.sinh(mu * t), weight * delta * mu * jnp.cosh(mu * t)


def _stretched(count: int, length: float, delta: Array) -> tuple[Array, Array]:
    """Return all nodes along a first axis."""
    t, weight = (jnp.asarray(a, delta.dtype).reshape((-1,) + (1,) * delta.ndim) for a in _unit(count))
    return _stretch(t, weight, length, delta[None])


@cache
def _unit(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gauss-Legendre rule on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return 0.5 * (1.0 + x), 0.5 * w


class GeluDual(Dual):
    """Gelu: a closed form, or of its approximation by tanh a quadrature."""

    of = spec.Gelu

    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the function that was asked for."""
        return self._asked(p).mean(variance, p)

    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        """Return that of the function that was asked for."""
        return self._asked(p).variance(variance, p)

    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        """Return that of the function that was asked for."""
        return self._asked(p).pair(distance, sides, p)

    def steps(self, p: Numbers) -> int:
        """Return those of the function that was asked for."""
        return self._asked(p).steps(p)

    def _asked(self, p: Numbers) -> Dual:
        return GELU_TANH if p["approximate"] else _GELU


_GELU, GELU_TANH = ExactGeluDual(), QuadratureDual(gelu_tanh)
