"""Empirical kernels: against finite differences, against ReLU's closed form, against neural-tangents."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.finite import Params, empirical_nngp, empirical_ntk, network
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Parallel,
    Relu,
    Residual,
    Serial,
    zoo,
)
from tests.oracles import neural_tangents_oracle

IMAGE = (4, 4, 2)
NETWORKS = {
    "dense": (Serial(Dense(b_std=0.5), Relu(), Dense(W_std=1.4, b_std=0.3)), (3,)),
    "partly frozen": (Serial(Dense(trainable=False), Relu(), Dense(), Relu(), Dense(trainable=False)), (3,)),
    "convolutional": (
        Serial(
            Conv(3, W_std=1.2, padding="SAME", b_std=0.1),
            Relu(),
            AvgPool(2, strides=2),
            Conv((1, 2), padding="CIRCULAR"),
            Relu(),
            Flatten(),
            Dense(),
        ),
        IMAGE,
    ),
    "branching": (
        Serial(
            Conv(1),
            Residual(Relu(), Conv(3, padding="SAME")),
            Parallel(Conv(1), Conv(3, padding="SAME")),
            Relu(),
            GlobalAvgPool(),
            Dense(),
        ),
        IMAGE,
    ),
}


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def jacobian_by_differences(net, params, x, step=1e-5):
    """Central differences: exact but for rounding, as outputs are linear in each weight between kinks."""
    flat, rebuild = jax.flatten_util.ravel_pytree(params.trainable)

    @jax.jit
    @jax.vmap
    def derivative(direction):
        up, down = (net.apply(Params(rebuild(flat + sign * step * direction), params.frozen), x) for sign in (1, -1))
        return (up - down) / (2 * step)

    return np.moveaxis(np.asarray(derivative(jnp.eye(flat.size))), 0, -1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_tangent_kernel_is_that_of_finite_differences(name):
    spec, shape = NETWORKS[name]
    net = network(spec, shape, width=3, outputs=2, dtype="float64")
    params = net.init(jax.random.key(3))
    x1, x2 = draw(0, 2, *shape), draw(1, 2, *shape)
    j1, j2 = np.split(jacobian_by_differences(net, params, np.concatenate([x1, x2])), 2)
    full = np.einsum("aop,bqp->aboq", j1, j2)
    close = {"rtol": 1e-7, "atol": 1e-8}
    np.testing.assert_allclose(empirical_ntk(net, params, x1, x2, outputs="full"), full, **close)
    own = np.einsum("aop,bqp->aboq", j1, j1)
    np.testing.assert_allclose(empirical_ntk(net, params, x1, outputs="full"), own, **close)


def test_the_mean_over_outputs_is_the_trace_over_their_number():
    net = network(NETWORKS["dense"][0], (3,), width=4, outputs=3, dtype="float64")
    params, x1, x2 = net.init(jax.random.key(0)), draw(0, 4, 3), draw(1, 2, 3)
    for pair in ((x1, x2), (x1, None)):
        full = empirical_ntk(net, params, *pair, outputs="full")
        expected = np.trace(full, axis1=2, axis2=3) / 3
        np.testing.assert_allclose(empirical_ntk(net, params, *pair), expected, rtol=1e-12)


@pytest.mark.parametrize("batch", [2, 100])
@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_the_batch_size_changes_nothing(batch, outputs):
    net = network(NETWORKS["dense"][0], (3,), width=3, outputs=2, dtype="float64")
    params = net.init(jax.random.key(0))
    x1, x2 = draw(0, 5, 3), draw(1, 3, 3)
    for pair in ((x1, x2), (x1, None), (x1, x1)):
        whole = empirical_ntk(net, params, *pair, outputs=outputs)
        parts = empirical_ntk(net, params, *pair, outputs=outputs, batch=batch)
        np.testing.assert_allclose(parts, whole, rtol=1e-12)
        np.testing.assert_allclose(
            empirical_nngp(net, params, *pair, batch=batch), empirical_nngp(net, params, *pair), rtol=1e-12
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_second_inputs_kernels_equal_their_transpose_bit_for_bit(dtype):
    net = network(NETWORKS["dense"][0], (3,), width=32, outputs=3, dtype=dtype)
    params, x = net.init(jax.random.key(0)), draw(0, 6, 3)
    for kernel in (empirical_ntk(net, params, x, batch=3), empirical_nngp(net, params, x)):
        assert isinstance(kernel, np.ndarray)
        assert kernel.dtype == dtype
        assert kernel.shape == (6, 6)
        assert np.array_equal(kernel, kernel.T)
    full = empirical_ntk(net, params, x, batch=3, outputs="full")
    assert full.shape == (6, 6, 3, 3)
    assert full.dtype == dtype
    assert np.array_equal(full, full.transpose(1, 0, 3, 2))


def test_the_covariance_estimate_is_the_mean_product_of_outputs():
    net = network(NETWORKS["dense"][0], (3,), width=4, outputs=3, dtype="float64")
    params, x1, x2 = net.init(jax.random.key(0)), draw(0, 4, 3), draw(1, 2, 3)
    f1, f2 = (np.asarray(net.apply(params, x)) for x in (x1, x2))
    np.testing.assert_allclose(empirical_nngp(net, params, x1, x2), f1 @ f2.T / 3, rtol=1e-12)
    np.testing.assert_allclose(empirical_nngp(net, params, x1), f1 @ f1.T / 3, rtol=1e-12)


def test_a_network_that_trains_nothing_has_no_tangent_kernel():
    net = network(Serial(Dense(trainable=False), Relu(), Dense(trainable=False)), (3,), width=4, outputs=2)
    params = net.init(jax.random.key(0))
    assert not empirical_ntk(net, params, draw(0, 4, 3)).any()
    assert empirical_ntk(net, params, draw(0, 4, 3), outputs="full").shape == (4, 4, 2, 2)


def test_no_inputs_make_empty_kernels():
    net = network(zoo.fc(2), (3,), width=4)
    params, none, x = net.init(jax.random.key(0)), np.zeros((0, 3)), np.ones((2, 3))
    for kernel in (empirical_ntk, empirical_nngp):
        assert kernel(net, params, none).shape == (0, 0)
        assert kernel(net, params, none, x).shape == (0, 2)
        assert kernel(net, params, x, none).shape == (2, 0)


def test_a_bias_adds_its_variance_to_the_tangent_kernel():
    params_of = [network(Dense(b_std=b), (3,), dtype="float64") for b in (0.0, 0.7)]
    plain, biased = (empirical_ntk(n, n.init(jax.random.key(0)), draw(0, 2, 3)) for n in params_of)
    np.testing.assert_allclose(biased - plain, np.full((2, 2), 0.49), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"batch": 0}, "batch is a positive integer or None, got 0"),
        ({"batch": 1.5}, "batch is a positive integer or None, got 1.5"),
        ({"x2": np.ones((2, 4))}, r"x2 has shape \(n, 3\) for this network, got \(2, 4\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, needed):
    net = network(Dense(), (3,))
    with pytest.raises(InputError, match=needed):
        empirical_ntk(net, net.init(jax.random.key(0)), np.ones((2, 3)), **options)


def relu_kernels(x, first, last):
    """NNGP and NTK of Dense, ReLU, Dense by the arc-cosine formulas; (W_std, b_std) of the two layers."""
    (v, a), (w, b) = first, last
    sigma = v**2 * x @ x.T / x.shape[1] + a**2
    scale = np.sqrt(np.outer(np.diag(sigma), np.diag(sigma)))
    angle = np.arccos(np.clip(sigma / scale, -1, 1))
    product = scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    slope = (np.pi - angle) / (2 * np.pi)
    nngp = w**2 * product + b**2
    return nngp, nngp + w**2 * slope * sigma


def assert_mean_is(samples, expected, errors=4.0):
    mean, spread = samples.mean(axis=0), samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert (spread < 0.03 * np.abs(expected).max()).all(), "too few samples to tell anything"
    assert (np.abs(mean - expected) < errors * spread + 1e-12).all()


def sample(net, kernel, x, count, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    many = jax.tree.map(np.asarray, jax.jit(jax.vmap(net.init))(keys))
    return np.stack([kernel(net, jax.tree.map(lambda leaf: leaf[i], many), x) for i in range(count)])  # noqa: B023


def test_over_random_networks_of_one_hidden_layer_the_kernels_average_to_the_closed_form():
    # With one hidden layer the mean over networks is exact at any width: only the standard error is left.
    x = draw(5, 4, 3)
    first, last = (1.5, 0.4), (1.2, 0.6)
    spec = Serial(Dense(W_std=1.5, b_std=0.4), Relu(), Dense(W_std=1.2, b_std=0.6))
    nngp, ntk = relu_kernels(x, first, last)
    assert_mean_is(sample(network(spec, (3,), width=512), empirical_ntk, x, 200), ntk)
    assert_mean_is(sample(network(spec, (3,), width=512, outputs=64), empirical_nngp, x, 200), nngp)


def test_a_wider_network_comes_closer_to_the_closed_form():
    x = draw(5, 4, 3)
    _, ntk = relu_kernels(x, (1.0, 0.0), (1.0, 0.0))
    errors = []
    for width in (64, 1024):
        samples = sample(network(Serial(Dense(), Relu(), Dense()), (3,), width=width), empirical_ntk, x, 30)
        errors.append(np.sqrt(np.mean((samples - ntk) ** 2)))
    assert 2.5 < errors[0] / errors[1] < 6.5  # by 4, the root of 16


def oracle_networks(stax):
    same, wrap = {"padding": "SAME"}, {"padding": "CIRCULAR"}
    yield (
        Serial(Conv(3, W_std=1.2, b_std=0.3, **same), Relu(), Flatten(), Dense(W_std=1.4, b_std=0.2)),
        stax.serial(
            stax.Conv(1, (3, 3), W_std=1.2, b_std=0.3, **same),
            stax.Relu(),
            stax.Flatten(),
            stax.Dense(1, W_std=1.4, b_std=0.2),
        ),
    )
    yield (
        Serial(
            Conv((2, 3), strides=(2, 1), W_std=1.2, **wrap),
            Relu(),
            AvgPool(2, **same),
            GlobalAvgPool(),
            Dense(),
        ),
        stax.serial(
            stax.Conv(1, (2, 3), (2, 1), W_std=1.2, **wrap),
            stax.Relu(),
            stax.AvgPool((2, 2), **same),
            stax.GlobalAvgPool(),
            stax.Dense(1),
        ),
    )


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_over_random_convolutional_networks_the_kernels_average_to_those_of_neural_tangents(which):
    stax, _ = neural_tangents_oracle.load()
    spec, (_, _, kernel_fn) = list(oracle_networks(stax))[which]
    x = draw(6, 3, 5, 4, 2)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        nngp, ntk = map(np.asarray, kernel_fn(jnp.asarray(x), None, ("nngp", "ntk")))
    assert_mean_is(sample(network(spec, x.shape[1:], width=128), empirical_ntk, x, 100), ntk)
    wide = network(spec, x.shape[1:], width=128, outputs=64)
    assert_mean_is(sample(wide, empirical_nngp, x, 100), nngp)
