"""A graph per input: the graph kernel of Du et al. 2019, one shared graph, masks, and finite networks."""

import jax
import numpy as np
import pytest

import ntklab
from ntklab.data import pack_graphs
from ntklab.errors import InputError, SpecError
from ntklab.finite import monte_carlo, network
from ntklab.spec import (
    Aggregate,
    Dense,
    Erf,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Graph,
    Index,
    Mask,
    Neighbours,
    Relu,
    Residual,
    Serial,
    from_json,
    to_json,
    zoo,
)
from tests.oracles.gntk_numpy import gntk

DRAW = np.random.default_rng(0)
FEATURES = [DRAW.normal(size=(n, 3)) for n in (3, 5, 4)]
EDGES = [np.triu(DRAW.random((len(x), len(x))) < 0.5, 1) for x in FEATURES]
EDGES = [(A | A.T).astype(float) for A in EDGES]


def packed(nodes=5, **options):
    return pack_graphs(FEATURES, EDGES, nodes, **options)


def kernel(network, x, x2=None):
    return ntklab.compile(network, x.shape[1:], dtype="float64")(x, x2)


@pytest.mark.parametrize(
    ("blocks", "depth", "mean", "jumping"),
    [(2, 1, False, False), (2, 2, True, False), (1, 1, True, True), (3, 1, False, True)],
)
def test_the_graph_kernel_is_the_recursion_of_the_paper(blocks, depth, mean, jumping):
    x = packed(6, self_loops=True)
    with jax.disable_jit():
        found = kernel(zoo.gntk(3, blocks, depth, mean, jumping=jumping), x)
    scale = 3 * (blocks + 1 if jumping else 1)  # inner products of features are means here
    for i, j in np.ndindex(3, 3):
        expected = gntk(FEATURES[i], EDGES[i], FEATURES[j], EDGES[j], blocks, depth, mean, jumping)
        # where nodes coincide, the recursion in covariances has lost half its digits
        rtol = 1e-12 if i != j else 1e-7
        np.testing.assert_allclose((scale * found.nngp[i, j], scale * found.ntk[i, j]), expected, rtol=rtol)


NETWORKS = {
    "residual": (Dense(b_std=0.3), Residual(Neighbours(), Dense(), Relu(), Dense()), Erf(), Neighbours(mean=True)),
    "two sums": (Neighbours(), Dense(b_std=0.2), Relu(), Neighbours(), Dense(b_std=0.1), Relu()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_graph_for_all_is_an_aggregation(name):
    A = DRAW.random((4, 4))
    x = DRAW.normal(size=(3, 4, 2))
    own = Serial(Graph(2), *NETWORKS[name], GlobalAvgPool(), Dense())

    def shared(layer):
        if isinstance(layer, Neighbours):
            return Aggregate((A / A.sum(axis=1, keepdims=True) if layer.mean else A).T)
        return layer.with_parts([shared(part) for _, part in layer.parts]) if layer.parts else layer

    given, expected = kernel(own, pack_graphs(x, [A] * 3)), kernel(Serial(*map(shared, own.layers[1:])), x)
    np.testing.assert_allclose(given.ntk, expected.ntk, rtol=1e-12)
    np.testing.assert_allclose(given.nngp, expected.nngp, rtol=1e-12)


def test_absent_nodes_change_nothing_behind_a_mask():
    layers = (Mask(), Neighbours(), Dense(b_std=0.2), Relu(), Neighbours(mean=True), Dense(b_std=0.3), Relu())
    network = Serial(Graph(3), *layers, GlobalAvgPool(), Dense(b_std=0.1))
    few, many = (kernel(network, packed(n, constant=Mask().constant)) for n in (5, 7))
    np.testing.assert_allclose(few.ntk, many.ntk, rtol=1e-12)


def test_the_same_nodes_in_another_graph_are_another_input():
    A = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    x = pack_graphs([FEATURES[0]] * 2, [A, np.ones((3, 3))])
    found = kernel(zoo.gntk(3), x)
    assert found.nngp[0, 1] < 0.99 * np.sqrt(found.nngp[0, 0] * found.nngp[1, 1])


FINITE = {
    "two sums": Serial(Graph(3), Neighbours(), Dense(8), Relu(), Neighbours(mean=True), GlobalSumPool(), Dense()),
    "jumping": zoo.gntk(3, blocks=1, width=8, jumping=True),
}


@pytest.mark.parametrize("name", ["two sums", pytest.param("jumping", marks=pytest.mark.slow)])
def test_finite_networks_have_this_kernel(name):
    x, spec = packed(), FINITE[name]
    net = network(spec, x.shape[1:], width=8, outputs=4, dtype="float64")
    found, exact = monte_carlo(net, x, key=jax.random.key(0), samples=400, progress=False), kernel(spec, x)
    for name in ("nngp", "ntk"):
        estimate = getattr(found, name)
        z = np.abs(estimate.mean - np.asarray(exact.values[name])) / estimate.standard_error
        assert z.max() < 4


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Dense(), Neighbours(), Flatten()), "stand first"),
        ((Graph(3), Index((slice(0, 2),)), Neighbours(), Flatten()), "needs the nodes"),
        ((Dense(), Graph(3)), "stands before"),
        ((Graph(2), Flatten()), "as many columns as nodes"),
        ((Mask(), Graph(3), Flatten()), "no rule"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(layers, words):
    with pytest.raises(SpecError, match=words):
        kernel(Serial(*layers), packed())
    assert from_json(to_json(Serial(*layers))) == Serial(*layers)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], []), "for each"),
        ((FEATURES, EDGES[:2]), "for each"),
        ((FEATURES, EDGES[::-1]), "Graph 0"),
        ((FEATURES, EDGES, 4), "at least 5"),
    ],
)
def test_graphs_that_cannot_be_packed_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        pack_graphs(*arguments)
