"""Dense layers, and what all layers with weights share. Notation: docs/notation.md.

Weight layers use the NTK parameterisation unless told otherwise: unit Gaussian weights, scaled in the forward pass by
``W_std / sqrt(fan_in)`` and, for the bias, by ``b_std``. Names and defaults follow neural-tangents' stax.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._layer import LATER, Layer, Misfit, Shape, Weighted, check_flag, check_number, check_width, is_size

Parameterization = Literal["ntk", "standard"]


@dataclass(frozen=True, repr=False)
class Dense(Weighted):
    r"""Fully connected layer on the channel axis, :math:`y = W_{std} / \sqrt{n}\, W x + b_{std}\, b`.

    Parameters
    ----------
    width : int, optional
        Output channels of a *finite* network. The kernels do not depend on it; ``None`` lets
        :func:`ntklab.finite.network` choose.
    W_std, b_std : float
        Standard deviations of weights and bias; ``b_std=None`` means no bias.
    trainable : bool
        Whether gradient flow moves this layer. An untrained layer adds nothing to the NTK.
    parameterization : {"ntk", "standard"}
        ``"standard"`` computes :math:`y = W x / \sqrt{s_{in}} + b` with weights of standard deviation
        :math:`W_{std} / \sqrt{n / s_{in}}`, biases of ``b_std``: the same outputs, but gradient flow moves wide layers
        more. Its NTK depends on ``n / s[0]``, so the layer before must have a ``width``.
    s : (int, int)
        Under ``"standard"``, by how much channels in and out are widened beyond the nominal ``width``: there are
        ``s[1] * width`` of them. ``s[0]`` is the ``s[1]`` of the layer before.

    References
    ----------
    Sohl-Dickstein et al. 2020, "On the infinite width limit of neural networks with a standard parameterization".

    Examples
    --------
    >>> Dense(W_std=1.5, trainable=False)
    Dense(W_std=1.5, trainable=False)
    """

    width: int | None = None
    W_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    parameterization: Parameterization = field(default="ntk", metadata=LATER)
    s: tuple[int, int] = field(default=(1, 1), metadata=LATER)

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_weights(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same positions with its own channels."""
        return (*shape[:-1], out_channels(self, shape))


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All positions and channels in one vector: ``(H, W, C) -> (H * W * C,)``."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return positions times channels."""
        total: int | None = 1
        for n in shape:
            total = None if n is None or total is None else total * n
        return (total,)


def check_weights(layer: Weighted) -> None:
    """Raise SpecError unless width, W_std, b_std, trainable and the parameterisation make sense."""
    name = type(layer).__name__
    check_flag(layer, "trainable")
    check_width(layer, "width")
    check_number(layer, "W_std", 0.0)
    if layer.b_std is not None:
        check_number(layer, "b_std", 0.0)
    way: Any = getattr(layer, "parameterization", "ntk")
    if way not in get_args(Parameterization):
        raise SpecError(f"{name}: parameterization is one of {', '.join(get_args(Parameterization))}, got {way!r}.")
    s: Any = getattr(layer, "s", (1, 1))
    if not isinstance(s, tuple | list) or len(s) != 2 or not all(map(is_size, s)):
        raise SpecError(f"{name}: s is a pair of positive integers, got {s!r}.")
    if way == "ntk" and tuple(s) != (1, 1):
        raise SpecError(f'{name}: s widens layers of parameterization="standard"; the NTK parameterisation has none.')
    object.__setattr__(layer, "s", tuple(s))


def out_channels(layer: Any, shape: Shape) -> int | None:
    """Return how many channels leave a layer with weights, or raise Misfit if ``s`` does not fit what enters."""
    if shape[-1] is not None and shape[-1] % layer.s[0]:
        raise Misfit(f"its s[0] = {layer.s[0]} does not divide the {shape[-1]} channels of its input")
    return layer.width and layer.width * layer.s[1]


def as_tuple(sizes: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes as the tuple that they were written out to."""
    return (sizes,) if isinstance(sizes, int) else sizes
