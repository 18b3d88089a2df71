"""serial, parallel, repeat, and the layers between which branches run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntklab.compat.neural_tangents._fn import Triple, step_of, triple
from ntklab.compat.neural_tangents._trace import (
    Branches,
    State,
    Step,
    Value,
    canonical,
    fresh,
    many_inputs,
    on_value,
    one_input,
)
from ntklab.errors import SpecError
from ntklab.spec import Concat, Layer, Parallel, Product, Repeat


def serial(*layers: Any) -> Triple:
    """Layers one after another: :class:`ntklab.spec.Serial`."""
    steps = [step_of(layer) for layer in layers]

    def run(state: State, graph: Any) -> State:
        for step in steps:
            state = step.run(state, graph)
        return state

    return triple(Step("serial", run, _first_axes(steps)))


def parallel(*layers: Any) -> Triple:
    """One layer for each branch that FanOut began."""
    steps = [step_of(layer) for layer in layers]

    def run(state: State, graph: Any) -> State:
        branches = many_inputs("parallel", state)
        if len(branches.values) != len(steps):
            raise SpecError(f"parallel has {len(steps)} layers, and {len(branches.values)} branches come in.")
        ends = [step.single(step.run(value, graph)) for step, value in zip(steps, branches.values, strict=True)]
        return Branches(branches.before, tuple(ends))

    return triple(Step("parallel", run, _first_axes(steps)))


def repeat(layer: Any, n: int) -> Triple:
    """A layer ``n`` times, each time with weights of its own: :class:`ntklab.spec.Repeat`."""
    step = step_of(layer)

    def run(state: State, graph: Any) -> State:
        value = one_input("repeat", state)
        end = step.go_on(fresh(value), graph)
        if fresh(end) != fresh(value):
            raise SpecError(
                f"repeat needs a layer whose outputs have the shape and axes of its inputs, {value.batch_shape(-1)}; "
                f"it makes {end.batch_shape(-1)}. Write serial(*[layer] * n)."
            )
        return value.then(Repeat(end.network, n))

    return triple(Step("repeat", run, step.axes))


def Identity() -> Triple:
    """The input itself."""
    return triple(on_value("Identity", lambda value: value))


def FanOut(num: int) -> Triple:
    """The same input to ``num`` branches."""

    def run(state: State, _: Any) -> State:
        value = one_input("FanOut", state)
        return Branches(value, (fresh(value),) * num)

    return triple(Step("FanOut", run))


def FanInSum() -> Triple:
    """The sum of branches: :class:`ntklab.spec.Parallel`."""
    return _fan_in("FanInSum", lambda _, branches: Parallel(*branches))


def FanInProd() -> Triple:
    """The product of branches: :class:`ntklab.spec.Product`."""
    return _fan_in("FanInProd", lambda _, branches: Product(*branches))


def FanInConcat(axis: int = -1) -> Triple:
    """Branches side by side along channels or a spatial axis: :class:`ntklab.spec.Concat`."""

    def join(value: Value, branches: list[Layer]) -> Layer:
        channels = canonical(axis, value.ndim) == value.channel_axis
        return Concat(*branches, axis=-1 if channels else value.spatial("FanInConcat", axis))

    return _fan_in("FanInConcat", join)


def _fan_in(name: str, join: Callable[[Value, list[Layer]], Layer]) -> Triple:
    def run(state: State, _: Any) -> State:
        branches = many_inputs(name, state)
        values = [one_input(name, value) for value in branches.values]
        first = values[0]
        axes = [(value.batch_axis, value.channel_axis) for value in values]
        if len(set(axes)) > 1:
            raise SpecError(f"{name}: the branches have their batch and channels along different axes, {axes}.")
        if len(values) == 1:
            return Value((*branches.before.layers, *first.layers), first.shape, *axes[0])
        return branches.before.then(join(first, [value.network for value in values]), *axes[0])

    return triple(Step(name, run))


def _first_axes(steps: list[Step]) -> tuple[int, int] | None:
    return next((step.axes for step in steps if step.axes is not None), None)
