"""Sums of activations: arithmetic, the functions behind them, and kernels that are known otherwise."""

import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.errors import PrecisionWarning, SpecError
from ntklab.finite._activations import PHI
from ntklab.kernel import quadrature_error
from ntklab.kernel._functions import BY_QUADRATURE, IN_CLOSED_FORM
from ntklab.spec import (
    ABRelu,
    Abs,
    Combination,
    Cos,
    Dense,
    Elementwise,
    Elu,
    Erf,
    ExpNormalized,
    Monomial,
    Polynomial,
    Relu,
    Serial,
    Sin,
    Tanh,
)
from tests.kernel.activations import AFFINE, KINKED, QUADRATURE, SMOOTH
from tests.kernel.test_duals import derivative, evaluate, grid

MIXED = Relu() + 0.5 * Tanh() - 0.3


def test_arithmetic_makes_sums():
    assert Relu() + Tanh() == Combination(Relu(), Tanh())
    assert Relu() + Tanh() + Abs() == Relu() + (Tanh() + Abs()) == Combination(Relu(), Tanh(), Abs())
    assert Relu() - Tanh() == Combination(Relu(), -1.0 * Tanh())
    assert 2.0 * (Relu() + Tanh()) != 2.0 * Relu() + 2.0 * Tanh()  # the same function in other words
    assert [name for name, _ in (Erf() + 2.0 * Elu()).numbers] == [
        *("term0.a", "term0.b", "term0.c"),
        *("term1.scale", "term1.shift", "term1.input_scale", "term1.activation.alpha"),
    ]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Combination(Relu()), "at least two"),
        (lambda: Combination(Relu(), Dense()), "an activation such as Relu"),
        (lambda: Relu() + ExpNormalized(), "no function"),
    ],
)
def test_what_cannot_be_added_is_refused(build, words):
    with pytest.raises(SpecError, match=words):
        build()


def test_functions_are_those_of_finite_networks():
    """Written twice, since the two rooms know nothing of each other; to rounding, at points of both signs."""
    x = jnp.asarray([-3.0, -1.1, -0.2, 0.0, 0.3, 2.0])
    known, found = {**BY_QUADRATURE, **IN_CLOSED_FORM}, set()
    for layer in (*KINKED, *SMOOTH, *QUADRATURE, *AFFINE, MIXED, Combination(Sin(), MIXED)):
        p = {**dict(layer.options), **{name: jnp.asarray(value) for name, value in layer.numbers}}
        expected = PHI[type(layer)](layer, x)
        np.testing.assert_allclose(known[type(layer)](x, p), expected, rtol=1e-13, atol=1e-14, err_msg=repr(layer))
        found.add(type(layer))
    assert found == set(known) == set(PHI)


SAME = {
    Monomial(1) + Abs(): ABRelu(0.0, 2.0),
    Monomial(1) - 2.0 * Monomial(3) + 0.5 * Relu() - 0.5 * Relu(): Polynomial((0.0, 1.0, 0.0, -2.0)),
    Sin(0.6, 1.2) + Cos(0.8, 1.2): Sin(1.0, 1.2, float(np.arctan2(0.8, 0.6))),
}


def lanes():
    for layer in SAME:
        for dtype in ("float64", "float32"):
            quick = dtype == "float64" and Sin(0.6, 1.2) in layer.terms
            yield pytest.param(layer, dtype, id=f"{layer} {dtype}", marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("layer", "dtype"), list(lanes()))
def test_a_sum_that_is_one_activation_has_its_kernel(layer, dtype):
    """At all correlations of the grid of duals; 1e-12 and 2e-6 of the mean square, as there."""
    v, d, _, z = grid(dtype, ((1.0, 1.0), (0.5, 1.7), (0.0, 1.0)))
    (own, pair), (own_same, pair_same) = (evaluate(each, v, d) for each in (layer, SAME[layer]))
    room = {"float64": 1e-12, "float32": 2e-6}[dtype] * np.maximum(own_same.max(axis=1), 1.0)
    assert (np.abs(own - own_same).max(axis=1) <= room).all()
    got, expected = pair(jnp.asarray(d)), pair_same(jnp.asarray(d))
    assert (np.abs(got.cov - expected.cov) <= room).all()
    assert (np.abs(got.distance - expected.distance) <= room).all()
    steady = (z > 0.4) & (z < 1.6) & (v.min(axis=1) > 0.0)
    assert (np.abs(got.tangent - expected.tangent) <= 20.0 * room)[steady].all()


def test_numbers_of_terms_are_learnable():
    v = np.array([[0.5, 1.7]])
    of = lambda scale: evaluate(Tanh() + 0.5 * Erf(0.7), v, jnp.zeros(1), {"term1.scale": scale})[0]  # noqa: E731
    ends = [evaluate(Tanh() + (0.5 + step) * Erf(0.7), v, jnp.zeros(1))[0] for step in (1e-5, -1e-5)]
    np.testing.assert_allclose(derivative(of, jnp.asarray(0.5)), (ends[0] - ends[1]) / 2e-5, rtol=1e-8)


@pytest.mark.slow
def test_a_rough_function_inside_is_compiled_with_a_warning():
    def clipped(x):
        return jnp.clip(x, -1.0, 1.0)

    with pytest.warns(PrecisionWarning, match="clipped"):
        ntklab.compile(Serial(Dense(), Relu() + 2.0 * Elementwise(clipped), Dense()), (3,))


@pytest.mark.slow
def test_the_error_of_the_quadrature_is_stated():
    assert quadrature_error(MIXED) < 1e-11
