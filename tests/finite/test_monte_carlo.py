"""Means over random parameters: the recurrence, the errors, where it stops and how it goes on."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.finite import MonteCarlo, empirical_nngp, empirical_ntk, monte_carlo, monte_carlo_stream, network
from ntklab.spec import Dense, Relu, Serial

X1, X2 = (np.random.default_rng(i).normal(size=(n, 3)) for i, n in ((0, 4), (1, 2)))
NET = network(Serial(Dense(b_std=0.4), Relu(), Dense(W_std=1.3)), (3,), width=64, outputs=2, dtype="float64")
KEY = jax.random.key(7)
QUIET = {"key": KEY, "progress": False}


def test_mean_and_standard_error_are_those_of_the_samples():
    found = monte_carlo(NET, X1, X2, samples=5, **QUIET)
    params = [NET.init(jax.random.fold_in(KEY, i)) for i in range(5)]
    for name, kernel in (("nngp", empirical_nngp), ("ntk", empirical_ntk)):
        each = np.stack([kernel(NET, p, X1, X2) for p in params])
        estimate = getattr(found, name)
        np.testing.assert_allclose(estimate.mean, each.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(estimate.standard_error, each.std(axis=0, ddof=1) / np.sqrt(5), rtol=1e-10)
    assert found.samples == 5


def test_a_run_that_is_taken_up_again_gives_the_same():
    whole = monte_carlo(NET, X1, samples=4, get=("ntk",), **QUIET)
    half = monte_carlo(NET, X1, samples=2, get=("ntk",), **QUIET)
    again = monte_carlo(NET, X1, samples=4, get=("ntk",), start=half, **QUIET)
    assert np.array_equal(whole.ntk.mean, again.ntk.mean)
    assert np.array_equal(whole.ntk.standard_error, again.ntk.standard_error)
    assert monte_carlo(NET, X1, samples=2, get=("ntk",), start=whole, **QUIET) is whole
    assert whole.nngp is None


def test_it_stops_at_the_error_that_is_asked_for():
    found = monte_carlo(NET, X1, samples=500, error=0.1, get=("ntk",), **QUIET)
    assert 8 <= found.samples < 500
    assert found.relative_error <= 0.1
    states = itertools.islice(monte_carlo_stream(NET, X1, key=KEY, get=("ntk",)), found.samples)
    *before, last = [state.relative_error for state in states]
    assert all(error > 0.1 for error in before)
    assert last == found.relative_error


def test_the_mean_of_any_function_is_within_its_errors_of_the_truth():
    def f(w, x):
        return (x @ w) ** 2

    found = monte_carlo(f, X1, init=lambda key: jax.random.normal(key, (3,)), samples=800, get=("ntk",), **QUIET)
    dots, norms = X1 @ X1.T, (X1**2).sum(axis=1)
    assert (np.abs(found.ntk.mean - 4 * dots**2) < 4 * found.ntk.standard_error).all()
    assert (found.ntk.standard_error < 0.1 * 4 * norms.max() ** 2).all()


def test_outputs_are_kept_as_asked():
    found = monte_carlo(NET, X1, X2, samples=2, outputs="full", **QUIET)
    assert found.ntk.mean.shape == found.nngp.mean.shape == (4, 2, 2, 2)
    assert found.relative_error == float("inf")  # too few samples to tell


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"samples": 0}, "samples is a positive integer, got 0"),
        ({"error": 0.0}, "error is a finite number > 0 or None, got 0.0"),
        ({"get": ("cov",)}, "got .'cov',."),
        ({"f": lambda w, x: x @ w}, "needs init, a function of a key"),
        ({"start": MonteCarlo(1)}, "start has no nngp"),
    ],
)
def test_what_does_not_fit_is_refused(change, needed):
    with pytest.raises(InputError, match=needed):
        monte_carlo(**{"f": NET, "x1": jnp.asarray(X1), "samples": 3, **QUIET, **change})
