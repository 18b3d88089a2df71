"""Every activation in random finite networks: its kernels, in the mean over networks, are the closed forms.

Only one activation stands in each network, right behind the first weights, so that the mean over networks is exact at
any width and standard errors alone are left.
"""

import functools

import jax
import numpy as np
import pytest

import ntklab
from ntklab import spec
from ntklab.spec import Activation, Affine, Dense, ExpNormalized, RectifiedMonomial, Relu, Serial
from tests.finite.test_structure import samples
from tests.kernel.activations import ALONE

COUNT = 4000
CASES = [*ALONE, RectifiedMonomial(0), RectifiedMonomial(3), Affine(Relu(), 2.0, -0.7, 0.8)]
QUICK = (Affine(Relu(), 2.0, -0.7, 0.8),)


def lanes():
    for layer in CASES:
        name = repr(layer).split(" at ")[0]  # a function's place in memory is no name
        yield pytest.param(layer, id=name, marks=[] if layer in QUICK else [pytest.mark.slow])


@functools.cache
def drawn(layer):
    """Exact kernels, and those of 4000 networks of width 8."""
    network, x = Serial(Dense(W_std=0.9, b_std=0.3), layer, Dense(W_std=1.1, b_std=0.2)), inputs()
    with jax.disable_jit(layer not in QUICK):  # the operations of many, one by one, are the same
        kernel = ntklab.compile(network, (4,), dtype="float64", engine="reference")(x)
    found = samples(network, (4,), x, width=8, count=COUNT, outputs=4)
    return [(np.asarray(getattr(kernel, name)), np.asarray(values)) for name, values in zip(NAMES, found, strict=True)]


NAMES = ("nngp", "ntk")


def inputs():
    """Three inputs: any two, and one that is nearly opposite to the first."""
    x = np.random.default_rng(0).normal(size=(3, 4))
    x[2] = -0.8 * x[0] + 0.1 * x[1]
    return x


@pytest.mark.parametrize("layer", list(lanes()))
def test_over_random_networks_kernels_average_to_the_closed_form(layer):
    for name, (exact, values) in zip(NAMES, drawn(layer), strict=True):
        error = values.std(axis=0, ddof=1) / np.sqrt(COUNT)
        assert (error < 0.1 * np.abs(exact).max()).all(), "too few samples to tell anything"
        z = np.abs(values.mean(axis=0) - exact) / np.maximum(error, 1e-12)
        assert z.max() < 4.0, (name, z)


@pytest.mark.parametrize("layer", list(lanes()))
def test_the_error_falls_like_the_root_of_the_number_of_networks(layer):
    """By 4, the root of 16, from 5 to 80 networks; blocks of 80 are fifty, so that their error is known to 10 %."""
    for exact, values in drawn(layer):
        few, many = (np.sqrt(np.mean((values.reshape((-1, n, 3, 3)).mean(axis=1) - exact) ** 2)) for n in (5, 80))
        assert 2.7 < few / many < 6.0


def test_every_activation_with_a_function_is_among_the_cases():
    every = {cls for cls in vars(spec).values() if isinstance(cls, type) and issubclass(cls, Activation)}
    assert every - {type(layer) for layer in CASES} == {Activation, ExpNormalized}
