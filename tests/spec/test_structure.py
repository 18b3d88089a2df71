"""Products, concatenation, repetition, attention and recurrence as data: arguments, shapes, errors."""

import pytest

from ntklab.errors import SpecError
from ntklab.spec import (
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalSelfAttention,
    Identity,
    MaxPool,
    Product,
    Recurrent,
    Relu,
    Repeat,
    Serial,
    infer_shapes,
    output_shape,
)


@pytest.mark.parametrize(
    ("layer", "entering", "leaving"),
    [
        (Product(Dense(4), Dense(4)), (3,), (4,)),
        (Concat(Dense(4), Serial(Dense(2), Relu())), (3,), (6,)),
        (Concat(Dense(), Dense()), (3,), (None,)),
        (Concat(Conv((2,), 4), Identity(), axis=0), (5, 4), (9, 4)),
        (Concat(Conv((1, 2), 4), Conv((1, 3), 4), axis=-2), (5, 6, 3), (5, 9, 4)),
        (Repeat(Serial(Conv((2,)), Relu()), 3), (9, 2), (6, None)),
        (Repeat(Dense(), 0), (3,), (3,)),
        (GlobalSelfAttention(7), (2, 3, 5), (2, 3, 7)),
        (Recurrent(Relu(), 7), (4, 5), (4, 7)),
        (Recurrent(Relu(), output="last"), (4, 5), (None,)),
    ],
    ids=repr,
)
def test_shapes_follow_from_those_of_the_parts(layer, entering, leaving):
    assert output_shape(layer, entering) == leaving


def test_copies_of_a_repeated_layer_have_paths_of_their_own():
    steps = infer_shapes(Serial(Dense(), Repeat(Serial(Relu(), Dense()), 2)), (3,))
    assert [step.path for step in steps if isinstance(step.layer, Dense)] == ["0", "1.0.1", "1.1.1"]


@pytest.mark.parametrize(
    ("layer", "entering", "words"),
    [
        (Product(Dense(4), Dense(5)), (3,), ["different", "branch0 (4,)", "branch1 (5,)"]),
        (Concat(Dense(4), Dense()), (3,), ["some are open and some given", "branch1 (any,)"]),
        (Concat(Dense(4), Flatten()), (2, 3), ["axes", "branch1 (6,)"]),
        (Concat(Dense(4), Dense(5), axis=0), (2, 3), ["differ along other axes than 0"]),
        (Concat(Dense(4), Dense(4), axis=2), (2, 3), ["axis 2 is none of the 2 axes"]),
        (GlobalSelfAttention(), (3,), ["positions to attend to"]),
        (Recurrent(Relu()), (3,), ["a sequence (length, channels)"]),
        (Recurrent(Relu()), (2, 3, 4), ["a sequence (length, channels)"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, entering, words):
    with pytest.raises(SpecError) as caught:
        output_shape(layer, entering)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Product(Dense()), "Product needs at least two branches"),
        (lambda: Concat(Dense()), "Concat needs at least two branches"),
        (lambda: Concat(Dense(), Dense(), axis="C"), "axis is an integer"),
        (lambda: Repeat(Dense(), -1), "count is an integer >= 0"),
        (lambda: Repeat(Dense, 2), r"write Dense\(\) with parentheses"),
        (lambda: GlobalSelfAttention(mechanism="softmax"), "mechanism is one of SOFTMAX"),
        (lambda: GlobalSelfAttention(pos_emb="ADD"), "pos_emb is one of NONE"),
        (lambda: GlobalSelfAttention(pos_emb_decay="linear"), "pos_emb_decay is None or one of rational"),
        (lambda: GlobalSelfAttention(pos_emb_share=1.0), "strictly between 0 and 1"),
        (lambda: GlobalSelfAttention(linear_scaling="sqrt"), "linear_scaling is True or False"),
        (lambda: MaxPool(0), "MaxPool: window_shape is a positive integer"),
        (lambda: MaxPool(2, padding=((1, 1), (0, 0))), "MaxPool: padding is one of SAME, VALID"),
        (lambda: BatchNorm(-1.0), "BatchNorm: eps is a finite number >= 0"),
        (lambda: GlobalSelfAttention(W_key_std=-1.0), "W_key_std is a finite number >= 0"),
        (lambda: GlobalSelfAttention(heads=0), "heads is a positive integer or None"),
        (lambda: Recurrent(Dense()), "activation is a layer such as Relu"),
        (lambda: Recurrent(Relu(), output="mean"), "output is one of sequence, last"),
        (lambda: Recurrent(Relu(), U_std=-1.0), "U_std is a finite number >= 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make, words):
    with pytest.raises(SpecError, match=words):
        make()
