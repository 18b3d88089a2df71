"""One network for each linear layer and option, small enough for all oracles: what several test files share."""

import functools

import numpy as np

from ntklab.spec import (
    Aggregate,
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    DotGeneral,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    ImageResize,
    Index,
    LayerNorm,
    Relu,
    Serial,
    SumPool,
)

SHAPE = (3, 4, 2)
_rng = np.random.default_rng(7)
conv = functools.partial(Conv, W_std=1.3, b_std=0.3)
wide = {"parameterization": "standard", "width": 4, "W_std": 1.3, "b_std": 0.3}

LAYERS = {
    "explicit padding": conv(2, padding=((1, 0), (0, 2)), strides=(1, 2)),
    "dilation, VALID": conv((2, 1), dilation=(2, 1)),
    "dilation, SAME": conv((2, 3), padding="SAME", dilation=(1, 2)),
    "dilation, CIRCULAR": conv(2, padding="CIRCULAR", dilation=2, strides=(2, 1)),
    "groups": conv(2, padding="SAME", groups=2),
    "transpose, VALID": ConvTranspose((3, 2), strides=(2, 1), b_std=0.3),
    "transpose, SAME": ConvTranspose((2, 3), strides=(1, 2), padding="SAME", trainable=False),
    "transpose, CIRCULAR": ConvTranspose((3, 1), strides=(2, 1), padding="CIRCULAR", b_std=0.3),
    "local, SAME": ConvLocal(2, padding="SAME", b_std=0.3),
    "local, CIRCULAR": ConvLocal((2, 3), strides=(2, 1), padding="CIRCULAR", W_std=1.5),
    "sums": SumPool(2, padding="SAME", strides=(1, 2)),
    "means of what is inside": AvgPool((3, 2), padding="SAME", strides=(2, 1), normalize_edges=True),
    "LAP": AvgPool(3, padding="SAME"),
    "norm of channels": LayerNorm(),
    "norm of rows": LayerNorm((0, -1), eps=0.1),
    "norm of all": LayerNorm((0, 1, 2)),
    "linear resize": ImageResize((2, 5)),
    "cubic resize": ImageResize((4, -1), "cubic"),
    "nearest resize": ImageResize((2, 3), "nearest"),
    "lanczos resize": ImageResize((-1, 2), "lanczos3"),
    "no antialias": ImageResize((2, 2), antialias=False),
    "slices": Index((slice(None, None, -2), ...)),
    "one row": Index((1,)),
    "matrix on rows": DotGeneral(_rng.normal(size=(2, 3)), contract=((0,), (1,))),
    "matrix first": DotGeneral(_rng.normal(size=(3, 2, 4)), ((1,), (2,)), ((0,), (0,)), constant_first=True),
    "mask": DotGeneral(_rng.integers(0, 2, size=(3, 4)), batch=((0, 1), (0, 1))),
    "number": DotGeneral(-0.5),
    "graph of pixels": Aggregate(_rng.normal(size=(3, 4, 3, 4))),
    "graph of columns": Aggregate.from_edges([(0, 1), (1, 2), (3, 0, 0.5), (0, 1), (-1, 2)], 4, axis=1),
    "standard": Conv(2, padding="SAME", **wide),
    "standard, local": ConvLocal(2, padding="SAME", **wide, s=(1, 3)),
    "standard, transposed": ConvTranspose(2, padding="SAME", **wide),
    "standard, frozen": Conv(2, trainable=False, **wide),
}
"""Layers of images that leave Gaussian values of at least one spatial axis."""


def network(name, pooled):
    """A layer between two convolutions, then an activation, so that distances go through it, and a readout."""
    layer = LAYERS[name]
    one = 1 if name in ("one row", "matrix first") else 2
    if name == "matrix first":
        one = 2
    readout = GlobalAvgPool() if pooled else Flatten()
    first = Conv(2, width=4, padding="SAME", W_std=1.2, b_std=0.2)
    return Serial(first, layer, Relu(), conv((1,) * one, trainable=False), Relu(), readout, Dense(b_std=0.2))


ENDS = {
    "dropout": Serial(conv(2), Relu(), Dropout(0.7), conv(1), Relu(), GlobalAvgPool(), Dense()),
    "dropout at the end": Serial(conv(2), Relu(), Flatten(), Dense(), Relu(), Dropout(0.6), Dense(b_std=0.1)),
    "dropout, flattened": Serial(conv(2), Relu(), Flatten(), Dropout(0.7), Dense(), Relu(), Dense()),
    "dropout without activation": Serial(conv(2), Dropout(0.5), AvgPool(2), Flatten()),
    "dropout, test": Serial(conv(2), Relu(), Dropout(0.7, "test"), Flatten(), Dense()),
    "depthwise separable": Serial(conv(2), conv(2, padding="SAME", groups="depthwise"), conv(1), Relu(), Flatten()),
    "groups of the input": Serial(conv(2, groups=2), Dense(), Relu(), GlobalAvgPool()),
    "global sum": Serial(conv(2), Relu(), GlobalSumPool(), Dense(W_std=0.3)),
    "one pixel": Serial(conv(2), Relu(), Index((-1, 0)), Dense(), Relu(), Dense()),
    "all contracted": Serial(conv(2), Relu(), DotGeneral(_rng.normal(size=(2, 3)), ((0, 1), (0, 1))), Dense()),
    # without an activation between: what it makes is collinear, where correlations lose half their digits
    "made positions": Serial(Dense(), Relu(), DotGeneral(_rng.normal(size=(3, 3))), conv(2), Relu(), GlobalAvgPool()),
    "linear": Serial(
        ConvTranspose(2, strides=2),
        LayerNorm((0, 1, 2)),
        ConvLocal(2, b_std=0.2),
        ImageResize((3, 3)),
        Aggregate(_rng.normal(size=(3, 3)), axis=1),
        Index((slice(1, None),)),
        SumPool(2),
        Flatten(),
    ),
    "standard, dense": Serial(
        Flatten(),
        Dense(3, W_std=1.4, b_std=0.3, parameterization="standard", s=(1, 8)),
        Relu(),
        Dense(5, b_std=0.2, parameterization="standard", s=(8, 2)),
        Dense(1, parameterization="standard", s=(2, 1)),
    ),
}
"""Whole networks of what cannot stand in the middle."""
VECTORS = ("made positions",)


def all_networks():
    """Return every network by its name: each layer once behind pooling, once flattened, in turn."""
    networks = {name: network(name, pooled=i % 2 == 0) for i, name in enumerate(LAYERS)}
    return {**networks, **{name: net for name, net in ENDS.items() if name not in VECTORS}}
