"""Every linear layer in random finite networks: its kernels, in the mean over networks, are the exact ones.

With one activation right behind the first weights, the mean over networks is exact at any width, so that only
standard errors are left. LayerNorm needs width: it has few wide networks instead of many narrow ones.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.finite import Params, empirical_ntk, network
from ntklab.spec import (
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Index,
    LayerNorm,
    Relu,
    Serial,
)
from tests.linear_cases import LAYERS, SHAPE
from tests.oracles import linear_numpy

FIRST = Conv(2, width=8, padding="SAME", W_std=1.2, b_std=0.2)
BEHIND = {
    **{name: layer for name, layer in LAYERS.items() if not isinstance(layer, LayerNorm)},
    "dropout": Dropout(0.6),
    "depthwise": Conv(2, width=16, padding="SAME", groups="depthwise", b_std=0.2),
    "global sum": GlobalSumPool(),
    "one pixel": Index((0, -1)),
}
QUICK = ("dropout",)


def spec_of(name):
    if name in BEHIND:
        layer = BEHIND[name]
        rest = (Flatten(),) if len(name) % 2 or name in ("global sum", "one pixel") else (GlobalAvgPool(),)
        return Serial(FIRST, Relu(), layer, *rest, Dense(W_std=1.1, b_std=0.3))
    wide = Conv(2, padding="SAME", W_std=1.2, b_std=0.2)
    return Serial(wide, LAYERS[name], Relu(), GlobalAvgPool(), Dense(b_std=0.3))


def lanes():
    for name in (*BEHIND, *(name for name in LAYERS if name not in BEHIND)):
        yield pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])


@functools.cache
def narrow(name):
    """Kernels of 2000 networks of width 8."""
    return sampled(network(spec_of(name), SHAPE, width=8, outputs=2, dtype="float64"), draw(3, *SHAPE), 2000)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape)


def sampled(net, x, count):
    """Return NNGP and NTK of ``count`` random networks: two arrays (count, n, n)."""

    def kernels(key):
        params = net.init(key)
        f = net.apply(params, x)
        jacobian = jax.jacobian(lambda trainable: net.apply(Params(trainable, params.frozen), x))(params.trainable)
        n, outputs = f.shape
        flat = [leaf.reshape((n, outputs, leaf.size // (n * outputs))) for leaf in jax.tree.leaves(jacobian)]
        ntk = sum(jnp.einsum("aop,bop->ab", leaf, leaf) for leaf in flat)
        return f @ f.T / outputs, ntk / outputs

    keys = jax.random.split(jax.random.key(1), count)
    return [np.asarray(k) for k in jax.jit(lambda keys: jax.lax.map(kernels, keys))(keys)]


@pytest.mark.parametrize("name", list(lanes()))
def test_the_mean_over_networks_is_the_exact_kernel(name):
    spec, x = spec_of(name), draw(3, *SHAPE)
    wide = network(spec, SHAPE, width=256, outputs=16, dtype="float64")
    found = narrow(name) if name in BEHIND else sampled(wide, x, 100)
    for samples, exact in zip(found, linear_numpy.gram(spec, x), strict=True):
        error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
        assert (error < 0.05 * np.abs(exact).max()).all(), "too few samples to tell anything"
        z = np.abs(samples.mean(axis=0) - exact) / np.maximum(error, 1e-12)
        assert z.max() < 4, (z, samples.mean(axis=0), exact)


def test_the_error_falls_like_the_root_of_the_number_of_networks():
    spec, x = spec_of("dropout"), draw(3, *SHAPE)
    nngp, _ = narrow("dropout")
    exact, _ = linear_numpy.gram(spec, x)
    few, many = (np.sqrt(np.mean((nngp.reshape((-1, n, 3, 3)).mean(axis=1) - exact) ** 2)) for n in (10, 200))
    assert 3 < few / many < 6.5  # by 4.5, the root of 20


def test_the_same_input_keeps_its_mask_in_every_batch():
    net = network(Serial(Dense(16), Dropout(0.5), Dense()), (5,), dtype="float64")
    params, x = net.init(jax.random.key(0)), draw(6, 5)
    np.testing.assert_allclose(net.apply(params, x)[2:4], net.apply(params, x[2:4]), rtol=1e-12)
    whole, parts = empirical_ntk(net, params, x), empirical_ntk(net, params, x, x, batch=2)
    np.testing.assert_allclose(whole, parts, rtol=1e-12)
    hidden = network(Serial(Dense(16), Dropout(0.5)), (5,), dtype="float64")
    dropped = np.asarray(
        hidden.apply(Params({"0": params.trainable["0"]}, params.frozen), np.ones((2, 5)) * [[1], [2]])
    )
    assert not np.array_equal(dropped[0] == 0, dropped[1] == 0)


def test_a_local_convolution_whose_positions_agree_is_a_convolution():
    W, b, x = draw(2, 3, 2, 4), draw(4), draw(3, 4, 5, 2)
    options = {"width": 4, "strides": (2, 1), "W_std": 1.3, "b_std": 0.4}
    for padding in ("SAME", "VALID", "CIRCULAR"):
        shared, own = (network(Serial(c((2, 3), padding=padding, **options), Flatten()), (4, 5, 2), dtype="float64")
                       for c in (Conv, ConvLocal))  # fmt: skip
        shape = jax.eval_shape(own.init, jax.random.key(0)).trainable["0"]["W"].shape[:2]
        copies = {"W": np.broadcast_to(W, (*shape, *W.shape)), "b": np.broadcast_to(b, (*shape, 4))}
        left, right = shared.apply(Params({"0": {"W": W, "b": b}}, {}), x), own.apply(Params({"0": copies}, {}), x)
        np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR"])
@pytest.mark.parametrize(("size", "window", "stride"), [(3, 2, 3), (2, 4, 2), (4, 3, 1), (2, 4, 1)])
def test_a_transposed_convolution_reads_what_its_formula_says(size, window, stride, padding):
    """The taps of the oracle, with weights on them."""
    spec = Serial(ConvTranspose((window,), 3, strides=stride, padding=padding), Flatten())
    net = network(spec, (size, 2), dtype="float64")
    W, x = draw(window, 2, 3), draw(2, size, 2)
    at, (count,) = linear_numpy._transposed_taps((size,), (window,), (stride,), padding)
    framed = np.concatenate([x, np.zeros((2, 1, 2))], axis=1)
    expected = sum(framed[:, where] @ w for where, w in zip(at, W, strict=True)) / np.sqrt(2 * window)
    actual = net.apply(Params({"0": {"W": W}}, {}), x)
    np.testing.assert_allclose(actual, expected.reshape((2, count * 3)), rtol=1e-12, atol=1e-13)


def test_groups_are_convolutions_of_their_own():
    layer, alone = (
        Conv(2, 6, groups=2, dilation=(1, 2), padding=((1, 0), (0, 3))),
        Conv(2, 3, dilation=(1, 2), padding=((1, 0), (0, 3))),
    )
    W, x = draw(2, 2, 2, 6), draw(2, 3, 4, 4)
    both = network(Serial(layer, Index((0, 0))), (3, 4, 4), dtype="float64").apply(Params({"0": {"W": W}}, {}), x)
    one = network(Serial(alone, Index((0, 0))), (3, 4, 2), dtype="float64")
    parts = [one.apply(Params({"0": {"W": W[..., 3 * g : 3 * g + 3]}}, {}), x[..., 2 * g : 2 * g + 2]) for g in (0, 1)]
    np.testing.assert_allclose(both, np.concatenate(parts, axis=1), rtol=1e-12)


def test_a_norm_leaves_mean_zero_and_variance_one():
    for axis in ((-1,), (0, -1), (0, 1, 2)):
        net = network(Serial(LayerNorm(axis), Flatten()), (3, 4, 5), dtype="float64")
        y = np.asarray(net.apply(Params({}, {}), draw(2, 3, 4, 5))).reshape((2, 3, 4, 5))
        over = tuple(1 + a % 3 for a in axis)
        np.testing.assert_allclose(y.mean(axis=over), 0, atol=1e-12)
        np.testing.assert_allclose(y.var(axis=over), 1, rtol=1e-10)


def test_positions_are_mapped_by_the_matrices_of_the_oracle():
    """Through the identity: what a layer makes of unit vectors."""
    for name, layer in {**LAYERS, "one pixel": Index((0, -1))}.items():
        if type(layer).__name__ not in ("AvgPool", "SumPool", "Index", "DotGeneral", "Aggregate", "ImageResize"):
            continue
        units = np.eye(12).reshape((12, 3, 4, 1))
        net = network(Serial(layer, Flatten()), (3, 4, 1), dtype="float64")
        A = np.asarray(net.apply(Params({}, {}), units)).T
        zeros = np.zeros((12, 12))
        state = linear_numpy.walk(layer, linear_numpy.State(np.eye(12), np.eye(12), np.eye(12), zeros, (3, 4), 1, True))
        np.testing.assert_allclose(A @ A.T, state.xy, rtol=1e-12, atol=1e-13, err_msg=name)
