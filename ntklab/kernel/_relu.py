r"""The ReLU dual in terms of the distance, exact where two inputs coincide.

For :math:`(u, v) \sim N(0, [[v_x, \Sigma], [\Sigma, v_y]])`, correlation :math:`c = \cos\theta` and
:math:`z = 1 - c`,

.. math::

    E[\phi(u)\phi(v)] = \tfrac12 \sqrt{v_x v_y}\, \kappa_1, \quad E[\phi'(u)\phi'(v)] = \tfrac12 \kappa_0, \quad
    \kappa_0 = \frac{\pi - \theta}{\pi}, \quad
    \kappa_1 = \frac{\sin\theta + (\pi - \theta)\cos\theta}{\pi} = 1 - h.

Near :math:`c = 1` the angle goes like :math:`\sqrt{2z}`: computed from a rounded ``c`` it is wrong by
``sqrt(eps)``, 3e-4 in float32. Carrying the squared distance :math:`D = v_x + v_y - 2\Sigma` instead gives

.. math::

    z = \frac{D - (\sqrt{v_x} - \sqrt{v_y})^2}{2\sqrt{v_x v_y}}, \qquad
    D' = \tfrac12 (\sqrt{v_x} - \sqrt{v_y})^2 + \sqrt{v_x v_y}\, h(z)

with no cancellation, and ``D = 0`` stays exactly zero. Source: Cho and Saul 2009, eqs. 5-6, for the dual.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.kernel._relu_tables import ANGLE_32, ANGLE_64, CURVE_32, CURVE_64


@jax.custom_jvp
def relu_dual(
    z: Float[Array, "*shape"],
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    r"""Return :math:`h = 1 - \kappa_1`, :math:`\kappa_1` and :math:`\kappa_0` at ``z = 1 - c``.

    All in one square root and two polynomials of :math:`u = 1 - |c|`, so that compilers vectorise it. ``h``
    keeps its relative accuracy at ``z -> 0`` (like ``z``) and ``kappa_1`` at ``z -> 2`` (like
    ``(2 - z)**1.5``). Values outside [0, 2], which only rounding makes, count as the end points.

    Derivatives: :math:`h' = \kappa_0`, :math:`\kappa_0' = -1 / (\pi\sin\theta)`. The last is infinite at both
    ends, where the NTK really has a cusp; there the derivative is defined as zero, the mean of both sides.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [round(float(term), 6) for term in relu_dual(jnp.asarray(1.0))]  # uncorrelated: 1 - 1/pi, 1/pi, 1/2
    [0.68169, 0.31831, 0.5]
    """
    z = jnp.clip(z, 0.0, 2.0)
    u = jnp.minimum(z, 2.0 - z)
    root = jnp.sqrt(u)
    wide = z.dtype == jnp.float64
    angle = small_angle(u)
    curve = u * root * _polynomial(CURVE_64 if wide else CURVE_32, u)
    acute = z < 1.0
    h = jnp.where(acute, z - curve, 1.0 - curve)
    kappa_1 = jnp.where(acute, (1.0 - z) + curve, curve)
    return h, kappa_1, jnp.where(acute, 1.0 - angle, angle)


@relu_dual.defjvp
def _relu_dual_jvp(primals, tangents):  # pyright: ignore[reportUnusedFunction]
    (z,), (dz,) = primals, tangents
    h, kappa_1, kappa_0 = relu_dual(z)
    squared_sine = z * (2.0 - z)
    inside = squared_sine > 0.0
    slope = jnp.where(inside, -jax.lax.rsqrt(jnp.where(inside, squared_sine, 1.0)) / np.pi, 0.0)
    return (h, kappa_1, kappa_0), (kappa_0 * dz, -kappa_0 * dz, slope * dz)


def small_angle(u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Return :math:`\arccos(1 - u) / \pi` for ``u`` between 0 and 1, with its relative accuracy at 0."""
    return jnp.sqrt(u) * _polynomial(ANGLE_64 if u.dtype == jnp.float64 else ANGLE_32, u)


def correlation_gap(
    distance: Float[Array, "*shape"],
    std_x: Float[Array, "*#shape"],
    std_y: Float[Array, "*#shape"],
    known: Float[Array, "*shape"] | None = None,
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    r"""Return ``z = 1 - c``, the squared gap of the norms and their product.

    A zero input has no angle; ``z = 1`` stands in, and every use of it is multiplied by the product, 0. ``known`` is
    ``z`` where it is known better: between parallel vectors of different length the distance is all gap.
    """
    gap = jnp.square(std_x - std_y)
    product = std_x * std_y
    positive = product > 0.0
    z = (distance - gap) / jnp.where(positive, 2.0 * product, 1.0) if known is None else known
    z = jnp.where(positive, z, 1.0)
    return z, gap, product


def _polynomial(coefficients: tuple[float, ...], u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    total = jnp.full_like(u, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * u + coefficient
    return total
