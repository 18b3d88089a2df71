"""Shape inference against the shapes that JAX's own convolutions and window sums have."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from ntklab.errors import SpecError
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
    infer_shapes,
    output_shape,
    window_output_size,
    window_padding,
    zoo,
)

SIZES = range(1, 12)
WINDOWS = range(1, 6)
STRIDES = range(1, 5)


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR"])
def test_padding_amounts_and_output_sizes_are_those_of_jax(padding):
    for n, k, s in itertools.product(SIZES, WINDOWS, STRIDES):
        if padding == "VALID" and n < k:
            continue
        jax_padding = "SAME" if padding == "CIRCULAR" else padding
        pads = jax.lax.padtype_to_pads((n,), (k,), (s,), jax_padding)
        assert window_padding(n, k, s, padding) == tuple(pads[0]), (n, k, s)
        assert window_output_size(n, k, s, padding) == (n + sum(pads[0]) - k) // s + 1, (n, k, s)


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolution_and_pooling_shapes_are_those_of_jax(padding, axes):
    spatial = (7, 8, 5)[:axes]
    jax_padding = "SAME" if padding == "CIRCULAR" else padding
    for window in itertools.product((1, 2, 3), repeat=axes):
        for strides in itertools.product((1, 2, 3), repeat=axes):
            conv = jax.eval_shape(
                partial(jax.lax.conv_general_dilated, window_strides=strides, padding=jax_padding),
                jax.ShapeDtypeStruct((1, 4, *spatial), jnp.float32),
                jax.ShapeDtypeStruct((6, 4, *window), jnp.float32),
            )
            assert output_shape(Conv(window, 6, strides=strides, padding=padding), (*spatial, 4)) == (
                *conv.shape[2:],
                6,
            )
            assert output_shape(AvgPool(window, strides, padding), (*spatial, 4)) == (*conv.shape[2:], 4)


@pytest.mark.parametrize(
    ("network", "input_shape", "expected"),
    [
        (Dense(), (5,), (None,)),
        (Dense(7), (4, 4, 3), (4, 4, 7)),
        (Relu(), (4, 4, 3), (4, 4, 3)),
        (Identity(), (4, 3), (4, 3)),
        (Serial(), (4, 3), (4, 3)),
        (Flatten(), (4, 5, 3), (60,)),
        (Flatten(), (6,), (6,)),
        (Serial(Conv(3), Flatten()), (4, 4, 3), (None,)),
        (Serial(Conv(3, 10), Flatten()), (4, 4, 3), (40,)),
        (GlobalAvgPool(), (4, 5, 3), (3,)),
        (Serial(Conv((3,)), GlobalAvgPool()), (4, 3), (None,)),
        (Parallel(Dense(), Dense(9)), (4,), None),
        (Parallel(Dense(9), Dense(9)), (4,), (9,)),
        (Serial(Conv(1), Residual(Relu(), Conv(3, padding="SAME"))), (4, 4, 3), (4, 4, None)),
        (zoo.myrtle(10), (32, 32, 3), (None,)),
        (Conv((2, 3, 2), 8), (4, 4, 4, 1), (3, 2, 3, 8)),
    ],
    ids=repr,
)
def test_output_shape(network, input_shape, expected):
    if expected is None:
        with pytest.raises(SpecError):
            output_shape(network, input_shape)
    else:
        assert output_shape(network, input_shape) == expected


def test_steps_list_every_layer_with_its_path_composites_after_their_parts():
    network = Serial(Conv(1), Residual(Relu(), Conv(3, padding="SAME")), GlobalAvgPool())
    steps = infer_shapes(network, (4, 4, 3))
    assert [(step.path, type(step.layer).__name__) for step in steps] == [
        ("0", "Conv"),
        ("1.body.0", "Relu"),
        ("1.body.1", "Conv"),
        ("1.body", "Serial"),
        ("1.shortcut", "Identity"),
        ("1", "Residual"),
        ("2", "GlobalAvgPool"),
        ("", "Serial"),
    ]
    assert all(step.input_shape == (4, 4, None) for step in steps[1:7])


@pytest.mark.parametrize(
    ("network", "input_shape", "words"),
    [
        (
            Serial(Conv(3), Relu(), Conv(3)),
            (4, 4, 3),
            ["window of 3 does not fit into 2", "at 2", "SAME", "(2, 2, any)"],
        ),
        (Serial(Dense(), Conv(3)), (10,), ["(3, 3)", "2 axes", "0 spatial", "at 1"]),
        (Conv(3), (28, 28), ["2 axes", "1 spatial", "(H, W, 1)"]),
        (Serial(Conv((3,)), AvgPool(2)), (10, 3), ["(2, 2)", "2 axes", "1 spatial"]),
        (Serial(Flatten(), GlobalAvgPool()), (4, 4, 3), ["GlobalAvgPool() at 1", "spatial axes", "none left"]),
        (Conv(9, padding="CIRCULAR"), (3, 3, 1), ["wraps around 3 positions more than once"]),
        (Serial(Conv(3, padding="SAME"), Residual(Conv(3))), (8, 8, 3), ["body (6, 6, any)", "shortcut (8, 8, any)"]),
        (Residual(Conv(3, padding="SAME")), (8, 8, 3), ["different channels", "Dense() or Conv(...)", "(8, 8, 3)"]),
        (Parallel(Flatten(), Serial(Dense(5))), (4, 3), ["branch0 (12,)", "branch1 (4, 5)"]),
        (Parallel(Dense(4), Dense(5)), (3,), ["different channels", "branch0 (4,)", "branch1 (5,)"]),
    ],
    ids=repr,
)
def test_a_misfit_shows_the_network_and_the_layer_that_does_not_fit(network, input_shape, words):
    with pytest.raises(SpecError) as caught:
        infer_shapes(network, input_shape)
    text = str(caught.value)
    for word in words:
        assert word in text
    lines = text.splitlines()
    assert f"network: {network!r}" in lines
    assert lines[-1].startswith("> ")
    assert lines[-1].endswith("does not fit")


def test_a_misfit_lists_the_shapes_that_led_to_it():
    with pytest.raises(SpecError) as caught:
        infer_shapes(Serial(Conv(3), Relu(), Conv(3)), (4, 4, 3))
    assert [line.split() for line in str(caught.value).splitlines()[2:]] == [
        ["input", "(4,", "4,", "3)"],
        ["0", "Conv", "(2,", "2,", "any)"],
        ["1", "Relu", "(2,", "2,", "any)"],
        [">", "2", "Conv", "does", "not", "fit"],
    ]


@pytest.mark.parametrize("input_shape", [(), (0,), (4, -1), (4, 2.0), (None, 3), "ab", 10, None])
def test_an_input_shape_that_is_none_is_refused_with_an_example(input_shape):
    with pytest.raises(SpecError, match=r"input_shape .* without a batch axis.*\(H, W, C\)"):
        infer_shapes(Dense(), input_shape)


@pytest.mark.parametrize("network", [None, Dense, [Dense()], "Dense()"])
def test_what_is_not_a_network_is_refused(network):
    with pytest.raises(SpecError, match="A network is a layer"):
        infer_shapes(network, (3,))
