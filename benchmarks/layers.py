"""Which engine has code for which layer: the table of docs/layers.md, from what is said of small networks.

python benchmarks/tables.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np

from ntklab import finite, spec
from ntklab.engine import ENGINES
from ntklab.errors import SpecError
from ntklab.kernel import lower
from ntklab.spec import (
    Activation,
    Aggregate,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    DotGeneral,
    Dropout,
    Elementwise,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    GlobalSumPool,
    Graph,
    Identity,
    ImageResize,
    Index,
    Layer,
    LayerNorm,
    Mask,
    MaxPool,
    Neighbours,
    Parallel,
    Part,
    Product,
    Recurrent,
    Relu,
    Repeat,
    Residual,
    Serial,
    SumPool,
)

COLUMNS = {"Flatten", "GlobalAvgPool"}
"""What makes a network flat or pooled."""
SHAPES = {"dense": (3,), "flat": (8, 8, 3), "pooled": (8, 8, 3)}
same = partial(Conv, padding="SAME")
READOUTS = {"dense": Identity(), "flat": Flatten(), "pooled": GlobalAvgPool()}

BETWEEN: dict[str, Layer] = {
    "Dense": Dense(b_std=0.1),
    "Conv": same(3),
    "Conv, VALID": Conv(3, padding="VALID"),
    "Conv, strides or dilation": same(3, strides=2),
    "Conv, groups": same(3, groups=2),
    "ConvTranspose": ConvTranspose(2),
    "ConvLocal": ConvLocal(3, padding="SAME"),
    "AvgPool, window = strides": AvgPool(2, strides=2),
    "AvgPool, overlapping": AvgPool(3, strides=1, padding="SAME"),
    "SumPool": SumPool(2),
    "LayerNorm": LayerNorm(),
    "Dropout": Dropout(0.9),
    "Index": Index((slice(0, 4),)),
    "ImageResize": ImageResize((4, 4)),
    "DotGeneral": DotGeneral(2.0),
    "Aggregate": Aggregate(np.eye(8), axis=0),
    "GlobalSelfAttention": GlobalSelfAttention(),
    "GlobalSelfAttention, softmax over sqrt(d)": GlobalSelfAttention(linear_scaling=False),
    "BatchNorm": BatchNorm(),
    "MaxPool": MaxPool(2),
    "Identity": Identity(),
    "Serial": Serial(Identity()),
    "Repeat": Repeat(Serial(Relu(), Dense()), 2),
    "Residual": Residual(Relu(), Dense(width=4)),
    "Parallel": Parallel(Dense(), Serial(Relu(), Dense())),
    "Product": Product(Dense(), Dense()),
    "Concat": Concat(Dense(width=2), Dense(width=2)),
}
"""Layers that stand between two layers with weights."""

WHOLE: dict[str, Callable[[str], Serial]] = {
    "AvgPool, any at the end (LAP)": lambda where: _end(AvgPool(3, strides=1, padding="SAME"), where),
    "GlobalSumPool": lambda where: Serial(same(3), Relu(), GlobalSumPool(), Dense()),
    "Recurrent": lambda where: Serial(Recurrent(Relu(), output="last"), Dense()),
    "Mask": lambda where: Serial(Mask(), *_around(Identity(), where).layers),
    "Part": lambda where: Serial(Part(SHAPES[where], 0), *_around(Identity(), where).layers),
    "Graph": lambda where: Serial(Graph(2), Neighbours(), Dense(), Relu(), GlobalAvgPool()),
    "Neighbours": lambda where: Serial(Graph(2), Neighbours(), Dense(), Relu(), GlobalAvgPool()),
}
"""Layers that a network begins or ends with."""
OWN_SHAPES = {"Graph": (4, 6), "Neighbours": (4, 6), "Recurrent": (4, 3), "Part": (192,)}


def names() -> set[str]:
    """Return the names of the rows: of layers with options several."""
    return {*BETWEEN, *WHOLE, *(layer.__name__ for layer in _concrete() if issubclass(layer, Activation))}


def missing() -> set[str]:
    """Return the layers of ``ntklab.spec`` that have no row, and stand for no column."""
    return {layer.__name__ for layer in _concrete()} - {name.split(",")[0] for name in names()} - COLUMNS


def table() -> str:
    """Return the table."""
    engines = [engine for engine in ENGINES if engine.name != "reference"]
    lines = [f"| layer | {' | '.join(f'`{engine.name}`' for engine in engines)} |", "|---|" + "---|" * len(engines)]
    others, sampled = [], []
    for name in sorted(names(), key=str.lower):
        plans = {where: _plan(name, where) for where in SHAPES}
        if not any(plans.values()):
            finite.network(_network(name, "flat"), SHAPES["flat"], batch=2)  # an error here: nothing runs this layer
            sampled.append(f"`{name}`")
            continue
        cells = [
            ", ".join(where for where, plan in plans.items() if plan is not None and engine.declines(plan) is None)
            for engine in engines
        ]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cell or '-' for cell in cells)} |")
        else:
            others.append(f"`{name}`")
    lines += ["", f"By `reference` alone: {', '.join(others)}."]
    return "\n".join([*lines, "", f'Sampled, by `engine="monte-carlo"` alone: {", ".join(sampled)}.']) + "\n"


def _plan(name: str, where: str):
    try:
        return lower(_network(name, where), OWN_SHAPES.get(name, SHAPES[where]))
    except SpecError:
        return None


def _network(name: str, where: str) -> Serial:
    return WHOLE[name](where) if name in WHOLE else _around(_layer(name), where)


def _layer(name: str) -> Layer:
    if name in BETWEEN:
        return BETWEEN[name]
    made = {
        "Affine": lambda: spec.Affine(Relu(), 2.0, 1.0),
        "Combination": lambda: spec.Combination(Relu(), spec.Tanh()),
        "Elementwise": lambda: Elementwise(np.tanh),
        "ABRelu": lambda: spec.ABRelu(-0.1, 1.0),
        "LeakyRelu": lambda: spec.LeakyRelu(0.1),
        "Hermite": lambda: spec.Hermite(2),
        "Monomial": lambda: spec.Monomial(2),
        "Polynomial": lambda: spec.Polynomial((0.0, 1.0, 0.5)),
        "RectifiedMonomial": lambda: spec.RectifiedMonomial(2),
    }
    return made.get(name, getattr(spec, name))()


def _around(layer: Layer, where: str) -> Serial:
    weights = Dense(width=4) if where == "dense" else same(3, width=4)
    after = () if isinstance(layer, Activation | Concat | Dropout | Product) else (Relu(),)
    last = Dense() if where == "dense" else same(3)
    middle = (Relu(), layer) if isinstance(layer, AvgPool | SumPool) else (layer, *after)
    return Serial(weights, *middle, last, Relu(), READOUTS[where], Dense())


def _end(layer: Layer, where: str) -> Serial:
    return Serial(same(3), Relu(), layer, READOUTS[where], Dense())


def _concrete() -> list[type[Layer]]:
    """Return the layers that are no base classes."""
    bases = (spec.Weighted, spec.Activation, spec.Chain, spec.Branching, spec.InputLayer, Layer)
    found = [value for value in vars(spec).values() if inspect.isclass(value) and issubclass(value, Layer)]
    return [layer for layer in found if layer not in bases]
