"""Inputs as networks of ours read them: our mark for what is absent, and graphs beside the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ntklab.compat.neural_tangents._kernel import default_dtype
from ntklab.compat.neural_tangents._trace import OwnGraphs, Step, Value, leaf_of, nested, parts_of
from ntklab.errors import InputError
from ntklab.finite import Params
from ntklab.spec import Graph, Identity, Mask

MARK = 2.0**100
"""What stands for a mask's constant, whatever it is: NaN and infinities, too, and numbers that float32 rounds."""


class Prepared(NamedTuple):
    """A network for some inputs, and the inputs.

    Attributes
    ----------
    end, start : Value
        Where it ends; of the inputs, their shape and axes.
    arrays : list of array or None
    ahead : int
        How many layers stand in front of those of the program.
    """

    end: Value
    start: Value
    arrays: list[Any]
    ahead: int

    def weights(self, params: Params) -> Params:
        """Return the weights that ``init_fn`` drew, under the paths that they have behind the layers in front."""

        def moved(path: str) -> str:
            first, dot, rest = path.partition(".")
            return f"{int(first) + self.ahead}{dot}{rest}"

        return Params(*({moved(path): own for path, own in part.items()} for part in params)) if self.ahead else params


def prepare(step: Step, arrays: Sequence[Any], pattern: Any, constant: Any) -> Prepared:
    """Return the network of a program and its inputs, ``x1`` and ``x2`` or one of them."""
    axes = step.axes or (0, -1)
    if isinstance(arrays[0], tuple):
        if pattern is not None or not all(x is None or isinstance(x, tuple) for x in arrays):
            raise InputError(
                "Give a tuple of inputs on both sides, and no pattern: graphs go beside one array of nodes."
            )
        return _several(step, arrays, axes, constant)
    inputs: list[Any] = [x if x is None else _marked(jnp.asarray(x), constant) for x in arrays]
    start = ahead = Value.of_input(inputs[0].shape, axes)
    for x in inputs[1:]:
        if x is not None and (x.ndim != start.ndim or Value.of_input(x.shape, axes) != start):
            raise InputError(
                f"x1 and x2 differ in their number of inputs alone, got shapes {inputs[0].shape}, {x.shape}."
            )
    sides = pattern if isinstance(pattern, tuple | list) else (pattern,)
    graph = shared_graph([side for side, x in zip(sides, inputs, strict=False) if x is not None])
    if isinstance(graph, OwnGraphs):
        if len(start.shape) != 2:
            raise InputError(
                f"pattern has one graph per input, and those are for nodes along one axis; inputs have the axes "
                f"{start.shape[:-1]}. Reshape them to one axis of nodes, or use one graph that all inputs share."
            )
        ahead = Value((Graph(start.shape[1]),), start.shape, start.batch_axis, start.channel_axis)
    ahead = ahead if constant is None else ahead.then(Mask(MARK))
    end = step.single(step.run(ahead, graph))
    if isinstance(graph, OwnGraphs):
        convert = graph.converts[0] if graph.converts else np.asarray
        inputs = [
            x if x is None else _beside(x.transpose(start.order), convert(side))
            for x, side in zip(inputs, (*sides, None), strict=False)
        ]
        start = Value((), (start.shape[0], sum(start.shape)), 0, 2)
    return Prepared(end, start, inputs, len(ahead.layers))


def packed_shape(shapes: Sequence[Any], axes: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of one input as networks take it: of several, a vector."""
    if not nested(shapes):
        return Value.of_input(shapes, axes).shape
    return parts_of(shapes, axes, Identity()).before.shape


def _several(step: Step, arrays: Sequence[Any], axes: tuple[int, int], constant: Any) -> Prepared:
    """Return the network of a program and its inputs, each a tuple of arrays, packed into vectors."""
    behind = Identity() if constant is None else Mask(MARK)
    starts = [parts_of(_shapes(x), axes, behind) for x in arrays if x is not None]
    if any(start != starts[0] for start in starts):
        raise InputError(f"x1 and x2 differ in their numbers of inputs alone, got {[_shapes(x) for x in arrays]}.")

    def packed(x: Any) -> list[Any]:
        if isinstance(x, tuple):
            return [part for inner in x for part in packed(inner)]
        rows = _marked(jnp.asarray(x), constant).transpose(leaf_of(x.shape, axes).order)
        return [rows.reshape((rows.shape[0], -1))]

    inputs = [x if x is None else jnp.concatenate(packed(x), axis=1) for x in arrays]
    return Prepared(step.single(step.run(starts[0], None)), starts[0].before, inputs, 0)


def _shapes(x: Any) -> Any:
    return tuple(_shapes(part) for part in x) if isinstance(x, tuple) else tuple(x.shape)


def shared_graph(sides: Sequence[Any]) -> Any:
    """Return the graph that all inputs share, None without any, or :class:`OwnGraphs` where they have their own."""
    if all(side is None for side in sides):
        return None
    if any(side is None for side in sides):
        raise InputError("pattern needs the graphs of the inputs on both sides, and those of one are None.")
    if any(isinstance(side, Tracer) for side in sides) or len({np.shape(side)[1:] for side in sides}) > 1:
        return OwnGraphs([])
    graphs = np.concatenate([np.asarray(side) for side in sides])
    return OwnGraphs([]) if (graphs != graphs[:1]).any() else graphs[0]


def _beside(x: Any, A: Any) -> Any:
    """Return features with the adjacency matrices, whose heads become rows."""
    n, nodes, _ = x.shape
    if A.shape != (n, nodes, nodes):
        raise InputError(f"pattern has the shape {(n, nodes, nodes)} for these inputs, got {A.shape}.")
    return jnp.concatenate([jnp.asarray(x), jnp.swapaxes(jnp.asarray(A, x.dtype), 1, 2)], axis=-1)


def _marked(x: Any, constant: Any) -> Any:
    """Return inputs with our mark for absence instead of the user's."""
    if constant is None:
        return x
    x = x if x.dtype.kind == "f" else x.astype(default_dtype())
    constant = jnp.asarray(constant).astype(x.dtype)
    missing = jnp.where(jnp.isnan(constant), jnp.isnan(x), x == constant)
    return jnp.where(missing, jnp.asarray(MARK, x.dtype), x)
