"""Layers that act on positions, and normalisation: names, arguments and defaults of neural-tangents' stax."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import lax
from jax.core import Tracer

from ntklab import spec
from ntklab.compat.neural_tangents._fn import Triple, triple
from ntklab.compat.neural_tangents._trace import OwnGraphs, State, Step, Value, canonical, on_value, one_input
from ntklab.errors import InputError, SpecError

Axes2 = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]


class AggregateImplementation(enum.Enum):
    """What ``pattern`` of a call is: adjacency matrices, or lists of edges."""

    DENSE = "DENSE"
    SPARSE = "SPARSE"


class _Slice:
    """Writes an index as Python writes it: ``Slice[:, 1:3]``."""

    def __getitem__(self, index: Any) -> Any:
        return index


Slice = _Slice()


def Dropout(rate: float, mode: str = "train") -> Triple:
    """Keep each number with probability ``rate``: :class:`ntklab.spec.Dropout`."""
    layer = spec.Dropout(rate, mode.lower())  # pyright: ignore[reportArgumentType]

    def run(value: Value) -> Value:
        if not value.layers:
            raise SpecError("Dropout cannot be the first layer: put weights before it.")
        return value.then(layer)

    return triple(on_value("Dropout", run))


def LayerNorm(
    axis: int | Sequence[int] = -1, eps: float = 1e-12, batch_axis: int = 0, channel_axis: int = -1
) -> Triple:
    """Subtract the mean and divide by the standard deviation: :class:`ntklab.spec.LayerNorm`."""

    def run(value: Value) -> Value:
        value.check_axes("LayerNorm", batch_axis, channel_axis)
        places = [canonical(a, value.ndim) for a in ((axis,) if isinstance(axis, int) else axis)]
        ours = (-1 if a == value.channel_axis else value.spatial("LayerNorm", a) for a in places)
        return value.then(spec.LayerNorm(tuple(ours), eps))

    return triple(on_value("LayerNorm", run, (batch_axis, channel_axis)))


def ImageResize(
    shape: Sequence[int],
    method: Any,
    antialias: bool = True,
    precision: Any = lax.Precision.HIGHEST,
    batch_axis: int = 0,
    channel_axis: int = -1,
) -> Triple:
    """Interpolation to other sizes: :class:`ntklab.spec.ImageResize`; always at the highest precision."""

    def run(value: Value) -> Value:
        value.check_axes("ImageResize", batch_axis, channel_axis)
        if len(shape) != value.ndim:
            raise SpecError(f"ImageResize: shape {tuple(shape)} has a size for each of {value.ndim} axes, -1 keeps it.")
        if shape[value.batch_axis] != -1 or shape[value.channel_axis] not in (-1, value.shape[-1]):
            raise SpecError(f"ImageResize: shape {tuple(shape)} keeps batch and channels, so it has -1 there.")
        return value.then(spec.ImageResize(tuple(shape[i] for i in value.spatial_axes), method, antialias))

    return triple(on_value("ImageResize", run, (batch_axis, channel_axis)))


def Index(idx: Any, batch_axis: int = 0, channel_axis: int = -1) -> Triple:
    """Some of the positions: :class:`ntklab.spec.Index`."""

    def run(value: Value) -> Value:
        value.check_axes("Index", batch_axis, channel_axis)
        words = list(idx) if isinstance(idx, tuple) else [idx]
        at = next((i for i, word in enumerate(words) if word is ...), len(words))
        rest = len(words) - (at < len(words))
        words[at : at + 1] = [slice(None)] * (value.ndim - rest)
        for place in (value.batch_axis, value.channel_axis):
            if words[place] != slice(None):
                value.spatial("Index", place)  # raises, with the reason
        dropped = [i for i, word in enumerate(words) if not isinstance(word, slice)]
        batch, channel = (a - sum(i < a for i in dropped) for a in (value.batch_axis, value.channel_axis))
        return value.then(spec.Index(tuple(words[i] for i in value.spatial_axes)), batch, channel)

    return triple(on_value("Index", run, (batch_axis, channel_axis)))


def DotGeneral(
    *,
    lhs: Any = None,
    rhs: Any = None,
    dimension_numbers: Axes2 = (((), ()), ((), ())),
    precision: Any = None,
    batch_axis: int = 0,
    channel_axis: int = -1,
) -> Triple:
    """Product with a constant array: :class:`ntklab.spec.DotGeneral`; always at the highest precision."""
    if lhs is not None and rhs is not None:
        raise SpecError("DotGeneral: at most one of lhs and rhs is given, the other one is the input.")
    if lhs is None and rhs is None:
        return triple(on_value("DotGeneral", lambda value: value, (batch_axis, channel_axis)))
    first = lhs is not None
    constant = np.asarray(lhs if first else rhs)
    contract, batch = ((pair[1], pair[0]) if first else pair for pair in dimension_numbers)

    def run(value: Value) -> Value:
        value.check_axes("DotGeneral", batch_axis, channel_axis)
        pairs = [(tuple(value.spatial("DotGeneral", a) for a in x), tuple(c)) for x, c in (contract, batch)]
        layer = spec.DotGeneral(constant, pairs[0], pairs[1], first)
        gone = {canonical(a, value.ndim) for a in (*contract[0], *batch[0])}
        free = [i for i in range(value.ndim) if i not in gone]
        ahead = len(batch[0]) + (constant.ndim - len(contract[1]) - len(batch[1]) if first else 0)
        return value.then(layer, ahead + free.index(value.batch_axis), ahead + free.index(value.channel_axis))

    return triple(on_value("DotGeneral", run, (batch_axis, channel_axis)))


def Aggregate(
    aggregate_axis: int | Sequence[int] | None = None,
    batch_axis: int = 0,
    channel_axis: int = -1,
    to_dense: Callable[[Any], Any] | None = lambda p: p,
    implementation: str = "DENSE",
) -> Triple:
    """Sum over neighbours, ``pattern`` of a call: :class:`ntklab.spec.Aggregate`, or ``Neighbours`` in one's own graph.

    Without a pattern it is the identity.
    """
    word = str(getattr(implementation, "name", implementation))
    if word not in AggregateImplementation.__members__:
        raise SpecError(f"Aggregate: implementation is DENSE or SPARSE, got {implementation!r}.")

    def run(state: State, graph: Any) -> State:
        value = one_input("Aggregate", state)
        value.check_axes("Aggregate", batch_axis, channel_axis)
        if graph is None:
            return value.then(spec.Identity())
        if isinstance(graph, OwnGraphs):
            graph.converts.append(lambda pattern: _adjacencies(pattern, value.shape[0], word, to_dense))
            return value.then(spec.Neighbours())
        given = (aggregate_axis,) if isinstance(aggregate_axis, int) else aggregate_axis
        axes = value.spatial_axes if given is None else given
        over = tuple(value.spatial("Aggregate", a) for a in axes)
        dense = _adjacency(graph, [value.shape[i] for i in over]) if word == "SPARSE" else graph
        if word == "DENSE" and to_dense is not None:
            dense = np.asarray(to_dense(dense[None]))[0]
        return value.then(spec.Aggregate(dense, over))

    return triple(Step("Aggregate", run, (batch_axis, channel_axis)))


def _adjacencies(pattern: Any, nodes: int, word: str, to_dense: Callable[[Any], Any] | None) -> Any:
    """Return the adjacency matrices of all inputs."""
    if word == "DENSE":
        return pattern if to_dense is None else to_dense(pattern)
    if isinstance(pattern, Tracer):
        raise InputError("Lists of edges are part of the network here: close over pattern, outside jax.jit.")
    return np.stack([_adjacency(edges, [nodes]) for edges in np.asarray(pattern)])


def _adjacency(edges: Any, sizes: list[int]) -> Any:
    """Return the adjacency matrix of edges ``(n_edges, K, 2)``, or ``(n_edges, 2)``; a negative end is padding."""
    edges = np.asarray(edges)
    edges = edges[:, None, :] if edges.ndim == 2 else edges
    if edges.ndim != 3 or edges.shape[1:] != (len(sizes), 2):
        raise SpecError(f"Aggregate: edges have the shape (edges, {len(sizes)}, 2) of each graph, got {edges.shape}.")
    kept = edges[(edges >= 0).all(axis=(1, 2))]
    dense = np.zeros((*sizes, *sizes))
    np.add.at(dense, (*kept[:, :, 0].T, *kept[:, :, 1].T), 1.0)
    return dense
