"""Every linear layer and option against the matrices that they are, in both dtypes; and what has no closed form."""

import functools
import itertools

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine import ENGINES
from ntklab.errors import SpecError
from ntklab.spec import Conv, Dense, Dropout, Flatten, GlobalAvgPool, LayerNorm, Relu, Serial
from ntklab.testing import assert_close, made_up_inputs, tolerance
from tests.linear_cases import ENDS, LAYERS, SHAPE, VECTORS, all_networks, network
from tests.oracles import linear_numpy

PLAIN = ("groups", "LAP", "standard, frozen")
"""Layers that are no different from those that every engine knows."""
LANES = {"float64": (4, 0), "float32": (8, 1)}


def is_quick(name, dtype):
    """Whether a network is in the default lane, in one dtype: the fewer, the less to compile."""
    each, first = LANES[dtype]
    return list(all_networks()).index(name) % each == first


def lanes():
    for name, dtype in itertools.product(all_networks(), LANES):
        yield pytest.param(name, dtype, marks=[] if is_quick(name, dtype) else [pytest.mark.slow])


@functools.cache
def computed(dtype, quick):
    """The networks of a lane in one plan, so that they compile at once: two sets of inputs that share some."""
    x = made_up_inputs(4, SHAPE)
    networks = {name: net for name, net in all_networks().items() if is_quick(name, dtype) == quick}
    kfn = ntklab.compile(networks, SHAPE, dtype=dtype, engine="reference")
    return kfn(x[:3], x[1:])


@functools.cache
def expected(name):
    x = made_up_inputs(4, SHAPE)
    return linear_numpy.gram(all_networks()[name], x[:3], x[1:], dtype=np.longdouble)


@pytest.mark.parametrize(("name", "dtype"), list(lanes()))
def test_every_entry_is_that_of_the_matrices(name, dtype):
    kernel = computed(dtype, is_quick(name, dtype))[name]
    for what, actual, wanted in zip(("nngp", "ntk"), (kernel.nngp, kernel.ntk), expected(name), strict=True):
        assert_close(actual, wanted, tolerance(dtype), scale=float(np.abs(wanted).max()), what=what)


@pytest.mark.parametrize("name", VECTORS)
def test_a_product_with_a_constant_can_make_positions(name):
    x = made_up_inputs(4, (5,))
    kernel = ntklab.compile(ENDS[name], (5,), dtype="float64")(x[:3], x[1:])
    wanted = linear_numpy.gram(ENDS[name], x[:3], x[1:], dtype=np.longdouble)
    for actual, exact in zip((kernel.nngp, kernel.ntk), wanted, strict=True):
        assert_close(actual, exact, tolerance("float64"), scale=float(np.abs(exact).max()))


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [True, False])
def test_either_readout_of_every_layer(pooled):
    x = made_up_inputs(3, SHAPE)
    networks = {name: network(name, pooled) for name in LAYERS}
    kernels = ntklab.compile(networks, SHAPE, dtype="float64", engine="reference")(x)
    for name, net in networks.items():
        wanted = linear_numpy.gram(net, x, dtype=np.longdouble)
        for actual, exact in zip((kernels[name].nngp, kernels[name].ntk), wanted, strict=True):
            assert_close(actual, exact, tolerance("float64"), scale=float(np.abs(exact).max()), what=name)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Serial(Conv(2, groups=2), Relu()), "Gaussian"),
        (Serial(Conv(2, groups=2), Conv(1, groups=2), Relu()), "Gaussian"),
        (Serial(Dense(), Conv(2, groups="depthwise"), Relu()), "Gaussian"),
        (Serial(Dense(), Relu(), LayerNorm()), "mean over channels is zero"),
        (Serial(Dense(), Relu(), Dropout(0.5), Relu()), "Gaussian"),
        (Serial(Dropout(0.5), Dense()), "few channels of the input"),
        (Serial(Flatten(), Dropout(0.5)), "few channels of the input"),
        (Serial(Dense(), Dense(parameterization="standard")), "must have a width"),
    ],
    ids=repr,
)
def test_what_has_no_closed_form_is_refused_with_the_reason(net, words):
    with pytest.raises(SpecError, match=words):
        ntklab.compile(Serial(net, GlobalAvgPool()) if not isinstance(net.layers[0], Flatten) else net, SHAPE)


def test_groups_of_infinitely_many_channels_change_nothing():
    nets = [Serial(Conv(2), Relu(), Conv(2, groups=g, b_std=0.1), Relu(), GlobalAvgPool()) for g in (1, 3)]
    x = made_up_inputs(3, SHAPE)
    one, three = (ntklab.compile(net, SHAPE, engine="reference")(x).ntk for net in nets)
    assert np.array_equal(one, three)


@pytest.mark.parametrize("engine", ["simd", "displacement"])
@pytest.mark.parametrize("name", [name for name in LAYERS if name not in PLAIN])
def test_engines_decline_what_they_have_no_code_for(name, engine):
    plan = ntklab.compile(network(name, pooled=True), SHAPE, engine="reference").plan
    (found,) = (e for e in ENGINES if e.name == engine)
    support = found.supports(plan, jax.devices("cpu")[0], np.dtype("float32"))
    assert not support.ok
