"""Shape inference: what comes out of each layer, or an error that shows where the network breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ntklab.errors import SpecError
from ntklab.spec._inputs import InputLayer
from ntklab.spec._layer import Branching, Chain, Layer, Misfit, Shape, show_shape
from ntklab.spec._structure import Identity, Serial


@dataclass(frozen=True)
class Step:
    """One layer where it stands in the network: its path, and the shapes that enter and leave it."""

    path: str
    layer: Layer
    input_shape: Shape
    output_shape: Shape


def output_shape(network: Layer, input_shape: Sequence[int]) -> Shape:
    """Return the shape of the network's output for one input, channels last, ``None`` = any width.

    Parameters
    ----------
    network : Layer
    input_shape : sequence of int
        ``(d,)`` for vectors, ``(H, W, C)`` for images, ``(L, C)`` for sequences; no batch axis.

    Raises
    ------
    SpecError
        A layer cannot take what reaches it; the message shows the network up to that layer.

    Examples
    --------
    >>> from ntklab.spec import AvgPool, Conv, Serial
    >>> output_shape(Serial(Conv(3, padding="SAME"), AvgPool(2, strides=2)), (32, 32, 3))
    (16, 16, None)
    """
    return infer_shapes(network, input_shape)[-1].output_shape


def infer_shapes(network: Layer, input_shape: Sequence[int]) -> tuple[Step, ...]:
    """Return one :class:`Step` per layer in order of computation, composite layers after their parts."""
    if not isinstance(network, Layer):
        raise SpecError(f"A network is a layer such as Serial(...), got {network!r}.")
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise SpecError(
            f"input_shape is the shape of one input, channels last and without a batch axis, "
            f"such as (d,) or (H, W, C); got {input_shape!r}."
        )
    steps: list[Step] = []
    try:
        _walk(network, shape, "", steps, first=True)
    except _Located as misfit:
        raise SpecError(_report(misfit, network, shape, steps)) from None
    return tuple(steps)


class _Located(Exception):
    """A layer that cannot take its input, where it stands; becomes a SpecError once the network can be shown."""

    def __init__(self, path: str, layer: Layer, shape: Shape, reason: str) -> None:
        self.path, self.layer, self.shape, self.reason = path, layer, shape, reason


def _walk(layer: Layer, shape: Shape, path: str, steps: list[Step], *, first: bool) -> Shape:
    """Add the steps of a layer; ``first`` where nothing but layers that read the input itself stands before it."""
    try:
        if isinstance(layer, InputLayer) and not first:
            raise Misfit("it says what the numbers of the input mean, so no other layer stands before it")
        if isinstance(layer, Chain):
            out = shape
            for name, part in layer.parts:
                out = _walk(part, out, join(path, name), steps, first=first)
                first &= isinstance(part, InputLayer | Identity)
        elif isinstance(layer, Branching):
            outs = [_walk(part, shape, join(path, name), steps, first=first) for name, part in layer.parts]
            out = layer.combined_shape(shape, outs)
        else:
            out = layer.output_shape(shape)
    except Misfit as misfit:
        raise _Located(path, layer, shape, str(misfit)) from None
    steps.append(Step(path, layer, shape, out))
    return out


def join(path: str, name: str) -> str:
    """Return the path of a part: ``"3"`` and ``"body"`` give ``"3.body"``."""
    return f"{path}.{name}" if path else name


def _report(misfit: _Located, network: Layer, shape: Shape, steps: list[Step]) -> str:
    where = f" at {misfit.path}" if misfit.path else ""
    lines = [
        f"{misfit.layer!r}{where} cannot take an input of shape {show_shape(misfit.shape)}: {misfit.reason}.",
        f"network: {network!r}",
        f"  {'input':24} {show_shape(shape)}",
    ]
    lines += [
        f"  {step.path:10} {type(step.layer).__name__:13} {show_shape(step.output_shape)}"
        for step in steps
        if not isinstance(step.layer, Serial)
    ]
    lines.append(f"> {misfit.path:10} {type(misfit.layer).__name__:13} does not fit")
    return "\n".join(lines)
