"""Networks of images that fused engines run themselves: sizes, filters, branches; and inputs that are hard for them."""

import numpy as np

from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Parallel, Relu, Residual, Serial, zoo
from ntklab.testing import Case
from tests.oracles import cntk_numpy, structure_numpy

conv = Conv(3, padding="SAME", W_std=1.3, b_std=0.3)
untrained = Conv(3, padding="SAME", trainable=False)
last = Conv(3, padding="SAME", b_std=0.1)
CASES = (
    Case("two vectors a row", zoo.plain_cnn(3, "gap"), (17, 18, 3), 4),
    Case("one lane too many", zoo.plain_cnn(3, "gap"), (4, 9, 2), 5),
    Case("a row of one", zoo.plain_cnn(3, "gap"), (5, 1, 2), 5),
    Case("one pixel", zoo.plain_cnn(2, "gap"), (1, 1, 3), 5),
    Case(
        "1-D",
        Serial(Conv((5,), padding="SAME"), Relu(), Conv((3,), padding="SAME"), Relu(), GlobalAvgPool()),
        (20, 2),
        5,
    ),
    Case(
        "filters of all shapes",
        Serial(
            *(layer for k in ((5, 5), (3, 1), (1, 7), (1, 1), (3, 3)) for layer in (Conv(k, padding="SAME"), Relu())),
            GlobalAvgPool(),
        ),
        (6, 10, 2),
        5,
    ),
    Case(
        "circular",
        Serial(Conv((3, 5), padding="CIRCULAR"), Relu(), Conv((5, 3), padding="CIRCULAR"), Relu(), GlobalAvgPool()),
        (6, 11, 2),
        5,
    ),
    Case(
        "filters larger than the image",
        Serial(Conv(7, padding="SAME"), Relu(), conv, Relu(), GlobalAvgPool()),
        (3, 4, 2),
        5,
    ),
    Case("convolutions in a row", Serial(conv, conv, Relu(), conv, untrained, Relu(), GlobalAvgPool()), (6, 5, 2), 5),
    Case("pooling after a convolution", Serial(conv, Relu(), last, GlobalAvgPool(), Dense(b_std=0.2)), (6, 5, 2), 5),
    Case("untrained in between", Serial(conv, Relu(), untrained, Relu(), conv, Relu(), GlobalAvgPool()), (6, 5, 2), 5),
    Case("residual", Serial(conv, Residual(Relu(), conv, Relu(), conv), Relu(), GlobalAvgPool()), (6, 5, 2), 5),
    Case(
        "three branches", Serial(conv, Relu(), Parallel(conv, last, untrained), Relu(), GlobalAvgPool()), (6, 5, 2), 5
    ),
    Case("flatten", Serial(conv, Residual(Relu(), conv), Relu(), Flatten(), Dense(trainable=False)), (6, 12, 2), 5),
    Case(
        "small weights",
        Serial(*(Conv(3, padding="SAME", W_std=0.05, b_std=1.0), Relu()) * 6, GlobalAvgPool()),
        (4, 4, 1),
        5,
    ),
    Case(
        "local pooling",
        Serial(conv, Relu(), last, Relu(), AvgPool(5, padding="SAME"), Flatten(), Dense(b_std=0.2)),
        (7, 18, 2),
        5,
    ),
    Case("windows side by side", Serial(conv, Relu(), AvgPool((2, 4), strides=(2, 3)), Flatten()), (7, 11, 2), 5),
    Case(
        "pooled twice, circular",
        Serial(
            Conv(3, padding="CIRCULAR"),
            Relu(),
            AvgPool((4, 3), padding="CIRCULAR"),
            AvgPool(2, strides=2, padding="SAME"),
            GlobalAvgPool(),
        ),
        (6, 9, 2),
        5,
    ),
    Case("1-D local pooling", Serial(Conv((3,), padding="SAME"), Relu(), AvgPool((3,)), Flatten()), (9, 2), 5),
    Case("70 layers", zoo.plain_cnn(70, "gap"), (3, 4, 1), 5),
)


def values(kernel):
    return {"nngp": np.asarray(kernel.nngp), "ntk": np.asarray(kernel.ntk)}


def hard_inputs(case, near=True):
    """Inputs of which the last two are a copy of the first and a flat image, and one is almost the first.

    Not where ``near`` is false: poolings inside a network subtract, and lose digits of small distances in every engine.
    """
    x = case.inputs
    if near:
        x[-3] = x[0] + np.float32(2.0**-12) * x[1]
    x[-2], x[-1] = x[0], 0.5
    return x


def exact(case, near=True):
    """Kernels of the hard inputs by NumPy in double precision, within 1e-8: nothing to compile."""
    x = hard_inputs(case, near).astype("float64")
    try:
        layers = cntk_numpy.of_spec(case.network)
    except TypeError:  # branches, which it has not
        found = structure_numpy.kernels(case.network, x)
    else:
        found = cntk_numpy.gram(layers, x)
    return dict(zip(("nngp", "ntk"), found, strict=True))
