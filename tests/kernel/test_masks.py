"""Sequences and images of different lengths: as each has alone, as neural-tangents has them, and as finite networks."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.data import pack_ragged
from ntklab.errors import EngineError, SpecError
from ntklab.finite import network
from ntklab.spec import (
    Aggregate,
    AvgPool,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Cos,
    Dense,
    DotGeneral,
    Dropout,
    Erf,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    GlobalSumPool,
    Identity,
    ImageResize,
    Index,
    LayerNorm,
    Mask,
    Parallel,
    Product,
    Recurrent,
    Relu,
    Residual,
    Serial,
    Sigmoid_like,
    SumPool,
)
from tests.oracles.neural_tangents_oracle import _to_stax, careful, load

LENGTHS = (2, 4, 5, 4)
DRAW = np.random.default_rng(0)
SEQUENCES = [DRAW.normal(size=(n, 3)) for n in LENGTHS]
IMAGES = [DRAW.normal(size=size) for size in ((2, 3, 2), (4, 2, 2), (3, 4, 2))]
DENSE, CONV = Dense(W_std=1.3, b_std=0.3), Conv((3,), padding="SAME", W_std=1.2, b_std=0.2)
END = (GlobalAvgPool(), Dense(b_std=0.3))
DECAY = {"pos_emb": "SUM", "pos_emb_decay": "rational"}
SAFE = {
    "dense": (DENSE, Relu(), Dense(b_std=0.2), Erf(c=0.3), *END, Relu(), Dense(b_std=0.1)),
    "convolutions": (
        CONV,
        Relu(),
        Conv((2,), padding="SAME"),
        Cos(),
        AvgPool((3,), padding="SAME"),
        DENSE,
        Relu(),
        *END,
    ),
    "attention": (DENSE, Relu(), GlobalSelfAttention(b_std=0.1, val_pos_emb=True, **DECAY), Relu(), *END),
    "attention by products": (
        DENSE,
        Relu(),
        GlobalSelfAttention(b_std=0.1, mechanism="IDENTITY", linear_scaling=False, **DECAY),
        Relu(),
        *END,
    ),
    "norms and branches": (
        DENSE,
        LayerNorm((0, -1)),
        Relu(),
        Residual(DENSE, LayerNorm(), Relu(), Dense(), shortcut=Dense()),
        Concat(Serial(Relu(), Dense()), Product(Dense(), Serial(Relu(), Dense(b_std=0.2)))),
        GlobalSumPool(),
        Dense(b_std=0.3),
    ),
    "recurrence": (Recurrent(Relu(), b_std=0.2), Recurrent(Erf()), *END),
    "dropout": (DENSE, Relu(), Dropout(0.7), DENSE, Relu(), *END),
}
"""Networks that know the length of a sequence by its mask alone."""


def compiled(layers, shape, **options):
    return ntklab.compile(Serial(*layers), shape, dtype="float64", **options)


QUICK = ("attention", "norms and branches")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in SAFE])
def test_a_sequence_has_the_kernel_that_it_has_alone(name):
    """Seen 4e-16; entries of one input with itself, and of two of one length."""
    layers, x = SAFE[name], pack_ragged(SEQUENCES, (6,))
    padded = compiled((Mask(), *layers), (6, 3))(x)
    for i, j in ((0, 0), (1, 3)):
        alone = compiled(layers, (LENGTHS[i], 3))(SEQUENCES[i][None], SEQUENCES[j][None])
        for mine, expected in ((padded.nngp, alone.nngp), (padded.ntk, alone.ntk)):
            np.testing.assert_allclose(mine[i, j], expected[0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["dense", *(pytest.param(n, marks=pytest.mark.slow) for n in ("norms and branches", "attention"))]
)
def test_more_padding_changes_nothing_between_different_lengths_either(name):
    layers = (Mask(-2.0), *SAFE[name])
    few, many = (compiled(layers, (n, 3))(pack_ragged(SEQUENCES, (n,), constant=-2.0)).values.values() for n in (5, 8))
    for a, b in zip(few, many, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_sequence_that_ends_in_zeros_is_none_that_ends():
    """Their features are the same, their distance is not: with a bias, zeros are something."""
    x = pack_ragged([SEQUENCES[1], np.concatenate([SEQUENCES[1], np.zeros((2, 3))])])
    kernel = compiled((Mask(), DENSE, Relu(), *END, Relu(), Dense()), (6, 3))(x)
    correlation = kernel.nngp[0, 1] / np.sqrt(kernel.nngp[0, 0] * kernel.nngp[1, 1])
    assert correlation < 0.999
    assert (kernel.ntk == kernel.ntk.T).all()


SQUARE = {"W_std": 1.2, "b_std": 0.2}
GRID = {
    "flatten": (Conv(2, padding="SAME", **SQUARE), Relu(), Flatten(), Dense(b_std=0.2)),
    "strides": (Conv(3, strides=2, padding="SAME", **SQUARE), Relu(), AvgPool(2, padding="SAME"), *END),
    "valid": (Conv(2, **SQUARE), Relu(), SumPool(2, padding="VALID"), *END),
    "circular": (Conv(3, padding="CIRCULAR", **SQUARE), Relu(), AvgPool(2, strides=2), *END),
    "normalised edges": (
        Conv(2, padding="SAME", **SQUARE),
        Relu(),
        AvgPool(3, padding="SAME", normalize_edges=True),
        *END,
    ),
    "local": (ConvLocal(2, padding="SAME", **SQUARE), Relu(), *END),
    "residual": (
        Conv(3, padding="SAME", **SQUARE),
        Residual(Relu(), Conv(3, padding="SAME", **SQUARE), shortcut=Conv(1, padding="SAME")),
        Sigmoid_like(),
        GlobalSumPool(),
        Dense(),
    ),
    "norm over positions": (Conv(2, padding="SAME", **SQUARE), LayerNorm((0, 1, -1)), Relu(), *END),
    "norm of rows": (Conv(2, padding="SAME", **SQUARE), LayerNorm((1, -1)), Relu(), Flatten()),
    "softmax": (Dense(b_std=0.2), Relu(), GlobalSelfAttention(b_std=0.1, **DECAY), Relu(), *END),
    "relu": (Dense(b_std=0.2), Relu(), GlobalSelfAttention(mechanism="RELU", val_pos_emb=True, **DECAY), Flatten()),
    "root scaling": (
        Dense(b_std=0.2),
        Relu(),
        GlobalSelfAttention(mechanism="IDENTITY", linear_scaling=False, **DECAY),
        Relu(),
        *END,
    ),
    "concatenated channels": (
        Dense(64, b_std=0.2),
        Concat(Serial(Relu(), Dense(64)), Dense(64)),
        Dense(),
        Relu(),
        *END,
    ),
    "concatenated rows": (Dense(64), Concat(Serial(Relu(), Dense(64)), Dense(64, b_std=0.1), axis=0), Relu(), *END),
    "resized": (Dense(b_std=0.2), ImageResize((3, -1), "linear"), Dense(b_std=0.1), Relu(), *END),
    "picked": (Dense(b_std=0.2), Relu(), Index((slice(None, None, 2), slice(1, None))), Dense(b_std=0.2), Relu(), *END),
}
"""Over the images above, some of whose numbers inside are missing, too."""


def images():
    """Return two sets of images, which hold 9 where there is nothing."""
    x = pack_ragged(IMAGES, (4, 4), constant=9.0)
    x[1, 0, 1] = x[2, 1, 2, 0] = 9.0  # a pixel, and one number of a pixel
    return x, np.cos(x[::-1][:2]) * (x[::-1][:2] != 9.0) + 9.0 * (x[::-1][:2] == 9.0)


def theirs(networks, x1, x2):
    stax, _ = load()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {name: _to_stax(stax, Serial(*layers))[2] for name, layers in networks.items()}
        get = ("nngp", "ntk")
        every = jax.jit(
            lambda a, b: {name: f(a, b, get, mask_constant=9.0) for name, f in made.items()}, compiler_options=careful()
        )
        return every(jnp.asarray(x1), jnp.asarray(x2))


def agree(networks):
    x1, x2 = images()
    expected = theirs(networks, x1, x2)
    for name, layers in networks.items():
        found = compiled((Mask(9.0), *layers), (4, 4, 2))(x1, x2)
        for word in ("nngp", "ntk"):
            mine, other = np.asarray(found.values[word]), np.asarray(getattr(expected[name], word))
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-10 * np.abs(other).max(), err_msg=f"{name} {word}")


@pytest.mark.oracle
def test_masks_are_those_of_neural_tangents():
    agree({name: GRID[name] for name in ("strides", "softmax")})


@pytest.mark.oracle
@pytest.mark.slow
def test_masks_are_those_of_neural_tangents_in_every_layer():
    agree(GRID)  # seen 4e-12, where a norm divides by a root; 5e-16 elsewhere


FINITE = {
    "convolution": (Conv(3, width=8, strides=2, padding="SAME", **SQUARE), Relu(), *END),
    "resized rows": (
        Dense(8, b_std=0.2),
        Relu(),
        ImageResize((3, -1), "linear"),
        Index((slice(None), slice(1, None))),
        Concat(Identity(), DotGeneral(np.eye(3), ((0,), (0,))), axis=-1),
        *END,
    ),
    "graph": (Dense(8, b_std=0.2), Relu(), Aggregate(np.ones((4, 4)), axis=1), Flatten(), Dense(b_std=0.3)),
}
"""One activation behind the first weights: the mean over networks is exact at any width."""
WIDE = {
    "norm over positions": (Dense(b_std=0.3), LayerNorm((0, 1, -1)), Relu(), *END),
    "attention": (Dense(b_std=0.2), GlobalSelfAttention(b_std=0.1, **DECAY), Relu(), *END),
    "branches": (Dense(b_std=0.2), Parallel(Serial(Relu(), Dense()), Dense()), Relu(), *END),
}


def sampled(net, x, count):
    def kernels(key):
        params = net.init(key)
        f = net.apply(params, x)
        if net.num_trainable > 1e5:  # wide: its Jacobians would take minutes
            return (f @ f.T / f.shape[1],)
        J = jax.tree.leaves(jax.jacobian(lambda p: net.apply(params._replace(trainable=p), x))(params.trainable))
        ntk = sum(jnp.einsum("aok,bok->ab", *[leaf.reshape((*f.shape, -1))] * 2) for leaf in J)
        return f @ f.T / f.shape[1], ntk / f.shape[1]

    keys = jax.random.split(jax.random.key(1), count)
    return [np.asarray(k) for k in jax.jit(lambda keys: jax.lax.map(kernels, keys))(keys)]


def z_scores(layers, width, count):
    x, _ = images()
    net = network(Serial(Mask(9.0), *layers), (4, 4, 2), width=width, outputs=8, dtype="float64")
    exact = compiled((Mask(9.0), *layers), (4, 4, 2))(x)
    for samples, expected in zip(sampled(net, x, count), (exact.nngp, exact.ntk), strict=False):
        error = samples.std(axis=0, ddof=1) / np.sqrt(count)
        assert (error < 0.05 * np.abs(expected).max()).all()
        z = np.abs(samples.mean(axis=0) - expected) / error
        assert z.max() < 4, (samples.mean(axis=0), expected)


def test_finite_networks_have_these_kernels():
    z_scores(FINITE["convolution"], 8, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FINITE, *WIDE])
def test_finite_networks_of_every_sort_have_these_kernels(name):
    width, count = (8, 2000) if name in FINITE else (512 if name == "attention" else 64, 300)
    z_scores((FINITE | WIDE)[name], width, count)


@pytest.mark.slow
def test_a_finite_network_gives_a_sequence_what_it_gives_it_alone():
    layers = (*SAFE["convolutions"][:-2], GlobalSelfAttention(b_std=0.1), *SAFE["norms and branches"])
    padded, alone = (
        network(Serial(first, *layers), (n, 3), width=6, outputs=2, dtype="float64")
        for first, n in ((Mask(), 6), (Identity(), 4))
    )
    params, x = alone.init(jax.random.key(0)), pack_ragged(SEQUENCES, (6,))
    expected = alone.apply(params, np.stack([SEQUENCES[1], SEQUENCES[3]]))
    np.testing.assert_allclose(padded.apply(params, x)[jnp.array([1, 3])], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Dense(), Mask()), "stands before"),
        ((Mask(), ConvTranspose((3,))), "no rule says"),
        ((Mask(), Recurrent(Relu(), output="last")), 'output="sequence"'),
        ((Mask(), Conv((3,), padding=((2, 1),))), "amounts"),
        ((Parallel(Serial(Mask(), Dense()), Dense()),), "in front of both"),
    ],
)
def test_what_no_mask_goes_through_is_refused_by_name(layers, words):
    with pytest.raises(SpecError, match=words):
        compiled((*layers, Flatten(), Dense()), (6, 3))


@pytest.mark.parametrize("layer", [ConvTranspose((3,), 2), Recurrent(Relu(), 2, output="last")])
def test_finite_networks_refuse_the_same(layer):
    net = network(Serial(Mask(), layer, Flatten(), Dense()), (6, 3), width=4)
    with pytest.raises(SpecError, match=f"{type(layer).__name__}.* cannot follow a Mask"):
        net.apply(net.init(jax.random.key(0)), np.zeros((1, 6, 3)))


def test_padding_by_amounts_that_keeps_every_position_keeps_the_mask():
    layers = (Conv((3,), padding=((2, 0),), b_std=0.2), Relu(), *END)
    padded = compiled((Mask(), *layers), (6, 3))(pack_ragged(SEQUENCES, (6,)))
    alone = compiled(layers, (4, 3))(SEQUENCES[1][None])
    np.testing.assert_allclose(padded.ntk[1, 1], alone.ntk[0, 0], rtol=1e-12)


def test_fast_engines_decline_and_say_why():
    layers = (Mask(), CONV, Relu(), *END)
    kfn = ntklab.compile(Serial(*layers), (6, 3))
    assert kfn.engine.name == "reference"
    assert "no code for" in dict(kfn.engine.passed_over)["simd"]
    with pytest.raises(EngineError, match="no code for"):
        ntklab.compile(Serial(*layers), (6, 3), engine="displacement")


def test_an_input_without_anything_present_has_the_kernel_zero():
    x = np.full((2, 4, 3), -1e9)
    x[1, :2] = SEQUENCES[0]
    kernel = compiled((Mask(), *SAFE["attention"]), (4, 3))(x)
    assert (np.asarray(kernel.ntk)[0] == 0).all()
    assert kernel.ntk[1, 1] > 0
