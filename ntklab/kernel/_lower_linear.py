"""What layers without weights become in a plan: one short function each; the list of them is in ``_table.py``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.kernel._lower_weights import Inputs, spatial_of, window_label
from ntklab.kernel._plan import Window
from ntklab.kernel._rule_positions import Factor, Matrix, Resize
from ntklab.spec import (
    Aggregate,
    AvgPool,
    DotGeneral,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    ImageResize,
    Index,
    Layer,
    LayerNorm,
    SumPool,
    window_padding,
)


def identity(builder: Builder, layer: Identity, inputs: Inputs, at: Place) -> int:
    """Add nothing."""
    return inputs[0]


def avg_pool(builder: Builder, layer: AvgPool, inputs: Inputs, at: Place) -> int:
    """Add a pooling of windows, or the matrix of one whose rows count only what is inside."""
    if layer.normalize_edges and layer.padding == "SAME":
        return _mix(builder, layer, inputs, at, _mean_inside(builder, layer, inputs[0]))
    return _pool(builder, layer, inputs, at)


def sum_pool(builder: Builder, layer: SumPool, inputs: Inputs, at: Place) -> int:
    """Add a pooling of windows times their size."""
    mean = _pool(builder, layer, inputs, at)
    return _times(builder, layer, mean, at, math.prod(layer.window))


def global_avg_pool(builder: Builder, layer: GlobalAvgPool, inputs: Inputs, at: Place) -> int:
    """Add a pooling whose window is everything; or all present positions, where some may be absent."""
    (x,) = inputs
    if x not in builder.masks or not builder.values[x].spatial:
        return _everywhere(builder, x, at)
    inputs = (x, builder.masks[x])
    shared = {"label": "GlobalAvgPool", "spatial": (), "gaussian": builder.gaussian[x], "alike": builder.alike[x]}
    options = (("read", builder.values[x].spatial),)
    return builder.add(("gap", *inputs), at, kind="masked pool", inputs=inputs, options=options, **shared)


def global_sum_pool(builder: Builder, layer: GlobalSumPool, inputs: Inputs, at: Place) -> int:
    """Add a pooling whose window is everything, times the number of positions."""
    count = math.prod(builder.values[inputs[0]].spatial)
    return _times(builder, layer, _everywhere(builder, inputs[0], at), at, count)


def flatten(builder: Builder, layer: Flatten, inputs: Inputs, at: Place) -> int:
    """Add the mean over equal positions, where there are positions."""
    (x,) = inputs
    if not builder.values[x].spatial:
        return x
    # Positions differ in variance: the flattened vector is not Gaussian with one covariance.
    return builder.add(
        ("flatten", x),
        at,
        kind="flatten",
        label="Flatten",
        inputs=inputs,
        gaussian=False,
        **_whole(builder, x),
    )


def index(builder: Builder, layer: Index, inputs: Inputs, at: Place) -> int:
    """Add the choice of some positions."""
    (x,) = inputs
    kept = layer.picked(builder.values[x].spatial)
    # a stop before the first position has no number
    words = tuple(k if isinstance(k, int) else (k.start, k.stop if k.stop >= 0 else None, k.step) for k in kept)
    return _positions(builder, layer, inputs, at, "index", label="Index", options=(("words", words),))


def resize(builder: Builder, layer: ImageResize, inputs: Inputs, at: Place) -> int:
    """Add an interpolation, axis by axis."""
    before = builder.values[inputs[0]].spatial
    sizes = zip(before, spatial_of(layer, at), strict=True)
    factors = (
        Factor((axis,), (m,), Resize(m, n, layer.method, layer.antialias))
        for axis, (n, m) in enumerate(sizes)
        if n != m
    )
    return _mix(builder, layer, inputs, at, tuple(factors))


def aggregate(builder: Builder, layer: Aggregate, inputs: Inputs, at: Place) -> int:
    """Add the sums over predecessors."""
    before = builder.values[inputs[0]].spatial
    over = layer.over(before)
    sizes = tuple(before[axis] for axis in over)
    edges = np.asarray(layer.adjacency, np.float64).reshape((math.prod(sizes), -1))
    return _mix(builder, layer, inputs, at, (Factor(over, sizes, Matrix.of(edges.T)),))


def dot_general(builder: Builder, layer: DotGeneral, inputs: Inputs, at: Place) -> int:
    """Add the product: a number, or the matrix that unit vectors show."""
    constant = layer.constant
    if isinstance(constant, float):
        return _times(builder, layer, inputs[0], at, constant)
    before = builder.values[inputs[0]].spatial
    axes = tuple(range(len(before)))
    units = np.eye(math.prod(before)).reshape((*before, -1))
    names = [*axes, len(axes)]
    others = [len(names) + i for i in range(len(layer.constant_shape))]
    for x, c in zip((*layer.contract[0], *layer.batch[0]), (*layer.contract[1], *layer.batch[1]), strict=True):
        others[c] = names[x]
    used = {*layer.contract[0], *layer.batch[0]}
    left, right = [i for i in axes if i not in used], [i for i in others if i not in used]
    free = right + left if layer.constant_first else left + right
    product = np.einsum(np.asarray(constant), others, units, names, [*layer.batch[0], *free, names[-1]])
    matrix = Matrix.of(product.reshape((-1, units.shape[-1])))
    factors = (Factor(axes, product.shape[:-1], matrix),)
    # channels that Flatten made of positions are of many distributions, and a grouped convolution could follow now
    return _mix(builder, layer, inputs, at, factors, alike=builder.alike[inputs[0]] and bool(before))


def layer_norm(builder: Builder, layer: LayerNorm, inputs: Inputs, at: Place) -> int:
    """Add a normalisation."""
    (x,) = inputs
    if not builder.gaussian[x]:
        raise SpecError(
            f"{layer!r} at {at.name} needs a Gaussian input, whose mean over channels is zero, and what reaches it is "
            f"not one; put a Dense() or Conv(...) before it. Network: {at.network!r}"
        )
    over = layer.positions(len(builder.values[x].spatial))
    if over and x in builder.masks:
        inputs = (x, builder.masks[x])
    options = (("over", over), ("eps", layer.eps))
    return _positions(builder, layer, inputs, at, "layer_norm", label="LayerNorm", options=options)


def dropout(builder: Builder, layer: Dropout, inputs: Inputs, at: Place) -> int:
    """Add masks; none where everything is kept."""
    (x,) = inputs
    if layer.mode == "test" or layer.rate == 1.0:
        return x
    if not builder.alike[x]:
        raise SpecError(
            f"{layer!r} at {at.name} drops some of the few channels of the input itself, so that no width makes the "
            f"kernel one number; put a Dense() or Conv(...) before it. Network: {at.network!r}"
        )
    options = (("rate", layer.rate),)
    return _positions(builder, layer, inputs, at, "dropout", label="Dropout", options=options, gaussian=False)


def _everywhere(builder: Builder, x: int, at: Place) -> int:
    """Add the mean over all positions."""
    return builder.add(
        ("gap", x),
        at,
        kind="pool",
        label="GlobalAvgPool",
        inputs=(x,),
        gaussian=builder.gaussian[x],
        **_whole(builder, x),
    )


def _pool(builder: Builder, layer: AvgPool | SumPool, inputs: Inputs, at: Place) -> int:
    assert isinstance(layer.strides, tuple)
    (x,) = inputs
    window = Window(layer.window, layer.strides, layer.padding)
    return builder.add(
        ("pool", x, window),
        at,
        kind="pool",
        label=window_label(layer),
        inputs=inputs,
        spatial=spatial_of(layer, at),
        gaussian=builder.gaussian[x],
        window=window,
    )


def _positions(
    builder: Builder, layer: Layer, inputs: Inputs, at: Place, kind: str, *, gaussian: bool = True, **op: Any
) -> int:
    """Add an operation without weights, which leaves Gaussian values Gaussian unless told otherwise."""
    gaussian, alike = gaussian and builder.gaussian[inputs[0]], builder.alike[inputs[0]]
    op = {"alike": alike, **op}
    return builder.add(
        (layer, *inputs), at, kind=kind, inputs=inputs, spatial=spatial_of(layer, at), gaussian=gaussian, **op
    )


def _mix(builder: Builder, layer: Layer, inputs: Inputs, at: Place, factors: tuple[Factor, ...], **op: Any) -> int:
    if not factors:
        return inputs[0]
    options = (("read", builder.values[inputs[0]].spatial), ("factors", factors))
    return _positions(builder, layer, inputs, at, "mix", label=type(layer).__name__, options=options, **op)


def _times(builder: Builder, layer: Layer, x: int, at: Place, factor: float) -> int:
    return builder.add(
        ("scale", x, float(factor) ** 2),
        at,
        kind="scale",
        label=f"times {factor:g}",
        inputs=(x,),
        spatial=builder.values[x].spatial,
        gaussian=builder.gaussian[x],
        options=(("factor", float(factor) ** 2),),
    )


def _mean_inside(builder: Builder, layer: AvgPool, x: int) -> tuple[Factor, ...]:
    """Return the means over what of each window is inside, axis by axis."""
    assert isinstance(layer.strides, tuple)
    factors = []
    sizes = zip(builder.values[x].spatial, layer.window, layer.strides, strict=True)
    for axis, (n, k, s) in enumerate(sizes):
        before, after = window_padding(n, k, s, "SAME")
        starts = np.arange(-before, n + after - k + 1, s)[:, None]
        inside = ((np.arange(n) >= starts) & (np.arange(n) < starts + k)).astype(np.float64)
        factors.append(Factor((axis,), (len(starts),), Matrix.of(inside / inside.sum(axis=1, keepdims=True))))
    return tuple(factors)


def _whole(builder: Builder, x: int) -> dict[str, Any]:
    spatial = builder.values[x].spatial
    return {"spatial": (), "window": Window(spatial, (1,) * len(spatial), "VALID"), "squeeze": True}
