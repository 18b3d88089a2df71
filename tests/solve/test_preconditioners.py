"""Low-rank approximations against their definitions, in algebra and in distribution."""

from itertools import permutations

import numpy as np
import pytest

from ntklab.errors import InputError, SolveError
from ntklab.solve import BlockOperator, gaussian_nystrom, rpcholesky
from tests.solve.grams import gaussian, with_spectrum

GRAM = 2 * gaussian(60, width=0.3)


def of(gram):
    return BlockOperator.of_array(gram)


@pytest.mark.parametrize("block", [None, 1, 7, 60])
def test_rpcholesky_is_the_projection_on_its_pivots(block):
    found = rpcholesky(of(GRAM), 20, seed=3, block=block)
    assert found.rank == len(set(found.pivots.tolist())) == 20
    s = found.pivots
    expected = GRAM[:, s] @ np.linalg.solve(GRAM[np.ix_(s, s)], GRAM[s])
    np.testing.assert_allclose(found.factor @ found.factor.T, expected, atol=1e-11)
    assert np.linalg.eigvalsh(GRAM - found.factor @ found.factor.T).min() > -1e-13
    assert found.trace == pytest.approx(np.trace(GRAM), rel=1e-14)
    assert found.captured == pytest.approx(np.trace(expected) / np.trace(GRAM), rel=1e-12)
    assert found.tail == pytest.approx(np.trace(GRAM - expected) / 60, rel=1e-10)


def test_seeds_repeat_and_differ():
    first, again, other = (rpcholesky(of(GRAM), 9, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.factor, again.factor)
    assert first.pivots.tolist() != other.pivots.tolist()


def test_pivots_of_blocks_are_drawn_with_the_probabilities_of_one_at_a_time():
    """Each ordered pair of pivots against its exact probability, d_i / tr K and then what is left likewise."""
    gram = np.array([[4.0, 1.9, 0.0, 0.5], [1.9, 1.0, 0.1, 0.2], [0.0, 0.1, 2.0, -1.0], [0.5, 0.2, -1.0, 1.5]])
    assert np.linalg.eigvalsh(gram).min() > 0
    operator, draws, counts = of(gram), 600, {}
    for seed in range(draws):
        pair = tuple(rpcholesky(operator, 2, seed=seed, block=4).pivots.tolist())
        counts[pair] = counts.get(pair, 0) + 1
    for i, j in permutations(range(4), 2):
        left = gram.diagonal() - gram[i] ** 2 / gram[i, i]
        chance = gram[i, i] / np.trace(gram) * left[j] / left.sum()
        deviation = np.sqrt(chance * (1 - chance) / draws)
        assert abs(counts.get((i, j), 0) / draws - chance) < 4 * deviation


def test_rpcholesky_is_near_the_best_of_its_rank():
    values = 0.7 ** np.arange(80)
    gram, _ = with_spectrum(values)
    left = [1 - rpcholesky(of(gram), 20, seed=seed).captured for seed in range(10)]
    best = values[20:].sum() / values.sum()
    assert best < np.mean(left) < 8 * best  # measured 5.8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_where_nothing_is_left_the_rank_is_lower_than_asked_for(dtype):
    features = np.random.default_rng(0).normal(size=(40, 3))
    gram = (features @ features.T).astype(dtype)
    found = rpcholesky(of(gram), 20, seed=0)
    assert found.rank == 3
    np.testing.assert_allclose(found.factor @ found.factor.T, gram, atol=50 * np.finfo(dtype).eps)


def test_duplicate_points_are_chosen_once():
    gram = gaussian(30, width=0.3, duplicate=(4, 21))
    pivots = rpcholesky(of(gram), 29, seed=0).pivots.tolist()
    assert not {4, 21} <= set(pivots)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gaussian_nystrom_is_its_formula(dtype):
    gram, _ = with_spectrum(np.geomspace(1e-3, 10, 50))
    gram = gram.astype(dtype)
    found = gaussian_nystrom(of(gram), 12, seed=5)
    test = np.random.default_rng(5).normal(size=(50, 12))
    sketch = gram.astype(float) @ test
    expected = sketch @ np.linalg.solve(test.T @ sketch, sketch.T)
    np.testing.assert_allclose(found.factor @ found.factor.T, expected, atol={4: 1e-5, 8: 1e-12}[dtype().itemsize])
    assert found.pivots.size == 0


def test_gaussian_nystrom_takes_one_product():
    products = []

    class Counting:
        shape, dtype = GRAM.shape, GRAM.dtype
        diagonal = staticmethod(GRAM.diagonal)
        rows = GRAM.__getitem__

        def matmat(self, vectors):
            products.append(vectors.shape)
            return GRAM @ vectors

    gaussian_nystrom(Counting(), 10, seed=0)
    assert products == [(60, 10)]


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 1.0])
@pytest.mark.parametrize("make", [rpcholesky, gaussian_nystrom])
def test_the_preconditioner_is_the_inverse_of_its_formula(make, ridge):
    found = make(of(GRAM), 15, seed=0)
    dense = found.factor @ found.factor.T + max(ridge, found.tail) * np.eye(60)
    right = np.random.default_rng(0).normal(size=(60, 4))
    np.testing.assert_allclose(found.inverse(ridge)(right), np.linalg.solve(dense, right), rtol=1e-7, atol=1e-9)


def test_a_preconditioner_prints_its_rank_and_share_of_the_trace():
    assert str(rpcholesky(of(np.eye(4)), 2, seed=7)) == "rpcholesky(rank=2, seed=7): rank 2, 50.0 % of the trace"


@pytest.mark.parametrize("make", [rpcholesky, gaussian_nystrom])
@pytest.mark.parametrize("rank", [0, 61, 2.0, True])
def test_a_rank_that_is_none_is_refused(make, rank):
    with pytest.raises(InputError, match="between 1 and N = 60"):
        make(of(GRAM), rank, seed=0)


@pytest.mark.parametrize("make", [rpcholesky, gaussian_nystrom])
@pytest.mark.parametrize("gram", [np.diag([1.0, -1.0, 3.0]), np.zeros((3, 3))])
def test_a_diagonal_that_no_kernel_has_is_refused(make, gram):
    with pytest.raises(SolveError, match=r"k\(x, x\) >= 0"):
        make(of(gram), 2, seed=0)


def test_a_sketch_of_an_indefinite_matrix_is_refused():
    with pytest.raises(SolveError, match=r"eigenvalue -1, .* rounding of float64"):
        gaussian_nystrom(of(np.array([[1.0, 2.0], [2.0, 1.0]])), 2, seed=0)
