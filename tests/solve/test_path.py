"""Ridge paths: each entry against a computation for that ridge alone, by other means."""

import numpy as np
import pytest

from ntklab.errors import InputError, PrecisionWarning, SolveError
from ntklab.solve import Ridge, eigendecompose, factorise, ridge_path
from tests.solve.grams import gaussian, with_spectrum

GRAM = 3 * gaussian(25, width=0.3)
TARGETS = np.sin(GRAM[:, :2] * 3) + 0.2 * np.random.default_rng(1).normal(size=(25, 2))
RIDGES = [Ridge(10.0**k) for k in range(-3, 2)] + [Ridge(0.7, "nothing")]


def path(targets=TARGETS):
    return ridge_path(eigendecompose(GRAM), targets, RIDGES)


def test_every_entry_equals_what_a_cholesky_for_that_ridge_gives():
    found = path()
    for index, ridge in enumerate(RIDGES):
        factor = factorise(GRAM, ridge)
        inverse = np.linalg.inv(GRAM + factor.ridge_absolute * np.eye(25))
        smoother = GRAM @ inverse
        residual = TARGETS - smoother @ TARGETS
        assert found.ridge_absolute[index] == pytest.approx(factor.ridge_absolute, rel=1e-14)
        loo = np.mean((TARGETS - factor.leave_one_out(TARGETS)) ** 2)
        assert found.loo_error[index] == pytest.approx(loo, rel=1e-11)
        # The textbook form: mean squared residual over (1 - tr S / N)^2.
        gcv = np.mean(residual**2) / (1 - np.trace(smoother) / 25) ** 2
        assert found.gcv[index] == pytest.approx(gcv, rel=1e-9)
        assert found.log_likelihood[index] == pytest.approx(factor.log_likelihood(TARGETS), rel=1e-11)
        slope = np.trace(factor.log_likelihood_gradient(TARGETS))
        assert found.log_likelihood_slope[index] == pytest.approx(slope, rel=1e-10)
        assert found.degrees_of_freedom[index] == pytest.approx(np.trace(smoother), rel=1e-11)


def test_the_slope_of_the_likelihood_is_its_derivative_by_lambda():
    def likelihood(shift):
        return ridge_path(eigendecompose(GRAM), TARGETS, [Ridge(shift, "nothing")])

    h = 1e-4
    difference = (likelihood(0.3 + h).log_likelihood[0] - likelihood(0.3 - h).log_likelihood[0]) / (2 * h)
    assert likelihood(0.3).log_likelihood_slope[0] == pytest.approx(difference, rel=1e-6)


def test_one_column_counts_as_one_output():
    np.testing.assert_allclose(path(TARGETS[:, 0]).gcv, path(TARGETS[:, :1]).gcv, rtol=1e-14)
    both = [path(TARGETS[:, c]) for c in (0, 1)]
    np.testing.assert_allclose(path().loo_error, np.mean([one.loo_error for one in both], axis=0), rtol=1e-13)
    np.testing.assert_allclose(path().log_likelihood, sum(one.log_likelihood for one in both), rtol=1e-13)


def test_the_path_does_not_depend_on_the_blocks_it_is_computed_in(monkeypatch):
    whole = path().loo_error
    monkeypatch.setattr("ntklab.solve._gram._BLOCK_ENTRIES", 60)
    np.testing.assert_allclose(path().loo_error, whole, rtol=1e-13)


@pytest.mark.parametrize("by", ["loo", "gcv", "likelihood"])
def test_the_best_ridge_is_the_minimum_of_its_scores(by):
    found = path()
    scores = found.scores(by)
    assert found.best(by) is RIDGES[int(np.argmin(scores))]
    assert (found.scores("likelihood") == -found.log_likelihood).all()


def test_noise_of_known_size_is_found_by_every_criterion():
    # Targets drawn from N(0, K + 0.1 I) in many independent columns: the ridge is the variance of the noise.
    gram, vectors = with_spectrum(np.logspace(-3, 1, 40))
    draws = np.random.default_rng(0).normal(size=(40, 4000))
    targets = vectors @ (np.sqrt(np.logspace(-3, 1, 40) + 0.1)[:, None] * draws)
    ridges = [Ridge(value, "nothing") for value in (1e-3, 1e-2, 0.1, 1.0, 10.0)]
    found = ridge_path(eigendecompose(gram), targets, ridges)
    assert [found.best(by).value for by in ("loo", "gcv", "likelihood")] == [0.1, 0.1, 0.1]


def test_a_range_that_the_stored_precision_cannot_carry_warns_once():
    spectrum = eigendecompose(gaussian(300, width=1e-3).astype(np.float32))
    with pytest.warns(PrecisionWarning) as caught:
        ridge_path(spectrum, np.ones(300), [Ridge(1e-2), Ridge(1e-7), Ridge(1e-8)])
    assert len(caught) == 1
    assert "ridge of 1e-08 times" in str(caught[0].message)


def test_a_singular_kernel_needs_a_ridge_and_an_empty_list_is_refused():
    spectrum = eigendecompose(np.ones((3, 3)))
    with pytest.raises(SolveError, match="singular: 2 of its eigenvalues"):
        ridge_path(spectrum, np.ones(3), [Ridge(0.1), Ridge.none()])
    with pytest.raises(InputError, match="no ridge"):
        ridge_path(spectrum, np.ones(3), [])
    with pytest.raises(InputError, match="'aic'"):
        ridge_path(spectrum, np.ones(3), [Ridge(0.1)]).best("aic")
