"""Flow on any loss by diffrax against the closed forms, and against SciPy on train and test outputs together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import softmax

from ntklab.errors import InputError, SolveError
from ntklab.predict import MomentumFlow, encode, gradient_flow, loss_flow
from tests.predict.problems import gaussian_problem

pytest.importorskip("diffrax")

TIMES = np.array([0.0, 0.3, 2.0, 10.0])


@pytest.mark.parametrize("friction", [None, 0.7])
def test_on_the_squared_loss_it_agrees_with_the_closed_form(friction):
    problem = gaussian_problem()
    dynamics = {} if friction is None else {"dynamics": MomentumFlow(friction)}
    arguments = (problem.k_train, problem.k_test_train, problem.targets, TIMES, problem.f0_train, problem.f0_test)
    expected = gradient_flow(*arguments, **dynamics)
    options = {"friction": friction, "rtol": 1e-12, "atol": 1e-12}
    flow = loss_flow(problem.k_train, problem.targets, TIMES, "squared", problem.f0_train, **options)
    np.testing.assert_allclose(flow.train, expected.train, atol=1e-9)
    np.testing.assert_allclose(flow.test(problem.k_test_train, problem.f0_test), expected.test, atol=1e-9)


def test_on_cross_entropy_it_solves_the_equation_of_train_and_test_outputs():
    problem = gaussian_problem()
    targets = encode(np.arange(12) % 3, "one-hot")
    kernels = np.concatenate([problem.k_train, problem.k_test_train])

    def slope(_, state):
        return -(kernels @ (softmax(state.reshape(17, 3)[:12], axis=1) - targets)).ravel()

    start = np.concatenate([problem.f0_train, problem.f0_test]).ravel()
    solution = solve_ivp(slope, (0, 10.0), start, method="DOP853", t_eval=TIMES, rtol=1e-12, atol=1e-13)
    expected = solution.y.T.reshape(4, 17, 3)
    flow = loss_flow(problem.k_train, targets, TIMES, f0_train=problem.f0_train, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(flow.train, expected[:, :12], atol=1e-8)
    np.testing.assert_allclose(flow.test(problem.k_test_train, problem.f0_test), expected[:, 12:], atol=1e-8)
    assert 0 < flow.steps < 1000


def test_a_loss_of_ones_own_on_one_output_and_times_in_any_order():
    problem = gaussian_problem(outputs=())
    flow = loss_flow(problem.k_train, problem.targets, [2.0, 0.0, 0.3], lambda f, y: jnp.mean((f - y) ** 2) * 6)
    expected = gradient_flow(problem.k_train, problem.k_test_train, problem.targets, [2.0, 0.0, 0.3])
    np.testing.assert_allclose(flow.train, expected.train, atol=1e-6)
    np.testing.assert_allclose(flow.test(problem.k_test_train), expected.test, atol=1e-6)
    one = loss_flow(problem.k_train, problem.targets, 2.0, "squared")
    assert one.train.shape == (12,)
    np.testing.assert_allclose(one.test(problem.k_test_train), expected.test[0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_tolerances_do_not_depend_on_the_units_of_the_kernel(scale):
    problem = gaussian_problem()
    reference = loss_flow(problem.k_train, problem.targets, 2.0, "squared")
    scaled = loss_flow(scale * problem.k_train, problem.targets, 2.0 / scale, "squared")
    np.testing.assert_allclose(scaled.train, reference.train, atol=1e-9)
    assert abs(scaled.steps - reference.steps) < 10  # the first guess of a step knows no units


def test_it_works_in_float64_whatever_the_mode_of_jax_and_leaves_the_mode_alone():
    problem = gaussian_problem()
    expected = gradient_flow(problem.k_train, problem.k_test_train, problem.targets, 2.0).train
    with jax.enable_x64(False):
        flow = loss_flow(problem.k_train, problem.targets, 2.0, "squared", rtol=1e-10, atol=1e-10)
        assert jnp.ones(()).dtype == np.float32
    np.testing.assert_allclose(flow.train, expected, atol=1e-8)


def test_nothing_moves_at_time_zero():
    flow = loss_flow(np.eye(3), np.ones(3), 0.0, "squared", [0.5, 0.0, 1.0])
    np.testing.assert_array_equal(flow.train, [0.5, 0.0, 1.0])
    assert flow.steps == 0


def test_too_few_steps_are_an_error_that_says_how_far_it_came():
    problem = gaussian_problem()
    with pytest.raises(SolveError, match=r"more than max_steps=20 steps.* 2 of 3 times were reached"):
        loss_flow(problem.k_train, problem.targets, [0.0, 0.1, 1e4], "squared", max_steps=20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": -1.0}, "at least 0"),
        ({"times": np.inf}, "Times must be finite"),
        ({"loss": "hinge"}, "'hinge'"),
        ({"loss": "cross-entropy"}, r"encode\(labels, 'one-hot'\)"),
        ({"loss": lambda f, y: f - y}, "must return a scalar"),
        ({"f0_train": np.ones(3)}, r"f0_train must have shape \(3, 2\)"),
        ({"friction": 0.0}, "friction must be a positive"),
        ({"rtol": -1.0}, "rtol must be"),
        ({"k_train": np.ones((3, 2))}, r"shape \(N, N\)"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    given = {"k_train": np.eye(3), "targets": np.full((3, 2), 0.7), "times": 1.0, "loss": "squared"} | options
    with pytest.raises(InputError, match=message):
        loss_flow(**given)
