"""Activations in whole networks: derivatives, learnable parameters, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.errors import SpecError
from ntklab.spec import (
    ABRelu,
    Affine,
    Dense,
    Elu,
    Erf,
    ExpNormalized,
    Gabor,
    Gaussian,
    Gelu,
    Polynomial,
    RectifiedMonomial,
    Relu,
    Serial,
    Sign,
    Sin,
)

FEW = (
    *(Erf(), Gelu(), Sin(c=0.3), Gaussian(), Gabor(), Polynomial((0.2, 1.0, 0.5)), ABRelu(-0.3, 1.0), ExpNormalized()),
    Affine(Relu(), 2.0, -0.5, 0.7),
)
LIKE_OTHERS = (Sin, Gaussian, Gabor, ABRelu)  # their duals are built as those of Exp, Erf and ReLU are


def each_of(layers):
    marked = [
        pytest.param(a, marks=[pytest.mark.slow] if isinstance(a, LIKE_OTHERS) else [], id=repr(a)) for a in layers
    ]
    return pytest.mark.parametrize("layer", marked)


def network(layer):
    return Serial(Dense(W_std=1.2, b_std=0.1), layer, Dense(b_std=0.3), Relu(), Dense())


@each_of([*FEW, RectifiedMonomial(2), Sign()])
def test_derivatives_are_finite_at_coinciding_and_at_zero_inputs(layer):
    kfn = ntklab.compile(Serial(Dense(), layer, Dense()), (3,), engine="reference", dtype="float64")
    x = np.random.default_rng(0).normal(size=(3, 3))
    x[1], x[2] = x[0], 0.0

    def total(x, hyper):
        kernel = kfn(x, hyper=hyper)
        return jnp.sum(kernel.nngp) + jnp.sum(kernel.ntk)

    for part in jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1)))(jnp.asarray(x), kfn.hyper)):
        assert np.isfinite(part).all()


@pytest.mark.parametrize(
    "layer",
    [
        *(Polynomial((0.2, 1.0, 0.5)), Affine(Erf(0.7, 1.1, 0.2), 1.3, -0.2, 0.7)),
        pytest.param(Affine(ABRelu(-0.3, 1.2), 1.3, -0.2, 0.7), marks=pytest.mark.slow),
        pytest.param(Erf(0.7, 1.1, 0.2), marks=pytest.mark.slow),
        pytest.param(Elu(0.8), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_parameters_of_activations_can_be_learned(layer):
    """Derivatives against differences of networks that are built anew."""
    kfn = ntklab.compile(network(layer), (3,), engine="reference", dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 3))
    slopes = jax.grad(lambda hyper: jnp.sum(kfn(x, hyper=hyper).ntk))(kfn.hyper)["1"]
    assert set(slopes) == {name for name, _ in layer.numbers}
    h = 1e-5
    for name, value in layer.numbers:
        ends = []
        for step in (h, -h):
            changed = {**kfn.hyper, "1": {**kfn.hyper["1"], name: jnp.asarray(value + step)}}
            ends.append(float(jnp.sum(kfn(x, hyper=changed).ntk)))
        assert abs(slopes[name] - (ends[0] - ends[1]) / (2 * h)) < 1e-7 * abs(ends[0])


@each_of(FEW)
def test_float32_agrees_with_float64_next_to_coinciding_inputs(layer):
    """A ReLU follows: it would show an error in the distance by its root, 3e-4. The largest seen is recorded below."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3)).astype(np.float32)
    x[3:] = x[:3] + 1e-4 * rng.normal(size=(3, 3)).astype(np.float32)
    kfns = (ntklab.compile(network(layer), (3,), engine="reference", dtype=d) for d in ("float32", "float64"))
    single, double = (kfn(x) for kfn in kfns)
    for name in ("nngp", "ntk"):
        exact = np.asarray(getattr(double, name))
        assert np.abs(np.asarray(getattr(single, name)) - exact).max() <= 3e-6 * np.abs(exact).max()


def test_an_activation_without_weights_before_it_is_refused_by_name():
    with pytest.raises(SpecError, match=r"Erf\(\) at 0 needs a Gaussian input"):
        ntklab.compile(Serial(Erf(), Dense()), (3,))


def test_a_kernel_without_a_function_has_no_finite_network():
    from ntklab import finite

    net = finite.network(network(ExpNormalized()), (3,), width=4)
    with pytest.raises(NotImplementedError, match="ExpNormalized"):
        net.apply(net.init(jax.random.key(0)), np.ones((1, 3)))
