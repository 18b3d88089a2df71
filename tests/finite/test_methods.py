"""Three ways to a tangent kernel against the Jacobian written out, for our networks and for anyone's functions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.finite import Network, empirical_nngp, empirical_ntk, network, ntk_costs
from ntklab.finite._costs import settle
from ntklab.finite._methods import BY_JACOBIAN, BY_VECTORS
from ntklab.finite._structure import BY_STRUCTURE
from ntklab.spec import Conv, Dense, GlobalAvgPool, Relu, Residual, Serial

METHODS = ("jacobian", "vector", "structured")


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def dense():
    spec = Serial(Dense(b_std=0.5), Relu(), Dense(), Relu(), Dense(b_std=0.1))
    net = network(spec, (3,), width=7, outputs=3, dtype="float64")
    return net, net.init(jax.random.key(1)), (3,)


def convolutional():
    spec = Serial(
        Conv(3, W_std=1.2, padding="SAME", b_std=0.1, strides=2),
        Relu(),
        Residual(Conv((1, 2), padding="CIRCULAR")),
        GlobalAvgPool(),
        Dense(),
    )
    net = network(spec, (4, 3, 2), width=3, outputs=2, dtype="float64")
    return net, net.init(jax.random.key(2)), (4, 3, 2)


def two_axes(params, x):
    """Weights transposed, scaled, used twice, looked up, inside jit and checkpoint; outputs of shape (2, 3)."""
    h = jnp.tanh(jax.checkpoint(jax.jit(lambda a, b: a @ (0.5 * b.T)))(x, params["turned"]))
    h = jnp.tanh(h @ params["twice"]) @ params["twice"] + params["table"][jnp.argmax(h, axis=-1)]
    h = jnp.einsum("nk,kab->nab", h / jnp.linalg.norm(h, axis=-1, keepdims=True), -params["last"])
    return h * params["scale"]


def general():
    shapes = {"turned": (4, 3), "twice": (4, 4), "table": (4, 4), "last": (4, 2, 3), "scale": ()}
    return two_axes, {name: jnp.asarray(draw(i, *shape)) for i, (name, shape) in enumerate(shapes.items())}, (3,)


@functools.cache
def by_hand(model):
    """Return inputs and the kernels of all pairs of outputs, (n1, n2, O, O), from Jacobians in one piece."""
    f, params, shape = model()
    x1, x2 = draw(3, 3, *shape), draw(4, 3, *shape)

    @jax.jit
    def jacobian(x):
        if isinstance(f, Network):
            j = jax.jacrev(lambda p: f.apply(params._replace(trainable=p), x))(params.trainable)
        else:
            j = jax.jacrev(lambda p: f(p, x))(params)
        return jnp.concatenate([leaf.reshape(6, -1, size(leaf)) for leaf in jax.tree.leaves(j)], axis=2)

    def size(leaf):
        return leaf.size // 6 // outputs

    outputs = (f.apply if isinstance(f, Network) else f)(params, x1).size // 3
    j = np.asarray(jacobian(np.concatenate([x1, x2])))
    kernel = np.einsum("aop,bqp->aboq", j, j)
    return x1, x2, kernel[:3, 3:], kernel[:3, :3]


def assert_close(found, expected):
    """In float64, next to the largest entry: rounding of sums of some hundred terms, and no more."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_each_method_gives_the_kernel_of_the_jacobian_for_every_treatment_of_outputs(method):
    f, params, _ = dense()
    x1, x2, full, own = by_hand(dense)
    assert_close(empirical_ntk(f, params, x1, x2, outputs="full", method=method), full)
    assert_close(empirical_ntk(f, params, x1, outputs="full", method=method), own)
    assert_close(empirical_ntk(f, params, x1, x2, outputs="trace", method=method), np.trace(full, axis1=2, axis2=3))
    assert_close(empirical_ntk(f, params, x1, x2, method=method), np.trace(full, axis1=2, axis2=3) / 3)
    diagonal = np.diagonal(full, axis1=2, axis2=3)
    assert_close(empirical_ntk(f, params, x1, x2, outputs="diagonal", method=method), diagonal)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_gives_the_kernel_of_the_jacobian_of_a_convolutional_network(method):
    f, params, _ = convolutional()
    x1, x2, full, _ = by_hand(convolutional)
    assert_close(empirical_ntk(f, params, x1, x2, outputs="full", method=method), full)


@pytest.mark.parametrize("method", METHODS)
def test_each_output_axis_may_be_treated_in_its_own_way(method):
    f, params, _ = general()
    with jax.numpy_rank_promotion("allow"):
        x1, x2, full, _ = by_hand(general)
        full = full.reshape(3, 3, 2, 3, 2, 3)
        kernel = lambda outputs: empirical_ntk(f, params, x1, x2, outputs=outputs, method=method)  # noqa: E731
        assert_close(kernel("full"), full)
        if method != "structured":
            return  # axes are treated outside the methods
        assert_close(kernel(("diagonal", "full")), np.einsum("nmabac->nmabc", full))
        assert_close(kernel(("trace", "diagonal")), np.einsum("nmabab->nmb", full))
        assert_close(kernel(("full", "mean")), np.einsum("nmabcb->nmac", full) / 3)


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_inputs_and_outputs_change_nothing(method):
    f, params, shape = dense()
    x = draw(3, 4, *shape)
    whole = empirical_ntk(f, params, x, outputs="full", method=method)
    parts = empirical_ntk(f, params, x, outputs="full", method=method, batch=2, output_batch=1)
    assert_close(parts, whole)
    assert np.array_equal(parts, parts.swapaxes(2, 3).swapaxes(0, 1))


@pytest.mark.parametrize("method", ["jacobian", "vector"])
def test_one_array_of_the_parameters_at_a_time_changes_nothing(method):
    f, params, shape = dense()
    x = draw(3, 3, *shape)
    assert_close(empirical_ntk(f, params, x, method=method, by_leaf=True), empirical_ntk(f, params, x, method=method))


def test_weights_of_products_are_found_and_everything_else_is_differentiated_as_it_is():
    f, params, shape = general()
    with jax.numpy_rank_promotion("allow"):
        costs = ntk_costs(f, params, draw(3, 4, *shape))
    assert costs.structured == pytest.approx((12 + 24) / (12 + 16 + 16 + 24 + 1), rel=1e-12)  # turned and last
    f, params, shape = convolutional()
    biases = 3
    assert ntk_costs(f, params, draw(3, 4, *shape)).structured == pytest.approx(1 - biases / f.num_trainable, rel=1e-12)


def test_auto_takes_the_least_counted_work():
    net = network(Serial(Dense(), Relu(), Dense()), (50,), width=256)
    params, x = net.init(jax.random.key(0)), np.ones((20, 50), np.float32)
    costs = ntk_costs(net, params, x)
    assert costs.best == "structured"
    pairs, passes = 20**2 / 2, 20
    assert costs.operations["jacobian"] == pytest.approx((2 * pairs + 3 * 2 * passes) * net.num_trainable, rel=0.05)
    assert costs.operations["structured"] < 0.4 * costs.operations["jacobian"]

    def shared(w, x):  # a recurrent weight has no structure here; many outputs, few parameters
        return jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), h), x, None, length=5)[1].swapaxes(0, 1)

    costs = ntk_costs(shared, jnp.ones((4, 4), jnp.float32), x[:, :4], outputs="full")
    assert "structured" not in costs.operations
    assert costs.best == min(costs.operations, key=costs.operations.get)


def test_memory_falls_with_the_batches_and_leaf_by_leaf():
    f, params, shape = dense()
    x = draw(3, 40, *shape)
    whole, parts = ntk_costs(f, params, x), ntk_costs(f, params, x, batch=2, output_batch=1)
    leaf = ntk_costs(f, params, x, batch=2, output_batch=1, by_leaf=True)
    for name in ("jacobian", "vector"):
        assert whole.bytes[name] > parts.bytes[name] > leaf.bytes[name] > 0
    assert whole.batch["jacobian"] == 40
    assert parts.batch["jacobian"] == 2


def test_stated_memory_is_that_of_the_compiled_program():
    """XLA's own count of buffers, of the two programs that make a block: within a fifth of what ntk_costs says."""
    conv = Serial(Conv(3, padding="SAME"), Relu(), Conv(3, padding="SAME"), Relu(), GlobalAvgPool(), Dense())
    for spec, shape, method in (
        (conv, (16, 16, 3), "structured"),
        (Serial(Dense(), Relu(), Dense(), Relu(), Dense()), (64,), "jacobian"),
        (Serial(Dense(), Relu(), Dense(), Relu(), Dense()), (64,), "vector"),
    ):
        net = network(spec, shape, width=64 if method == "structured" else 256, outputs=4, dtype="float64")
        params = net.init(jax.random.key(0))
        x = draw(0, 6, *shape)
        model, a, _, axes, costs = settle(net, params, x, None, "mean", 6, 4 if method == "structured" else 1, False)
        portion = next(axes.portions(costs.output_batch[method]))
        how = {"structured": BY_STRUCTURE, "jacobian": BY_JACOBIAN, "vector": BY_VECTORS}[method]
        right = how.right.lower(model.f, model.params, a, portion.right).compile().memory_analysis()
        used = right.output_size_in_bytes + right.temp_size_in_bytes
        if method == "vector":
            directions = how.right(model.f, model.params, a, portion.right)
            push = (
                how.pair.lower(model.f, model.params, (a, portion.left), directions, True).compile().memory_analysis()
            )
            used = max(used, right.output_size_in_bytes + push.temp_size_in_bytes)
        assert 0.8 < costs.bytes[method] / used < 1.25, (method, costs.bytes[method], used)


def test_the_covariance_of_any_function_treats_outputs_alike():
    f, params, shape = general()
    with jax.numpy_rank_promotion("allow"):
        x1, x2 = draw(3, 4, *shape), draw(4, 3, *shape)
        f1, f2 = f(params, x1), f(params, x2)
        assert_close(empirical_nngp(f, params, x1, x2, outputs="full"), np.einsum("nab,mcd->nmabcd", f1, f2))
        assert_close(
            empirical_nngp(f, params, x1, x2, outputs=("full", "mean")), np.einsum("nab,mcb->nmac", f1, f2) / 3
        )
        own = empirical_nngp(f, params, x1, outputs="diagonal", batch=3)
    assert_close(own, np.einsum("nab,mab->nmab", f1, f1))
    assert np.array_equal(own, own.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("f", "params", "needed"),
    [
        (3, jnp.ones(3), "f is a Network or a function f.params, x., got a int"),
        (lambda p, x: (x @ p, x), jnp.ones(3), r"returns one array, got a tuple of 2 arrays. Choose one"),
        (lambda p, x: (x @ p).sum(), jnp.ones(3), r"one input it returns float64\[\].*jax.vmap"),
        (lambda p, x: x @ p["w"], {"w": np.ones(3), "n": np.arange(2)}, r"got dtype int64 at params\['n'\]"),
        (lambda p, x: x @ p["w"], {"w": np.ones(3), "n": 2.0}, r"got a float at params\['n'\]"),
        (lambda p, x: x @ p[0], [np.ones(3), np.ones(2, "float32")], "one dtype, got float32 and float64"),
    ],
)
def test_functions_that_cannot_be_used_are_refused(f, params, needed):
    with pytest.raises(InputError, match=needed):
        empirical_ntk(f, params, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"outputs": "sum"}, 'outputs is "mean", "trace", "diagonal" or "full".*got \'sum\''),
        ({"outputs": ("full", "full")}, r"outputs has 2 words for outputs of shape \(3,\); it needs 1"),
        ({"method": "fast"}, "got 'fast'"),
        ({"output_batch": 0}, "output_batch is a positive integer or None, got 0"),
        ({"method": "structured", "by_leaf": True}, 'by_leaf is for "jacobian" and "vector"'),
    ],
)
def test_options_that_do_not_fit_are_refused(options, needed):
    f, params, _ = dense()
    with pytest.raises(InputError, match=needed):
        empirical_ntk(f, params, np.ones((2, 3)), **options)


def test_structure_that_is_not_there_is_refused_rather_than_replaced():
    def f(w, x):
        return jnp.tanh(x @ w) @ w

    with pytest.raises(InputError, match="No parameter of this function is the matrix of one product"):
        empirical_ntk(f, jnp.ones((3, 3)), np.ones((2, 3)), method="structured")
