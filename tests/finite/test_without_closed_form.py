"""Layers that have no kernel rule, with given weights: outputs and tangent kernels against plain NumPy."""

import jax
import numpy as np
import pytest

from ntklab.errors import InputError, SpecError
from ntklab.finite import couples_inputs, empirical_nngp, empirical_ntk, network
from ntklab.spec import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    LayerNorm,
    Mask,
    MaxPool,
    Parallel,
    Relu,
    Repeat,
    Serial,
)
from tests.oracles import sampled_numpy as plain

IMAGE, SEQUENCE = (4, 3, 2), (3, 2)
SOFTMAX = GlobalSelfAttention(linear_scaling=False, W_key_std=1.5, W_out_std=0.7, heads=2, key_width=3, value_width=2)


def pooled(strides, padding):
    def forward(weights, x):
        h = plain.max_pool(plain.dense(x, weights["0"], 1.3, 0.4), (2, 3), strides, padding)
        return plain.dense(plain.relu(h).reshape(len(x), -1), weights["4"])

    first = Dense(W_std=1.3, b_std=0.4)
    return Serial(first, MaxPool((2, 3), strides, padding), Relu(), Flatten(), Dense()), IMAGE, forward


def normalised(weights, x):
    h = plain.batch_norm(plain.dense(x, weights["0"], 1.3, 0.4), 0.1)
    return plain.dense(plain.relu(h).mean(axis=(1, 2)), weights["4"])


def attending(weights, x):
    return plain.dense(plain.attention(x, weights["0"], 1.5, W_out_std=0.7).mean(axis=1), weights["2"])


NETWORKS = {
    "maxima": pooled((1, 1), "VALID"),
    "maxima, padded": pooled((2, 1), "SAME"),
    "maxima, around": pooled((1, 2), "CIRCULAR"),
    "batch": (Serial(Dense(W_std=1.3, b_std=0.4), BatchNorm(0.1), Relu(), GlobalAvgPool(), Dense()), IMAGE, normalised),
    "softmax": (Serial(SOFTMAX, GlobalAvgPool(), Dense()), SEQUENCE, attending),
}
METHODS = {
    "maxima, padded": ("jacobian", "vector", "structured"),
    "batch": ("jacobian", "vector", "structured"),
    "softmax": ("structured",),
}


def draw(name, n=3):
    """Return a small network, its weights, also as NumPy arrays by layer, and inputs."""
    spec, shape, _ = NETWORKS[name]
    net = network(spec, shape, width=3, outputs=2, dtype="float64", batch=n if name == "batch" else None)
    params = net.init(jax.random.key(1))
    weights = jax.tree.map(np.array, dict(params.trainable))
    return net, params, weights, np.random.default_rng(0).normal(size=(n, *shape))


def jacobian(f, weights, step=1e-6):
    """Return derivatives of ``f(weights)`` by central differences: (parameters, *outputs)."""
    found = []
    for leaf in (leaf for own in weights.values() for leaf in own.values()):
        for at in np.ndindex(leaf.shape):
            kept = leaf[at]
            leaf[at] = kept + step
            above = f(weights)
            leaf[at] = kept - step
            found.append((above - f(weights)) / (2 * step))
            leaf[at] = kept
    return np.stack(found)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_tangent_kernels_are_those_of_plain_numpy(name):
    net, params, weights, x = draw(name)
    forward = NETWORKS[name][2]
    whole = name == "batch"
    inputs = x[None] if whole else x
    out = forward(weights, x)
    np.testing.assert_allclose(np.reshape(net.apply(params, inputs), out.shape), out, rtol=0, atol=1e-13)
    J = jacobian(lambda weights: forward(weights, x), weights)
    ntk = np.einsum("pio,pjo->ij", J, J) / out.shape[1]
    outputs, at = (("full", "mean"), (0, 0)) if whole else ("mean", ())
    np.testing.assert_allclose(empirical_nngp(net, params, inputs, outputs=outputs)[at], out @ out.T / 2, atol=1e-13)
    for method in METHODS.get(name, ()):
        found = empirical_ntk(net, params, inputs, outputs=outputs, method=method)[at]
        # differences of step 1e-6 leave about 1e-9 of the largest entry
        np.testing.assert_allclose(found, ntk, rtol=0, atol=1e-7 * np.abs(ntk).max())


def test_several_batches_are_normalised_each_by_itself():
    net, params, weights, x = draw("batch")
    both = np.stack([x, 3.0 - 2.0 * x[::-1]])
    found = net.apply(params, both)
    for batch, out in zip(both, found, strict=True):
        np.testing.assert_allclose(out, normalised(weights, batch), rtol=0, atol=1e-13)
    assert not np.allclose(
        found[0], net.apply(params, np.stack([both[0], both[0] * [[[[1.0]]], [[[1.0]]], [[[2.0]]]]]))[1]
    )


def test_networks_of_batch_norm_ask_for_the_size_of_the_batch():
    for spec in (Serial(Dense(), BatchNorm()), Parallel(Dense(), Repeat(Serial(Dense(), BatchNorm()), 2))):
        assert couples_inputs(spec, (3,))
        with pytest.raises(SpecError, match=r"couples the inputs of a batch.*batch=n"):
            network(spec, (3,))
    assert not couples_inputs(Serial(Dense(), LayerNorm(), Dense()), (3,))
    for size in (1, 2.0, True):
        with pytest.raises(InputError, match="batch is an integer >= 2 or None"):
            network(Serial(Dense(), BatchNorm()), (3,), batch=size)
    net = network(Serial(Dense(), BatchNorm()), (3,), batch=4)
    with pytest.raises(InputError, match=r"x has shape \(n, 4, 3\)"):
        net.apply(net.init(jax.random.key(0)), np.zeros((4, 3)))


@pytest.mark.parametrize("layer", [BatchNorm(), MaxPool(2, padding="SAME")], ids=repr)
def test_no_mask_goes_through_them(layer):
    net = network(Serial(Mask(), Conv(2, padding="SAME"), layer, Flatten()), IMAGE, batch=2)
    with pytest.raises(SpecError, match="cannot follow a Mask"):
        net.apply(net.init(jax.random.key(0)), np.ones((1, 2, *IMAGE)))
