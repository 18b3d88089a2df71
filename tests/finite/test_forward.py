"""The forward pass against loops in NumPy that know nothing of JAX, nor of the package's shape rules."""

import itertools
import math

import jax
import numpy as np
import pytest

from ntklab.finite import Params, network
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Parallel,
    Relu,
    Residual,
    Serial,
)

PADDINGS = ("SAME", "VALID", "CIRCULAR")


def windows(x, window, strides, padding):
    """Yield (output position, {offset: channels}) for one image (*spatial, C), by the text-book rules."""
    axes = []
    for n, k, s in zip(x.shape[:-1], window, strides, strict=True):
        count = (n - k) // s + 1 if padding == "VALID" else math.ceil(n / s)
        before = 0 if padding == "VALID" else max((count - 1) * s + k - n, 0) // 2
        axes.append([(i, [i * s - before + o for o in range(k)]) for i in range(count)])
    for corner in itertools.product(*axes):
        position = tuple(i for i, _ in corner)
        cells = {}
        for offset in itertools.product(*(range(k) for k in window)):
            source = [inputs[o] for (_, inputs), o in zip(corner, offset, strict=True)]
            inside = all(0 <= i < n for i, n in zip(source, x.shape[:-1], strict=True))
            if padding == "CIRCULAR":
                cells[offset] = x[tuple(i % n for i, n in zip(source, x.shape[:-1], strict=True))]
            else:
                cells[offset] = x[tuple(source)] if inside else np.zeros(x.shape[-1])
        yield position, cells


def convolve(x, W, b, W_std, b_std, window, strides, padding):
    out = {}
    for position, cells in windows(x, window, strides, padding):
        total = np.zeros(W.shape[-1])
        for offset, channels in cells.items():
            for c, value in enumerate(channels):
                total = total + value * W[(*offset, c)]
        out[position] = W_std * total / np.sqrt(math.prod(window) * x.shape[-1])
        if b is not None:
            out[position] = out[position] + b_std * b
    return to_array(out)


def average(x, window, strides, padding):
    return to_array(
        {position: sum(cells.values()) / math.prod(window) for position, cells in windows(x, window, strides, padding)}
    )


def to_array(values):
    shape = tuple(1 + max(position[axis] for position in values) for axis in range(len(next(iter(values)))))
    out = np.full((*shape, len(next(iter(values.values())))), np.nan)
    for position, channels in values.items():
        out[position] = channels
    return out


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape)


WINDOWS = [((5,), (k,), (s,), padding) for k, s, padding in itertools.product((1, 2, 3, 4), (1, 3), PADDINGS)]
WINDOWS += [((6,), (k,), (2,), padding) for k, padding in itertools.product((2, 3), PADDINGS)]
WINDOWS += [
    (size, window, strides, padding)
    for size, (window, strides), padding in itertools.product(
        ((4, 5),), (((3, 3), (1, 1)), ((2, 3), (2, 1)), ((3, 2), (1, 3))), PADDINGS
    )
]
WINDOWS += [((3, 2, 4), (2, 1, 3), (1, 1, 2), padding) for padding in PADDINGS]


@pytest.mark.parametrize(("size", "window", "strides", "padding"), WINDOWS)
def test_a_convolution_is_the_scaled_sum_over_its_window(size, window, strides, padding):
    spec = Serial(Conv(window, 3, W_std=1.3, b_std=0.7, strides=strides, padding=padding), Flatten())
    net = network(spec, (*size, 2), dtype="float64")
    x, W, b = draw(2, *size, 2), draw(*window, 2, 3), draw(3)
    expected = [convolve(image, W, b, 1.3, 0.7, window, strides, padding).ravel() for image in x]
    outputs = jax.jit(net.apply)(Params({"0": {"W": W, "b": b}}, {}), x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("size", "window", "strides", "padding"), WINDOWS)
def test_average_pooling_divides_by_the_window_size_everywhere(size, window, strides, padding):
    net = network(Serial(AvgPool(window, strides, padding), Flatten()), (*size, 2), dtype="float64")
    x = draw(2, *size, 2)
    expected = [average(image, window, strides, padding).ravel() for image in x]
    outputs = jax.jit(net.apply)(Params({}, {}), x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-13)


def test_same_pooling_counts_the_zeros_outside():
    net = network(Serial(AvgPool((2,), padding="SAME"), Flatten()), (3, 1), dtype="float64")
    assert net.apply(Params({}, {}), np.ones((1, 3, 1))).tolist() == [[1.0, 1.0, 0.5]]


@pytest.mark.parametrize("b_std", [None, 0.0, 0.4])
def test_a_dense_layer_scales_by_the_square_root_of_its_fan_in(b_std):
    net = network(Dense(3, W_std=1.7, b_std=b_std), (5,), dtype="float64")
    params = net.init(jax.random.key(0))
    weights, x = params.trainable["0"], draw(2, 5)
    expected = np.zeros((2, 3))
    for n, o, i in itertools.product(range(2), range(3), range(5)):
        expected[n, o] += 1.7 / np.sqrt(5) * float(weights["W"][i, o]) * x[n, i]
    if b_std is not None:
        expected += b_std * np.asarray(weights["b"])
    assert ("b" in weights) == (b_std is not None)
    np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-12)


def test_a_dense_layer_on_images_acts_on_the_channels_of_each_position():
    net = network(Serial(Dense(4), Flatten()), (2, 3, 5), dtype="float64")
    params = net.init(jax.random.key(0))
    x = draw(2, 2, 3, 5)
    W = np.asarray(params.trainable["0"]["W"]) / np.sqrt(5)
    expected = [np.concatenate([image[i, j] @ W for i in range(2) for j in range(3)]) for image in x]
    np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-12)


def test_relu_clips_at_zero_and_has_no_slope_there():
    net = network(Relu(), (3,), dtype="float64")
    assert net.apply(Params({}, {}), np.array([[-2.0, 0.0, 3.0]])).tolist() == [[0.0, 0.0, 3.0]]
    slope = jax.grad(lambda x: net.apply(Params({}, {}), x).sum())(jax.numpy.zeros((1, 3)))
    assert slope.tolist() == [[0.0, 0.0, 0.0]]


def test_flatten_keeps_row_major_order_and_identity_keeps_everything():
    x = draw(2, 2, 3, 4)
    net = network(Serial(Identity(), Flatten()), (2, 3, 4), dtype="float64")
    assert np.array_equal(net.apply(Params({}, {}), x), x.reshape(2, 24))


def test_global_average_pooling_is_the_mean_over_positions():
    x = draw(2, 2, 3, 4)
    net = network(GlobalAvgPool(), (2, 3, 4), dtype="float64")
    expected = sum(x[:, i, j] for i in range(2) for j in range(3)) / 6
    np.testing.assert_allclose(net.apply(Params({}, {}), x), expected, rtol=1e-12)


def test_a_sum_adds_its_branches_each_with_weights_of_its_own():
    net = network(Parallel(Dense(3), Serial(Dense(4), Relu(), Dense(3)), Dense(3)), (2,), dtype="float64")
    params = net.init(jax.random.key(0))
    weights, x = params.trainable, draw(5, 2)
    one = x @ np.asarray(weights["0.branch0"]["W"]) / np.sqrt(2)
    hidden = np.maximum(x @ np.asarray(weights["0.branch1.0"]["W"]) / np.sqrt(2), 0)
    two = hidden @ np.asarray(weights["0.branch1.2"]["W"]) / np.sqrt(4)
    three = x @ np.asarray(weights["0.branch2"]["W"]) / np.sqrt(2)
    np.testing.assert_allclose(net.apply(params, x), one + two + three, rtol=1e-12)
    assert not np.allclose(weights["0.branch0"]["W"], weights["0.branch2"]["W"])


@pytest.mark.parametrize("shortcut", [Identity(), Dense(4, W_std=0.5)])
def test_a_residual_adds_its_shortcut(shortcut):
    net = network(Serial(Dense(4), Residual(Relu(), Dense(4), shortcut=shortcut)), (2,), dtype="float64")
    params = net.init(jax.random.key(0))
    weights, x = params.trainable, draw(5, 2)
    start = x @ np.asarray(weights["0"]["W"]) / np.sqrt(2)
    body = np.maximum(start, 0) @ np.asarray(weights["1.body.1"]["W"]) / np.sqrt(4)
    skip = start if shortcut == Identity() else 0.5 / 2 * start @ np.asarray(weights["1.shortcut"]["W"])
    np.testing.assert_allclose(net.apply(params, x), body + skip, rtol=1e-12)
