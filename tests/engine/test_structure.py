"""Branches, repetition, attention and recurrence: against neural-tangents' own test grids and the NumPy oracle."""

import functools
import itertools

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine import ENGINES
from ntklab.errors import SpecError
from ntklab.kernel import lower
from ntklab.spec import (
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    Identity,
    Parallel,
    Product,
    Recurrent,
    Relu,
    Repeat,
    Residual,
    Serial,
    zoo,
)
from ntklab.testing import made_up_inputs
from tests.oracles import neural_tangents_oracle, structure_numpy

PHI = (Relu(), Relu(), Relu())
IMAGE = (4, 5, 3)


def fan_in_grid():
    """FanInTest of neural-tangents, but for concatenation along the batch axis, which means nothing here."""
    dense = functools.partial(Dense, W_std=1.25, b_std=0.1)
    conv = functools.partial(Conv, (3, 3), padding="SAME", W_std=1.25, b_std=0.1)

    for count, mode in itertools.product((2, 3), ("Sum", "Product", "Concat")):
        branches = []
        for b in range(count):
            layers = [PHI[b]]
            for i in range(b):
                width = int(64 * (1 + 0.25 * i)) if mode == "Concat" else 64
                layers += [Dense(width, W_std=1.0 + 2 * i, b_std=0.5 + i), PHI[i]]
            branches.append(Serial(*layers, dense(64)) if mode == "Sum" else Serial(*layers))
        joined = {"Sum": Parallel, "Product": Product, "Concat": Concat}[mode](*branches)
        after = [] if mode == "Sum" else [dense()]
        yield f"fc {mode} {count}", Serial(dense(64), joined, *after, Relu(), Dense(W_std=1.25, b_std=0.5)), (3,)
    modes = ("Sum", "Product", 0, 1, -1)
    for count, mode, readout in itertools.product((2, 3), modes, (GlobalAvgPool(), Flatten())):
        branches = []
        for b in range(count):
            layers = [PHI[b]]
            for i in range(b):
                width = int(64 * (1 + 0.25 * i)) if mode == -1 else 64
                layers += [Conv((i + 1, 4 - i), width, padding="SAME", W_std=1.25 + i, b_std=0.1 + i), PHI[i]]
            branches.append(Serial(*layers) if mode in ("Product", -1) else Serial(*layers, conv(64)))
        joined = {"Sum": Parallel, "Product": Product}.get(mode, functools.partial(Concat, axis=mode))(*branches)
        after = [conv()] if mode in ("Product", -1) else []
        head = (Relu(), readout, Dense(W_std=1.25, b_std=0.5))
        yield f"conv {mode} {count} {type(readout).__name__}", Serial(conv(64), joined, *after, *head), IMAGE


def attention_grid():
    """AttentionTest of neural-tangents without its masks: both scalings, all embeddings and decays."""
    stds = {"W_key_std": 0.9, "W_out_std": 0.8, "W_query_std": 0.7, "W_value_std": 1.2, "b_std": 0.5}
    decays = {None: {}, "linear": {"pos_emb_decay": "rational", "pos_emb_rate": 4.0}}
    for linear, decay, (emb, share) in itertools.product(
        (True, False), decays, (("NONE", None), ("SUM", None), ("CONCAT", 0.5), ("CONCAT", 1 / 3))
    ):
        for values in (False, True) if emb != "NONE" else (False,):
            options = {"pos_emb": emb, "W_pos_emb_std": 2.0, "val_pos_emb": values, **decays[decay], **stds}
            if share is not None:
                options["pos_emb_share"] = share
            if not linear:
                options |= {"linear_scaling": False, "mechanism": "IDENTITY"}
            yield f"linear={linear} {emb} {share} {decay} values={values}", attend(**options), (2, 3, 2)
    for mechanism in ("IDENTITY", "ABS", "RELU"):
        yield f"linear {mechanism}", attend(mechanism=mechanism, **stds, pos_emb="SUM"), (2, 3, 2)


def attend(**options):
    return Serial(Conv((1, 1), 64, padding="SAME"), GlobalSelfAttention(64, **options), Relu(), GlobalAvgPool())


def repeat_grid():
    """RepeatTest of neural-tangents, on vectors and images; what leaves positions is pooled."""
    conv = Conv((2, 2), 3, padding="SAME")
    layers = {
        "identity": Identity(),
        "dense": Dense(3),
        "identity in a row": Serial(Identity()),
        "dense in a row": Serial(Dense(3)),
        "dense relu": Serial(Dense(3), Relu()),
        "dense relu dense": Serial(Dense(3), Relu(), Dense(3)),
    }
    for (name, layer), count in itertools.product(layers.items(), range(4)):
        yield f"{name} x {count}", Repeat(layer, count), (3,)
    block = Serial(conv, Relu(), conv, Relu())
    for count in range(4):
        yield f"conv relu conv relu x {count}", Serial(Repeat(block, count), Flatten()), (4, 4, 3)


def other_networks():
    """What neural-tangents has not."""
    rnn = functools.partial(Recurrent, Relu(), W_std=1.3, U_std=0.8, b_std=0.3)
    head = (Dense(b_std=0.2), Relu(), Dense())
    for output, readout in (("last", ()), ("sequence", (GlobalAvgPool(),)), ("sequence", (Flatten(),))):
        yield f"rnn {output} {readout}", Serial(rnn(output=output), *readout, *head), (5, 2)
    yield "rnn at the end", Recurrent(Relu(), output="last"), (4, 2)
    yield "rnn in two layers", Serial(rnn(), rnn(b_std=None), GlobalAvgPool(), Dense()), (4, 2)
    yield "rnn in two layers, last", Serial(Dense(), rnn(), rnn(output="last"), Dense()), (4, 2)
    yield "untrained rnn", Serial(Dense(), rnn(trainable=False), rnn(output="last"), Dense(trainable=False)), (4, 2)
    attention = functools.partial(GlobalSelfAttention, W_query_std=1.2, W_out_std=1.1, b_std=0.3)
    product = functools.partial(attention, linear_scaling=False, mechanism="IDENTITY")
    flat = (Relu(), Flatten(), Dense())
    yield "attention to the input", Serial(attention(), Relu(), GlobalAvgPool()), (4, 2)
    yield "attention, flattened", Serial(Conv((2, 2), padding="SAME"), Relu(), attention(), *flat), (2, 3, 2)
    yield "product attention, flattened", Serial(Conv((2, 2), padding="SAME"), Relu(), product(), *flat), (2, 3, 2)
    yield "attention at the end", Serial(Dense(), attention(pos_emb="SUM"), GlobalAvgPool()), (4, 2)
    yield "product attention at the end", Serial(Dense(), product(), GlobalAvgPool()), (4, 2)
    frozen = {"trainable": False, "val_pos_emb": True, "pos_emb": "SUM"}
    yield "untrained attention", Serial(Dense(), attention(**frozen), Relu(), GlobalAvgPool(), Dense()), (4, 2)
    yield "untrained product attention", Serial(Dense(), product(**frozen), Relu(), GlobalAvgPool(), Dense()), (4, 2)
    yield "rntk of two layers", zoo.rntk(2), (4, 2)
    yield "rntk averaged", zoo.rntk(1, readout="mean", U_std=0.5, b_std=0.1), (4, 2)
    yield "transformer", zoo.transformer(2), (3, 2)
    yield "transformer, normalised behind", zoo.transformer(2, norm="post"), (3, 2)
    yield "transformer, not normalised", zoo.transformer(2, norm="none"), (3, 2)
    yield "shortcut around an activation", Serial(Dense(), Residual(Dense(b_std=0.5), Relu()), *head), (3,)
    yield "gates in positions", Serial(Dense(), Product(Serial(Dense(), Relu()), Identity()), *head, Flatten()), (3, 2)
    yield (
        "side by side of positions",
        Serial(Dense(), Concat(Serial(Relu(), Flatten()), GlobalAvgPool()), *head),
        (3, 2),
    )


DIFFERENT, EXACT = 2e-15, 4e-15
"""Largest errors seen, times about three: neural-tangents between different inputs, NumPy everywhere."""
SINGLE = 1e-5
"""In float32: the largest seen is 4.5e-6, where inputs nearly coincide; elsewhere 1.5e-7."""
QUICK = (
    "fc Product 3",
    "conv 1 2 Flatten",
    "conv -1 2 Flatten",
    "linear=True SUM None linear values=True",
    "linear=True CONCAT 0.3333333333333333 None values=False",
    "linear=False CONCAT 0.5 linear values=False",
    "linear ABS",
    "dense relu dense x 3",
    "conv relu conv relu x 2",
)
OTHER_QUICK = (
    "rnn last ()",
    "rnn in two layers",
    "untrained rnn",
    "product attention, flattened",
    "untrained attention",
    "transformer",
    "side by side of positions",
)
GRID = [*fan_in_grid(), *attention_grid(), *repeat_grid()]


def relative(actual, expected):
    """Errors relative to what Cauchy and Schwarz allow an entry to be."""
    bound = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    return np.abs(actual - expected) / np.where(bound > 0, bound, 1.0)


def lanes(grid, quick):
    """A few networks compiled; a hundred operation by operation, as the same operations come again and again."""
    for name, network, shape in grid:
        few = name in quick
        yield pytest.param(network, shape, few, id=name, marks=[] if few else [pytest.mark.slow])


def kernels(network, x, **options):
    kernel = ntklab.compile(network, x.shape[1:], engine="reference", **{"dtype": "float64", **options})(x)
    return np.asarray(kernel.nngp), np.asarray(kernel.ntk)


@pytest.mark.oracle
@pytest.mark.parametrize(("network", "shape", "jit"), list(lanes(GRID, QUICK)))
def test_agrees_with_neural_tangents_and_with_numpy(network, shape, jit):
    x = made_up_inputs(4, shape)
    with jax.disable_jit(not jit):
        ours = kernels(network, x)
    for mine, numpy, theirs in zip(
        ours, structure_numpy.kernels(network, x), neural_tangents_oracle.kernels(network, x), strict=True
    ):
        apart = ~np.eye(len(x), dtype=bool)  # where inputs coincide, neural-tangents rounds at 1e-8
        assert relative(mine, np.broadcast_to(theirs, mine.shape))[apart].max() < DIFFERENT  # one 0 for all without NTK
        assert relative(mine, numpy).max() < EXACT


@pytest.mark.parametrize(("network", "shape", "jit"), list(lanes(other_networks(), OTHER_QUICK)))
def test_agrees_with_numpy_on_what_neural_tangents_has_not(network, shape, jit):
    x = made_up_inputs(5, shape)  # as many as below: compiled once
    with jax.disable_jit(not jit):
        ours = kernels(network, x)
    for mine, numpy in zip(ours, structure_numpy.kernels(network, x), strict=True):
        assert relative(mine, numpy).max() < EXACT


@pytest.mark.parametrize("name", ["transformer", "rnn in two layers", "gates in positions"])
def test_compiled_it_gives_the_same_in_both_dtypes_also_for_inputs_that_nearly_coincide(name):
    network, shape = next((network, shape) for n, network, shape in other_networks() if n == name)
    x = made_up_inputs(5, shape).astype(np.float32)
    x[3] = x[0]
    x[4] = x[0] * np.float32(1 + 2e-4)
    exact = structure_numpy.kernels(network, x.astype(np.float64))
    for dtype, bound in (("float64", 1e-7), ("float32", SINGLE)):  # the oracle itself loses digits there
        for mine, numpy in zip(kernels(network, x, dtype=dtype), exact, strict=True):
            assert mine.dtype == dtype
            assert relative(mine, numpy).max() < bound
            np.testing.assert_array_equal(mine, mine.T)


@pytest.mark.slow
def test_gradients_in_inputs_and_numbers_are_finite_where_inputs_coincide():
    attention = GlobalSelfAttention(W_query_std=1.2, pos_emb="SUM")
    network = Serial(Dense(), attention, Product(Recurrent(Relu()), Dense()), GlobalAvgPool(), Dense(), Relu(), Dense())
    x = made_up_inputs(2, (3, 2))
    x[1] = x[0]
    kfn = ntklab.compile(network, (3, 2), dtype="float64", engine="reference")

    @jax.jit
    def slopes(x, hyper):
        return jax.value_and_grad(lambda x, hyper: jax.numpy.sum(kfn(x, hyper=hyper).ntk), (0, 1))(x, hyper)

    value, (by_x, by_hyper) = slopes(x, kfn.hyper)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, by_x, by_hyper)))
    for key, name in (("1", "W_query_std"), ("2.branch0", "U_std")):
        step = 1e-6
        bumped = {key: {**kfn.hyper[key], name: kfn.hyper[key][name] + step}}
        difference = slopes(x, {**kfn.hyper, **bumped})[0] - value
        np.testing.assert_allclose(by_hyper[key][name], difference / step, rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (Serial(Dense(), Product(Relu(), Identity()), Dense()), (3,), "multiplies branches that depend on each other"),
        (Serial(Dense(), Parallel(Relu(), Identity())), (3,), "depend on each other or have means"),
        (Serial(Parallel(Serial(Dense(), Relu()), Serial(Dense(), Relu()))), (3,), "means other than zero"),
        (Serial(Dense(), Concat(Relu(), Identity(), axis=0), Flatten()), (3, 2), "concatenates along positions"),
        (Serial(Concat(Dense(), Dense()), Relu()), (3,), "needs a Gaussian input"),
        (Serial(Product(Dense(), Dense()), Relu()), (3,), "needs a Gaussian input"),
        (Serial(Recurrent(Relu()), Relu(), Flatten()), (3, 2), "needs a Gaussian input"),
        (Serial(GlobalSelfAttention(pos_emb="SUM"), Flatten()), (3, 2), "put a Dense"),
        (
            Serial(
                Dense(),
                GlobalSelfAttention(pos_emb="SUM", pos_emb_decay="rational", pos_emb_rate=0.05, pos_emb_power=4.0),
                Flatten(),
            ),
            (4, 2),
            "no covariance between positions",
        ),
    ],
)
def test_networks_without_a_closed_form_are_refused_with_the_reason(network, shape, words):
    with pytest.raises(SpecError, match=words):
        ntklab.compile(network, shape)


@pytest.mark.parametrize("name", ["displacement", "simd"])
def test_fast_engines_decline_what_they_have_no_code_for(name):
    engine = next(engine for engine in ENGINES if engine.name == name)
    for network, shape in ((Product(Dense(), Dense()), (3,)), (Recurrent(Relu(), output="last"), (3, 2))):
        support = engine.supports(lower(network, shape), jax.devices()[0], np.dtype("float32"))
        assert not support.ok
        assert "code for" in support.reason
