"""The chosen ridge against brute force over refits, and what is refused."""

import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.predict import choose_ridge, fit
from ntklab.solve import Ridge, eigendecompose
from tests.predict.problems import joint_problem

RIDGES = [Ridge(10.0**k) for k in range(-4, 2)]


def noisy(n=40, m=30):
    kernel, problem = joint_problem(n=n, m=m, width=0.05)
    smooth = np.sin(3 * kernel[:, :2])
    targets = smooth + 0.1 * np.random.default_rng(3).normal(size=smooth.shape)
    return problem.k_train, problem.k_test_train, targets[:n], targets[n:]


def brute_force(k_train, targets, ridge):
    """Mean squared leave-one-out error by refitting without each point, at the same lambda."""
    shift, n = ridge.absolute(k_train), len(k_train)
    errors = []
    for i in range(n):
        rest = np.arange(n) != i
        alpha = np.linalg.solve(k_train[np.ix_(rest, rest)] + shift * np.eye(n - 1), targets[rest])
        errors.append(k_train[i, rest] @ alpha - targets[i])
    return np.mean(np.square(errors))


def test_leave_one_out_scores_are_those_of_refits():
    k_train, _, targets, _ = noisy()
    choice = choose_ridge(k_train, targets, ridges=RIDGES)
    expected = [brute_force(k_train, targets, ridge) for ridge in RIDGES]
    np.testing.assert_allclose(choice.scores, expected, rtol=1e-9)
    assert choice.ridge is RIDGES[int(np.argmin(expected))]
    assert choice.by == "loo"


def test_validation_scores_are_those_of_fits():
    k_train, k_val, targets, val_targets = noisy()
    choice = choose_ridge(k_train, targets, "validation", RIDGES, validation=(k_val, val_targets))
    expected = [np.mean((fit(k_train, targets, ridge).predict(k_val) - val_targets) ** 2) for ridge in RIDGES]
    np.testing.assert_allclose(choice.scores, expected, rtol=1e-9)
    assert choice.ridge is RIDGES[int(np.argmin(expected))]
    one = choose_ridge(k_train, targets[:, 0], "validation", RIDGES, validation=(k_val, val_targets[:, 0]))
    assert one.scores.shape == (6,)


@pytest.mark.parametrize("by", ["loo", "gcv", "likelihood"])
def test_the_regression_is_the_one_with_the_chosen_ridge(by):
    k_train, k_test, targets, test_targets = noisy()
    spectrum = eigendecompose(k_train)
    choice = choose_ridge(spectrum, targets, by)
    np.testing.assert_array_equal(choice.scores, choice.path.scores(by))
    assert choice.regression.factor.ridge == choice.ridge
    expected = fit(k_train, targets, choice.ridge).predict(k_test)
    np.testing.assert_allclose(choice.regression.predict(k_test), expected, atol=1e-9)

    def error(ridge):
        return np.mean((fit(spectrum, targets, ridge).predict(k_test) - test_targets) ** 2)

    # Without knowing the test points, nearly the best that knowing them could give; all spans a factor of 9.
    errors = [error(ridge) for ridge in choice.path.ridges]
    assert error(choice.ridge) < 1.5 * min(errors) < 0.2 * max(errors)
    assert not choice.at_edge


def test_an_optimum_at_the_edge_of_the_range_is_reported():
    k_train, _, targets, _ = noisy()
    assert choose_ridge(k_train, targets, ridges=[Ridge(1e-1), Ridge(1.0), Ridge(10.0)]).at_edge


def test_the_default_range_leaves_out_what_a_float32_kernel_cannot_carry():
    k_train, _, targets, _ = noisy(n=120)
    double, single = (choose_ridge(k_train.astype(dtype), targets) for dtype in (np.float64, np.float32))
    assert len(double.path.ridges) == 19  # warnings are errors here
    assert 9 <= len(single.path.ridges) < 19
    assert single.ridge == double.ridge


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "aic"}, "'aic'"),
        ({"by": "validation"}, "validation=.* is needed for by='validation', and for nothing else"),
        ({"by": "loo", "validation": (np.eye(3), np.ones(3))}, "for nothing else"),
        ({"by": "validation", "validation": (np.ones((2, 3)), np.ones((2, 2)))}, r"got \(2, 2\)"),
        ({"by": "validation", "validation": (np.ones((0, 3)), np.ones(0))}, "at least one point"),
        ({"by": "validation", "validation": (np.ones((3, 2)), np.ones(3))}, "pass the transpose"),
        ({"ridges": []}, "no ridge"),
        ({"ridges": [0.1]}, r"pass Ridge\(0\.1\)"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        choose_ridge(np.eye(3), np.ones(3), **options)
