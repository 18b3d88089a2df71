"""Quadrature at large standard deviations, and what it says of its own error."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import ntklab
from ntklab.errors import InputError, PrecisionWarning
from ntklab.kernel import quadrature_error
from ntklab.spec import Dense, Elementwise, Erf, Gelu, Selu, Serial, Softplus, Tanh
from tests.kernel.test_duals import evaluate


def clipped(x):
    return jnp.clip(x, -1.0, 1.0)


def mean(f):
    """E[f(g)] over a standard Gaussian, by adaptive quadrature from 0 outwards."""
    weighed = lambda g: f(g) * np.exp(-0.5 * g * g) / np.sqrt(2.0 * np.pi)  # noqa: E731
    edges = [-9.0, -2.0, -0.3, -0.03, 0.0, 0.03, 0.3, 2.0, 9.0]
    return sum(quad(weighed, a, b, epsabs=1e-15, epsrel=1e-13, limit=200)[0] for a, b in pairwise(edges))


SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
PHI = {
    Tanh(): np.tanh,
    Softplus(): lambda x: np.logaddexp(x, 0.0),
    Selu(): lambda x: SELU[0] * (x if x > 0.0 else SELU[1] * np.expm1(x)),
}


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        pytest.param(layer, dtype, marks=[] if (layer, dtype) == (Tanh(), "float64") else [pytest.mark.slow])
        for layer in PHI
        for dtype in ("float64", "float32")
    ],
    ids=str,
)
def test_a_large_standard_deviation_costs_no_digits(layer, dtype):
    """Correlations 1, 0 and -1, where the means are of one Gaussian each; 1e-12 in float64, 2e-6 in float32."""
    std = np.array([5.0, 20.0])
    v, d = np.stack([std**2, std**2], axis=1).astype(dtype), np.outer([0.0, 2.0, 4.0], std**2).astype(dtype)
    variance, pair = evaluate(layer, v, jnp.asarray(d[0]))
    phi = PHI[layer]
    square = np.array([mean(lambda g, s=s: phi(s * g) ** 2) for s in std])
    alone = np.array([mean(lambda g, s=s: phi(s * g)) for s in std])
    mirrored = np.array([mean(lambda g, s=s: phi(s * g) * phi(-s * g)) for s in std])
    tolerance = {"float64": 1e-12, "float32": 2e-6}[dtype]
    np.testing.assert_allclose(variance, np.stack([square, square], axis=1), rtol=tolerance)
    for distance, expected in zip(d, (square, alone**2, mirrored), strict=True):
        apart, cov = map(np.asarray, pair(jnp.asarray(distance))[:2])
        assert (np.abs(cov - expected) <= tolerance * square).all()
        assert (np.abs(apart - 2.0 * (square - expected)) <= 2.0 * tolerance * square).all()


def test_the_stated_error_covers_the_error_of_a_function_with_kinks_elsewhere():
    """E[clip(g)**2] is 1 - 2 pdf(1): the second moment inside is P(|g| < 1) - 2 pdf(1), and P(|g| > 1) outside."""
    exact = 1.0 - 2.0 * np.exp(-0.5) / np.sqrt(2.0 * np.pi)
    variance, _ = evaluate(Elementwise(clipped), np.ones((1, 2)), jnp.zeros(1))
    error = abs(float(variance[0, 0]) - exact) / exact
    assert 1e-6 < error < quadrature_error(Elementwise(clipped)) < 1e-2


@pytest.mark.parametrize("layer", [Tanh(), pytest.param(Gelu(approximate=True), marks=pytest.mark.slow)], ids=str)
def test_the_stated_error_of_our_own_functions_is_rounding(layer):
    assert quadrature_error(layer, std=10.0) < 1e-11


def test_a_closed_form_has_no_quadrature_error():
    assert quadrature_error(Erf()) == 0.0
    assert quadrature_error(Gelu()) == 0.0


def test_a_function_that_the_quadrature_does_not_resolve_is_compiled_with_a_warning():
    network = Serial(Dense(), Elementwise(clipped), Dense())
    with pytest.warns(PrecisionWarning, match=r"Elementwise\(.*clipped.*\) is known to .e-0[2-5] only"):
        kfn = ntklab.compile(network, input_shape=(3,))
    assert np.isfinite(np.asarray(kfn(np.ones((1, 3))).ntk)).all()


@pytest.mark.parametrize(("std", "dtype"), [(0.0, "float64"), (np.nan, "float64"), (1.0, "float16")])
def test_what_has_no_quadrature_error_is_refused(std, dtype):
    with pytest.raises(InputError):
        quadrature_error(Tanh(), std, dtype)
