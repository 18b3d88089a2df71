"""`engine="monte-carlo"`: against closed forms, against simulated units, and what it refuses."""

import itertools

import jax
import numpy as np
import pytest

import ntklab
from ntklab import Sampling
from ntklab.errors import InputError, SpecError
from ntklab.spec import (
    BatchNorm,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    MaxPool,
    Parallel,
    Product,
    Relu,
    Residual,
    Serial,
    zoo,
)
from tests.oracles import sampled_numpy

KEY = jax.random.key(11)
VECTORS, SEQUENCES = (np.random.default_rng(0).normal(size=(4, *shape)) for shape in ((3,), (3, 2)))
SOFTMAX = GlobalSelfAttention(linear_scaling=False)

# One activation right behind the first weights: the mean over networks is exact at any width.
CLOSED = {
    "dense": (Serial(Dense(W_std=1.4, b_std=0.3), Relu(), Dense(b_std=0.2)), VECTORS),
    "partly trained": (Serial(Dense(trainable=False), Erf(), Dense(W_std=1.2)), VECTORS),
    "pooled": (Serial(Conv((2,), W_std=1.2, b_std=0.2), Relu(), GlobalAvgPool(), Dense()), SEQUENCES),
}


def sampled(network, x, samples, *, x2=None, seed=KEY, get=("nngp", "ntk"), dtype="float64", **sizes):
    sampling = Sampling(seed, samples=samples, **{"width": 16, "outputs": 4, **sizes})
    kfn = ntklab.compile(network, x.shape[1:], engine="monte-carlo", sampling=sampling, dtype=dtype, get=get)
    return kfn(x, x2, progress=False)


def z_scores(kernel, name, exact, error=0.0):
    """Return distances in standard errors, of the upper triangle."""
    upper = np.triu_indices(len(exact))
    return ((kernel.values[name] - exact) / np.hypot(kernel.standard_errors[name], error))[upper]


def test_means_agree_with_closed_forms_and_errors_fall_with_the_root_of_samples():
    z = []
    for network, x in CLOSED.values():
        exact = ntklab.compile(network, x.shape[1:], dtype="float64")(x)
        few, many = (sampled(network, x, samples) for samples in (25, 225))
        for name in ("nngp", "ntk"):
            for kernel in (few, many):
                z += [*z_scores(kernel, name, np.asarray(getattr(exact, name)))]
            ratio = few.standard_errors[name] / many.standard_errors[name]
            assert 2.2 < np.median(ratio) < 4.0  # 3 in the mean; 25 samples know their deviation to a seventh
    assert len(z) == 120
    assert np.abs(z).max() < 4
    # neither too wide nor too narrow: z-scores have a root mean square of one, entries of one kernel being correlated
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.3


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [zoo.fc(4, b_std=0.2), Serial(Dense(), Residual(Relu(), Dense()), Relu(), Dense())],
    ids=["fc", "residual"],
)
def test_deep_networks_agree_up_to_one_over_width(network):
    exact = ntklab.compile(network, (3,), dtype="float64")(VECTORS)
    kernel = sampled(network, VECTORS, 60, width=1024, outputs=2)
    for name in ("nngp", "ntk"):
        largest = float(np.max(getattr(exact, name)))
        assert np.abs(z_scores(kernel, name, np.asarray(getattr(exact, name)), 2 / 1024 * largest)).max() < 4
        assert kernel.relative_error < 0.2


def test_maxima_are_those_of_simulated_units():
    network = Serial(Dense(W_std=1.3, b_std=0.4), MaxPool((2,)), Relu(), Flatten(), Dense())
    expected = sampled_numpy.max_pool_kernels(SEQUENCES, 1.3, 0.4, 2, 200_000)
    kernel = sampled(network, SEQUENCES, 400, width=32)
    for name, (mean, error) in zip(("nngp", "ntk"), expected, strict=True):
        assert np.abs(z_scores(kernel, name, mean, error)).max() < 4
        assert kernel.standard_errors[name].max() < 0.05 * mean.max()


def test_batches_are_those_of_simulated_units():
    network = Serial(Dense(W_std=1.3, b_std=0.4), BatchNorm(1e-3), Relu(), Dense())
    expected = sampled_numpy.batch_norm_kernels(VECTORS, 1.3, 0.4, 1e-3, 200_000)
    kernel = sampled(network, VECTORS, 400, width=32)
    for name, (mean, error) in zip(("nngp", "ntk"), expected, strict=True):
        assert np.abs(z_scores(kernel, name, mean, error)).max() < 4
        assert kernel.standard_errors[name].max() < 0.05 * mean.max()


def test_softmax_over_a_root_tends_to_gaussian_scores():
    wide = GlobalSelfAttention(linear_scaling=False, W_key_std=2.0, heads=16, key_width=256, value_width=4)
    mean, error = sampled_numpy.attention_nngp(SEQUENCES, 2.0, 30_000)
    network = Serial(wide, GlobalAvgPool(), Dense())
    kernel = sampled(network, SEQUENCES, 150, get=("nngp",), width=64, outputs=64)
    assert np.abs(z_scores(kernel, "nngp", mean, error)).max() < 4
    assert kernel.standard_errors["nngp"].max() < 0.04 * mean.max()


def test_inputs_of_batch_norm_are_one_batch():
    network = Serial(Dense(), BatchNorm(), Relu(), Dense())
    whole = sampled(network, VECTORS, 8)
    block = sampled(network, VECTORS[:1], 8, x2=VECTORS[1:])
    fewer = sampled(network, VECTORS[:2], 8, get=("nngp",))
    for name in ("nngp", "ntk"):
        np.testing.assert_allclose(block.values[name], whole.values[name][:1, 1:], rtol=1e-12)
        np.testing.assert_allclose(block.standard_errors[name], whole.standard_errors[name][:1, 1:], rtol=1e-9)
        assert np.array_equal(whole.values[name], whole.values[name].T)
    assert np.abs(fewer.nngp / whole.nngp[:2, :2] - 1).max() > 0.1
    with pytest.raises(InputError, match="batch of at least two inputs"):
        sampled(network, VECTORS[:1], 8)


def test_a_stream_is_the_run_sample_by_sample_and_a_run_goes_on():
    network, x = CLOSED["dense"]
    sampling = Sampling(KEY, width=8, outputs=2, samples=12, error=1e-9)
    kfn = ntklab.compile(network, (3,), engine="monte-carlo", sampling=sampling, get="ntk")
    *_, fifth = itertools.islice(kfn.stream(x), 5)
    assert fifth.samples == 5
    resumed, at_once = kfn(x, start=fifth, progress=False), kfn(x, progress=False)
    assert resumed.samples == at_once.samples == 12
    assert np.array_equal(resumed.ntk, at_once.ntk)
    assert next(kfn.stream(x, start=fifth)).samples == 6
    assert at_once.ntk.dtype == at_once.standard_errors["ntk"].dtype == np.float32
    with pytest.raises(InputError, match="nngp was not computed"):
        _ = at_once.nngp
    with pytest.raises(InputError, match="start must be a kernel of the same inputs"):
        kfn(x[:2], start=fifth)


def test_it_stops_at_the_error_that_is_asked_for():
    network, x = CLOSED["dense"]
    kernel = sampled(network, x, 2000, error=0.1)
    assert 8 <= kernel.samples < 2000
    assert kernel.relative_error <= 0.1
    for name in ("nngp", "ntk"):
        assert kernel.standard_errors[name].max() <= 0.1 * np.abs(kernel.values[name]).max()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Serial(Dense(), BatchNorm(), Relu(), Dense()), r"BatchNorm\(\) at 1 has no kernel in closed form: it couples"),
        (Serial(Conv(2), MaxPool(2), Flatten()), r"MaxPool\(\(2, 2\)\) at 1 has no kernel in closed form"),
        (Serial(SOFTMAX, GlobalAvgPool(), Dense()), "scores over sqrt.d. stay random.*use linear_scaling=True"),
        (Serial(Dense(), Product(Relu(), Relu()), Dense()), "branches that depend on each other"),
        (Serial(Dense(), Parallel(Relu(), Relu()), Dense()), "branches whose covariance has no closed form"),
    ],
    ids=["batch", "maxima", "softmax", "product", "sum"],
)
def test_exact_engines_refuse_what_has_no_closed_form_and_name_the_one_that_samples(network, words):
    shape = {"Conv": (3, 3, 2), "GlobalSelfAttention": (3, 2)}.get(type(network.layers[0]).__name__, (3,))
    for engine in ("auto", "reference"):
        with pytest.raises(SpecError, match=f'{words}.*engine="monte-carlo"'):
            ntklab.compile(network, shape, engine=engine)
    x = np.random.default_rng(1).normal(size=(2, *shape))
    assert np.isfinite(sampled(network, x, 2, width=4, get=("nngp",)).nngp).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling": None}, r"sampling=ntklab.Sampling\(key=jax.random.key\(0\)\)"),
        ({"network": {"a": Dense()}}, "takes one network"),
        ({"positions": "all"}, "without positions"),
        ({"engine": "auto"}, "sampling is for engine=.monte-carlo., which is asked for by name"),
        ({"engine": "montecarlo"}, "sampling is for"),
        ({"engine": "montecarlo", "sampling": None}, "auto.*monte-carlo, got"),
        ({"get": ("cov",)}, "get takes"),
        ({"dtype": "float16"}, "float32"),
        ({"sampling": Sampling(KEY, width=0)}, "width is a positive integer, got 0"),
        ({"sampling": Sampling(KEY, outputs=0)}, "outputs is a positive integer, got 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, words):
    given = {"network": Dense(), "engine": "monte-carlo", "sampling": Sampling(KEY), **options}
    with pytest.raises(InputError, match=words):
        ntklab.compile(given.pop("network"), (3,), **given)


def test_keys_inputs_and_uses_that_do_not_fit_are_refused():
    for key in (0, jax.random.PRNGKey(0), jax.random.split(KEY)):
        with pytest.raises(InputError, match=r"made by jax.random.key\(seed\)"):
            Sampling(key)
    kfn = ntklab.compile(Dense(), (3,), engine="monte-carlo", sampling=Sampling(KEY, samples=0))
    with pytest.raises(InputError, match="samples is a positive integer"):
        kfn(VECTORS)
    with pytest.raises(InputError, match="x1 needs the shape"):
        kfn(SEQUENCES)
    with pytest.raises(InputError, match="x2 has NaN"):
        kfn(VECTORS, np.full((1, 3), np.nan))
    with pytest.raises(InputError, match=r"a sampled kernel is called, kfn\(x\)"):
        ntklab.gram(kfn, VECTORS)
    with pytest.raises(SpecError, match="ends in a vector of outputs"):
        ntklab.compile(Conv(2), (3, 3, 2), engine="monte-carlo", sampling=Sampling(KEY))
    assert str(kfn.engine).startswith("monte-carlo: asked for by name")
