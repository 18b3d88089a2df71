"""Momentum and discrete steps against real loops, ODE solvers and 120-digit arithmetic, zero eigenvalues included."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ntklab.errors import InputError, SolveError
from ntklab.predict import Descent, Flow, MomentumFlow, fit, fit_flow, gradient_flow, max_learning_rate
from ntklab.solve import Ridge, eigendecompose
from tests.predict.problems import gaussian_problem, linear_problem

ALL = [Flow(), MomentumFlow(0.8), Descent(0.05), Descent(0.05, 0.9)]


def loop(problem, eta, m, steps, shift=0.0):
    """Heavy-ball steps on the dual coefficients, as an optimiser would take them."""
    alpha = velocity = np.zeros_like(problem.targets)
    for _ in range(steps):
        gradient = problem.f0_train + problem.k_train @ alpha - problem.targets + shift * alpha
        velocity = m * velocity - eta * gradient
        alpha = alpha + velocity
    return problem.f0_train + problem.k_train @ alpha, problem.f0_test + problem.k_test_train @ alpha


def predictions(problem, times, dynamics, ridge=Ridge.none()):  # noqa: B008
    arguments = (problem.k_train, problem.k_test_train, problem.targets, times, problem.f0_train, problem.f0_test)
    return gradient_flow(*arguments, dynamics=dynamics, ridge=ridge)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("fraction", [0.02, 0.9])
@pytest.mark.parametrize("ridge", [Ridge.none(), Ridge(0.3)], ids=str)
@pytest.mark.parametrize("make", [gaussian_problem, lambda: linear_problem()[0]], ids=["regular", "singular"])
def test_discrete_steps_are_those_of_a_real_loop(momentum, fraction, ridge, make):
    problem = make()
    eta = fraction * max_learning_rate(problem.k_train, momentum=momentum, ridge=ridge)
    shift = ridge.absolute(problem.k_train)
    steps = [0, 1, 2, 3, 7, 100, 1000]
    got = predictions(problem, steps, Descent(eta, momentum), ridge)
    for index, k in enumerate(steps):
        train, test = loop(problem, eta, momentum, k, shift)
        np.testing.assert_allclose(got.train[index], train, atol=1e-11)
        np.testing.assert_allclose(got.test[index], test, atol=1e-11)


def test_diverging_steps_are_followed_as_far_as_numbers_go_and_then_refused():
    problem = gaussian_problem()
    eta = 1.01 * max_learning_rate(problem.k_train)
    train, _ = loop(problem, eta, 0.0, 300)
    np.testing.assert_allclose(predictions(problem, 300, Descent(eta)).train, train, rtol=1e-9)
    assert np.abs(train).max() > 100
    for times in (np.inf, 10**6):
        with pytest.raises(SolveError, match=r"diverges: .* is 2\.02, and must be below .* = 2\."):
            predictions(problem, times, Descent(eta))


@pytest.mark.parametrize("friction", [0.05, 0.8, 6.0])
@pytest.mark.parametrize("make", [gaussian_problem, lambda: linear_problem()[0]], ids=["regular", "singular"])
def test_flow_with_momentum_solves_its_differential_equation(friction, make):
    problem = make()
    times = np.array([0.0, 0.03, 0.4, 3.0, 25.0])
    n, outputs = problem.targets.shape
    kernels = np.concatenate([problem.k_train, problem.k_test_train])

    def slope(_, state):
        values, speed = state.reshape(2, -1, outputs)
        pull = -(kernels @ (values[:n] - problem.targets))
        return np.concatenate([speed, pull - friction * speed]).ravel()

    start = np.concatenate([problem.f0_train, problem.f0_test])
    start = np.stack([start, np.zeros_like(start)]).ravel()
    solution = solve_ivp(slope, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    expected = solution.y.T.reshape(5, 2, -1, outputs)[:, 0]
    train, test = predictions(problem, times, MomentumFlow(friction))
    np.testing.assert_allclose(train, expected[:, :n], atol=5e-10)
    np.testing.assert_allclose(test, expected[:, n:], atol=5e-10)


def exact_gain(dynamics, w, t):
    """The gain in 120 digits, straight from the definitions."""
    with mpmath.workdps(120):
        w, t = mpmath.mpf(w), mpmath.mpf(t)
        if isinstance(dynamics, MomentumFlow):
            c = mpmath.mpf(dynamics.friction)
            if w == 0:
                return float(t / c - (1 - mpmath.exp(-c * t)) / c**2)
            d = mpmath.sqrt(c**2 / 4 - w)
            sinh = mpmath.sinh(d * t) / d if d else t
            return float(mpmath.re(1 - mpmath.exp(-c * t / 2) * (mpmath.cosh(d * t) + c / 2 * sinh)) / w)
        eta, m = mpmath.mpf(dynamics.learning_rate), mpmath.mpf(dynamics.momentum)
        step = mpmath.matrix([[1 - eta * w, m, eta], [-eta * w, m, eta], [0, 0, 1]])
        return float((step ** int(t))[0, 2])


@pytest.mark.parametrize("c", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("t", [1e-4, 0.1, 1.0, 30.0, 1e4])
def test_the_gain_of_momentum_flow_keeps_all_digits_for_every_eigenvalue(c, t):
    near = [c**2 / 4 * (1 + s * 10.0**-k) for s in (-1, 1) for k in (1, 3, 6, 12)]
    rates = np.array([0.0, 1e-30, 1e-15, 1e-9, 1e-4, 1.0, c**2 / 4, *near])
    expected = [exact_gain(MomentumFlow(c), w, t) for w in rates]
    # Beyond 1e-13 only what the angle sqrt(w) t itself loses by rounding.
    tolerance = 1e-13 * max(1.0, t * 1e-2)
    np.testing.assert_allclose(MomentumFlow(c).gain(rates, t), expected, rtol=tolerance)


@pytest.mark.parametrize("c", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("t", [1e30, 1e200])
def test_absurdly_late_times_are_the_end(c, t):
    rates = np.array([1e-9, 1.0, c**2 / 4, c**2 / 4 * (1 + 1e-12), 1e3])
    for dynamics in (Flow(), MomentumFlow(c)):
        np.testing.assert_allclose(dynamics.gain(rates, t), 1 / rates, rtol=1e-14)
    assert MomentumFlow(c).gain(np.zeros(1), t) == pytest.approx(t / c, rel=1e-14)


@pytest.mark.parametrize("m", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("steps", [1, 10, 1000, 10**6])
def test_the_gain_of_steps_keeps_its_digits_for_every_eigenvalue(m, steps):
    critical = (1 - m**0.5) ** 2 / 0.1  # where the two roots of the recurrence meet
    rates = np.array([0.0, 1e-30, 1e-15, 1e-9, 1e-4, 1.0, critical, 10.0, 19.0])
    expected = [exact_gain(Descent(0.1, m), w, steps) for w in rates]
    np.testing.assert_allclose(Descent(0.1, m).gain(rates, steps), expected, rtol=2e-12)


@pytest.mark.parametrize("dynamics", ALL, ids=str)
def test_every_dynamics_starts_at_f0_and_ends_at_the_same_regression(dynamics):
    problem = gaussian_problem()
    start, end = predictions(problem, 0, dynamics), predictions(problem, np.inf, dynamics)
    np.testing.assert_array_equal(start.train, problem.f0_train)
    np.testing.assert_array_equal(start.test, problem.f0_test)
    rest = fit(problem.k_train, problem.targets - problem.f0_train).predict(problem.k_test_train)
    np.testing.assert_allclose(end.test, problem.f0_test + rest, atol=1e-10)
    late = predictions(problem, 10**5, dynamics)
    np.testing.assert_allclose(late.test, end.test, atol=1e-8)


@pytest.mark.parametrize("dynamics", ALL, ids=str)
def test_with_a_ridge_every_dynamics_ends_at_ridge_regression(dynamics):
    problem = gaussian_problem()
    flow = fit_flow(problem.k_train, problem.targets, dynamics=dynamics, ridge=Ridge(0.1))
    regression = fit(problem.k_train, problem.targets, Ridge(0.1))
    np.testing.assert_allclose(flow.dual(np.inf), regression.alpha, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(flow.train(np.inf), regression.predict(problem.k_train), atol=1e-11)
    np.testing.assert_allclose(flow.train(10**4), problem.k_train @ flow.dual(10**4), atol=1e-11)


def test_steps_of_vanishing_size_with_momentum_become_the_flow():
    problem, eta = gaussian_problem(), 1e-8
    m = 1 - 0.8 * eta**0.5
    flow = predictions(problem, 3.0, MomentumFlow(0.8))
    steps = predictions(problem, round(3.0 / eta**0.5), Descent(eta, m))
    np.testing.assert_allclose(steps.test, flow.test, atol=2e-3)


@pytest.mark.parametrize("n", [1, 2, 12, 150])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_largest_learning_rate_is_two_over_the_largest_eigenvalue(n, momentum):
    gram = gaussian_problem(n=n).k_train
    expected = 2 * (1 + momentum) / (np.linalg.eigvalsh(gram)[-1] + 0.6)
    for given in (gram, gram.astype(np.float32), eigendecompose(gram)):
        found = max_learning_rate(given, momentum=momentum, ridge=Ridge(0.3))
        assert found == pytest.approx(expected, rel=1e-6 if given is not gram else 1e-12)
    assert isinstance(found, float)


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_the_largest_learning_rate_separates_convergence_from_divergence(factor):
    problem = gaussian_problem()
    eta = factor * max_learning_rate(problem.k_train, momentum=0.5)
    train, _ = predictions(problem, 50_000, Descent(eta, 0.5))
    assert (np.abs(train - problem.targets).max() < 1e3) == (factor < 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MomentumFlow(0.0), "friction must be a positive finite number, got 0.0"),
        (lambda: MomentumFlow(np.nan), "friction"),
        (lambda: Descent(-0.1), "learning rate must be a positive"),
        (lambda: Descent(0.1, 1.0), "momentum must be at least 0 and below 1, got 1.0"),
        (lambda: fit_flow(np.eye(2), [1.0, 2.0], dynamics=Descent(0.1)).train(1.5), "whole numbers, got 1.5"),
        (lambda: fit_flow(np.eye(2), [1.0, 2.0], ridge=0.1), r"pass Ridge\(0\.1\)"),
        (lambda: max_learning_rate(np.eye(2), momentum=1.5), "momentum"),
        (lambda: max_learning_rate(np.zeros((2, 2))), "zero"),
        (lambda: max_learning_rate(np.eye(2), ridge=0.1), r"pass Ridge\(0\.1\)"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
