"""What stax programs cannot do here says so, with the way to do it; and what importing the room loads."""

import inspect
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.compat.neural_tangents import stax
from ntklab.errors import InputError, SpecError
from ntklab.spec import Conv, Dense, GlobalAvgPool, Relu, Serial
from tests.oracles.neural_tangents_oracle import load

X = jnp.asarray(np.cos(np.random.default_rng(0).normal(size=(3, 4, 3, 2))), jnp.float32)
DENSE = stax.serial(stax.Dense(4), stax.Relu(), stax.Dense(1))


def refusal(error, make):
    with pytest.raises(error) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stax.serial(stax.Dense(4), (1, 2, 3)), "docs/extending.md"),
        (lambda: stax.serial((DENSE[0], stax.Relu()[1], DENSE[2])), "made by the functions of stax"),
        (lambda: stax.layer(lambda: None), "stax.Elementwise"),
        (lambda: stax.requires(diagonal_spatial=True), "docs/extending.md"),
        (lambda: stax.requires(diagonal_spatial=stax.Diagonal(input=stax.Bool.YES)), "docs/extending.md"),
        (lambda: stax.MaskedArray(X, X > 0), "mask_constant"),
        (lambda: stax.Elementwise(nngp_fn=lambda a, b, c: a), "needs fn"),
        (lambda: stax.Conv(4, (3, 3), dimension_numbers=("NHWC", "HWIO", "NWHC")), "transpose the inputs"),
        (lambda: stax.GlobalSelfAttention(4, 4, 4, 2, pos_emb_type="SUM", pos_emb_decay_fn=jnp.cos), "rate * d**power"),
        (lambda: stax.DotGeneral(lhs=1.0, rhs=1.0), "at most one"),
    ],
)
def test_layers_that_cannot_be_translated_are_refused_with_a_way(make, words):
    assert words in refusal(SpecError, make)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((stax.FanOut(2), stax.parallel(stax.Dense(4), stax.Dense(4))), "ends in 2 branches"),
        ((stax.Dense(4), stax.FanInSum()), "FanOut"),
        ((stax.FanOut(3), stax.parallel(stax.Dense(4), stax.Dense(4))), "3 branches come in"),
        ((stax.FanOut(2), stax.Relu()), "follows 2 branches"),
        ((stax.Dense(4, channel_axis=1), stax.Dense(4)), "channel_axis=-1"),
        ((stax.Index((slice(0, 2),)),), "axis of the batch"),
        ((stax.LayerNorm(0),), "axis of the batch"),
        ((stax.repeat(stax.Dense(4), 3),), "shape and axes"),
        ((stax.Dropout(0.5),), "first layer"),
        ((stax.FanOut(2), stax.parallel(stax.Dense(4), stax.Dense(4)), stax.FanInConcat(0)), "axis of the batch"),
    ],
)
def test_networks_that_cannot_be_translated_are_refused_with_a_way(layers, words):
    assert words in refusal(SpecError, lambda: stax.serial(*layers)[2](X))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: f([1.0, 2.0]), "tuple of arrays"),
        (lambda f: f((X, X), X), "on both sides"),
        (lambda f: f(X, None, "gram"), "get is"),
        (lambda f: f(X, None, ("ntk", "ntk")), "different"),
        (lambda f: f(X, X[0]), "number of inputs alone"),
        (lambda f: f(X, X, pattern=(jnp.stack([jnp.eye(3), jnp.ones((3, 3))]), None)), "both sides"),
        (lambda f: f(X, pattern=(jnp.stack([jnp.eye(3), jnp.ones((3, 3))]), None)), "one axis"),
        (lambda f: f(f(X).replace(ntk=jnp.zeros((3, 3)))), "were replaced"),
        (lambda f: f(X).replace(shape1=()), "replace takes"),
    ],
)
def test_calls_that_cannot_be_translated_are_refused_with_a_way(call, words):
    flat = stax.serial(stax.Flatten(), DENSE)[2]
    assert words in refusal(InputError, lambda: call(flat))


def test_a_mask_constant_that_does_not_occur_changes_nothing():
    kernel_fn = stax.serial(stax.Flatten(), DENSE)[2]
    masked, plain = kernel_fn(X, None, "ntk", mask_constant=9.0), kernel_fn(X, None, "ntk")
    np.testing.assert_allclose(masked, plain, rtol=1e-12)


def test_what_is_absent_may_be_marked_by_any_number_of_any_dtype():
    kernel_fn = stax.serial(stax.Dense(4, b_std=1.0), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1))[2]
    x = np.arange(24).reshape((2, 4, 3))
    x[0, 2:] = 255
    expected = kernel_fn(x, None, "ntk", mask_constant=255)
    np.testing.assert_allclose(expected[0, 0], kernel_fn(x[:1, :2], None, "ntk")[0, 0], rtol=1e-12)
    for constant, dtype in ((0.1, np.float32), (-np.inf, np.float64), (np.nan, np.float32)):
        other = np.where(x == 255, constant, x).astype(dtype)
        np.testing.assert_allclose(kernel_fn(other, None, "ntk", mask_constant=constant), expected, rtol=1e-12)


def test_a_pooled_network_is_one_of_ours_and_runs_on_a_fused_engine():
    layers = stax.Conv(4, (3, 3), padding="SAME"), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1)
    network = stax.serial(*layers)[2].network(X.shape)
    assert network == Serial(Conv(3, 4, padding="SAME"), Relu(), GlobalAvgPool(), Dense(1))
    assert ntklab.compile(network, (4, 3, 2)).engine.name == "simd"


def test_a_kernel_passes_through_jit_and_goes_on_from_there():
    first, second = stax.Conv(4, (2, 2))[2], stax.serial(stax.Relu(), stax.Flatten())[2]
    kernel = jax.jit(first)(X, X[:2])
    assert kernel.nngp.shape == (3, 2, 3, 3, 2, 2)
    np.testing.assert_allclose(second(kernel).ntk, second(first(X, X[:2])).ntk, rtol=1e-6)
    np.testing.assert_allclose(kernel[:1, 1:].nngp, kernel.nngp[:1, 1:], rtol=1e-5)


@pytest.mark.oracle
def test_every_public_name_is_there_with_its_arguments_and_defaults():
    theirs, _ = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [n for n in dir(theirs) if not n.startswith("_") and not inspect.ismodule(getattr(theirs, n))]
    assert set(names) == {n for n in dir(stax) if not n.startswith("_")}
    for name in names:
        made = getattr(theirs, name)
        if not inspect.isfunction(made):
            continue
        mine, original = (
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (getattr(stax, name), made)
        )
        if name == "Aggregate":  # a default is a function
            mine, original = ([p for p in f if p[0] != "to_dense"] for f in (mine, original))
        assert mine == original, name


def test_importing_it_loads_neither_the_original_nor_tensorflow():
    code = "import sys, ntklab.compat.neural_tangents\nprint({'neural_tangents', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
