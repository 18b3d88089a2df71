"""Gradient flow against a general ODE solver, against closed forms on paper, and at its limits."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ntklab.errors import InputError, SolveError
from ntklab.predict import fit, fit_flow, gradient_flow
from ntklab.solve import Status, eigendecompose
from tests.predict.problems import gaussian_problem, linear_problem

TIMES = np.array([0.0, 0.03, 0.4, 3.0, 25.0])


def integrate(problem, times):
    """df(X)/dt = -K (f(X) - Y) and df(x)/dt = -k(x, X) (f(X) - Y), by a Runge-Kutta method of order 8."""
    n, m = problem.k_test_train.shape[::-1]
    shape = problem.targets.shape[1:]
    kernels = np.concatenate([problem.k_train, problem.k_test_train])

    def slope(_, state):
        train = state.reshape(n + m, *shape)[:n]
        return -(kernels @ (train - problem.targets)).ravel()

    start = np.concatenate([problem.f0_train, problem.f0_test]).ravel()
    solution = solve_ivp(slope, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    states = solution.y.T.reshape(times.size, n + m, *shape)
    return states[:, :n], states[:, n:]


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_train_and_test_predictions_solve_the_differential_equation(outputs):
    problem = gaussian_problem(outputs=outputs)
    train, test = gradient_flow(
        problem.k_train, problem.k_test_train, problem.targets, TIMES, problem.f0_train, problem.f0_test
    )
    expected_train, expected_test = integrate(problem, TIMES)
    assert train.shape == (5, 12, *outputs)
    assert test.shape == (5, 5, *outputs)
    np.testing.assert_allclose(train, expected_train, atol=2e-10)
    np.testing.assert_allclose(test, expected_test, atol=2e-10)


def test_the_differential_equation_is_solved_for_a_singular_kernel_too():
    problem, _ = linear_problem()
    train, test = gradient_flow(problem.k_train, problem.k_test_train, problem.targets, TIMES)
    expected_train, expected_test = integrate(problem, TIMES)
    np.testing.assert_allclose(train, expected_train, atol=2e-10)
    np.testing.assert_allclose(test, expected_test, atol=2e-10)


def test_many_small_steps_of_gradient_descent_on_the_mean_loss_are_flow_at_time_steps_over_n():
    # Loss 1/(2N) sum of squares, learning rate eta: t = eta * steps / N. Euler's error is of order eta.
    problem = gaussian_problem(n=6, m=2)
    eta, steps = 1e-4, 30_000
    train, test = problem.f0_train.copy(), problem.f0_test.copy()
    for _ in range(steps):
        residual = (train - problem.targets) / 6
        train = train - eta * problem.k_train @ residual
        test = test - eta * problem.k_test_train @ residual
    got = gradient_flow(
        problem.k_train,
        problem.k_test_train,
        problem.targets,
        eta * steps / 6,
        problem.f0_train,
        problem.f0_test,
    )
    np.testing.assert_allclose(got.train, train, atol=1e-4)
    np.testing.assert_allclose(got.test, test, atol=1e-4)


def test_one_training_point_has_its_solution_on_paper():
    # f_t = y + (f_0 - y) e^{-w t}; at a test point with kernel k: f_0' + k (y - f_0) (1 - e^{-w t}) / w.
    w, k, y, f0, f0_test, t = 3.0, 0.7, 2.0, -1.0, 0.25, 0.2
    train, test = gradient_flow([[w]], [[k]], [y], t, [f0], [f0_test])
    np.testing.assert_allclose(train, [y + (f0 - y) * np.exp(-0.6)], rtol=1e-14)
    np.testing.assert_allclose(test, [f0_test + k * (y - f0) * (1 - np.exp(-0.6)) / w], rtol=1e-14)


def test_at_time_zero_nothing_has_moved():
    problem = gaussian_problem()
    train, test = gradient_flow(
        problem.k_train, problem.k_test_train, problem.targets, 0.0, problem.f0_train, problem.f0_test
    )
    np.testing.assert_array_equal(train, problem.f0_train)
    np.testing.assert_array_equal(test, problem.f0_test)


def test_at_infinite_time_the_flow_arrives_at_kernel_regression():
    problem = gaussian_problem()
    train, test = gradient_flow(problem.k_train, problem.k_test_train, problem.targets, np.inf)
    np.testing.assert_allclose(train, problem.targets, atol=1e-12)
    expected = fit(problem.k_train, problem.targets).predict(problem.k_test_train)
    np.testing.assert_allclose(test, expected, rtol=1e-9, atol=1e-10)


def test_infinite_time_is_the_limit_of_large_times():
    problem = gaussian_problem()
    late, end = (
        gradient_flow(problem.k_train, problem.k_test_train, problem.targets, t, problem.f0_train, problem.f0_test)
        for t in (1e6, np.inf)
    )
    np.testing.assert_allclose(late.train, end.train, atol=1e-10)
    np.testing.assert_allclose(late.test, end.test, atol=1e-10)


def test_with_an_initial_function_the_end_is_that_function_plus_regression_on_the_residual():
    problem = gaussian_problem()
    flow = fit_flow(problem.k_train, problem.targets, problem.f0_train)
    correction = np.linalg.solve(problem.k_train, problem.targets - problem.f0_train)
    np.testing.assert_allclose(
        flow.test(problem.k_test_train, np.inf, problem.f0_test),
        problem.f0_test + problem.k_test_train @ correction,
        rtol=1e-9,
        atol=1e-10,
    )


def test_the_end_of_a_singular_flow_is_least_squares_on_the_features():
    problem, points = linear_problem()
    weights = np.linalg.lstsq(points[:12], problem.targets, rcond=None)[0]
    train, test = gradient_flow(problem.k_train, problem.k_test_train, problem.targets, np.inf)
    np.testing.assert_allclose(train, points[:12] @ weights, atol=1e-11)
    np.testing.assert_allclose(test, points[12:] @ weights, atol=1e-11)


def test_identical_training_points_with_different_targets_end_at_their_mean():
    gram = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    flow = fit_flow(gram, [1.0, 3.0, -1.0])
    assert flow.status is Status.SINGULAR
    np.testing.assert_allclose(flow.train(np.inf), [2.0, 2.0, -1.0], rtol=1e-12)
    np.testing.assert_allclose(flow.test(gram, np.inf), [2.0, 2.0, -1.0], rtol=1e-12)


@pytest.mark.parametrize("w", [1.0, 1e-3, 1e-9, 1e-12, 1e-14])
@pytest.mark.parametrize("t", [1e-3, 1.0, 1e3, 1e9])
def test_small_eigenvalues_lose_no_digits(w, t):
    # Eigenvalue w next to eigenvalue 1; the eigenvectors are the axes, so (1 - e^{-w t}) / w can be read off.
    with mpmath.workdps(50):
        expected = float((1 - mpmath.exp(-mpmath.mpf(w) * mpmath.mpf(t))) / mpmath.mpf(w))
    dual = fit_flow(np.diag([w, 1.0]), [1.0, 0.0]).dual(t)
    np.testing.assert_allclose(dual, [expected, 0.0], rtol=1e-14)
    train = fit_flow(np.diag([w, 1.0]), [1.0, 0.0]).train(t)
    np.testing.assert_allclose(train, [expected * w, 0.0], rtol=1e-13)


@pytest.mark.parametrize("w", [0.0, 1e-17, -1e-17])
def test_a_zero_eigenvalue_grows_the_dual_like_t_and_teaches_nothing(w):
    flow = fit_flow(np.diag([w, 1.0]), [1.0, 0.0])
    np.testing.assert_allclose(flow.dual([0.0, 2.5, 1e6]), [[0.0, 0.0], [2.5, 0.0], [1e6, 0.0]], rtol=1e-15)
    np.testing.assert_array_equal(flow.train([0.0, 2.5, np.inf]), np.zeros((3, 2)))
    np.testing.assert_allclose(flow.test([[0.5, 0.0]], 2.0), [1.0], rtol=1e-15)
    np.testing.assert_array_equal(flow.dual(np.inf), [0.0, 0.0])


def test_a_zero_kernel_learns_nothing():
    flow = fit_flow(np.zeros((2, 2)), [1.0, 2.0])
    np.testing.assert_array_equal(flow.train([1.0, np.inf]), np.zeros((2, 2)))
    np.testing.assert_array_equal(flow.test(np.zeros((3, 2)), np.inf), np.zeros(3))


def test_a_limit_that_does_not_exist_is_an_error_that_names_the_point():
    flow = fit_flow(np.diag([0.0, 1.0]), np.array([[0.0, 1.0], [1.0, 1.0]]))
    cross = np.array([[0.0, 1.0], [0.1, 1.0], [0.25, 1.0]])
    with pytest.raises(SolveError, match=r"no limit at test point 2, output 1: .* as 0\.25 \* t"):
        flow.test(cross, [1.0, np.inf])
    assert np.isfinite(flow.test(cross, 1e12)).all()


def test_a_zero_eigenvalue_without_a_residual_does_no_harm():
    np.testing.assert_allclose(fit_flow(np.diag([0.0, 2.0]), [0.0, 1.0]).test([[5.0, 1.0]], np.inf), [0.5])


def test_a_residual_of_rounding_size_along_a_zero_eigenvalue_does_no_harm():
    rotation = np.array([[0.6, 0.8], [-0.8, 0.6]])
    gram = rotation @ np.diag([0.0, 2.0]) @ rotation.T
    test = fit_flow((gram + gram.T) / 2, rotation[:, 1]).test([rotation[:, 0] + rotation[:, 1]], np.inf)
    np.testing.assert_allclose(test, [0.5], rtol=1e-12)


def test_a_singular_float32_kernel_has_a_limit_within_its_rounding():
    problem, _ = linear_problem(n=30, rank=4)
    flow = fit_flow(problem.k_train, problem.targets)
    rounded = flow.test(problem.k_test_train.astype(np.float32), np.inf)
    np.testing.assert_allclose(rounded, flow.test(problem.k_test_train, np.inf), atol=1e-5)


def test_times_whose_product_with_an_eigenvalue_overflows_are_simply_late():
    np.testing.assert_array_equal(fit_flow([[1e200]], [3.0]).train(1e200), [3.0])


def test_one_time_and_a_vector_of_times_agree():
    problem = gaussian_problem()
    flow = fit_flow(problem.k_train, problem.targets, problem.f0_train)
    train, test = flow.train(TIMES), flow.test(problem.k_test_train, TIMES, problem.f0_test)
    for index, t in enumerate(TIMES):
        assert flow.train(t).shape == problem.targets.shape
        np.testing.assert_allclose(flow.train(t), train[index], atol=1e-13)
        np.testing.assert_allclose(flow.test(problem.k_test_train, t, problem.f0_test), test[index], atol=1e-13)


def test_a_vector_of_one_time_keeps_its_axis():
    assert fit_flow(np.eye(3), np.ones((3, 2))).train([1.0]).shape == (1, 3, 2)
    assert fit_flow(np.eye(3), np.ones(3)).test(np.ones((4, 3)), [1.0]).shape == (1, 4)


def test_the_dual_coefficients_give_both_predictions():
    problem = gaussian_problem()
    flow = fit_flow(problem.k_train, problem.targets, problem.f0_train)
    dual = flow.dual(0.7)
    np.testing.assert_allclose(problem.f0_train + problem.k_train @ dual, flow.train(0.7), atol=1e-12)
    np.testing.assert_allclose(
        problem.f0_test + problem.k_test_train @ dual,
        flow.test(problem.k_test_train, 0.7, problem.f0_test),
        atol=1e-12,
    )


def test_one_decomposition_serves_many_targets():
    problem = gaussian_problem()
    spectrum = eigendecompose(problem.k_train)
    for column in range(3):
        targets = problem.targets[:, column]
        once = gradient_flow(problem.k_train, problem.k_test_train, targets, 0.5)
        again = gradient_flow(spectrum, problem.k_test_train, targets, 0.5)
        np.testing.assert_array_equal(once.train, again.train)
        np.testing.assert_array_equal(once.test, again.test)
    assert fit_flow(spectrum, problem.targets).spectrum is spectrum


def test_jax_arrays_are_accepted_everywhere():
    problem = gaussian_problem()
    arguments = (
        problem.k_train,
        problem.k_test_train,
        problem.targets,
        TIMES,
        problem.f0_train,
        problem.f0_test,
    )
    expected = gradient_flow(*arguments)
    got = gradient_flow(*(jnp.asarray(value) for value in arguments))
    np.testing.assert_array_equal(got.train, expected.train)
    np.testing.assert_array_equal(got.test, expected.test)
    assert isinstance(got.test, np.ndarray)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (-1e-3, "-0.001"),
        ([1.0, -2.0], "-2"),
        (np.nan, "nan"),
        ([], "empty"),
        ([[1.0]], r"\(1, 1\)"),
        ("late", "<U4"),
    ],
)
def test_times_that_are_no_times_are_refused(times, message):
    flow = fit_flow(np.eye(2), [1.0, 2.0])
    for predict in (flow.train, flow.dual, lambda t: flow.test(np.ones((1, 2)), t)):
        with pytest.raises(InputError, match=message):
            predict(times)


def test_an_initial_function_known_on_one_side_only_is_refused():
    with pytest.raises(InputError, match="f0_test is needed"):
        gradient_flow(np.eye(2), np.ones((1, 2)), [1.0, 2.0], 1.0, f0_train=[0.0, 1.0])
    with pytest.raises(InputError, match="without f0_train"):
        gradient_flow(np.eye(2), np.ones((1, 2)), [1.0, 2.0], 1.0, f0_test=[1.0])


def test_initial_outputs_must_have_the_shape_of_the_targets():
    with pytest.raises(InputError, match=r"f0_train must have shape \(2,\)"):
        fit_flow(np.eye(2), [1.0, 2.0], np.ones((2, 1)))
    with pytest.raises(InputError, match=r"f0_test must have shape \(3,\)"):
        fit_flow(np.eye(2), [1.0, 2.0], [0.0, 1.0]).test(np.ones((3, 2)), 1.0, np.ones((3, 1)))
    with pytest.raises(InputError, match="3 test points"):
        fit_flow(np.eye(2), [1.0, 2.0], [0.0, 1.0]).test(np.ones((3, 2)), 1.0, np.ones(2))


def test_targets_and_kernels_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="2 training points"):
        fit_flow(np.eye(2), np.ones(3))
    with pytest.raises(InputError, match="must be finite"):
        fit_flow(np.eye(2), [1.0, np.inf])
    with pytest.raises(InputError, match="pass the transpose"):
        fit_flow(np.eye(2), np.ones(2)).test(np.ones((2, 5)), 1.0)


def test_an_indefinite_kernel_is_refused():
    with pytest.raises(SolveError, match="not positive semidefinite"):
        fit_flow([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0])
