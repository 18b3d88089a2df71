"""Kernels of networks that end with positions: ``compile(..., positions=...)``."""

import jax
import numpy as np
import pytest

import ntklab
from ntklab.errors import EngineError, InputError, SpecError
from ntklab.finite import network
from ntklab.spec import Conv, Dense, Flatten, GlobalAvgPool, Relu, Serial
from tests.oracles.neural_tangents_oracle import load

NETWORK = Serial(Conv((3, 2), padding="SAME", W_std=1.3, b_std=0.2), Relu(), Conv((2, 2), b_std=0.1), Relu())
SHAPE = (4, 3, 2)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(3, *SHAPE)), random.normal(size=(2, *SHAPE))


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def compiled(positions, net=NETWORK):
    return ntklab.compile(net, SHAPE, dtype="float64", positions=positions)


@pytest.mark.oracle
@pytest.mark.slow
def test_all_pairs_of_positions_agree_with_neural_tangents(data):
    stax, _ = load()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        layers = (
            stax.Conv(1, (3, 2), padding="SAME", W_std=1.3, b_std=0.2),
            stax.Relu(),
            stax.Conv(1, (2, 2), b_std=0.1),
            stax.Relu(),
        )
        expected = stax.serial(*layers)[2](*map(jax.numpy.asarray, data), get=("nngp", "ntk"))
    found = compiled("all")(*data)
    for name in ("nngp", "ntk"):
        # its axes are h, h', w, w'; ours h, w, h', w'
        np.testing.assert_allclose(
            getattr(found, name), np.asarray(getattr(expected, name)).transpose((0, 1, 2, 4, 3, 5)), rtol=1e-12
        )


def test_equal_positions_are_the_diagonal_of_all_pairs_and_the_mean_is_flatten(data):
    everything, equal = compiled("all")(*data).ntk, compiled("equal")(*data).ntk
    np.testing.assert_allclose(equal, np.einsum("abhwhw->abhw", everything), rtol=1e-13)
    flat = compiled(None, Serial(NETWORK, Flatten()))(*data).ntk
    np.testing.assert_allclose(equal.mean(axis=(2, 3)), flat, rtol=1e-13)
    pooled = compiled(None, Serial(NETWORK, GlobalAvgPool()))(*data).ntk
    np.testing.assert_allclose(everything.mean(axis=(2, 3, 4, 5)), pooled, rtol=1e-13)


@pytest.mark.parametrize("positions", ["equal", "all"])
def test_the_symmetric_case_is_symmetric_bit_for_bit_and_has_the_diagonal_of_each_input_alone(data, positions):
    kfn = compiled(positions)
    kernel, axes = np.asarray(kfn(data[0]).ntk), (1, 0, 2, 3) if positions == "equal" else (1, 0, 4, 5, 2, 3)
    assert (kernel == kernel.transpose(axes)).all()
    np.testing.assert_allclose(kernel, kfn(data[0], data[0]).ntk, rtol=1e-12)
    np.testing.assert_allclose(kfn.diagonal(data[0]).ntk, np.einsum("aa...->a...", kernel), rtol=1e-12)


def test_what_positions_do_not_go_with_is_refused(data):
    with pytest.raises(SpecError, match='positions="all"'):
        compiled(None)
    with pytest.raises(InputError, match='"equal" or "all"'):
        compiled("some")
    with pytest.raises(EngineError, match="outputs with positions"):
        ntklab.compile(NETWORK, SHAPE, engine="displacement", positions="all", dtype="float64")
    with pytest.raises(EngineError, match="outputs with positions"):
        ntklab.compile(Conv(1), SHAPE, engine="simd", positions="all")
    with pytest.raises(InputError, match="one number per pair"):
        ntklab.gram(compiled("equal"), data[0], progress=False)


def test_finite_networks_end_with_positions_where_that_is_asked_for(data):
    net = Serial(Conv((2, 2), 5), Relu(), Dense(3))
    with pytest.raises(SpecError, match="positions=True"):
        network(net, SHAPE)
    finite = network(net, SHAPE, positions=True, dtype="float64")
    assert finite.apply(finite.init(jax.random.key(0)), data[0]).shape == (3, 3, 2, 3)
