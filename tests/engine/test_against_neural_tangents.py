"""The reference against neural-tangents 0.6.5, whose closed forms have nothing in common with ours."""

import functools

import numpy as np
import pytest

import ntklab
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
    zoo,
)
from ntklab.testing import Case, assert_close, made_up_inputs
from tests.oracles.neural_tangents_oracle import kernels

pytestmark = pytest.mark.oracle

DIFFERENT = 6e-15
"""Between different inputs, times about four: the largest error seen is 1.5e-15."""
COINCIDING = 1.3e-8
"""Where an input meets itself: neural-tangents' own rounding; the largest seen is 3.2e-9, times about four."""

IMAGE = (5, 6, 2)
conv = functools.partial(Conv, W_std=1.3, b_std=0.3)
same = functools.partial(conv, padding="SAME")


def grid():
    for padding in ("SAME", "VALID", "CIRCULAR"):
        for i, strides in enumerate(((1, 1), (1, 2), (2, 2))):
            filters = ((3, 3), (3, 2), (2, 1))[(i + len(padding)) % 3]
            first = conv(filters, strides=strides, padding=padding)
            second = conv((2, 1), padding=padding)
            readout, head = ((Flatten(), Dense(b_std=0.5)), (GlobalAvgPool(), Dense()))[i % 2]
            yield f"{padding} {filters} strides {strides}", Serial(first, Relu(), second, Relu(), readout, head), IMAGE
        yield (
            f"pool {padding} inside",
            Serial(same(3), Relu(), AvgPool((2, 3), (1, 2), padding), same((3, 2)), Relu(), GlobalAvgPool(), Dense()),
            IMAGE,
        )
        yield (
            f"pool {padding} before the activation, flattened",
            Serial(same(3), AvgPool((2, 1), (2, 1), padding), Relu(), same(1), Relu(), Flatten(), Dense()),
            IMAGE,
        )
    yield "residual", Serial(same(3), Residual(Relu(), same(3), Relu(), same(3)), Relu(), GlobalAvgPool()), IMAGE
    yield (
        "residual with shortcut",
        Serial(same(3), Relu(), Residual(same((3, 2)), Relu(), same(3), shortcut=same(1)), Relu(), Flatten()),
        IMAGE,
    )
    yield (
        "residual around pooling",
        Serial(same(3), Residual(Relu(), AvgPool(3, padding="SAME"), same(3)), Relu(), GlobalAvgPool(), Dense()),
        IMAGE,
    )
    yield (
        "parallel readouts",
        Serial(
            same(3),
            Relu(),
            Parallel(
                Serial(GlobalAvgPool(), Dense()),
                Serial(same(3), Flatten(), Dense(W_std=0.5)),
                Serial(Dense(b_std=0.1), Relu(), GlobalAvgPool(), Dense()),
            ),
            Relu(),
            Dense(),
        ),
        IMAGE,
    )
    yield "identity", Serial(Identity(), Dense(), Residual(Relu(), Dense(W_std=1.5)), Relu(), Dense()), (7,)
    yield "1-D", Serial(conv((3,), strides=(2,)), Relu(), same((2,)), Relu(), GlobalAvgPool()), (9, 2)
    yield "3-D", Serial(same((2, 1, 3)), Relu(), conv((2, 2, 1)), Relu(), Flatten()), (2, 3, 3, 2)
    yield "dense with biases", zoo.fc(4, W_std=1.4, b_std=0.3), (10,)
    yield "dense after a readout", Serial(same(3), Relu(), GlobalAvgPool(), Dense(), Relu(), Dense(b_std=1.0)), IMAGE
    yield "activation on a readout", Serial(same(3), GlobalAvgPool(), Relu(), Dense()), IMAGE
    yield "dense on images", Serial(Dense(b_std=0.2), Relu(), Dense(W_std=1.5), Relu(), GlobalAvgPool()), IMAGE
    yield "images flattened first", zoo.fc(2), IMAGE
    yield "linear", Serial(conv(2), conv(2), AvgPool(2), GlobalAvgPool(), Dense()), IMAGE
    yield "deep", zoo.plain_cnn(8, "gap"), (4, 4, 3)
    yield (
        "as in Myrtle",
        Serial(
            *(Conv(3, padding="SAME", W_std=2**0.5), Relu()) * 2,
            AvgPool(2, strides=2),
            *(Conv(3, padding="SAME", W_std=2**0.5), Relu()),
            AvgPool(2, strides=2),
            *(Conv(3, padding="SAME", W_std=2**0.5), Relu()),
            *(AvgPool(2, strides=2),) * 2,
            Flatten(),
            Dense(W_std=2**0.5),
        ),
        (16, 16, 2),
    )


QUICK = (
    "SAME (3, 3) strides (2, 2)",
    "pool CIRCULAR inside",
    "residual around pooling",
    "parallel readouts",
    "3-D",
    "dense with biases",
    "activation on a readout",
    "dense on images",
)
"""The default lane; the rest, as good but not quick to compile, is in the slow one."""
CASES = [Case(name, network, shape, 3) for name, network, shape in grid()]


def lanes():
    for case in CASES:
        yield pytest.param(case, id=case.name, marks=[] if case.name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize("case", list(lanes()))
def test_agrees_with_neural_tangents(case):
    compare(case)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [5, 7, 10])
def test_agrees_with_neural_tangents_on_myrtle(depth):
    compare(Case(f"myrtle({depth})", zoo.myrtle(depth), (32, 32, 3), 2))


def compare(case):
    """One call: inputs against themselves and one more, so that pairs of both sorts are in the matrix."""
    x = case.inputs
    y = np.concatenate([x[:-1], made_up_inputs(case.count + 1, case.input_shape)[-1:]])
    expected = kernels(case.network, x, y)
    actual = ntklab.compile(case.network, case.input_shape, dtype="float64")(x, y)
    coincide = np.eye(case.count, dtype=bool)
    coincide[-1, -1] = False
    for name, ours, theirs in zip(("nngp", "ntk"), (actual.nngp, actual.ntk), expected, strict=True):
        ours = np.asarray(ours)
        assert_close(ours[~coincide], theirs[~coincide], DIFFERENT, what=f"{name}, different inputs")
        assert_close(ours[coincide], theirs[coincide], COINCIDING, what=f"{name}, coinciding inputs")
