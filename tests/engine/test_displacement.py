"""The displacement engine against the reference: every feature that it accepts, and why it declines the rest.

It is called directly: with a JAX on which it would only be slow it declines, and has to be right all the same.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.engine import ENGINES
from ntklab.engine import _displacement as engine_module
from ntklab.engine._displacement import Displacement
from ntklab.engine._reference import Reference
from ntklab.kernel import lower
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Parallel, Relu, Residual, Serial, zoo
from ntklab.testing import assert_close, made_up_inputs, tolerance

same = Conv(3, padding="SAME", W_std=1.3, b_std=0.3)
NETWORKS = {
    "zero padding": (zoo.cntk(3, "gap"), (6, 5, 1)),
    "wrapping": (
        Serial(Conv(3, padding="CIRCULAR"), Relu(), Conv((2, 4), padding="CIRCULAR"), GlobalAvgPool()),
        (5, 4, 2),
    ),
    "no padding, then zeros": (
        Serial(Conv((3, 2), b_std=0.1), Relu(), same, Relu(), GlobalAvgPool()),
        (6, 7, 2),
    ),
    "5 x 5 and 1 x 3 and even filters": (
        Serial(
            Conv(5, padding="SAME"),
            Relu(),
            Conv((1, 3), padding="SAME"),
            Relu(),
            Conv((4, 2), padding="SAME"),
            Relu(),
            GlobalAvgPool(),
        ),
        (5, 6, 2),
    ),
    "filters larger than the image": (
        Serial(Conv(7, padding="SAME"), Relu(), Conv(5, padding="SAME"), Relu(), GlobalAvgPool()),
        (2, 3, 2),
    ),
    "1-D": (Serial(Conv((3,), padding="SAME"), Relu(), Conv((4,)), Relu(), GlobalAvgPool()), (9, 2)),
    "many channels": (Serial(Conv(1), Dense(W_std=1.2), Relu(), same, GlobalAvgPool()), (3, 4, 20)),
    "residual and parallel": (
        Serial(same, Residual(Relu(), same), Relu(), Parallel(same, Conv(1, trainable=False)), Relu(), GlobalAvgPool()),
        (5, 4, 2),
    ),
    "a head with ReLU": (
        Serial(same, Relu(), GlobalAvgPool(), Dense(b_std=0.2), Relu(), Dense(trainable=False)),
        (5, 5, 3),
    ),
    "ReLU on pooled Gaussians": (Serial(same, Relu(), same, GlobalAvgPool(), Relu(), Dense()), (4, 5, 2)),
    "several outputs at several depths": (
        {
            "pooled": zoo.cntk(3, "gap"),
            "shallow": zoo.plain_cnn(1, "gap"),
            "deep": zoo.plain_cnn(2, "gap"),
            "flat": zoo.plain_cnn(4, "none"),
        },
        (4, 5, 2),
    ),
}
row = Conv((2,), padding="SAME", W_std=1.3, b_std=0.3)
pool = AvgPool(2, strides=2)
NETWORKS |= {
    "branches and a head in 1-D": (
        Serial(
            row,
            Residual(Relu(), row),
            Relu(),
            Parallel(row, Conv((1,), trainable=False)),
            GlobalAvgPool(),
            Relu(),
            Dense(b_std=0.2),
            Relu(),
            Dense(trainable=False),
        ),
        (5, 2),
    ),
    "pooling twice": (Serial(same, Relu(), pool, same, Relu(), pool, Flatten(), Dense()), (8, 8, 2)),
    "pooling, then global pooling": (
        Serial(Conv(3, padding="CIRCULAR"), Relu(), AvgPool((3, 2), strides=(3, 2)), same, Relu(), GlobalAvgPool()),
        (9, 8, 2),
    ),
    "pooling, then equal positions": (
        Serial(same, Relu(), Conv(2), Relu(), AvgPool((2, 3), strides=(2, 3)), same, Relu(), Flatten(), Dense()),
        (16, 18, 2),
    ),
    "pooling on two paths": (
        Serial(
            same,
            Relu(),
            Parallel(Serial(pool, pool, same), Serial(AvgPool(4, strides=4), Conv(1))),
            Relu(),
            GlobalAvgPool(),
            Dense(),
            Relu(),
            Dense(),
        ),
        (8, 8, 2),
    ),
    "1-D pooling of what is left": (
        Serial(Conv((2,)), Relu(), AvgPool((3,), strides=(3,)), Conv((3,), padding="SAME"), Relu(), GlobalAvgPool()),
        (12, 2),
    ),
}
LONG = {  # to compile; what they have in two dimensions "branches and a head in 1-D" has in one
    "5 x 5 and 1 x 3 and even filters",
    "filters larger than the image",
    "residual and parallel",
    "a head with ReLU",
    "ReLU on pooled Gaussians",
    "several outputs at several depths",
    "pooling twice",
    "pooling, then equal positions",
    "pooling on two paths",
    "1-D pooling of what is left",
}


def slow_if_long(name, *more, long=LONG):
    return pytest.param(name, *more, marks=[pytest.mark.slow] if name in long else [])


FEW = ("zero padding", "no padding, then zeros", "1-D", "a head with ReLU", "pooling, then global pooling")
subtracting = ("a head with ReLU", "ReLU on pooled Gaussians", "branches and a head in 1-D")
subtracting = (*subtracting, *(name for name in NETWORKS if "pooling" in name))


def hard_inputs(name):
    """Inputs in general position, a near-duplicate, an identical pair and a flat image."""
    x = made_up_inputs(5, NETWORKS[name][1]).copy()
    if name not in subtracting:  # there pooling subtracts, in every engine
        x[2] = x[1] + 1e-6 * x[2]
    x[3] = x[0]
    x[4] = 1.0
    return x


def call(engine, name, method, *inputs, dtype="float64", get=("nngp", "ntk")):
    network, shape = NETWORKS[name]
    plan = lower(network, shape, get)
    arrays = [None if x is None else jnp.asarray(x, dtype) for x in inputs]
    return getattr(engine, method)(plan, *arrays, learned(plan, dtype))


def learned(plan, dtype):
    found = {}
    for key, number, value in plan.hyper:
        found.setdefault(key, {})[number] = jnp.asarray(value**2, dtype)
    return found


def diagonals(values):
    return [jax.tree.map(jnp.diagonal, value) for value in values]


def compare(actual, expected, norms, dtype):
    """Compare entry by entry, relative to the roots of the diagonal entries; ``norms`` are those of both sides."""
    assert len(actual) == len(expected)
    for one, other, left, right in zip(actual, expected, *norms, strict=True):
        for field in ("cov", "ntk"):
            values, exact = getattr(one, field), getattr(other, field)
            assert (values is None) == (exact is None)
            if exact is None:
                continue
            assert values.dtype == dtype
            norm = np.asarray(getattr(left, field))
            scale = norm if exact.ndim == 1 else np.sqrt(np.outer(norm, getattr(right, field)))
            assert_close(values, exact, tolerance(dtype), scale=scale, what=field)
            if exact.ndim == 2 and left is right:
                np.testing.assert_array_equal(values, np.asarray(values).T)


@pytest.mark.parametrize("name", [slow_if_long(name) for name in NETWORKS])
def test_agrees_with_the_reference_on_identical_near_and_flat_inputs(name):
    x = hard_inputs(name)
    exact = call(Reference(), name, "run", x, None)
    norms = diagonals(exact)
    compare(call(Displacement(), name, "run", x, None), exact, (norms, norms), "float64")


@pytest.mark.parametrize("name", [slow_if_long(name, long={*FEW} - {"zero padding", "1-D"}) for name in FEW])
def test_float32_agrees_with_the_float64_reference_on_identical_near_and_flat_inputs(name):
    x = hard_inputs(name).astype("float32")
    exact = call(Reference(), name, "run", x, None)
    norms = diagonals(exact)
    compare(call(Displacement(), name, "run", x, None, dtype="float32"), exact, (norms, norms), "float32")


@pytest.mark.parametrize("name", [slow_if_long(name, long={*FEW} - {"no padding, then zeros", "1-D"}) for name in FEW])
def test_the_rectangular_kernel_and_the_diagonal_agree_with_the_reference(name):
    x = made_up_inputs(5, NETWORKS[name][1])
    whole = call(Reference(), name, "run", x, None)
    norms = diagonals(whole)
    corner = jax.tree.map(lambda a: a[:2, 2:], whole)
    ends = [[jax.tree.map(lambda a, rows=rows: a[rows], value) for value in norms] for rows in (slice(2), slice(2, 5))]
    compare(call(Displacement(), name, "run", x[:2], x[2:]), corner, ends, "float64")
    compare(call(Displacement(), name, "diagonal", x), norms, (norms, norms), "float64")


@pytest.mark.parametrize("name", [slow_if_long(name) for name in ("zero padding", "a head with ReLU")])
def test_the_covariance_alone_carries_no_tangent_kernel(name):
    x = hard_inputs(name)
    exact = [value._replace(ntk=None) for value in call(Reference(), name, "run", x, None)]
    norms = diagonals(exact)
    compare(call(Displacement(), name, "run", x, None, get=("nngp",)), exact, (norms, norms), "float64")


@pytest.fixture
def vector(monkeypatch):
    """Set how many pairs fill a vector; compiled functions know the old number, so they are forgotten."""

    def set_to(size):
        monkeypatch.setattr(engine_module, "_VECTOR", size)
        jax.clear_caches()

    yield set_to
    monkeypatch.undo()
    jax.clear_caches()


@pytest.mark.slow
def test_loops_over_displacements_and_vectors_of_them_give_the_same_kernels(vector):
    """Many pairs run displacement by displacement, few with displacements side by side; here the limit is moved."""
    name = "no padding, then zeros"
    x, y = np.split(made_up_inputs(20, NETWORKS[name][1]), [17])
    results = []
    for size in (32, 3):
        vector(size)
        calls = (("run", x, None), ("run", x, y), ("diagonal", x))
        results.append([call(Displacement(), name, *arguments) for arguments in calls])
    for actual, expected in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=4e-15)


@pytest.mark.parametrize("count", [pytest.param(40, marks=pytest.mark.slow), 71])  # vectors of displacements, of pairs
def test_a_symmetric_kernel_of_many_inputs_is_the_rectangular_one(count):
    plan = lower(zoo.plain_cnn(2, "gap"), (3, 2, 1))
    x, numbers = jnp.asarray(made_up_inputs(count, (3, 2, 1))), learned(plan, "float64")
    (symmetric,), (whole,) = Displacement().run(plan, x, None, numbers), Reference().run(plan, x, x, numbers)
    norms = diagonals([whole])
    compare([symmetric], [whole], (norms, norms), "float64")


GRADIENTS = [
    slow_if_long("no padding, then zeros", False, long={"no padding, then zeros"}),
    slow_if_long("ReLU on pooled Gaussians", True, long={"ReLU on pooled Gaussians"}),
    slow_if_long("1-D pooling of what is left", True),
]


@pytest.mark.parametrize(("name", "symmetric"), GRADIENTS)
def test_gradients_agree_with_the_reference_also_at_equal_inputs(name, symmetric):
    network, shape = NETWORKS[name]
    plan = lower(network, shape)
    x = jnp.asarray(hard_inputs(name)[[0, 1, 3]])
    weights = jnp.asarray(made_up_inputs(1, (3, 3))[0])

    def gradient(engine):
        def total(x, y, learned):
            (value,) = engine.run(plan, x, None if symmetric else y, learned)
            return jnp.sum(weights * value.ntk) + jnp.sum(weights * value.cov)

        return jax.tree.leaves(jax.jit(jax.grad(total, argnums=(0, 1, 2)))(x, x, learned(plan, "float64")))

    for actual, expected in zip(gradient(Displacement()), gradient(Reference()), strict=True):
        assert np.isfinite(actual).all()
        np.testing.assert_allclose(actual, expected, atol=1e-13 * float(jnp.abs(expected).max()) + 1e-300)


def test_it_can_be_mapped_over_a_batch_of_sets():
    plan = lower(Serial(row, Relu(), GlobalAvgPool()), (4, 2))
    sets, numbers = jnp.asarray(made_up_inputs(6, (4, 2)).reshape((2, 3, 4, 2))), learned(plan, "float64")
    (mapped,) = jax.jit(jax.vmap(lambda x: Displacement().run(plan, x, None, numbers)))(sets)
    for i in range(2):
        (alone,) = Displacement().run(plan, sets[i], None, numbers)
        np.testing.assert_allclose(mapped.ntk[i], alone.ntk, rtol=1e-14)


@pytest.mark.parametrize("count", range(1, 40))
def test_the_blocks_of_a_symmetric_kernel_meet_every_pair(count):
    blocks = engine_module._cut(lower(zoo.cntk(2, "gap"), (32, 32, 3)), count, count, True, np.dtype("float32"))
    met = np.zeros((count, count), bool)
    for i in range(blocks.rows * blocks.b1):
        for k in range(blocks.columns * blocks.b2):
            met[min(i, count - 1), (i // blocks.b1 * blocks.b1 + k) % count] = True
    assert (met | met.T).all()


DECLINED = {
    "a stride": (Serial(Conv(3, strides=(2, 2)), Relu(), GlobalAvgPool()), (7, 7, 2), "stride"),
    "overlapping windows": (Serial(Conv(3), AvgPool(2), GlobalAvgPool()), (8, 8, 2), "side by side"),
    "windows that do not fit": (Serial(Conv(1), AvgPool(2, strides=2), GlobalAvgPool()), (7, 8, 2), "does not divide"),
    "windows of one": (Serial(Conv(1), AvgPool(1), GlobalAvgPool()), (4, 4, 2), "as it is"),
    "equal positions": (zoo.cntk(3, "none"), (8, 8, 3), "equal positions"),
    "three axes": (Serial(Conv((2, 2, 2)), Relu(), GlobalAvgPool()), (3, 3, 3, 1), "3 spatial axes"),
    "vectors": (zoo.fc(2), (5,), "0 spatial axes"),
    "wrapping late": (Serial(Conv(2), Conv(3, padding="CIRCULAR"), GlobalAvgPool()), (6, 6, 2), "smaller"),
}


@pytest.fixture
def any_jax(monkeypatch):
    """Accept every version of JAX."""
    monkeypatch.setattr(engine_module, "_JAX", (0, 0))


@pytest.mark.parametrize("name", DECLINED)
def test_it_declines_what_does_not_fit_displacements_in_one_sentence(name, any_jax):
    network, shape, word = DECLINED[name]
    ok, reason = Displacement().supports(lower(network, shape), jax.devices("cpu")[0], np.dtype("float32"))
    assert not ok
    assert word in reason


@pytest.mark.parametrize("name", NETWORKS)
def test_it_accepts_every_network_of_this_file(name, any_jax):
    network, shape = NETWORKS[name]
    assert Displacement().supports(lower(network, shape), jax.devices("cpu")[0], np.dtype("float32")).ok


def test_it_declines_other_devices_and_an_older_jax(monkeypatch):
    class Device:
        platform = "gpu"

    plan = lower(zoo.cntk(2, "gap"), (4, 4, 1))
    assert "CPU" in Displacement().supports(plan, Device(), np.dtype("float32")).reason
    monkeypatch.setattr(engine_module, "_JAX", (999, 0))
    ok, reason = Displacement().supports(plan, jax.devices("cpu")[0], np.dtype("float32"))
    assert not ok
    assert "999.0" in reason


def test_it_stands_in_front_of_the_reference():
    names = [engine.name for engine in ENGINES]
    assert names.index("displacement") < names.index("reference")
