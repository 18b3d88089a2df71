"""Repeated operations: found where they are, and computed in a loop as they are one after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.kernel import Loop, find_loops, image_pass, learned_numbers, lower, pair_pass
from ntklab.kernel._loops import run_loop
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Erf,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    LayerNorm,
    Mask,
    Product,
    Relu,
    Repeat,
    Residual,
    Serial,
)

IMAGE, SEQUENCE, VECTOR = (3, 3, 2), (3, 2), (3,)
same = Conv(2, padding="SAME", W_std=1.3, b_std=0.2)
NETWORKS = {
    "dense": (Serial(Repeat(Serial(Dense(W_std=1.4, b_std=0.1), Relu()), 6), Dense()), VECTOR, [2]),
    "period of four": (Serial(Repeat(Serial(Dense(), Relu(), Dense(b_std=0.3), Erf()), 5), Dense()), VECTOR, [4]),
    "images, flattened": (Serial(Repeat(Serial(same, Relu()), 5), Flatten(), Dense()), IMAGE, [2]),
    "residuals, pooled": (Serial(same, Repeat(Residual(Relu(), same), 5), GlobalAvgPool(), Dense()), IMAGE, [3]),
    "two loops": (
        Serial(Repeat(Serial(same, Relu()), 5), AvgPool(2), Repeat(Serial(same, Relu()), 5), GlobalAvgPool()),
        IMAGE,
        [2, 2],
    ),
    "attention under a mask": (
        Serial(Mask(), Dense(), Repeat(Residual(GlobalSelfAttention(), LayerNorm()), 5), GlobalAvgPool(), Dense()),
        SEQUENCE,
        None,
    ),
    "products and frozen layers": (
        Serial(Dense(), Repeat(Product(Serial(Dense(trainable=False), Relu()), Dense(b_std=0.2)), 5), Dense()),
        VECTOR,
        None,
    ),
    "dropout": (Serial(Repeat(Serial(Dense(), Relu(), Dropout(0.8)), 5), Dense()), VECTOR, [3]),
}


def computed(plan, x, learned, loops):
    own = image_pass(plan, x, learned, loops=loops)
    return pair_pass(plan, x, x, own, own, learned, loops)


QUICK = ("dense", "residuals, pooled")


LANES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in NETWORKS]


@pytest.mark.parametrize("name", LANES)
def test_a_loop_computes_what_its_operations_compute_one_after_another(name):
    network, shape, periods = NETWORKS[name]
    plan = lower(network, shape)
    # numbers that differ from layer to layer, so that a loop that mixed them up would show
    learned = {
        key: {k: v * (1 + 0.03 * i) for k, v in numbers.items()}
        for i, (key, numbers) in enumerate(learned_numbers(plan, "float64").items())
    }
    loops = find_loops(plan, learned, fewest=4)
    assert loops
    assert periods is None or [loop.period for loop in loops] == periods
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, *shape)))

    @jax.jit
    def both(x, learned):
        return [computed(plan, x, learned, found) for found in (loops, ())]

    looped, unrolled = both(x, learned)
    for a, b in zip(jax.tree.leaves(looped), jax.tree.leaves(unrolled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_where_loops_are():
    deep = lower(Serial(Repeat(Serial(Dense(), Relu()), 20), Dense()), VECTOR)
    learned = learned_numbers(deep, "float64")
    # the first period is in front of the loop, as values of another form come from the input; the last carries another
    assert find_loops(deep, learned) == (Loop(start=3, period=2, count=18, kept=(1,)),)
    assert find_loops(deep, learned, fewest=20) == ()
    unlike = {**learned, "0.10.0": {**learned["0.10.0"], "b_std": jnp.ones(())}}
    first, second = find_loops(deep, unlike, fewest=4)
    assert first.stop == 21  # operation 21 is the dense layer with a bias
    assert second.start > 22


def test_a_loop_ends_where_something_else_reads_it():
    layers = [layer for _ in range(9) for layer in (Dense(), Relu())]
    networks = {"5": Serial(*layers[:10], Dense(W_std=2.0)), "7": Serial(*layers[:14], Dense()), "9": Serial(*layers)}
    plan = lower(networks, VECTOR)
    learned = learned_numbers(plan, "float64")
    loops = find_loops(plan, learned, fewest=4)
    assert loops
    for loop in loops:
        inside = range(loop.start, loop.last)
        outside = [op for i, op in enumerate(plan.ops) if i not in range(loop.start, loop.stop)]
        assert not any(j in inside for op in outside for j in op.inputs)
        assert not any(j in inside for _, j in plan.outputs)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    looped, unrolled = (computed(plan, x, learned, found) for found in (loops, ()))
    for a, b in zip(jax.tree.leaves(looped), jax.tree.leaves(unrolled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_the_reference_engine_computes_deep_networks_by_loops():
    network = Serial(Dense(), Repeat(Serial(Dense(b_std=0.1), LayerNorm(eps=0.1)), 15), Dense())
    kfn = ntklab.compile(network, VECTOR, engine="reference", dtype="float64")
    assert find_loops(kfn.plan, kfn.hyper)
    x = np.random.default_rng(0).normal(size=(3, 3))
    kernel = kfn(x)
    (expected,) = computed(kfn.plan, jnp.asarray(x), learned_numbers(kfn.plan, "float64"), ())
    np.testing.assert_allclose(kernel.ntk, expected.ntk, rtol=1e-13)
    np.testing.assert_allclose(kernel.nngp, expected.cov, rtol=1e-13)
    np.testing.assert_allclose(kfn.diagonal(x).ntk, np.diagonal(expected.ntk), rtol=1e-13)
    assert np.array_equal(kernel.ntk, kernel.ntk.T)


def test_values_that_change_their_form_are_computed_one_after_another():
    def step(values, i, x):
        a, known = values[i - 1]
        return 2 * a + x, None if known is None or i == 3 else known

    loop = Loop(start=3, period=1, count=3, kept=(0,))
    values = {2: (jnp.asarray(1.0), jnp.asarray(5.0))}
    last, every = run_loop(loop, values, jnp.arange(3.0), step, lambda value: value[0])
    assert last == {5: (12.0, None)}
    assert every[0].tolist() == [2.0, 5.0, 12.0]


def test_derivatives_go_through_a_loop():
    plan = lower(Serial(Repeat(Serial(Dense(b_std=0.1), LayerNorm(eps=0.1)), 5), Dense()), VECTOR)
    learned = learned_numbers(plan, "float64")
    loops = find_loops(plan, learned, fewest=4)
    assert loops
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)))

    def total(x, learned, found):
        return jnp.sum(computed(plan, x, learned, found)[0].ntk * jnp.asarray([[1.0, 2.0], [0.5, -1.0]]))

    @jax.jit
    def gradients(x, learned):
        return [jax.grad(total, (0, 1))(x, learned, found) for found in (loops, ())]

    looped, unrolled = gradients(x, learned)
    for a, b in zip(jax.tree.leaves(looped), jax.tree.leaves(unrolled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert min(abs(float(numbers["W_std"])) for numbers in looped[1].values() if "W_std" in numbers) > 0
