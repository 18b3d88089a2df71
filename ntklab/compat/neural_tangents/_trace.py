"""What a program of stax layers becomes: layers of ours, with the shape that they make and where its axes stand.

A layer of stax is a `Step`: a function from what came before to what comes after. It is run when the shape of the
inputs is known, because axes there count the batch, and may count from either end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ntklab.errors import SpecError
from ntklab.spec import Identity, Layer, Part, Serial, output_shape


@dataclass(frozen=True)
class OwnGraphs:
    """In place of a graph: each input has its own. Layers that read them tell how ``pattern`` becomes matrices."""

    converts: list[Callable[[Any], Any]]


@dataclass(frozen=True)
class Value:
    """Where a translation stands.

    Attributes
    ----------
    layers : tuple of Layer
        So far, from the input or from where a branch began.
    shape : tuple of int
        Of one input as ours have it: spatial sizes, then channels.
    batch_axis, channel_axis : int
        Their places, from 0, in the arrays of the user's program.
    """

    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    batch_axis: int
    channel_axis: int

    @staticmethod
    def of_input(shape: Sequence[int], axes: tuple[int, int]) -> Value:
        """Return the input of a program, of the shape of a batch."""
        if len(shape) < 2:
            raise SpecError(f"Inputs have a batch axis and a channel axis at least, got the shape {tuple(shape)}.")
        batch, channel = (canonical(axis, len(shape)) for axis in axes)
        sizes = tuple(n for i, n in enumerate(shape) if i not in (batch, channel))
        return Value((), (*sizes, shape[channel]), batch, channel)

    @property
    def ndim(self) -> int:
        """Number of axes with the batch."""
        return len(self.shape) + 1

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """Places of the spatial axes."""
        return tuple(i for i in range(self.ndim) if i not in (self.batch_axis, self.channel_axis))

    @property
    def order(self) -> tuple[int, ...]:
        """The transposition from the user's axes to ours: batch, positions, channels."""
        return (self.batch_axis, *self.spatial_axes, self.channel_axis)

    @property
    def network(self) -> Layer:
        """The layers so far as one."""
        return self.layers[0] if len(self.layers) == 1 else Serial(*self.layers) if self.layers else Identity()

    def batch_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of ``n`` of them in the user's axes."""
        sizes = (n, *self.shape)
        return tuple(sizes[self.order.index(i)] for i in range(self.ndim))

    def then(self, layer: Layer, batch_axis: int | None = None, channel_axis: int | None = None) -> Value:
        """Return it with one more layer, which may move the axes of batch and channels."""
        shape = tuple(int(n or 0) for n in output_shape(layer, self.shape))
        batch = self.batch_axis if batch_axis is None else batch_axis
        channel = self.channel_axis if channel_axis is None else channel_axis
        return Value((*self.layers, layer), shape, batch, channel)

    def check_axes(self, name: str, batch_axis: int, channel_axis: int | None = None) -> None:
        """Raise SpecError where a layer looks for its axes elsewhere."""
        for what, asked, found in (
            ("batch_axis", batch_axis, self.batch_axis),
            ("channel_axis", channel_axis, self.channel_axis),
        ):
            if asked is not None and canonical(asked, self.ndim) != found:
                raise SpecError(
                    f"{name} has {what}={asked}, and that axis of its input is {found}: a network has its batch and "
                    f"channels along the same axes from the input on, unless a layer moves them."
                )

    def spatial(self, name: str, axis: int) -> int:
        """Return which spatial axis, from 0, one of the user's axes is; SpecError for batch and channels."""
        place = canonical(axis, self.ndim)
        if place not in self.spatial_axes:
            which = "batch" if place == self.batch_axis else "channels"
            way = {
                "batch": "do it with the inputs, before the network",
                "channels": "those are infinitely many; do it with the inputs, before the network",
            }
            raise SpecError(f"{name} names axis {axis}, the axis of the {which}: {way[which]}.")
        return self.spatial_axes.index(place)


@dataclass(frozen=True)
class Branches:
    """Several values side by side, each from where ``before`` ends."""

    before: Value
    values: tuple[Value | Branches, ...]


State = Value | Branches


def nested(shape: Sequence[Any]) -> bool:
    """Return whether this is the shapes of several inputs."""
    return bool(shape) and isinstance(shape[0], tuple | list)


def leaves(shapes: Sequence[Any]) -> list[Any]:
    """Return the shapes of all inputs, in order."""
    return [leaf for shape in shapes for leaf in leaves(shape)] if nested(shapes) else [shapes]


def parts_of(shapes: Sequence[Any], axes: tuple[int, int], behind: Layer) -> Branches:
    """Return a branch for each of several inputs, which stand one after another in a vector."""
    sizes = [math.prod(leaf_of(shape, axes).shape) for shape in leaves(shapes)]
    before, places = Value((), (sum(sizes),), 0, 1), itertools.accumulate(sizes, initial=0)

    def walk(shape: Sequence[Any]) -> State:
        if nested(shape):
            return Branches(before, tuple(walk(inner) for inner in shape))
        value = leaf_of(shape, axes)
        return replace(value, layers=(Part(value.shape, next(places)), behind))

    return Branches(before, tuple(walk(shape) for shape in shapes))


def leaf_of(shape: Sequence[int], axes: tuple[int, int]) -> Value:
    """Return one of several inputs, which may differ in their number of axes: one axis 3 is the last of all of them."""
    return Value.of_input(shape, (axes[0] % len(shape), axes[1] % len(shape)))


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of stax.

    Attributes
    ----------
    name : str
    run : function of (State, graph)
        ``graph`` is the adjacency matrix that all inputs share (``pattern`` of a call), OwnGraphs or None.
    axes : (int, int) or None
        Batch and channel axis that it looks for, where it looks for any: of the first layer, those of the inputs.
    """

    name: str
    run: Callable[[State, Any], State]
    axes: tuple[int, int] | None = None

    def trace(self, shape: Sequence[int], graph: Any = None) -> Value:
        """Return what it makes of inputs, or raise SpecError where that is several things."""
        axes = self.axes or (0, -1)
        return self.single(
            self.run(parts_of(shape, axes, Identity()) if nested(shape) else Value.of_input(shape, axes), graph)
        )

    def go_on(self, value: Value, graph: Any = None) -> Value:
        """Return what it makes of what came before."""
        return self.single(self.run(value, graph))

    def single(self, state: State) -> Value:
        """Return the one value of a state, or raise SpecError."""
        if isinstance(state, Branches):
            raise SpecError(
                f"{self.name} ends in {len(state.values)} branches, which are several kernels. Join them by FanInSum, "
                f"FanInProd or FanInConcat, or make one network for each."
            )
        return state


def on_value(name: str, run: Callable[[Value], Value], axes: tuple[int, int] | None = None) -> Step:
    """Return the step of a layer with one input and one output."""
    return Step(name, lambda state, _: run(one_input(name, state)), axes)


def one_input(name: str, state: State) -> Value:
    """Return the input of a layer that takes one, or raise SpecError."""
    if isinstance(state, Branches):
        raise SpecError(
            f"{name} takes one input, and follows {len(state.values)} branches: put it into each of them by parallel, "
            f"or join them by FanInSum, FanInProd or FanInConcat first."
        )
    return state


def many_inputs(name: str, state: State) -> Branches:
    """Return the branches that a layer takes, or raise SpecError."""
    if isinstance(state, Value):
        raise SpecError(
            f"{name} takes several inputs, and one array comes in: put FanOut before it, or give a tuple of inputs."
        )
    return state


def canonical(axis: int, ndim: int) -> int:
    """Return an axis counted from 0, or raise SpecError."""
    if not isinstance(axis, int) or not -ndim <= axis < ndim:
        raise SpecError(f"There is no axis {axis!r} in an array of {ndim} axes.")
    return axis % ndim


def fresh(value: Value) -> Value:
    """Return where a branch begins."""
    return replace(value, layers=())
