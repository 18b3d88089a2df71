"""What layers that read the input itself become in a plan, and what reads the graphs that go along."""

from __future__ import annotations

from typing import Any

from ntklab.errors import SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.spec import Graph, Mask, Neighbours, Part

Inputs = tuple[int, ...]


def mask(builder: Builder, layer: Mask, inputs: Inputs, at: Place) -> int:
    """Add the input with zeros for missing numbers, and which positions are present."""
    source = builder.values[inputs[0]]
    options = (*source.options, ("constant", layer.constant))
    features = _source(builder, at, "input", "input", source.spatial, options)
    builder.masks[features] = _source(builder, at, "mask", "present", source.spatial, options)
    return features


def part(builder: Builder, layer: Part, inputs: Inputs, at: Place) -> int:
    """Add some numbers of the input, in their shape."""
    options = (*builder.values[inputs[0]].options, ("columns", (layer.start, layer.stop)), ("shape", layer.shape))
    return _source(builder, at, "input", "input", layer.shape[:-1], options)


def graph(builder: Builder, layer: Graph, inputs: Inputs, at: Place) -> int:
    """Add the features, and the adjacency matrix."""
    source, F = builder.values[inputs[0]], layer.features
    whole = F + source.spatial[0]
    features = _source(builder, at, "input", "input", source.spatial, (*source.options, ("columns", (0, F))))
    edges = (*source.options, ("columns", (F, whole)))
    builder.graphs[features] = _source(builder, at, "graph", "graph", source.spatial, edges)
    return features


def neighbours(builder: Builder, layer: Neighbours, inputs: Inputs, at: Place) -> int:
    """Add the sums over neighbours."""
    (x,) = inputs
    value, graph = builder.values[x], builder.graphs.get(x)
    if graph is None or value.spatial != builder.values[graph].spatial:
        raise SpecError(
            f"{layer!r} at {at.name} needs the nodes of a Graph, which is to stand first, and positions "
            f"{value.spatial} reach it. Network: {at.network!r}"
        )
    return builder.add(
        (layer, x, graph),
        at,
        kind="neighbours",
        label="Neighbours",
        inputs=(x, graph),
        spatial=value.spatial,
        gaussian=builder.gaussian[x],
        alike=builder.alike[x],
        options=(("mean", layer.mean),),
    )


def _source(
    builder: Builder, at: Place, kind: str, label: str, spatial: tuple[int, ...], options: tuple[tuple[str, Any], ...]
) -> int:
    """Add what is read from the input itself."""
    shared = {"spatial": spatial, "gaussian": False, "alike": False, "options": options}
    return builder.add((kind, options), at, kind=kind, label=label, inputs=(), **shared)
