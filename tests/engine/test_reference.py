"""What only the reference engine promises: blocks of any size give the same matrix."""

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine import _reference
from ntklab.spec import AvgPool, Conv, Dense, GlobalAvgPool, Relu, Serial, zoo
from ntklab.testing import assert_close, made_up_inputs, tolerance

NETWORKS = {
    "dense": (zoo.fc(3), (5,)),
    "pooling inside": (
        Serial(Conv(2, b_std=0.2), Relu(), AvgPool(2), Conv(2), GlobalAvgPool(), Dense()),
        (5, 5, 2),
    ),
}


@pytest.fixture
def largest_block(monkeypatch):
    """Set the largest block; compiled functions know the old one, so they are forgotten before and after."""

    def set_to(size):
        monkeypatch.setattr(_reference, "_LARGEST_BLOCK", size)
        jax.clear_caches()

    yield set_to
    monkeypatch.undo()
    jax.clear_caches()


@pytest.mark.parametrize("name", [pytest.param("dense", marks=pytest.mark.slow), "pooling inside"])
def test_the_size_of_blocks_does_not_matter(name, largest_block):
    network, shape = NETWORKS[name]
    x, y = np.split(made_up_inputs(12, shape), [7])
    results = []
    for size in (512, 3):
        largest_block(size)
        kfn = ntklab.compile(network, shape, engine="reference", dtype="float64")
        results.append((kfn(x), kfn(x, y)))
        assert np.array_equal(results[-1][0].ntk, np.asarray(results[-1][0].ntk).T)
    for actual, expected in zip(results[1], results[0], strict=True):
        assert_close(actual.nngp, expected.nngp, tolerance("float64"))
        assert_close(actual.ntk, expected.ntk, tolerance("float64"))


def test_blocks_shrink_as_plans_grow():
    small, large = (
        _reference._block_side(ntklab.compile(zoo.cntk(3, "gap"), (n, n, 3)).plan, np.dtype("float32")) for n in (4, 32)
    )
    assert small > large == 1
