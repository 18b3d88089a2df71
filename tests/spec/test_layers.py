"""Layers: what they accept, how they print, and when two are equal."""

import dataclasses

import pytest

import ntklab.spec
from ntklab.errors import NtklabError, SpecError
from ntklab.spec import (
    ABRelu,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Erf,
    Flatten,
    Gelu,
    GlobalAvgPool,
    Hermite,
    Identity,
    Layer,
    LeakyRelu,
    MaxPool,
    Monomial,
    Parallel,
    Polynomial,
    Rbf,
    Relu,
    Residual,
    Serial,
    zoo,
)

LAYERS = [
    Dense(),
    Dense(7),
    Dense(width=7, W_std=1.5, b_std=0.1, trainable=False),
    Conv(3),
    Conv((5,)),
    Conv((3, 2, 1), 16, 1.5, 0.25, False, (1, 2, 1), "CIRCULAR"),
    Conv(3, strides=2, padding="SAME"),
    AvgPool(2),
    AvgPool((2, 3), strides=(2, 3), padding="SAME"),
    MaxPool(2),
    MaxPool((3,), strides=2, padding="CIRCULAR"),
    BatchNorm(),
    BatchNorm(eps=0.1),
    Relu(),
    GlobalAvgPool(),
    Flatten(),
    Identity(),
    Serial(),
    Serial(Dense(), Relu(), Dense(W_std=2.0**0.5)),
    Parallel(Dense(), Serial(Dense(), Relu(), Dense())),
    Residual(Relu(), Conv(3, padding="SAME")),
    Residual(Dense(), shortcut=Serial(Dense(W_std=0.5))),
    Serial(Conv(3, padding="SAME"), Residual(Relu(), Residual(Conv(3, padding="SAME"))), GlobalAvgPool()),
    zoo.cntk(4, "gap"),
    zoo.myrtle(5),
    LeakyRelu(0.1),
    ABRelu(-0.5, 2.0),
    Erf(2.0, 0.3),
    Gelu(approximate=True),
    Hermite(3),
    Polynomial([1, 0, 0.5]),
    Rbf(0.5),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_repr_rebuilds_the_layer(layer):
    rebuilt = eval(repr(layer), vars(ntklab.spec))
    assert rebuilt == layer
    assert hash(rebuilt) == hash(layer)
    assert repr(rebuilt) == repr(layer)


def test_repr_shows_only_what_differs_from_the_default():
    assert repr(Conv(3, strides=1, padding="VALID", W_std=1.0)) == "Conv((3, 3))"
    assert repr(Conv((3, 3), strides=(1, 2), b_std=0.0)) == "Conv((3, 3), b_std=0.0, strides=(1, 2))"
    assert repr(Residual(Relu(), shortcut=Dense())) == "Residual(Relu(), shortcut=Dense())"


def test_all_listed_layers_differ_from_one_another():
    assert len(set(LAYERS)) == len(LAYERS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Conv(3), Conv((3, 3), strides=(1, 1))),
        (Dense(W_std=2), Dense(W_std=2.0)),
        (AvgPool(2, strides=2), AvgPool((2, 2), (2, 2))),
        (Serial(Serial(Dense()), Serial(Serial(Relu()), Dense())), Serial(Dense(), Relu(), Dense())),
        (Residual(Serial(Relu(), Dense())), Residual(Relu(), Dense())),
    ],
    ids=repr,
)
def test_two_ways_to_write_a_layer_are_equal(one, other):
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Dense(), Dense(trainable=False)),
        (Dense(), Dense(b_std=0.0)),
        (Dense(), Dense(width=1)),
        (Conv(3), Conv(3, padding="SAME")),
        (Conv(3), Conv((3,))),
        (Serial(Dense()), Dense()),
        (Conv(2), AvgPool(2)),
        (Parallel(Dense(), Relu()), Parallel(Relu(), Dense())),
    ],
    ids=repr,
)
def test_layers_with_another_meaning_are_unequal(one, other):
    assert one != other


def test_a_serial_inside_a_serial_is_written_out_flat_but_inside_a_branch_it_is_not():
    inner = Serial(Dense(), Relu())
    assert Serial(inner, Serial(inner, Dense())).layers == (Dense(), Relu(), Dense(), Relu(), Dense())
    assert Parallel(inner, inner).branches == (inner, inner)
    assert Residual(inner).branches == (inner, Identity())


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_cannot_be_changed(layer):
    for field in dataclasses.fields(layer):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(layer, field.name, getattr(layer, field.name))
    assert isinstance(layer, Layer)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Dense(width=0), ["Dense", "width", "positive integer", "0"]),
        (lambda: Dense(width=2.5), ["Dense", "width", "2.5"]),
        (lambda: Dense(width=True), ["Dense", "width", "True"]),
        (lambda: Dense(W_std=-1.0), ["Dense", "W_std", ">= 0", "-1.0"]),
        (lambda: Dense(W_std=float("nan")), ["Dense", "W_std", "finite", "nan"]),
        (lambda: Dense(b_std=float("inf")), ["Dense", "b_std", "finite", "inf"]),
        (lambda: Dense(W_std=None), ["Dense", "W_std", "None"]),
        (lambda: Dense(W_std="2"), ["Dense", "W_std", "'2'"]),
        (lambda: Dense(W_std=True), ["Dense", "W_std", "True"]),
        (lambda: Dense(trainable=1), ["Dense", "trainable", "True or False", "1"]),
        (lambda: Conv(3, b_std=-0.1), ["Conv", "b_std", "-0.1"]),
        (lambda: Conv(0), ["Conv", "filter_shape", "positive integer", "(0, 0)"]),
        (lambda: Conv(()), ["Conv", "filter_shape"]),
        (lambda: Conv((3, -1)), ["Conv", "filter_shape", "(3, -1)"]),
        (lambda: Conv((3, 2.0)), ["Conv", "filter_shape", "(3, 2.0)"]),
        (lambda: Conv(3.0), ["Conv", "filter_shape", "3.0"]),
        (lambda: Conv(None), ["Conv", "filter_shape", "None"]),
        (lambda: Conv(3, strides=0), ["Conv", "strides", "(0, 0)"]),
        (lambda: Conv(3, strides=2.0), ["Conv", "strides", "2.0"]),
        (lambda: Conv(3, strides=(1, 1, 1)), ["Conv", "(3, 3)", "(1, 1, 1)", "one stride per axis"]),
        (lambda: Conv(3, padding="same"), ["Conv", "padding", "SAME, VALID, CIRCULAR", "'same'"]),
        (lambda: AvgPool(0), ["AvgPool", "window_shape", "(0, 0)"]),
        (lambda: AvgPool(2.0), ["AvgPool", "window_shape", "2.0"]),
        (lambda: AvgPool(2, padding=1), ["AvgPool", "padding", "1"]),
        (lambda: Serial(Dense(), Relu), ["Serial", "Relu()", "parentheses"]),
        (lambda: Serial([Dense(), Relu()]), ["Serial", "layers", "["]),
        (lambda: Parallel(Dense()), ["Parallel", "at least two", "1"]),
        (lambda: Parallel(Dense(), 3), ["Parallel", "3"]),
        (lambda: Erf(b="2"), ["Erf", "b", "finite", "'2'"]),
        (lambda: LeakyRelu(float("nan")), ["LeakyRelu", "alpha", "nan"]),
        (lambda: Rbf(-1.0), ["Rbf", "gamma", ">= 0"]),
        (lambda: Hermite(-1), ["Hermite", "degree", "integer >= 0", "-1"]),
        (lambda: Monomial(1.5), ["Monomial", "degree", "1.5"]),
        (lambda: Polynomial([1.0, float("inf")]), ["Polynomial", "finite", "inf"]),
        (lambda: Polynomial(3), ["Polynomial", "sequence", "3"]),
        (lambda: Gelu(1), ["Gelu", "approximate", "True or False"]),
        (lambda: Residual(Relu), ["Residual", "Relu()", "parentheses"]),
        (lambda: Residual(Relu(), shortcut=None), ["Residual", "None"]),
    ],
)
def test_a_bad_argument_is_named_with_what_is_needed(build, words):
    with pytest.raises(SpecError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


def test_a_spec_error_is_an_ntklab_error_and_a_value_error():
    assert issubclass(SpecError, NtklabError)
    assert issubclass(SpecError, ValueError)
