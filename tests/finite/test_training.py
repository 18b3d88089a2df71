"""Training: linear networks against their exact solution, gradient descent by hand, and flow as its limit."""

import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.linalg

from ntklab.errors import InputError, MissingExtraError, SolveError
from ntklab.finite import empirical_ntk, network, train_flow, train_gd
from ntklab.spec import Dense, Relu, Serial, zoo

TIMES = [0.0, 0.3, 1.0, 4.0]


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def linear_problem(b_std=0.5):
    net = network(Dense(W_std=1.5, b_std=b_std), (3,), outputs=2, dtype="float64")
    return net, net.init(jax.random.key(0)), draw(0, 5, 3), draw(1, 5, 2), draw(2, 4, 3)


def features(x, W_std=1.5, b_std=0.5):
    """The inputs as a linear network with a bias sees them: its outputs are these times its parameters."""
    return np.concatenate([W_std / np.sqrt(x.shape[1]) * x, np.full((len(x), 1), b_std)], axis=1)


def parameters(params):
    return np.concatenate([params.trainable["0"]["W"], np.asarray(params.trainable["0"]["b"])[None]])


def exact_flow(A, theta, y, t):
    """Solve d theta / dt = -A^T (A theta - y) as a homogeneous system with one more, constant, row."""
    system = np.zeros((A.shape[1] + 1, A.shape[1] + 1))
    out = np.empty_like(theta)
    for column in range(theta.shape[1]):
        system[:-1, :-1], system[:-1, -1] = -A.T @ A, A.T @ y[:, column]
        out[:, column] = (scipy.linalg.expm(t * system) @ np.append(theta[:, column], 1.0))[:-1]
    return out


def test_gradient_flow_of_a_linear_network_is_the_matrix_exponential():
    net, params, x, y, x_test = linear_problem()
    path = train_flow(net, params, x, y, TIMES, x_test=x_test, rtol=1e-10, atol=1e-10)
    theta = [exact_flow(features(x), parameters(params), y, t) for t in TIMES]
    close = {"rtol": 1e-7, "atol": 1e-8}
    np.testing.assert_allclose(path.train, [features(x) @ w for w in theta], **close)
    np.testing.assert_allclose(path.test, [features(x_test) @ w for w in theta], **close)
    np.testing.assert_allclose(parameters(path.params), theta[-1], **close)
    assert path.times.tolist() == TIMES
    assert path.steps > 0


def test_the_tangent_kernel_drives_the_outputs_of_the_flow():
    net, params, x, y, _ = linear_problem()
    kernel = empirical_ntk(net, params, x)
    path = train_flow(net, params, x, y, TIMES, rtol=1e-10, atol=1e-10)
    expected = [y + scipy.linalg.expm(-t * kernel) @ (path.train[0] - y) for t in TIMES]
    np.testing.assert_allclose(path.train, expected, rtol=1e-7, atol=1e-8)


def test_default_tolerances_keep_four_digits_of_a_linear_network():
    net, params, x, y, _ = linear_problem()
    path = train_flow(net, params, x, y, TIMES)
    expected = [features(x) @ exact_flow(features(x), parameters(params), y, t) for t in TIMES]
    np.testing.assert_allclose(path.train, expected, atol=2e-4)


@pytest.mark.parametrize("record_every", [None, 1, 4, 7, 20, 50])
def test_gradient_descent_is_the_loop_written_by_hand(record_every):
    net, params, x, y, x_test = linear_problem()
    rate, steps = 0.02, 20
    path = train_gd(net, params, x, y, rate, steps, x_test=x_test, record_every=record_every)
    A, theta = features(x), parameters(params)
    history = [theta]
    for _ in range(steps):
        theta = theta - rate * A.T @ (A @ theta - y)
        history.append(theta)
    every = record_every or steps
    marks = sorted({*range(0, steps, every), steps})
    np.testing.assert_allclose(path.times, rate * np.array(marks), rtol=1e-14)
    np.testing.assert_allclose(path.train, [A @ history[m] for m in marks], rtol=1e-12)
    np.testing.assert_allclose(path.test, [features(x_test) @ history[m] for m in marks], rtol=1e-12)
    np.testing.assert_allclose(parameters(path.params), theta, rtol=1e-12)
    assert path.steps == steps


def test_gradient_descent_tends_to_the_flow_in_proportion_to_its_step():
    # A start from which no hidden unit switches on or off: the error is then exactly of first order.
    net = network(Serial(Dense(6, b_std=0.3), Relu(), Dense(b_std=0.2)), (2,), dtype="float64")
    params, x, y, x_test = net.init(jax.random.key(6)), draw(0, 3, 2), draw(1, 3), draw(2, 3, 2)
    flow = train_flow(net, params, x, y, [0.0, 0.3], x_test=x_test, rtol=1e-8, atol=1e-9)
    errors = []
    for rate in (0.01, 0.005, 0.0025):
        path = train_gd(net, params, x, y, rate, round(0.3 / rate), x_test=x_test)
        errors.append([np.abs(path.train - flow.train).max(), np.abs(path.test - flow.test).max()])
    assert np.max(errors[0]) < 1e-3
    np.testing.assert_allclose(np.divide(errors[1:], errors[:-1]), 0.5, atol=0.01)


def test_across_the_jumps_of_relus_derivative_flow_and_small_steps_still_agree():
    net = network(zoo.fc(2, width=32), (3,), dtype="float64")
    params, x, y = net.init(jax.random.key(1)), draw(0, 8, 3), np.sin(draw(0, 8, 3)[:, 0])
    flow = train_flow(net, params, x, y, [5.0])
    path = train_gd(net, params, x, y, 5e-4, 10_000)
    assert flow.steps > 200  # far more than smoothness would need: the path does run along jumps
    np.testing.assert_allclose(flow.train[-1], path.train[-1], atol=3e-3)


@pytest.mark.parametrize("train", ["flow", "gd"])
def test_layers_that_are_not_trained_do_not_move(train):
    net = network(zoo.cntk(3, "gap"), (4, 4, 2), width=4)
    params, x, y = net.init(jax.random.key(0)), draw(0, 3, 4, 4, 2), draw(1, 3)
    path = train_flow(net, params, x, y, [1.0]) if train == "flow" else train_gd(net, params, x, y, 0.1, 5)
    assert list(path.params.trainable) == ["2"]
    assert not np.allclose(path.params.trainable["2"]["W"], params.trainable["2"]["W"])
    assert sorted(path.params.frozen) == ["0", "5"]
    for name in path.params.frozen:
        assert np.array_equal(path.params.frozen[name]["W"], params.frozen[name]["W"])
    np.testing.assert_allclose(net.apply(path.params, x), path.train[-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("train", ["flow", "gd"])
def test_a_network_that_trains_nothing_stays_where_it_is(train):
    net = network(Dense(trainable=False), (2,))
    params, x, y = net.init(jax.random.key(0)), draw(0, 3, 2), draw(1, 3)
    path = train_flow(net, params, x, y, [0.0, 1.0]) if train == "flow" else train_gd(net, params, x, y, 0.1, 5)
    assert path.train.shape == (2, 3, 1)
    assert np.array_equal(path.train[0], path.train[1])


@pytest.mark.parametrize(
    ("train", "dtype"),
    [
        ("flow", "float32"),
        pytest.param("flow", "float64", marks=pytest.mark.slow),
        ("gd", "float32"),
        ("gd", "float64"),
    ],
)
def test_everything_comes_out_in_the_dtype_of_the_network(dtype, train):
    net = network(zoo.fc(2, width=8), (4,), outputs=2, dtype=dtype)
    params = net.init(jax.random.key(0))
    x, y, x_test = draw(0, 3, 4), np.eye(3, 2, dtype=int), draw(1, 5, 4)
    if train == "flow":
        path = train_flow(net, params, x, y, [0.0, 0.1], x_test=x_test)
    else:
        path = train_gd(net, params, x, y, 0.1, 2, x_test=x_test)
    assert isinstance(path.train, np.ndarray)
    assert isinstance(path.test, np.ndarray)
    assert (path.train.shape, path.test.shape) == ((2, 3, 2), (2, 5, 2))
    assert (path.train.dtype, path.test.dtype, path.times.dtype) == (dtype, dtype, "float64")
    assert {leaf.dtype for leaf in jax.tree.leaves(path.params)} == {np.dtype(dtype)}
    np.testing.assert_allclose(path.test[0], net.apply(params, x_test), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(path.train[-1], net.apply(path.params, x), rtol=1e-5, atol=1e-6)


def test_without_test_inputs_there_are_no_test_outputs():
    net, params, x, y, _ = linear_problem()
    assert train_flow(net, params, x, y, [0.0]).test is None
    assert train_gd(net, params, x, y, 0.01, 1).test is None


def test_flow_to_time_zero_is_the_start():
    net, params, x, y, x_test = linear_problem()
    path = train_flow(net, params, x, y, [0.0], x_test=x_test)
    assert path.steps == 0
    assert path.train.shape == (1, 5, 2)
    np.testing.assert_allclose(path.test[0], net.apply(params, x_test), rtol=1e-12)


def test_labels_of_one_output_may_come_without_its_axis():
    net = network(Dense(), (2,), dtype="float64")
    params, x, y = net.init(jax.random.key(0)), draw(0, 3, 2), draw(1, 3)
    one, two = (train_gd(net, params, x, labels, 0.1, 5).train for labels in (y, y[:, None]))
    assert np.array_equal(one, two)


def test_the_flow_stops_where_the_loss_has_fallen_far_enough():
    net, params, x, y, x_test = linear_problem()
    theta = np.linalg.lstsq(features(x), y)[0]
    least = 0.5 * np.sum((features(x) @ theta - y) ** 2)  # five points, four numbers each: some loss stays
    whole = train_flow(net, params, x, y, [0.1, 1e3], x_test=x_test)
    short = train_flow(net, params, x, y, [0.1, 1e3, 2e3], x_test=x_test, until=1.01 * least)
    assert 0.1 < short.end < 1e3 == whole.end
    assert short.steps < whole.steps / 4
    losses = [0.5 * np.sum((f - y) ** 2) for f in short.train]
    assert losses[0] > 1.01 * least >= losses[1] > least
    np.testing.assert_allclose(short.train[0], whole.train[0], atol=1e-3)
    now = net.apply(short.params, x_test)  # records after the end are of the end
    for late in short.test[1:]:
        np.testing.assert_allclose(late, now, atol=1e-12)
    with pytest.raises(InputError, match="until is a finite loss"):
        train_flow(net, params, x, y, [1.0], until=-1.0)


def test_too_few_steps_say_how_far_the_flow_came():
    net, params, x, y, _ = linear_problem()
    with pytest.raises(SolveError, match=r"more than max_steps=5 steps: 1 of 2 times .* asked for is 1000"):
        train_flow(net, params, x, y, [0.0, 1000.0], max_steps=5)


def test_too_large_a_learning_rate_says_so():
    net, params, x, y, _ = linear_problem()
    with pytest.raises(SolveError, match=r"by step 2000 of 2000: learning_rate 5.0 is too large"):
        train_gd(net, params, x, y, 5.0, 2000)


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"x": np.ones((5, 4))}, r"x has shape \(n, 3\) for this network, got \(5, 4\)"),
        ({"x": np.ones((0, 3)), "y": np.ones((0, 2))}, "x holds no inputs"),
        ({"y": np.ones((5, 1))}, r"y holds real numbers in shape \(5, 2\).*got shape \(5, 1\)"),
        ({"y": np.ones(5)}, r"got shape \(5,\)"),
        ({"y": np.ones((5, 2), complex)}, "dtype complex128"),
        ({"x_test": np.ones((5, 4))}, r"x_test has shape \(n, 3\) for this network, got \(5, 4\)"),
        ({"times": []}, "times are finite, increasing"),
        ({"times": [1.0, 1.0]}, "times are finite, increasing"),
        ({"times": [-1.0, 1.0]}, "not negative"),
        ({"times": [np.nan]}, "times are finite"),
        ({"times": [[1.0]]}, "in one dimension"),
        ({"rtol": 0.0}, "rtol is a finite number > 0, got 0.0"),
        ({"rtol": 1e-17}, "rtol=1e-17 is finer than float64 resolves"),
        ({"atol": -1.0}, "atol is a finite number > 0, got -1.0"),
        ({"max_steps": 0}, "max_steps is a positive integer, got 0"),
    ],
)
def test_the_flow_refuses_what_it_cannot_use(change, needed):
    net, params, x, y, _ = linear_problem()
    with pytest.raises(InputError, match=needed):
        train_flow(net, params, **{"x": x, "y": y, "times": TIMES, **change})


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"learning_rate": 0.0}, "learning_rate is a finite number > 0, got 0.0"),
        ({"learning_rate": np.inf}, "learning_rate is a finite number > 0, got inf"),
        ({"steps": 0}, "steps is a positive integer, got 0"),
        ({"steps": 2.0}, "steps is a positive integer, got 2.0"),
        ({"record_every": 0}, "record_every is a positive integer, got 0"),
        ({"params": None}, "params are of another network"),
    ],
)
def test_gradient_descent_refuses_what_it_cannot_use(change, needed):
    net, params, x, y, _ = linear_problem()
    if "params" in change:
        change = {"params": network(Dense(7), (3,), dtype="float64").init(jax.random.key(0))}
    arguments = {"params": params, "x": x, "y": y, "learning_rate": 0.1, "steps": 2, **change}
    with pytest.raises(InputError, match=needed):
        train_gd(net, **arguments)


def test_without_diffrax_the_flow_names_the_extra_to_install(monkeypatch):
    net, params, x, y, _ = linear_problem()
    monkeypatch.delitem(sys.modules, "ntklab.finite._flow", raising=False)
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ntklab\[flow\]'"):
        train_flow(net, params, x, y, TIMES)


def test_diffrax_is_imported_only_when_asked_for():
    code = "import sys, ntklab.finite; print('diffrax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
