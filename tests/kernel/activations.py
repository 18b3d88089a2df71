"""Which activations the tests of duals run: neural-tangents' own grid (ActivationTest), and more."""

from math import pi

import jax.numpy as jnp
import pytest

from ntklab.spec import (
    ABRelu,
    Abs,
    Affine,
    Cos,
    Elementwise,
    Elu,
    Erf,
    Exp,
    Gabor,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Polynomial,
    Rbf,
    RectifiedMonomial,
    Relu,
    Selu,
    Sigmoid,
    Sigmoid_like,
    Sign,
    Silu,
    Sin,
    Softplus,
    Tanh,
)

COEFFICIENTS = (
    (), (0,), (-2,), (0, 0), (0, 1), (1, 0), (1, -1), (-0.5, 1.2), (1.3, 0, -1.2, -0.5),
    (-0.1, 2.1, 0, 0, -1.2, -0.5, 0, 0),
)  # fmt: skip


def wave(x):
    """A function of the user with a kink at 0."""
    return jnp.where(x > 0.0, jnp.sin(x), 0.5 * x)


QUADRATURE = (
    *(Tanh(), Sigmoid(), Silu(), Softplus(), Gelu(approximate=True), Elu(0.5), Selu(), Elementwise(wave)),
    Relu() + 0.5 * Cos(1.3, 0.7, 0.4),
)
KINKED = (Relu(), LeakyRelu(0.1), ABRelu(0.7, -0.4), Abs(), Sign(), *map(RectifiedMonomial, range(6)))
SMOOTH = (
    *(shape(a, b, c) for shape in (Sin, Erf) for a in (2.0, 0.3) for b in (1.5, 0.3) for c in (0.0, -pi / 4, pi / 2)),
    Cos(1.3, 0.7, 0.4),
    *map(Rbf, (1e-6, 1e-4, 1e-2, 1.0, 2.0)),
    *(shape(a, b) for shape in (Gaussian, Exp) for a in (-0.5, 0.25) for b in (-0.5, -0.1, 0.1)),
    Gelu(),
    Gabor(),
    Sigmoid_like(),
    *map(Monomial, range(7)),
    *map(Polynomial, COEFFICIENTS),
    *map(Hermite, range(7)),
)


ALONE = (
    *(Relu(), LeakyRelu(0.1), ABRelu(0.7, -0.4), Abs(), Sign(), RectifiedMonomial(2)),
    *(shape(1.3, 0.7, 0.4) for shape in (Sin, Cos, Erf)),
    *(Rbf(0.6), Gaussian(0.5, -0.3), Exp(-0.5, 0.4), Gelu(), Gabor(), Sigmoid_like()),
    *(Monomial(3), Polynomial((1.3, 0, -1.2, -0.5)), Hermite(3)),
    *QUADRATURE,
)
"""One of each type, with numbers that tell something."""
AFFINE = tuple(
    Affine(layer, 1.3, -0.4, -0.8)
    for layer in (Relu(), RectifiedMonomial(0), Sign(), Cos(1.3, 0.7, 0.4), Gelu(), Exp(-0.5, 0.4), Hermite(3), Tanh())
)
QUICK = (Relu, Abs, Erf, Gelu, Gaussian, Polynomial, Tanh, Elu, Affine)


def bare(layer):
    """Return the activation inside scales and shifts."""
    return bare(layer.activation) if isinstance(layer, Affine) else layer


def first_of_each_type(layers):
    """Mark all as slow but the first layer of a few types."""
    types = [type(layer) for layer in layers]
    again = [types.index(kind) != i or kind not in QUICK for i, kind in enumerate(types)]
    marks = [(pytest.mark.slow,) if later else () for later in again]
    names = [repr(layer).split(" at ")[0] for layer in layers]  # a function's place in memory is no name
    return [pytest.param(*of, marks=m, id=name) for *of, m, name in zip(layers, marks, names, strict=True)]
