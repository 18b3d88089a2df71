"""Every dual against quadrature over two Gaussians, at all correlations, in float64 and float32, with derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.finite._activations import PHI
from ntklab.kernel import RULES, Carry, ImageValue, lower
from ntklab.kernel._values import Sides
from ntklab.spec import Combination, Dense, Elementwise, Elu, Gaussian, RectifiedMonomial, Selu, Serial, Sign
from tests.kernel.activations import AFFINE, KINKED, QUADRATURE, SMOOTH, bare, first_of_each_type
from tests.oracles.gaussian_means import mean_products, mean_square

Z = (2.0, 2.0 - 1e-6, 1.5, 1.0, 0.5, 1e-6, 0.0)
"""1 - correlation."""
VARIANCES = ((1.0, 1.0), (0.25, 0.25), (0.5, 1.7), (2.0, 0.03), (0.0, 1.0), (0.0, 0.0))
STEPS = (Sign(), RectifiedMonomial(0))
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}


def grid(dtype, variances=VARIANCES):
    """Variances and distances as the dual gets them, and what they mean in float64."""
    v = np.repeat(np.array(variances), len(Z), axis=0)
    z = np.tile(np.array(Z), len(variances))
    s = np.sqrt(v)
    d = (s[:, 0] - s[:, 1]) ** 2 + 2.0 * s[:, 0] * s[:, 1] * z
    v, d = v.astype(dtype), d.astype(dtype)
    s = np.sqrt(v.astype(np.float64))
    product = s[:, 0] * s[:, 1]
    gap = (v[:, 0].astype(np.float64) - v[:, 1]) ** 2 / np.maximum((s[:, 0] + s[:, 1]) ** 2, 1e-300)
    z = np.where(product > 0, (d.astype(np.float64) - gap) / np.where(product > 0, 2.0 * product, 1.0), 1.0)
    z = np.where(np.tile(np.array(Z), len(variances)) == 0.0, 0.0, z)  # rounding of D must not count as decorrelation
    return v, d, s, np.clip(z, 0.0, 2.0)


def evaluate(layer, v, d, numbers=None):
    """Return the dual's variances and pairs, for pairs along one axis; ``numbers`` replace some of the layer's."""
    op = lower(Serial(Dense(), layer), (3,)).ops[-1]
    dual = RULES[op.kind].dual
    p = {**dict(op.options), **{name: jnp.asarray(value, d.dtype) for name, value in layer.numbers}, **(numbers or {})}
    sides = (ImageValue(jnp.asarray(v[:, i]), jnp.sqrt(jnp.asarray(v[:, i]))) for i in range(2))
    sides = Sides(*sides, Carry.NUMBER, block=False)
    return dual.variance(jnp.asarray(v), p), lambda d: dual.pair(d, sides, p)


def derivative(f, x):
    return jax.jvp(f, (x,), (jnp.ones_like(x),))[1]


def means(layer, s, z):
    """Return what quadrature says: scale, covariance, distance, tangent factor, scale of the latter."""
    phi = PHI[type(layer)]
    f = lambda x: phi(layer, jnp.asarray(x))  # noqa: E731
    own = np.sqrt([mean_square(f, s[:, i]) for i in range(2)])
    slope = lambda x: derivative(f, jnp.asarray(x))  # noqa: E731
    own_slope = np.sqrt([mean_square(slope, s[:, i]) for i in range(2)])
    angles = 120 if isinstance(layer, Gaussian) and layer.b > 0.0 else 36  # it grows, and is narrow in the angle
    cov, distance = mean_products(f, s[:, 0], s[:, 1], z, angles)
    return own, cov, distance, mean_products(slope, s[:, 0], s[:, 1], z, angles)[0], own_slope


@pytest.mark.parametrize("layer", first_of_each_type([*KINKED, *SMOOTH, *QUADRATURE, *AFFINE]))
def test_a_dual_is_the_mean_over_two_gaussians(layer):
    """Tolerances: 1e-12 in float64 and 2e-6 in float32 of the scale; the distance far better where it is small."""
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-6)):
        v, d, s, z = grid(dtype)
        own, cov, distance, tangent, own_slope = means(layer, s, z)
        variance, pair = evaluate(layer, v, d)
        variance, got = jax.tree.map(np.asarray, (variance, pair(jnp.asarray(d))))
        equal = v[:, 0] == v[:, 1]
        # the rounding of unequal variances leaves an angle of sqrt(eps) at both ends: steps and slopes of kinks show it
        steady = equal | ((z > 0.4) & (z < 1.6))
        values = steady if bare(layer) in STEPS else np.full(len(z), True)
        scale = np.maximum(own.max(axis=0) ** 2, 1e-30)
        assert (np.abs(variance - own.T**2) <= tolerance * scale[:, None]).all()
        assert (np.abs(got.cov - cov) <= tolerance * scale)[values].all()
        size = np.abs(distance)
        close = equal & (z < 1.5)
        room = np.where(close, 20.0 * EPS[dtype] * (np.sqrt(size * scale) + size), tolerance * scale)
        assert (np.abs(got.distance - distance) <= room)[values].all()
        assert (got.distance[equal & (d == 0.0)] == 0.0).all()
        kinked = bare(layer) in KINKED or isinstance(bare(layer), Combination | Elu | Selu | Elementwise)
        inside = (v.min(axis=1) > 0.0) & steady if kinked else np.full(len(z), True)
        scale = np.maximum(own_slope.max(axis=0) ** 2, 1e-30)
        scale = np.maximum(scale, EPS[dtype] * scale.max())  # cos(pi / 2) is no more exact than pi
        assert (np.abs(got.tangent - tangent) <= tolerance * scale)[inside].all()


@pytest.mark.parametrize("layer", first_of_each_type([*KINKED, *SMOOTH, *QUADRATURE, *AFFINE]))
def test_the_derivative_of_a_dual_in_the_covariance_is_its_tangent_factor(layer):
    """Price 1958: dF/dSigma = E[phi' phi']; a jump of phi makes an infinite one, defined as 0 at both ends."""
    v, d, _, z = grid("float64", VARIANCES[:4])
    d = jnp.asarray(d)
    _, pair = evaluate(layer, v, d)
    slope, tangent = (np.asarray(a) for a in (-2.0 * derivative(lambda d: pair(d).cov, d), pair(d).tangent))
    assert np.isfinite(slope).all()
    if bare(layer) in STEPS:
        return
    if bare(layer) in QUADRATURE:  # goes through the angle, whose derivative at both ends is defined as zero
        inside = (z > 1e-9) & (z < 2.0 - 1e-9)
        slope, tangent = slope[inside], tangent[inside]
    scale = np.maximum(np.abs(tangent).max(), 1e-30)
    assert (np.abs(slope - tangent) <= 1e-9 * scale).all()
