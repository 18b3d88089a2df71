"""Operators against the dense product: every block once, each in its own way."""

import threading

import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.errors import InputError, SolveError
from ntklab.solve import BlockOperator, ShardedOperator, SymmetricOperator
from ntklab.spec import zoo
from tests.solve.grams import gaussian

GRAM = 3 * gaussian(23, width=0.3)
VECTORS = np.random.default_rng(1).normal(size=(23, 3))
POINTS = np.random.default_rng(0).normal(size=(23, 5))
# Sums of 23 products of size 1 in another order than NumPy's.
EXACT = {"rtol": 1e-13, "atol": 1e-13}


def kernel(a, b):
    return 3 * jnp.exp(-0.3 * ((a[:, None] - b[None]) ** 2).sum(-1))


def operators(tile):
    yield BlockOperator.of_array(GRAM, tile=tile)
    yield BlockOperator.of_stored(GRAM, tile=tile)
    yield BlockOperator(lambda i, j: GRAM[i, j], 23, tile)
    yield BlockOperator(lambda i, j: GRAM[i, j], 23, tile, threads=3)
    yield BlockOperator.of_kernel(kernel, POINTS, tile=tile)
    yield BlockOperator.of_kernel(kernel, POINTS, tile=tile, threads=2)
    yield ShardedOperator.of_kernel(kernel, POINTS, tile=tile)
    yield ShardedOperator.stored(lambda i, j: GRAM[i, j], 23, tile=tile)


@pytest.mark.parametrize("tile", [5, 23, 64])
def test_every_operator_is_the_matrix(tile):
    for k in operators(tile):
        assert isinstance(k, SymmetricOperator)
        assert (k.shape, k.dtype) == ((23, 23), np.float64)
        np.testing.assert_allclose(k.matmat(VECTORS), GRAM @ VECTORS, **EXACT)
        np.testing.assert_allclose(k.matmat(VECTORS[:, :1]), GRAM @ VECTORS[:, :1], **EXACT)
        np.testing.assert_allclose(k.diagonal(), GRAM.diagonal(), **EXACT)
        np.testing.assert_allclose(k.rows([7, 0, 7, 22]), GRAM[[7, 0, 7, 22]], **EXACT)


@pytest.mark.parametrize("make", [BlockOperator.of_kernel, ShardedOperator.of_kernel])
def test_a_compiled_network_on_the_fly_is_its_gram(make):
    kfn = ntklab.compile(zoo.fc(3, W_std=zoo.HE), input_shape=(5,), dtype="float64")
    k = make(lambda a, b: kfn(a, b).ntk, POINTS, tile=6)
    gram = ntklab.gram(kfn, POINTS, progress=False).ntk
    np.testing.assert_allclose(k.matmat(VECTORS), gram @ VECTORS, rtol=1e-12)
    np.testing.assert_allclose(k.rows([3]), gram[[3]], rtol=1e-12)


def test_each_block_of_the_upper_triangle_is_read_once_and_no_other():
    read = []

    def block(i, j):
        read.append((i.start, j.start))
        return GRAM[i, j]

    k = BlockOperator(block, 23, 8)
    read.clear()
    k.matmat(VECTORS)
    assert read == [(0, 0), (0, 8), (0, 16), (8, 8), (8, 16), (16, 16)]


def test_threads_read_ahead_by_their_number_and_no_further():
    lock, waiting, most = threading.Lock(), set(), 0

    def block(i, j):
        nonlocal most
        with lock:
            waiting.add((i.start, j.start))
            most = max(most, len(waiting))
        return GRAM[i, j]

    k = BlockOperator(block, 23, 4, threads=2)
    product = k._upper(lambda rows, columns, values: values)
    for rows, columns, _ in product:
        with lock:
            waiting.discard((rows.start, columns.start))
    # The constructor's own look at the first points is one that is never used.
    assert most <= 2 + 1 + 1


def test_a_compiled_kernel_sees_three_shapes_of_blocks():
    shapes = set()

    def watched(a, b):
        shapes.add((a.shape, b.shape))
        return np.asarray(kernel(a, b))

    points = np.random.default_rng(0).normal(size=(700, 2))
    k = BlockOperator.of_kernel(watched, points, tile=300)
    k.matmat(np.ones((700, 1)))
    k.diagonal()
    k.rows([5, 600])
    assert shapes == {((300, 2), (300, 2)), ((128, 2), (128, 2)), ((128, 2), (300, 2))}


@pytest.mark.parametrize("k", [BlockOperator.of_array, lambda g: ShardedOperator.stored(lambda i, j: g[i, j], 23)])
def test_float32_entries_are_multiplied_in_the_precision_of_the_vectors(k):
    gram = GRAM.astype(np.float32)
    operator = k(gram)
    assert operator.dtype == np.float32
    expected = gram.astype(np.float64) @ VECTORS
    np.testing.assert_allclose(operator.matmat(VECTORS), expected, **EXACT)
    single = operator.matmat(VECTORS.astype(np.float32))
    assert single.dtype == np.float64
    # Measured 2.6e-7; float64 would be off by the rounding of the vectors alone.
    assert 1e-8 < np.abs(single - expected).max() / np.abs(expected).max() < 1e-6


def test_a_kernel_that_is_symmetric_only_within_rounding_gives_a_symmetric_operator():
    noisy = GRAM + 1e-9 * np.random.default_rng(2).normal(size=GRAM.shape)
    for k in (BlockOperator(lambda i, j: noisy[i, j], 23), ShardedOperator.stored(lambda i, j: noisy[i, j], 23)):
        dense = k.matmat(np.eye(23))
        np.testing.assert_allclose(dense, dense.T, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BlockOperator(lambda i, j: GRAM[i, j], 0), "size must be an integer of at least 1, got 0"),
        (lambda: BlockOperator(lambda i, j: GRAM[i, j], 23, 2.5), r"tile must be an integer .* got 2\.5"),
        (lambda: BlockOperator(lambda i, j: GRAM, 23), r"rows 0:8 and columns 0:8 must have shape \(8, 8\)"),
        (lambda: BlockOperator(lambda i, j: GRAM[i, j] > 0, 23), "must be float32 or float64, got bool"),
        (lambda: BlockOperator(lambda i, j: np.nan * GRAM[i, j], 23), "first block .* NaN"),
        (lambda: BlockOperator(lambda i, j: np.tril(GRAM)[i, j], 23), "must be symmetric"),
        (lambda: BlockOperator.of_stored(GRAM[:5]), r"shape \(N, N\), got \(5, 23\)"),
        (lambda: BlockOperator.of_array(GRAM).matmat(VECTORS[:5]), r"shape \(23, C\)"),
        (lambda: BlockOperator.of_array(GRAM).matmat(np.ones((23, 1), int)), "float32 or float64"),
        (lambda: BlockOperator.of_array(GRAM).rows([23]), "between 0 and 22"),
        (lambda: BlockOperator.of_array(GRAM).rows([0.5]), "list of integers"),
        (lambda: ShardedOperator.of_kernel(kernel, np.empty((0, 2))), r"shape \(0, 2\)"),
        (lambda: ShardedOperator.stored(lambda i, j: GRAM[i, j], 23, tile=0), "tile must be"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_needed(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_block_that_is_not_finite_is_named():
    bad = GRAM.copy()
    bad[3, 17] = bad[17, 3] = np.inf
    with pytest.raises(SolveError, match=r"rows 0:8 and columns 16:23 .* not finite"):
        BlockOperator(lambda i, j: bad[i, j], 23, 8).matmat(VECTORS)
