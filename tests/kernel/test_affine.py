"""Activations scaled and shifted: means in closed form, arithmetic, and what stays of a correlation that is known."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import ntklab
from ntklab.errors import PrecisionWarning, SpecError
from ntklab.kernel import lower, quadrature_error
from ntklab.kernel._table import DUALS
from ntklab.spec import (
    ABRelu,
    Abs,
    Activation,
    Affine,
    Cos,
    Dense,
    Elementwise,
    Elu,
    Erf,
    Exp,
    ExpNormalized,
    Gabor,
    Gaussian,
    Gelu,
    Hermite,
    LeakyRelu,
    Monomial,
    Polynomial,
    Rbf,
    RectifiedMonomial,
    Recurrent,
    Relu,
    Selu,
    Serial,
    Sigmoid,
    Sigmoid_like,
    Sign,
    Silu,
    Sin,
    Softplus,
    Tanh,
)

VARIANCES = (0.3, 1.7)
Phi = mpmath.ncdf
SCALE, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
FUNCTIONS = {
    Relu(): lambda x: max(x, 0),
    Abs(): abs,
    ABRelu(0.7, -0.4): lambda x: 0.7 * min(x, 0) - 0.4 * max(x, 0),
    LeakyRelu(0.1): lambda x: 0.1 * min(x, 0) + max(x, 0),
    RectifiedMonomial(0): lambda x: mpmath.mpf(x > 0),
    RectifiedMonomial(3): lambda x: max(x, 0) ** 3,
    Erf(0.7, 1.1, 0.2): lambda x: 0.7 * mpmath.erf(1.1 * x) + 0.2,
    Sigmoid_like(): lambda x: mpmath.erf(x / 2.4020563531719796) / 2 + 0.5,
    Gelu(): lambda x: x * Phi(x),
    Sin(1.3, 0.7, 0.4): lambda x: 1.3 * mpmath.sin(0.7 * x + 0.4),
    Cos(1.3, 0.7, 0.4): lambda x: 1.3 * mpmath.cos(0.7 * x + 0.4),
    Rbf(0.6): lambda x: mpmath.sqrt(2) * mpmath.sin(mpmath.sqrt(1.2) * x + mpmath.pi / 4),
    Gaussian(0.5, -0.3): lambda x: 0.5 * mpmath.exp(-0.3 * x * x),
    Exp(-0.5, 0.4): lambda x: -0.5 * mpmath.exp(0.4 * x),
    Gabor(): lambda x: mpmath.exp(-x * x) * mpmath.sin(x),
    Hermite(4): lambda x: (x**4 - 6 * x**2 + 3) / mpmath.sqrt(24),
    Polynomial((0.5, 0.0, 1.2, 3.0)): lambda x: 0.5 + 1.2 * x**2 + 3 * x**3,
    Tanh(): mpmath.tanh,
    Softplus(): lambda x: mpmath.log(1 + mpmath.exp(x)),
    Elu(0.5): lambda x: x if x > 0 else 0.5 * mpmath.expm1(x),
    Sign(): mpmath.sign,
    Monomial(4): lambda x: x**4,
    Sigmoid(): lambda x: 1 / (1 + mpmath.exp(-x)),
    Silu(): lambda x: x / (1 + mpmath.exp(-x)),
    Selu(): lambda x: SCALE * (x if x > 0 else ALPHA * mpmath.expm1(x)),
    Gelu(approximate=True): lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + 0.044715 * x**3))),
}
LONG = (Sigmoid(), Silu(), Selu(), Gelu(approximate=True), Softplus(), Elu(0.5))


def expected(f, v):
    density = lambda x: mpmath.exp(-x * x / (2 * v)) / mpmath.sqrt(2 * mpmath.pi * v)  # noqa: E731
    return mpmath.quad(lambda x: f(x) * density(x), [-14, -5, -2, 0, 2, 5, 14])


@pytest.mark.parametrize(
    "layer", [pytest.param(f, marks=[pytest.mark.slow] if f in LONG else [], id=repr(f)) for f in FUNCTIONS]
)
def test_the_mean_of_an_activation_is_its_integral(layer):
    """In 20 digits, by mpmath; 1e-13 of the root mean square in float64, 5e-7 in float32."""
    f = FUNCTIONS[layer]
    for v in VARIANCES:
        with mpmath.workdps(20):
            mean, square = (expected(lambda x, k=k: f(x) ** k, v) for k in (1, 2))
        for dtype, tolerance in (("float64", 1e-13), ("float32", 5e-7)):
            p = {**dict(layer.options), **{name: jnp.asarray(value, dtype) for name, value in layer.numbers}}
            got = DUALS[type(layer)].mean(jnp.asarray(v, dtype), p)
            assert abs(float(got) - float(mean)) <= tolerance * float(mpmath.sqrt(square))


def test_arithmetic_makes_scales_and_shifts():
    assert 2.0 * Relu() - 1.0 == Affine(Relu(), 2.0, -1.0)
    assert -Tanh() / 2 == Affine(Tanh(), -0.5)
    assert 1 - 3 * (Erf() + 0.5) == Affine(Erf(), -3.0, -0.5)
    assert 2 * Affine(Relu(), 1.0, 3.0, 0.7) == Affine(Relu(), 2.0, 6.0, 0.7)
    assert repr(0.5 + Relu()) == "Affine(Relu(), shift=0.5)"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Affine(3), "an activation such as Relu"),
        (lambda: Affine(Dense()), "an activation such as Relu"),
        (lambda: 2 * ExpNormalized(), "ExpNormalized.* no function"),
        (lambda: Relu() + float("nan"), "shift is a finite number"),
    ],
)
def test_what_cannot_be_scaled_and_shifted_is_refused(build, words):
    with pytest.raises(SpecError, match=words):
        build()


def test_an_activation_without_a_dual_is_refused_by_name():
    @dataclass(frozen=True, repr=False)
    class Unknown(Activation):
        """Of the user, without a dual."""

    with pytest.raises(SpecError, match="no dual: unknown"):
        ntklab.compile(Serial(Dense(), 2.0 * Unknown(), Dense()), (3,))


def test_the_work_of_a_quadrature_inside_is_counted():
    works = [lower(Serial(Dense(), layer, Dense()), (3,)).ops[-2].work for layer in (Tanh(), 2.0 * Tanh(), 2.0 * Erf())]
    assert works[1] > works[0] > 100 * works[2]


@pytest.mark.parametrize("other", ["a", None, Dense(), True])
def test_only_numbers_scale_and_shift(other):
    for build in (lambda: Relu() * other, lambda: Relu() + other, lambda: other - Relu(), lambda: Relu() / other):
        with pytest.raises(TypeError):
            build()


def kernels(layer, x, dtype="float64"):
    network = Serial(Dense(W_std=1.2), layer, Dense(), Relu(), Dense())
    with jax.disable_jit():
        return ntklab.compile(network, x.shape[1:], dtype=dtype, engine="reference")(x)


@pytest.mark.parametrize(
    ("layer", "same"),
    [
        (Affine(Relu(), -0.6), ABRelu(0.0, -0.6)),
        (Affine(Relu(), 2.0, 0.0, 0.3), ABRelu(0.0, 0.6)),
        (Affine(Affine(Relu(), 2.0, 0.0, 0.3), 0.5, 0.0, -1.0), ABRelu(-0.3, 0.0)),
        (Affine(Erf(1.5, 0.8, 0.1), 2.0, 0.3, 0.5), Erf(3.0, 0.4, 0.5)),
        (Affine(Polynomial((1.0, 2.0, 0.5)), -1.0, 0.5, 2.0), Polynomial((-0.5, -4.0, -2.0))),
        (Affine(Sigmoid_like(), 2.0, -1.0), Erf(1.0, 1.0 / 2.4020563531719796)),
    ],
    ids=repr,
)
def test_what_has_a_closed_form_of_its_own_agrees(layer, same):
    x = np.random.default_rng(0).normal(size=(4, 3))
    x[1], x[2] = x[0] * (1.0 + 1e-7), 0.0
    actual, expected = kernels(layer, x), kernels(same, x)
    for name in ("nngp", "ntk"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("layer", [Affine(Relu(), 2.0), Relu() + 1e-3, 1.5 * LeakyRelu(0.2) - 0.4], ids=repr)
def test_parallel_inputs_keep_the_digits_that_the_activation_keeps(layer):
    """Of different lengths in float32; measured 3e-7, and for small shifts 5e-5 without ``z``."""
    x = np.outer([0.3, 0.7, 1.0, 1.9, 3.0], np.random.default_rng(0).normal(size=5)).astype("float32")
    single, double = (kernels(layer, x, dtype) for dtype in ("float32", "float64"))
    for name in ("nngp", "ntk"):
        exact = np.asarray(getattr(double, name))
        assert (np.abs(np.asarray(getattr(single, name)) - exact) <= 1e-6 * np.abs(exact)).all()


def test_a_recurrence_takes_a_scaled_activation():
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    a, b = (
        ntklab.compile(Serial(Recurrent(layer, output="last"), Dense()), (4, 2), dtype="float64")(x)
        for layer in (Affine(Erf(), 0.5, 0.2, 1.5), Erf(0.5, 1.5, 0.2))
    )
    np.testing.assert_allclose(a.nngp, b.nngp, rtol=1e-13)
    np.testing.assert_allclose(a.ntk, b.ntk, rtol=1e-13)


def clipped(x):
    return jnp.clip(x, -1.0, 1.0)


def test_a_closed_form_inside_has_no_quadrature_error():
    assert quadrature_error(2.0 * Erf() + 1.0) == 0.0


@pytest.mark.slow
def test_a_rough_function_inside_is_compiled_with_a_warning():
    with pytest.warns(PrecisionWarning, match="clipped"):
        ntklab.compile(Serial(Dense(), 2.0 * Elementwise(clipped), Dense()), (3,))


@pytest.mark.slow
def test_the_error_of_a_quadrature_inside_is_stated():
    assert quadrature_error(2.0 * Tanh() + 1.0) < 1e-11
    assert quadrature_error(2.0 * Elementwise(clipped)) == pytest.approx(quadrature_error(Elementwise(clipped)))
