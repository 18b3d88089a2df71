"""`ntklab.compile` as users type it: what goes in, what comes out, what is refused, and derivatives."""

import dataclasses
import functools
import math

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.engine import ENGINES, EngineChoice, Support, select
from ntklab.errors import EngineError, InputError, SpecError
from ntklab.kernel import Plan, lower
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Relu, Serial, zoo
from ntklab.testing import assert_close, made_up_inputs, tolerance
from tests.oracles import cntk_numpy

DENSE = zoo.fc(3, b_std=0.3)
SHAPE = (4,)


@pytest.fixture(scope="module")
def kfn():
    return ntklab.compile(DENSE, SHAPE, dtype="float64")


@pytest.fixture(scope="module")
def kfn32():
    return ntklab.compile(DENSE, SHAPE)


def test_the_example_of_the_first_page_runs_as_it_stands():
    net = Serial(
        Conv((3, 3), strides=(1, 1), padding="SAME", W_std=2**0.5, b_std=None),
        Relu(),
        AvgPool((2, 2), strides=(2, 2)),
        GlobalAvgPool(),
        Dense(W_std=2**0.5, trainable=False),
    )
    kfn = ntklab.compile(net, input_shape=(32, 32, 3), engine="auto", dtype="float32")
    x1, x2 = np.split(made_up_inputs(2, (32, 32, 3)), 2)
    k = kfn(x1, x2)
    assert isinstance(k, ntklab.Kernel)
    assert isinstance(kfn, ntklab.KernelFn)
    assert isinstance(kfn.engine, EngineChoice)
    assert isinstance(kfn.plan, Plan)
    assert kfn.engine.name in [engine.name for engine in ENGINES]
    assert kfn.engine.reason in str(kfn.engine)
    assert "AvgPool 2x2/2x2 VALID" in str(kfn.plan)
    nngp, ntk = cntk_numpy.gram(cntk_numpy.of_spec(net), x1, x2)
    assert_close(k.nngp, nngp, tolerance("float32"))
    assert_close(k.ntk, ntk, tolerance("float32"))
    symmetric = kfn(x2)
    assert symmetric.ntk.shape == (1, 1)
    assert symmetric.ntk.dtype == jnp.float32


def test_numpy_jax_and_lists_give_the_same_kernel(kfn):
    x = made_up_inputs(3, SHAPE)
    expected = kfn(x)
    for same in (jnp.asarray(x), x.tolist(), x.astype("float32"), np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        kernel = kfn(same)
        for name in ("nngp", "ntk"):
            assert isinstance(getattr(kernel, name), jax.Array)
            assert getattr(kernel, name).dtype == jnp.float64
            np.testing.assert_array_equal(getattr(kernel, name), getattr(expected, name))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float16", "float32"])
def test_images_of_any_real_dtype_are_the_numbers_they_hold(kfn32, dtype):
    x = np.arange(12).reshape(3, 4).astype(dtype)
    expected = kfn32(x.astype("float64"))
    for values in (x, jnp.asarray(x)):
        kernel = kfn32(values)
        assert kernel.ntk.dtype == jnp.float32
        np.testing.assert_array_equal(kernel.ntk, expected.ntk)


def test_bfloat16_is_a_real_dtype(kfn32):
    x = jnp.arange(12, dtype=jnp.bfloat16).reshape(3, 4)
    np.testing.assert_array_equal(kfn32(x).ntk, kfn32(np.arange(12.0).reshape(3, 4)).ntk)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones(4), ["x1", "(n, 4)", "(4,)", "x[None]"]),
        (np.ones((2, 5)), ["x1", "(n, 4)", "(2, 5)"]),
        (np.ones((2, 4, 1)), ["x1", "(n, 4)", "(2, 4, 1)"]),
        (np.ones((0, 4)), ["x1", "n >= 1", "(0, 4)"]),
        (np.float64(1.0), ["x1", "(n, 4)", "()"]),
        (np.ones((2, 4), complex), ["x1", "real numbers", "complex128"]),
        (np.array([["a"] * 4]), ["x1", "real numbers"]),
        (np.array([[None] * 4]), ["x1", "real numbers", "object"]),
        (np.array([[1.0] * 4, [1.0, math.nan, 1.0, 1.0]]), ["x1", "NaN or infinite", "row 1"]),
        (np.array([[1.0] * 4, [2.0] * 4, [1.0, 1.0, math.inf, 1.0]]), ["x1", "NaN or infinite", "row 2"]),
        ([[1.0, 2.0, 3.0, 4.0], [1.0]], ["x1"]),
        (None, ["x1"]),
    ],
)
def test_inputs_that_cannot_be_used_are_refused_with_the_reason(kfn, x, words):
    with pytest.raises(InputError) as caught:
        kfn(x)
    for word in words:
        assert word in str(caught.value)


def test_the_second_argument_is_checked_too(kfn):
    with pytest.raises(InputError, match=r"x2 needs the shape \(n, 4\)"):
        kfn(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(InputError, match="x2 has NaN"):
        kfn(np.ones((2, 4)), np.full((2, 4), np.nan))
    with pytest.raises(InputError, match=r"x needs the shape"):
        kfn.diagonal(np.ones(4))


def test_numbers_too_large_for_float32_are_refused_and_not_turned_into_infinity(kfn32):
    with pytest.raises(InputError, match="infinite"):
        kfn32(np.full((2, 4), 1e300))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"engine": "gpu"}, InputError, ['"auto"', "reference", "'gpu'"]),
        ({"dtype": "float16"}, InputError, ['"float32" or "float64"', "float16"]),
        ({"dtype": "int32"}, InputError, ['"float32" or "float64"', "int32"]),
        ({"dtype": "double precision"}, InputError, ['"float32" or "float64"', "double precision"]),
        ({"get": "cov1"}, InputError, ['"nngp", "ntk"', "cov1"]),
        ({"get": ()}, InputError, ['"nngp", "ntk"']),
        ({"input_shape": (4, 4, 3)}, SpecError, ["spatial axes (4, 4)"]),
        ({"input_shape": ()}, SpecError, ["input_shape"]),
        ({"input_shape": 4}, SpecError, ["input_shape"]),
        ({"network": Dense}, SpecError, ["A network is a layer"]),
        ({"network": {}}, SpecError, ["No network"]),
    ],
)
def test_options_that_do_not_exist_are_refused_with_those_that_do(options, error, words):
    arguments = {"network": Dense(), "input_shape": SHAPE, **options}
    with pytest.raises(error) as caught:
        ntklab.compile(arguments.pop("network"), arguments.pop("input_shape"), **arguments)
    for word in words:
        assert word in str(caught.value)


def test_float64_without_the_64_bit_mode_is_refused_with_three_ways_out(kfn):
    with jax.enable_x64(False):
        with pytest.raises(InputError) as caught:
            ntklab.compile(DENSE, SHAPE, dtype="float64")
        for word in ("jax_enable_x64", "JAX_ENABLE_X64=1", "jax.enable_x64(True)"):
            assert word in str(caught.value)
        with pytest.raises(InputError, match="64-bit mode"):
            kfn(np.ones((2, 4)))
        assert ntklab.compile(DENSE, SHAPE)(np.ones((2, 4))).ntk.dtype == jnp.float32


def test_a_kernel_that_was_not_asked_for_says_so():
    kernel = ntklab.compile(Dense(), SHAPE, get="nngp")(np.ones((2, 4)))
    assert set(kernel.values) == {"nngp"}
    with pytest.raises(InputError, match="ntk was not computed"):
        _ = kernel.ntk


def test_the_kernel_is_a_pytree(kfn):
    kernel = kfn(made_up_inputs(2, SHAPE))
    halved = jax.tree.map(lambda a: 0.5 * a, kernel)
    assert isinstance(halved, ntklab.Kernel)
    np.testing.assert_array_equal(halved.ntk, 0.5 * np.asarray(kernel.ntk))


def test_networks_without_trained_layers_have_no_tangent_kernel():
    network = Serial(Dense(trainable=False, b_std=0.1), Relu(), Dense(trainable=False))
    kernel = ntklab.compile(network, SHAPE)(made_up_inputs(3, SHAPE))
    assert kernel.ntk.dtype == jnp.float32
    np.testing.assert_array_equal(kernel.ntk, np.zeros((3, 3)))
    assert (np.asarray(kernel.nngp) > 0).all()


def test_several_networks_come_back_by_name_and_equal_each_alone():
    networks = {"one": zoo.fc(2), "two": DENSE}
    x = made_up_inputs(3, SHAPE)
    together = ntklab.compile(networks, SHAPE, dtype="float64")
    assert together.networks == networks
    kernels, diagonals = together(x), together.diagonal(x)
    assert list(kernels) == list(diagonals) == ["one", "two"]
    for name, network in networks.items():
        alone = ntklab.compile(network, SHAPE, dtype="float64")(x)
        assert_close(kernels[name].nngp, alone.nngp, tolerance("float64"))
        assert_close(kernels[name].ntk, alone.ntk, tolerance("float64"))
        assert_close(diagonals[name].ntk, np.diag(alone.ntk), tolerance("float64"))
    assert list(ntklab.compile({"": Dense(), "b": zoo.fc(2)}, SHAPE)(x)) == ["", "b"]


def test_jit_and_vmap_give_what_plain_calls_give(kfn):
    x = made_up_inputs(6, SHAPE).reshape((3, 2, 4))
    plain = [np.asarray(kfn(a).ntk) for a in x]
    for i, kernel in enumerate(plain):
        assert_close(jax.jit(lambda a: kfn(a).ntk)(x[i]), kernel, tolerance("float64"))
    mapped = jax.vmap(kfn)(jnp.asarray(x))
    assert isinstance(mapped, ntklab.Kernel)
    assert_close(mapped.ntk, np.stack(plain), tolerance("float64"))


# Learnable numbers.


def test_hyper_holds_the_numbers_of_the_spec_as_scalars(kfn, kfn32):
    he = math.sqrt(2.0)
    assert jax.tree.map(float, kfn.hyper) == {key: {"W_std": he, "b_std": 0.3} for key in ("1", "3", "5")}
    assert all(leaf.shape == () and leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(kfn32.hyper))
    assert ntklab.compile(Dense(), SHAPE).hyper.keys() == {""}


def test_hyper_given_by_the_call_replaces_that_of_the_spec(kfn):
    x = made_up_inputs(3, SHAPE)
    given = {key: {"W_std": 1.1, "b_std": np.float32(0.5)} for key in kfn.hyper}
    changed = ntklab.compile(zoo.fc(3, W_std=1.1, b_std=0.5), SHAPE, dtype="float64")
    assert_close(kfn(x, hyper=given).ntk, changed(x).ntk, tolerance("float64"))
    assert_close(kfn.diagonal(x, hyper=given).ntk, changed.diagonal(x).ntk, tolerance("float64"))


@pytest.mark.parametrize(
    "change",
    [
        lambda hyper: {},
        lambda hyper: {**hyper, "9": {"W_std": 1.0}},
        lambda hyper: {**hyper, "1": {"W_std": 1.0}},
        lambda hyper: {**hyper, "1": {"W_std": 1.0, "b_std": 1.0, "slope": 1.0}},
        lambda hyper: {**hyper, "1": {"W_std": np.ones(3), "b_std": 1.0}},
        lambda hyper: {**hyper, "1": 1.0},
        lambda hyper: [1.0],
        lambda hyper: 1.5,
    ],
)
def test_hyper_of_another_form_is_refused(kfn, change):
    with pytest.raises(InputError, match="hyper"):
        kfn(np.ones((2, 4)), hyper=change(kfn.hyper))


def test_a_second_call_with_other_values_compiles_nothing(kfn):
    compiled = []

    def listen(name, *_, **__):
        if "compile" in name:
            compiled.append(name)

    x, y = np.split(made_up_inputs(7, SHAPE), [3])
    hyper = jax.tree.map(lambda value: 1.25 * value, kfn.hyper)
    jax.block_until_ready((kfn(x, y, hyper=hyper), kfn(x), kfn.diagonal(y)))
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        changed = jax.tree.map(lambda value: value + 0.125, hyper)  # outside of the count: not ours
        compiled.clear()
        first = jax.block_until_ready(kfn(x, y, hyper=changed))
        jax.block_until_ready((kfn(x + 1.0), kfn(x, y), kfn.diagonal(y, hyper=changed)))
        again = ntklab.compile(zoo.fc(3, W_std=1.7, b_std=0.1), SHAPE, dtype="float64")
        second = jax.block_until_ready(again(x, y))
        assert compiled == []
        jax.block_until_ready(kfn(x[:2], y))
        assert compiled, "the listener hears nothing: this test would pass whatever happens"
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not np.allclose(first.ntk, second.ntk)


# Derivatives.

_conv = Conv(3, padding="SAME", W_std=1.3, b_std=0.3)
SMOOTH = {
    "dense": (DENSE, SHAPE),
    "cntk none": (zoo.cntk(3, "none"), (4, 4, 2)),
    "cntk gap": (zoo.cntk(3, "gap"), (4, 4, 2)),
    "pooling inside, biases": (
        Serial(_conv, Relu(), AvgPool(2, strides=2), Conv(2, b_std=0.1), Relu(), GlobalAvgPool(), Dense()),
        (4, 4, 2),
    ),
}


def weighted(kernel):
    """One number in which every entry of both kernels counts, each differently."""
    total = 0.0
    for k, name in enumerate(("nngp", "ntk")):
        values = getattr(kernel, name)
        total = total + jnp.sum(
            values * (1.0 + k + jnp.cos(jnp.arange(values.size, dtype=values.dtype))).reshape(values.shape)
        )
    return total


@functools.cache
def loss_and_gradient(name):
    """One number made of all entries between two and two inputs, and its gradient in everything, compiled once."""
    network, shape = SMOOTH[name]
    kfn = ntklab.compile(network, shape, dtype="float64")

    def loss(x, y, hyper):
        return weighted(kfn(x, y, hyper=hyper))

    return kfn.hyper, jax.jit(loss), jax.jit(jax.grad(loss, argnums=(0, 1, 2)))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "pooling inside, biases" else []) for n in SMOOTH]
)
def test_gradients_are_those_of_finite_differences_in_inputs_and_learnable_numbers(name):
    hyper, loss, gradient = loss_and_gradient(name)
    x, y = (jnp.asarray(a) for a in np.split(made_up_inputs(4, SMOOTH[name][1]), 2))
    leaves, tree = jax.tree.flatten((x, y, hyper))
    slopes = jax.tree.leaves(gradient(x, y, hyper))
    assert len(slopes) == len(leaves)
    for part, leaf in enumerate(leaves):
        direction = made_up_inputs(1, leaf.shape)[0]
        slope = float(np.vdot(slopes[part], direction))
        values = {}
        for k in (-2, -1, 1, 2):
            moved = list(leaves)
            moved[part] = jnp.asarray(np.asarray(leaf) + k * 1e-4 * direction)
            values[k] = float(loss(*jax.tree.unflatten(tree, moved)))
        difference = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / 12e-4
        assert abs(difference) > 1e-3, "a derivative of zero tests nothing"
        assert_close(slope, difference, 1e-8, what=f"leaf {part}")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "pooling inside, biases" else []) for n in SMOOTH]
)
def test_no_derivative_is_nan_where_inputs_coincide_oppose_each_other_or_vanish(name):
    hyper, _, gradient = loss_and_gradient(name)
    one, other = made_up_inputs(2, SMOOTH[name][1])
    for x, y in (((one, other), (one, -other)), ((one, 0 * one), (0 * one, one))):
        for slope in jax.tree.leaves(gradient(jnp.asarray(np.stack(x)), jnp.asarray(np.stack(y)), hyper)):
            assert np.isfinite(np.asarray(slope)).all()


@pytest.mark.parametrize("name", ["dense", pytest.param("pooling inside, biases", marks=pytest.mark.slow)])
def test_the_symmetric_call_has_the_derivatives_of_the_rectangular_one(name):
    hyper, _, gradient = loss_and_gradient(name)
    network, shape = SMOOTH[name]
    kfn = ntklab.compile(network, shape, dtype="float64")
    x = jnp.asarray(made_up_inputs(2, shape))
    symmetric = jax.jit(jax.grad(lambda x, h: weighted(kfn(x, hyper=h)), argnums=(0, 1)))(x, hyper)
    in_x, in_y, in_hyper = gradient(x, x, hyper)
    for ours, expected in zip(jax.tree.leaves(symmetric), jax.tree.leaves((in_x + in_y, in_hyper)), strict=True):
        assert_close(ours, expected, 1e-12, scale=float(np.abs(expected).max()))


def mixed_derivative(network, shape, outer=jax.jacfwd):
    """d^2 NNGP(x, y) / dx dy as a compiled function that returns a matrix."""
    kfn = ntklab.compile(network, shape, dtype="float64", get=("nngp",))
    size = math.prod(shape)

    def nngp(x, y):
        return kfn(x[None], y[None]).nngp[0, 0]

    derivative = jax.jit(outer(jax.grad(nngp), argnums=1))
    return lambda x, y: np.asarray(derivative(jnp.asarray(x), jnp.asarray(y))).reshape((size, size))


@pytest.mark.parametrize("outer", [jax.jacfwd, pytest.param(jax.jacrev, marks=pytest.mark.slow)])
def test_the_mixed_second_derivative_of_a_dense_nngp_is_the_covariance_of_gradients(outer):
    """E[df/dx_i df/dx_j] halves at each ReLU, since (f, df) and -(f, df) are equally likely."""
    x = made_up_inputs(1, SHAPE)[0]
    expected = np.eye(4) * 1.3**6 / 2**2 / 4
    found = mixed_derivative(zoo.fc(3, W_std=1.3, b_std=0.4), SHAPE, outer)(x, x)
    assert_close(found, expected, 1e-13, scale=expected.max())


def test_the_mixed_second_derivative_of_a_flattened_convolution_counts_the_windows_over_a_pixel():
    network = Serial(Conv(3, padding="SAME", W_std=1.3), Relu(), Flatten(), Dense(W_std=0.8))
    shape = (4, 3, 2)
    x = made_up_inputs(1, shape)[0]
    rows, columns = np.array([2, 3, 3, 2]), np.array([2, 3, 2])
    counts = np.broadcast_to((rows[:, None] * columns)[..., None], shape)
    expected = np.diag(counts.ravel()) * 0.8**2 * 0.5 * 1.3**2 / 9 / 2 / 12
    assert_close(mixed_derivative(network, shape)(x, x), expected, 1e-13, scale=expected.max())


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        pytest.param(Serial(Conv((2,)), Relu(), GlobalAvgPool(), Dense()), (4, 2), id="one convolution"),
        pytest.param(*SMOOTH["cntk gap"], id="cntk gap", marks=pytest.mark.slow),
        pytest.param(*SMOOTH["pooling inside, biases"], id="pooling inside, biases", marks=pytest.mark.slow),
    ],
)
def test_the_mixed_second_derivative_at_coinciding_inputs_is_the_limit_of_that_at_close_ones(network, shape):
    derivative = mixed_derivative(network, shape)
    x, towards = made_up_inputs(2, shape)
    close = derivative(x, x + 1e-5 * towards)
    assert np.abs(close).max() > 1e-4
    assert np.linalg.eigvalsh((close + close.T) / 2).min() > -1e-3 * np.abs(close).max()
    assert_close(derivative(x, x), close, 1e-3, scale=np.abs(close).max())


# The choice of an engine.


@dataclasses.dataclass
class Refusing:
    name: str = "refusing"

    def supports(self, plan, device, dtype):
        return Support(False, "has a day off")


def test_auto_takes_the_first_engine_that_can_and_records_who_was_passed_over(monkeypatch):
    monkeypatch.setattr("ntklab.engine._select.ENGINES", (Refusing(), *ENGINES))
    plan = lower(Dense(), SHAPE)
    engine, choice = select("auto", plan, jax.devices()[0], np.dtype("float32"))
    assert engine is ENGINES[-1]
    assert choice.passed_over[0] == ("refusing", "has a day off")
    assert [name for name, _ in choice.passed_over[1:]] == [e.name for e in ENGINES[:-1]]
    assert str(choice).splitlines()[1] == "  passed over refusing: has a day off"


def test_a_named_engine_runs_or_raises_and_never_gives_way_to_another(monkeypatch):
    monkeypatch.setattr("ntklab.engine._select.ENGINES", (Refusing(), *ENGINES))
    with pytest.raises(EngineError, match=r"'refusing' cannot run this plan on .*: has a day off.*engine=\"auto\""):
        ntklab.compile(Dense(), SHAPE, engine="refusing")
    choice = ntklab.compile(Dense(), SHAPE, engine="reference").engine
    assert choice.name == "reference"
    assert "asked for by name" in choice.reason
    assert choice.passed_over == ()


def test_if_no_engine_can_the_reasons_of_all_are_given(monkeypatch):
    monkeypatch.setattr("ntklab.engine._select.ENGINES", (Refusing(),))
    with pytest.raises(EngineError, match="has a day off"):
        ntklab.compile(Dense(), SHAPE)
