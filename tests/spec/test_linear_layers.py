"""Linear layers: what they accept, which shapes they make, how they print."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab.spec
from ntklab.errors import SpecError
from ntklab.spec import (
    Aggregate,
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    DotGeneral,
    Dropout,
    GlobalSumPool,
    ImageResize,
    Index,
    LayerNorm,
    Serial,
    SumPool,
    output_shape,
    stable_hash,
)
from tests.linear_cases import LAYERS


@pytest.mark.parametrize("name", LAYERS)
def test_repr_rebuilds_the_layer_while_its_arrays_are_small(name):
    layer = LAYERS[name]
    text = repr(layer)
    if "array of shape" in text:
        assert name in ("graph of pixels", "matrix first")
        return
    rebuilt = eval(text, vars(ntklab.spec))
    assert rebuilt == layer
    assert hash(rebuilt) == hash(layer)
    assert repr(rebuilt) == text


def test_large_arrays_print_as_their_shape():
    assert repr(Aggregate(np.ones((5, 5)))) == "Aggregate(<array of shape (5, 5)>)"


def test_arrays_may_be_numpy_jax_or_lists():
    expected = DotGeneral([[1, 2], [3, 4.5]])
    for constant in (np.array([[1, 2], [3, 4.5]]), jnp.array([[1, 2], [3, 4.5]]), ((1.0, 2), [3, 4.5])):
        assert DotGeneral(constant) == expected
        assert stable_hash(DotGeneral(constant)) == stable_hash(expected)
    assert DotGeneral(np.float32(2)) == DotGeneral(2)


def test_new_fields_with_their_defaults_change_no_hash():
    assert stable_hash(Conv(3)) == stable_hash(Conv(3, dilation=1, groups=1, parameterization="ntk", s=[1, 1]))
    assert stable_hash(Conv(3)) != stable_hash(Conv(3, dilation=2))
    assert stable_hash(AvgPool(3)) != stable_hash(AvgPool(3, normalize_edges=True))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv(2, padding=((1, 0), (0, 2)), strides=(1, 2)), (3, 4, 2), (3, 3, None)),
        (Conv((3,), dilation=2), (7, 2), (3, None)),
        (Conv((3,), dilation=3, padding="SAME", strides=2), (7, 2), (4, None)),
        (ConvTranspose((3,), strides=2), (4, 2), (9, None)),
        (ConvTranspose((2,), 5, strides=3), (4, 2), (12, 5)),
        (ConvTranspose((3,), strides=2, padding="CIRCULAR"), (4, 2), (8, None)),
        (ConvLocal(2), (3, 4, 2), (2, 3, None)),
        (SumPool((2, 1), strides=2), (4, 4, 2), (2, 2, 2)),
        (GlobalSumPool(), (4, 4, 2), (2,)),
        (LayerNorm((0, -1)), (4, 4, 2), (4, 4, 2)),
        (ImageResize((7, -1), "nearest"), (4, 4, 2), (7, 4, 2)),
        (Index((slice(1, None), -1)), (4, 5, 2), (3, 2)),
        (Index(...), (4, 5, 2), (4, 5, 2)),
        (Index((..., 0)), (4, 5, 2), (4, 2)),
        (DotGeneral(np.ones((3, 4, 6)), ((1,), (2,)), ((0,), (1,))), (4, 6, 2), (4, 3, 2)),
        (DotGeneral(np.ones((3, 6)), ((1,), (1,)), constant_first=True), (4, 6, 2), (3, 4, 2)),
        (Aggregate(np.ones((5, 5)), axis=1), (4, 5, 2), (4, 5, 2)),
        (Dense(3, parameterization="standard", s=(2, 4)), (6,), (12,)),
        (Serial(Dense(), Conv(1, groups=3)), (4, 4, 2), (4, 4, None)),
    ],
    ids=repr,
)
def test_shapes(layer, shape, expected):
    assert output_shape(layer, shape) == expected


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (Conv((3,), dilation=4), (8, 2), "window of 9 does not fit into 8"),
        (Conv((3,), padding=((0, 0),)), (2, 2), "does not fit"),
        (Conv(1, groups=2), (4, 4, 3), "2 groups do not divide its 3 input channels"),
        (Conv(1, 3, groups=2), (4, 4, 4), "2 groups do not divide its 3 output channels"),
        (Conv(1, 6, groups="depthwise"), (4, 4, 4), "4 groups do not divide its 6 output"),
        (Dense(3, parameterization="standard", s=(4, 1)), (6,), "does not divide the 6 channels"),
        (ConvTranspose((3,)), (4, 4, 2), "1 axes and its input has 2"),
        (LayerNorm((0, 1)), (4, 4, 2), "leaves out the channels"),
        (LayerNorm((0, -3, -1)), (4, 4, 2), "different axes"),
        (ImageResize((4,)), (4, 4, 2), "gives 1 sizes"),
        (Index((0, 0, 0)), (4, 4, 2), "channels stay whole"),
        (Index(4), (4, 2), "out of range for 4"),
        (Index(slice(4, None)), (4, 2), "keeps none of 4"),
        (DotGeneral(np.ones(3), ((1,), (0,))), (4, 2), "spatial axis 1"),
        (DotGeneral(np.ones(3), ((0,), (0,))), (4, 2), "4 positions, axis 0 of the constant 3"),
        (Aggregate(np.ones((3, 3))), (4, 2), "graph has nodes"),
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused_with_the_reason(layer, shape, words):
    with pytest.raises(SpecError, match=words):
        output_shape(layer, shape)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv(3, padding=((1, 1),)), "pair of integers >= 0 for each of its 2 axes"),
        (lambda: Conv(3, padding=((1, -1), (0, 0))), "pair of integers >= 0"),
        (lambda: Conv(3, padding="REFLECT"), "or a pair of amounts per axis"),
        (lambda: AvgPool(3, padding=((1, 1), (1, 1))), "padding is one of"),
        (lambda: Conv(3, dilation=0), "dilation"),
        (lambda: Conv(3, dilation=(1, 2, 3)), "2 of them"),
        (lambda: Conv(3, groups=0), "groups"),
        (lambda: Dense(parameterization="mup"), "ntk, standard"),
        (lambda: Dense(s=(1, 2)), "the NTK parameterisation has none"),
        (lambda: Dense(parameterization="standard", s=(1, 0)), "pair of positive integers"),
        (lambda: AvgPool(3, normalize_edges=1), "True or False"),
        (lambda: LayerNorm("C"), "axis is an integer"),
        (lambda: LayerNorm(eps=-1.0), "eps"),
        (lambda: Dropout(0.0), r"in \(0, 1\]"),
        (lambda: Dropout(1.5), r"in \(0, 1\]"),
        (lambda: Dropout(0.5, "eval"), "train, test"),
        (lambda: ImageResize((4, 0)), "positive integers or -1"),
        (lambda: ImageResize((4,), "area"), "nearest, linear"),
        (lambda: Index(None), "integers, slices"),
        (lambda: Index(slice(None, None, 0)), "integers, slices"),
        (lambda: Index((..., ...)), "at most one"),
        (lambda: DotGeneral([[1.0], [1.0, 2.0]]), "rows have equal lengths"),
        (lambda: DotGeneral("ab"), "array of finite numbers"),
        (lambda: DotGeneral(np.nan), "array of finite numbers"),
        (lambda: DotGeneral(np.ones(2), contract=((0,), (1,))), "axes of the constant"),
        (lambda: DotGeneral(np.ones(2), contract=((0, 1), (0,))), "pairs axes"),
        (lambda: Aggregate(np.ones((2, 3))), "nodes"),
        (lambda: Aggregate(np.ones((2, 2)), axis=(0, 1)), "1 different spatial axes"),
        (lambda: Aggregate.from_edges([(0, 3)], 3), "below 3"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make, words):
    with pytest.raises(SpecError, match=words):
        make()


def test_methods_go_by_all_names_that_jax_has():
    assert ImageResize((4,), jax.image.ResizeMethod.CUBIC) == ImageResize((4,), "bicubic") == ImageResize(4, "cubic")


def test_edges_add_up_and_padding_is_left_out():
    graph = Aggregate.from_edges([(0, 1), (0, 1), (1, 0, 0.5), (-1, 0), (0, -1)], nodes=2)
    assert graph == Aggregate([[0, 2], [0.5, 0]], axis=0)
