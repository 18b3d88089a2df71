"""Conjugate gradients against dense solves, and iteration counts that the spectrum predicts."""

import numpy as np
import pytest
import scipy.linalg

from ntklab.errors import InputError, SolveError
from ntklab.solve import LowRank, Ridge, conjugate_gradients, rpcholesky
from tests.solve.grams import gaussian, with_spectrum


def solve(*arguments, **options):
    return conjugate_gradients(*arguments, progress=False, **options)


class Dense:
    """A bare object with the five members, which counts its products and may misbehave."""

    def __init__(self, gram, noise=0.0):
        self.gram, self.noise, self.columns = gram, noise, []
        self.rng = np.random.default_rng(0)

    shape = property(lambda self: self.gram.shape)
    dtype = property(lambda self: self.gram.dtype)

    def diagonal(self):
        return self.gram.diagonal().astype(float)

    def rows(self, indices):
        return self.gram[indices]

    def matmat(self, vectors):
        self.columns.append(vectors.shape[1])
        exact = (self.gram.astype(vectors.dtype) @ vectors).astype(float)
        return exact * (1 + self.noise * self.rng.normal(size=exact.shape))


@pytest.mark.parametrize("shape", [(80,), (80, 1), (80, 4)])
@pytest.mark.parametrize("ridge", [Ridge(1e-3), Ridge(0.2, "nothing")], ids=str)
@pytest.mark.parametrize("rank", [0, 20])
def test_solutions_equal_those_of_a_dense_solver(shape, ridge, rank):
    gram = 5 * gaussian(80, width=0.3)
    targets = np.random.default_rng(1).normal(size=shape)
    shift = {1e-3: 5e-3, 0.2: 0.2}[ridge.value]
    system = gram + shift * np.eye(80)
    preconditioner = rpcholesky(Dense(gram), rank, seed=0) if rank else None
    found = solve(gram, targets, ridge, preconditioner=preconditioner, tolerance=1e-12)
    assert found.alpha.shape == shape
    assert found.ridge_absolute == pytest.approx(shift, rel=1e-14)
    np.testing.assert_allclose(found.alpha, scipy.linalg.solve(system, targets, assume_a="pos"), rtol=1e-8, atol=1e-9)
    true = np.linalg.norm(targets - system @ found.alpha, axis=0) / np.linalg.norm(targets, axis=0)
    # The residual is itself a difference of numbers of size 1.
    np.testing.assert_allclose(found.residuals, np.atleast_1d(true), atol=1e-14)
    assert found.residuals.max() <= 1e-12


@pytest.mark.parametrize("distinct", [1, 2, 5, 9])
def test_a_spectrum_of_m_values_takes_m_iterations(distinct):
    gram, _ = with_spectrum(np.repeat(np.linspace(1, 10, distinct), 60 // distinct))
    found = solve(gram, np.random.default_rng(0).normal(size=len(gram)), tolerance=1e-10)
    assert found.iterations.tolist() == [distinct]
    # One more product recomputes the residual.
    assert found.products == distinct + 1


def test_each_column_stops_when_the_eigenvectors_it_contains_are_used_up():
    values = np.arange(20.0, 60)
    gram, vectors = with_spectrum(values)
    combination = np.zeros((40, 4))
    combination[7, 0], combination[[1, 5, 30], 1], combination[:6, 3] = 1.0, 1.0, 1.0
    operator = Dense(gram)
    found = solve(operator, vectors @ combination, tolerance=1e-10)
    assert found.iterations.tolist() == [1, 3, 0, 6]
    # Columns that have stopped are multiplied no more; the last product recomputes all but the zero one.
    assert operator.columns == [3, 2, 2, 1, 1, 1, 3]
    np.testing.assert_allclose(found.alpha, vectors @ (combination / values[:, None]), atol=1e-10)
    assert found.residuals[2] == 0
    assert np.isnan(found.history[2:, 0]).all()
    assert np.isfinite(found.history[:4, 1]).all()


def test_the_history_is_that_of_the_textbook_algorithm():
    gram, targets = gaussian(50, width=0.3) + 2 * np.eye(50), np.random.default_rng(0).normal(size=50)
    found = solve(gram, targets, tolerance=1e-6)
    r, x = targets.copy(), np.zeros(50)
    p, expected = r.copy(), [1.0]
    for _ in range(found.iterations[0]):
        step = r @ r / (p @ gram @ p)
        x, old = x + step * p, r @ r
        r = r - step * gram @ p
        p = r + r @ r / old * p
        expected.append(np.linalg.norm(r) / np.linalg.norm(targets))
    np.testing.assert_allclose(found.history[:, 0], expected, rtol=1e-7)
    np.testing.assert_allclose(found.alpha, x, rtol=1e-7, atol=1e-8)


def test_a_preconditioner_that_is_the_system_takes_one_iteration():
    # Three large eigenvalues on a flat tail of 2: the tail shift completes F F^T to K.
    gram, vectors = with_spectrum(np.r_[np.full(37, 2.0), 50.0, 300.0, 4000.0])
    factor = vectors[:, 37:] * np.sqrt([48.0, 298.0, 3998.0])
    exact = LowRank(factor, float(np.trace(gram)), np.empty(0, int), "by hand")
    assert exact.tail == pytest.approx(2.0, rel=1e-12)
    targets = np.random.default_rng(0).normal(size=(40, 2))
    assert solve(gram, targets, preconditioner=exact, tolerance=1e-10).iterations.tolist() == [1, 1]
    assert solve(gram, targets, tolerance=1e-10).iterations.min() >= 4


def test_iterations_stay_within_the_chebyshev_bound_of_the_preconditioned_spectrum():
    gram = gaussian(200, width=0.1)
    low_rank = rpcholesky(Dense(gram), 30, seed=0)
    shift = 1e-3
    inverse = low_rank.inverse(shift)
    values = scipy.linalg.eigvals(inverse(gram + shift * np.eye(200))).real
    condition = values.max() / values.min()
    found = solve(gram, np.ones(200), Ridge(shift, "nothing"), preconditioner=low_rank, tolerance=1e-8)
    # In the norm of A the error falls by 2 q^k; the 2-norm of the residual costs sqrt(cond(A)) more.
    q = (np.sqrt(condition) - 1) / (np.sqrt(condition) + 1)
    slack = 2 * np.sqrt(np.linalg.cond(gram + shift * np.eye(200)))
    assert found.iterations[0] <= np.log(1e-8 / slack) / np.log(q) + 1


def test_the_tail_shift_keeps_iterations_few_where_lambda_alone_does_not():
    tail = np.random.default_rng(0).uniform(0.1, 0.6, 270)  # the shape of an NTK's spectrum
    gram, _ = with_spectrum(np.r_[tail, 0.6 * 1.35 ** np.arange(30)])
    low_rank = rpcholesky(Dense(gram), 40, seed=0)
    targets = np.random.default_rng(0).normal(size=(300, 3))
    ridge = Ridge(1e-7, "nothing")
    ours = solve(gram, targets, ridge, preconditioner=low_rank, tolerance=1e-8).iterations.max()
    no_tail = LowRank(low_rank.factor, float((low_rank.factor**2).sum()), low_rank.pivots, "no tail")
    assert no_tail.tail < 1e-12
    textbook = solve(gram, targets, ridge, preconditioner=no_tail, tolerance=1e-8, max_iterations=5000).iterations.max()
    plain = solve(gram, targets, ridge, tolerance=1e-8).iterations.max()
    assert ours < 0.6 * plain
    assert ours < 0.6 * textbook


@pytest.mark.parametrize("shift", [1e-1, 1e-3])
def test_float32_products_reach_the_tolerance_of_float64_ones(shift):
    gram = gaussian(150, width=0.3).astype(np.float32)
    targets = np.random.default_rng(0).normal(size=(150, 3))
    single, double = Dense(gram), Dense(gram)
    low_rank = rpcholesky(Dense(gram), 30, seed=0)
    options = {"ridge": Ridge(shift), "tolerance": 1e-10, "preconditioner": low_rank}
    found = solve(single, targets, products="float32", **options)
    wanted = solve(double, targets, **options)
    system = gram.astype(float) + found.ridge_absolute * np.eye(150)
    true = np.linalg.norm(targets - system @ found.alpha, axis=0) / np.linalg.norm(targets, axis=0)
    assert true.max() <= 1e-10
    np.testing.assert_allclose(found.alpha, np.linalg.solve(system, targets), rtol=1e-6, atol=1e-6)
    assert found.iterations.max() <= 1.3 * wanted.iterations.max()


def test_a_solution_whose_recurrence_was_too_hopeful_goes_on_from_the_true_residual():
    gram, _ = with_spectrum(np.linspace(1, 20, 60))
    # Products off by 1e-6 let the recurrence drift from the truth by about as much.
    operator = Dense(gram)
    exact, calls = operator.matmat, []

    def drifting(vectors):
        calls.append(vectors.shape[1])
        return exact(vectors) * (1 + (1e-6 if len(calls) % 9 == 5 else 0.0))

    operator.matmat = drifting
    found = solve(operator, np.random.default_rng(0).normal(size=60), tolerance=1e-9)
    assert found.products > found.iterations[0] + 1
    assert found.residuals[0] <= 1e-9


def test_all_targets_zero_needs_no_iteration():
    found = solve(np.eye(3), np.zeros((3, 2)))
    assert found.iterations.tolist() == [0, 0]
    np.testing.assert_array_equal(found.alpha, np.zeros((3, 2)))


def test_targets_are_not_modified():
    targets = np.ones((5, 2))
    solve(2 * np.eye(5), targets)
    np.testing.assert_array_equal(targets, np.ones((5, 2)))


def test_progress_names_the_worst_residual(capsys):
    conjugate_gradients(gaussian(30), np.ones(30), Ridge(1e-3))
    assert "residual=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gram", "targets", "options", "message"),
    [
        (np.diag([1.0, -1.0]), [1.0, 1.0], {}, r"not positive definite .* column 0 .* = 0 "),
        (np.diag([1.0, -2.0]), [1.0, 1.0], {}, r"p' p = -0\.5"),
        (np.zeros((2, 2)), [1.0, 1.0], {}, "not positive definite"),
        (gaussian(40), np.ones(40), {"max_iterations": 3, "ridge": Ridge(1e-6)}, "3 iterations did not reach"),
        (Dense(with_spectrum(np.linspace(1, 9, 60))[0], 1e-4), np.ones(60), {"tolerance": 1e-9}, "Rounding keeps"),
    ],
)
def test_a_system_that_cannot_be_solved_says_why(gram, targets, options, message):
    with pytest.raises(SolveError, match=message):
        solve(gram, targets, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve(np.eye(3), np.ones(4)), r"\(3,\) or \(3, C\)"),
        (lambda: solve(np.eye(3), np.ones((3, 0))), r"\(3,\) or \(3, C\)"),
        (lambda: solve(np.eye(3), [1.0, np.nan, 1.0]), r"entry \(1,\) is nan"),
        (lambda: solve(np.eye(3), np.ones(3), 0.1), "A ridge names its scale"),
        (lambda: solve(np.eye(3), np.ones(3), tolerance=0), "tolerance must be"),
        (lambda: solve(np.eye(3), np.ones(3), max_iterations=0), "max_iterations must be"),
        (lambda: solve(np.eye(3), np.ones(3), products="half"), "'float64' or 'float32'"),
        (
            lambda: solve(np.eye(3), np.ones(3), preconditioner=rpcholesky(Dense(np.eye(4)), 2, seed=0)),
            "preconditioner is of 4 points, the operator of 3",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_matrices_that_name_their_tiles_are_read_by_tile():
    class Stored:
        shape, tile = (6, 6), 4

        def __init__(self):
            self.read = []

        def __getitem__(self, key):
            self.read.append((key[0].start, key[1].start))
            return (4 * np.eye(6))[key]

    stored = Stored()
    np.testing.assert_allclose(solve(stored, np.ones(6)).alpha, np.full(6, 0.25), rtol=1e-14)
    assert set(stored.read) == {(0, 0), (0, 4), (4, 4)}
    assert rpcholesky(stored, 3, seed=0).rank == 3
