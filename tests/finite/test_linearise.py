"""Taylor polynomials in the parameters, and training on them against the kernel predictor at the same time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.finite import empirical_ntk, linearise, network, taylor_expand, train_flow, train_gd, train_sgd
from ntklab.predict import Descent, encode, fit_flow, loss_flow
from ntklab.spec import zoo

TIMES = [0.0, 0.5, 2.0]


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def smooth(params, x):
    return jnp.tanh(x @ params["W"]) @ params["V"]


def model():
    return {"W": jnp.asarray(draw(0, 3, 8)), "V": jnp.asarray(draw(1, 8, 2))}, draw(2, 6, 3), draw(3, 4, 3)


def test_a_polynomial_of_enough_degree_is_the_function_itself():
    def cubic(p, x):
        return x @ p["a"] * p["b"] ** 2

    start, end = ({"a": jnp.asarray(draw(i, 3)), "b": jnp.asarray(draw(i + 5))} for i in (0, 1))
    x = draw(9, 4, 3)
    np.testing.assert_allclose(taylor_expand(cubic, start, 3)(end, x), cubic(end, x), rtol=1e-12)
    assert not np.allclose(taylor_expand(cubic, start, 2)(end, x), cubic(end, x), rtol=1e-3)
    np.testing.assert_allclose(taylor_expand(cubic, start, 0)(end, x), cubic(start, x), rtol=1e-12)


def test_the_error_of_degree_d_falls_as_the_step_to_the_power_d_plus_1():
    params, x, _ = model()
    direction = jax.tree.map(lambda leaf: jnp.asarray(draw(7, *leaf.shape)), params)
    for degree in (1, 2):
        polynomial, errors = jax.jit(taylor_expand(smooth, params, degree)), []
        for step in (0.02, 0.01):
            moved = jax.tree.map(lambda p, d, step=step: p + step * d, params, direction)
            errors.append(np.abs(polynomial(moved, x) - smooth(moved, x)).max())
        assert errors[0] / errors[1] == pytest.approx(2 ** (degree + 1), rel=0.15)


def test_the_tangent_kernel_of_the_linear_function_is_the_same_everywhere():
    params, x, _ = model()
    elsewhere = jax.tree.map(lambda leaf: leaf + 1.0, params)
    at_start = empirical_ntk(smooth, params, x)
    linear = linearise(smooth, params)
    np.testing.assert_allclose(empirical_ntk(linear, elsewhere, x), at_start, rtol=1e-12)
    assert not np.allclose(empirical_ntk(smooth, elsewhere, x), at_start, rtol=0.1)


def full_kernels(params, x, x_test):
    """Return kernels between all outputs: outputs of one network do mix."""
    kernels = (empirical_ntk(smooth, params, a, b, outputs="full") for a, b in ((x, None), (x_test, x)))
    return [k.transpose(0, 2, 1, 3).reshape(len(k) * 2, -1) for k in kernels]


def test_the_linear_function_trains_as_the_kernel_predictor_says_at_every_time():
    params, x, x_test = model()
    y, linear = draw(4, 6, 2), linearise(smooth, params)
    k_train, k_test = full_kernels(params, x, x_test)
    f0, f0_test = (np.asarray(smooth(params, inputs)).ravel() for inputs in (x, x_test))
    flow = fit_flow(k_train, y.ravel(), f0)
    path = train_flow(linear, params, x, y, TIMES, x_test=x_test, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(path.train.reshape(3, -1), flow.train(TIMES), atol=1e-6)
    np.testing.assert_allclose(path.test.reshape(3, -1), flow.test(k_test, TIMES, f0_test), atol=1e-6)

    rate, steps = 0.01, np.array([0.0, 20.0, 40.0])
    for momentum in (0.0, 0.8):
        steps_of = fit_flow(k_train, y.ravel(), f0, dynamics=Descent(rate, momentum))
        path = train_sgd(linear, params, x, y, rate, 40, momentum=momentum, x_test=x_test, record_every=20)
        np.testing.assert_allclose(path.train.reshape(3, -1), steps_of.train(steps), atol=1e-10)
        np.testing.assert_allclose(path.test.reshape(3, -1), steps_of.test(k_test, steps, f0_test), atol=1e-10)
        np.testing.assert_allclose(path.times, rate * steps, rtol=1e-12)


def test_cross_entropy_descends_by_probabilities_less_targets():
    x, y, w, rate = draw(0, 5, 3), np.eye(2)[[0, 1, 1, 0, 1]], draw(1, 3, 2), 0.1
    path = train_gd(lambda w, x: x @ w, jnp.asarray(w), x, y, rate, 3, loss="cross-entropy")
    for _ in range(3):
        odds = np.exp(x @ w)
        w = w - rate * x.T @ (odds / odds.sum(axis=1, keepdims=True) - y)
    np.testing.assert_allclose(path.params, w, rtol=1e-12)


@pytest.mark.slow
def test_on_cross_entropy_the_linear_function_trains_as_the_dual_flow_says():
    params, x, _ = model()
    y = encode(np.array([0, 1, 1, 0, 1, 0]), "one-hot", n_classes=2)
    k_train, _ = full_kernels(params, x, x)
    path = train_flow(linearise(smooth, params), params, x, y, TIMES, loss="cross-entropy", rtol=1e-9, atol=1e-9)

    def loss(outputs, targets):  # of the flattened outputs
        return -jnp.sum(targets.reshape(-1, 2) * jax.nn.log_softmax(outputs.reshape(-1, 2), axis=1))

    flow = loss_flow(k_train, y.ravel(), TIMES, loss, f0_train=np.asarray(smooth(params, x)).ravel())
    np.testing.assert_allclose(path.train.reshape(3, -1), flow.train, atol=1e-6)


def test_a_network_given_as_a_function_trains_as_the_network_does():
    net = network(zoo.fc(2, width=8), (3,), outputs=2, dtype="float64")
    params, x, y = net.init(jax.random.key(0)), draw(2, 6, 3), draw(4, 6, 2)

    def f(trainable, x):
        return net.apply(params._replace(trainable=trainable), x)

    for train in (
        lambda *model: train_gd(*model, x, y, 0.01, 5, x_test=x[:2]),
        lambda *model: train_sgd(*model, x, y, 0.01, 5, x_test=x[:2]),
    ):
        one, two = train(net, params), train(f, params.trainable)
        np.testing.assert_allclose(one.train, two.train, rtol=1e-12)
        np.testing.assert_allclose(one.test, two.test, rtol=1e-12)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), one.params.trainable, two.params)
    np.testing.assert_allclose(train_gd(net, params, x, y, 0.01, 5).train, one.train, rtol=1e-12)


def test_a_linearised_network_starts_from_the_network_and_moves_its_trainable_part():
    net = network(zoo.fc(2, width=8), (3,), dtype="float64")
    params, x = net.init(jax.random.key(0)), draw(2, 6, 3)
    linear = linearise(net, params)
    np.testing.assert_allclose(linear(params.trainable, x), net.apply(params, x), rtol=1e-12)
    with pytest.raises(InputError, match="give the trainable part"):
        linear(params, x)


def test_batches_use_every_input_once_before_any_twice():
    x, y, seen = np.eye(6), np.zeros((6, 1)), []
    for steps in (1, 2, 3, 6):
        path = train_sgd(lambda w, x: x @ w, jnp.ones((6, 1)), x, y, 0.01, steps, batch=2, key=jax.random.key(3))
        seen.append(np.sort(np.asarray(path.params).ravel()))
    touched = 1 - 0.01 * 3  # the loss of a batch counts n / batch times
    np.testing.assert_allclose(seen[0], [touched] * 2 + [1.0] * 4, rtol=1e-12)
    np.testing.assert_allclose(seen[1], [touched] * 4 + [1.0] * 2, rtol=1e-12)
    np.testing.assert_allclose(seen[2], [touched] * 6, rtol=1e-12)
    np.testing.assert_allclose(seen[3], [touched**2] * 6, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"momentum": 1.0}, "momentum is at least 0 and below 1, got 1.0"),
        ({"batch": 7}, "batch is at most the number of inputs, 6, got 7"),
        ({"batch": 2}, "give key=jax.random.key"),
        ({"loss": "hinge"}, "got 'hinge'"),
        ({"loss": "cross-entropy"}, "class probabilities in y"),
        ({"y": np.ones((5, 2))}, r"y holds real numbers in shape \(6, 2\)"),
    ],
)
def test_training_refuses_what_it_cannot_use(change, needed):
    params, x, _ = model()
    with pytest.raises(InputError, match=needed):
        train_sgd(smooth, params, **{"x": x, "y": draw(4, 6, 2), "learning_rate": 0.1, "steps": 2, **change})
    if "batch" not in change and "momentum" not in change:
        with pytest.raises(InputError, match=needed):
            train_gd(smooth, params, **{"x": x, "y": draw(4, 6, 2), "learning_rate": 0.1, "steps": 2, **change})


def test_a_degree_below_zero_is_refused():
    with pytest.raises(InputError, match="degree is an integer >= 0, got -1"):
        taylor_expand(smooth, model()[0], -1)
