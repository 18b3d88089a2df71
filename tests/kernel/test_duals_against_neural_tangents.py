"""Activations inside networks against neural-tangents 0.6.5, on the grid of its own ActivationTest."""

import jax
import numpy as np
import pytest

import ntklab
from ntklab.spec import (
    Conv,
    Dense,
    Exp,
    ExpNormalized,
    Flatten,
    Gaussian,
    GlobalAvgPool,
    Hermite,
    Monomial,
    Polynomial,
    Rbf,
    RectifiedMonomial,
    Serial,
    Sin,
)
from tests.kernel.activations import KINKED, SMOOTH, first_of_each_type
from tests.oracles.neural_tangents_oracle import kernels

pytestmark = pytest.mark.oracle

NORMALISED = (ExpNormalized(1.0), ExpNormalized(2.0, 0.5), ExpNormalized(0.5))
ACTIVATIONS = [
    layer
    for layer in (*KINKED, *SMOOTH, *NORMALISED)
    if not isinstance(layer, Hermite) and layer not in (Monomial(6), Polynomial(()))
]
"""Without Monomial(6) and the empty Polynomial, which it refuses. Without Hermite: its kernel there assumes unit
variance. Without the Gelu of tanh: its kernel there is another's."""


def stds(layer):
    """Return W_std and b_std as ActivationTest has them."""
    return {Sin: (0.9, 0.9), Rbf: (1.0, 0.0)}.get(type(layer), (2.0, 0.5))


def inputs(shape, count, seed):
    return np.cos(np.random.default_rng(seed).normal(size=(count, *shape)))


def compare(network, shape):
    x1, x2 = inputs(shape, 4, 0), 2.0 * inputs(shape, 2, 1)
    ours = ntklab.compile(network, shape, engine="reference", dtype="float64")
    nngp, ntk = kernels(network, x1, x2)
    got = ours(x1, x2)
    np.testing.assert_allclose(got.nngp, nngp, rtol=1e-10, atol=1e-10 * np.abs(nngp).max())
    np.testing.assert_allclose(got.ntk, ntk, rtol=1e-10, atol=1e-10 * np.abs(ntk).max())


@pytest.mark.parametrize("layer", first_of_each_type(ACTIVATIONS))
def test_dense_networks_agree_between_different_inputs(layer):
    W_std, b_std = stds(layer)
    dense = Dense(W_std=W_std, b_std=b_std)
    depth = 2 if isinstance(layer, Exp | Gaussian) else 1
    if isinstance(layer, Exp | Gaussian):
        dense = Dense(W_std=0.5, b_std=0.1)
    with jax.disable_jit():
        compare(Serial(*(dense, layer) * depth, dense), (2,))


@pytest.mark.slow
@pytest.mark.parametrize("head", [GlobalAvgPool(), Flatten()], ids=repr)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_convolutional_networks_agree_between_different_inputs(layer, head):
    W_std, b_std = (0.5, 0.1) if isinstance(layer, Exp | Gaussian) else stds(layer)
    conv = Conv((3, 2), W_std=W_std, b_std=b_std, padding="SAME")
    compare(Serial(conv, layer, head, Dense(W_std=W_std, b_std=b_std)), (4, 4, 3))


def test_where_neural_tangents_is_wrong_the_exact_value_is_ours():
    """On its diagonal RectifiedMonomial(2) is NaN; the exact value is E[relu(u)**4] = 3 v**2 / 2.

    Polynomial with an input of zeros is NaN; the exact value is the product of the means.
    """
    x = inputs((2,), 3, 0)
    network = Serial(Dense(), RectifiedMonomial(2))
    assert np.isnan(kernels(network, x)[0]).any()
    v = (x * x).mean(axis=1)
    ours = ntklab.compile(network, (2,), engine="reference", dtype="float64")(x).nngp
    np.testing.assert_allclose(np.diag(ours), 1.5 * v**2, rtol=1e-14)
    x[1] = 0.0
    v = (x * x).mean(axis=1)
    network = Serial(Dense(), Polynomial((0.5, 2.0, 1.0)))
    assert np.isnan(kernels(network, x)[0][1]).any()
    ours = ntklab.compile(network, (2,), engine="reference", dtype="float64")(x)
    np.testing.assert_allclose(ours.nngp[1], 0.5 * (0.5 + v), rtol=1e-14)
    assert np.isfinite(ours.ntk).all()
