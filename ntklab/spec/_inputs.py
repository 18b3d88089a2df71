"""Layers that say what the numbers of an input mean: they stand first. Notation: docs/notation.md."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import ClassVar

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer, Misfit, Shape, check_flag, check_number, is_size


class InputLayer(Layer):
    """Abstract base of layers that read the input itself: nothing but others of them may stand before."""


@dataclass(frozen=True, repr=False)
class Mask(InputLayer):
    r"""Numbers that are missing: where an input holds ``constant`` there is zero, and whole positions are *absent*.

    A position is absent where all of its channels hold the constant. It is zero at the start, and after every layer:

    .. math:: \Sigma'_{pq} = m_p m'_q \Sigma_{pq}, \quad \Theta'_{pq} = m_p m'_q \Theta_{pq}, \quad m_p \in \{0, 1\}.

    GlobalAvgPool and a LayerNorm over positions take means over present positions only, attention looks at them alone,
    and all other layers see zeros. Where a convolution or a pooling leaves other positions, those are present whose
    window is centred at a present one. A branch is absent where all branches are. So sequences of any length that
    :func:`ntklab.data.pack_ragged` fills up have the kernels that each has alone, wherever that is the only way in
    which a network knows their length: dense layers and activations, attention, convolutions and poolings that keep
    every position (``padding="SAME"``, stride 1), a GlobalAvgPool at the end.

    Parameters
    ----------
    constant : float
        What marks the absence; a number that float32 holds exactly and that no input has otherwise.

    Raises
    ------
    SpecError
        A constant that is not finite, or that float32 rounds. When compiled: a layer before it, a branch that reads the
        input without a mask, a layer that no mask goes through (ConvTranspose, Recurrent with ``output="last"``,
        padding by amounts that moves positions).

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.data import pack_ragged
    >>> from ntklab.spec import Dense, GlobalAvgPool, Relu, Serial
    >>> short, long = np.array([[1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])
    >>> network = Serial(Mask(), Dense(b_std=1.0), Relu(), GlobalAvgPool(), Dense())
    >>> x = pack_ragged([short, long])
    >>> x.shape
    (2, 3, 1)
    >>> padded = ntklab.compile(network, input_shape=(3, 1))(x).ntk
    >>> alone = ntklab.compile(network, input_shape=(2, 1))(short[None]).ntk
    >>> bool(abs(padded[0, 0] - alone[0, 0]) < 1e-5)
    True
    """

    positional: ClassVar[str] = "constant"
    constant: float = -1e9

    def __post_init__(self) -> None:
        """Check the constant."""
        check_number(self, "constant")
        if not survives_float32(self.constant):
            raise SpecError(
                f"Mask: constant is a number that float32 holds exactly, such as -1e9, 0.5 or 255, so that it is found "
                f"again in inputs of any dtype; got {self.constant!r}."
            )


def survives_float32(number: float) -> bool:
    """Return whether float32 holds a number exactly."""
    try:
        return struct.unpack("f", struct.pack("f", number))[0] == number
    except OverflowError:
        return False


@dataclass(frozen=True, repr=False)
class Part(InputLayer):
    """One of several inputs that :func:`ntklab.data.pack_inputs` put into one vector, in its own shape.

    Stands at the start of a branch of Parallel, Product or Concat; other layers that read the input may follow.

    Parameters
    ----------
    shape : tuple of int
        Of this input, channels last: ``(d,)``, ``(L, C)``, ``(H, W, C)``, ...
    start : int
        Where its numbers start in the vector.

    Raises
    ------
    SpecError
        ``shape`` or ``start`` are none; and when compiled: an input that is no vector or is too short.

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.data import pack_inputs
    >>> from ntklab.spec import Conv, Dense, GlobalAvgPool, Parallel, Relu, Serial
    >>> images, labels = np.ones((5, 4, 4, 3)), np.eye(5)
    >>> x = pack_inputs(images, labels)
    >>> image = Serial(Part((4, 4, 3)), Conv(3), Relu(), GlobalAvgPool(), Dense())
    >>> network = Parallel(image, Serial(Part((5,), start=48), Dense()))
    >>> ntklab.compile(network, input_shape=x.shape[1:])(x).ntk.shape
    (5, 5)
    """

    positional: ClassVar[str] = "shape"
    shape: tuple[int, ...]
    start: int = 0

    def __post_init__(self) -> None:
        """Check the arguments."""
        shape = (self.shape,) if isinstance(self.shape, int) else self.shape
        if not isinstance(shape, tuple | list) or not shape or not all(map(is_size, shape)):
            raise SpecError(f"Part: shape is a tuple of positive integers, channels last, got {self.shape!r}.")
        if not (self.start == 0 or is_size(self.start)) or isinstance(self.start, bool):
            raise SpecError(f"Part: start is an integer >= 0, got {self.start!r}.")
        object.__setattr__(self, "shape", tuple(shape))

    @property
    def stop(self) -> int:
        """Where its numbers end."""
        return self.start + math.prod(self.shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Return its shape."""
        if len(shape) != 1 or shape[0] is None or shape[0] < self.stop:
            raise Misfit(f"it takes the numbers {self.start} to {self.stop} of a vector")
        return self.shape


@dataclass(frozen=True, repr=False)
class Graph(InputLayer):
    """Nodes with features, and a graph per input: ``(N, F + N)`` holds features and then the adjacency matrix.

    What leaves are the features of the nodes, ``(N, F)``; the graph goes along for :class:`Neighbours`. Graphs of fewer
    nodes are filled up with zeros by :func:`ntklab.data.pack_graphs`, or with a constant in front of a :class:`Mask`.

    Parameters
    ----------
    features : int
        Features of a node: the first columns of an input.

    Raises
    ------
    SpecError
        ``features`` is no positive integer; and when compiled: an input without that many columns and ``N`` more.

    Examples
    --------
    >>> from ntklab.spec import output_shape
    >>> output_shape(Graph(3), (10, 13))
    (10, 3)
    """

    positional: ClassVar[str] = "features"
    features: int

    def __post_init__(self) -> None:
        """Check the number."""
        if not is_size(self.features):
            raise SpecError(f"Graph: features is a positive integer, got {self.features!r}.")

    def output_shape(self, shape: Shape) -> Shape:
        """Return nodes and features."""
        if len(shape) != 2 or shape[0] is None or shape[1] != self.features + shape[0]:
            raise Misfit(f"it needs (nodes, {self.features} features and as many columns as nodes)")
        return (shape[0], self.features)


@dataclass(frozen=True, repr=False)
class Neighbours(Layer):
    r"""Sum over the neighbours of each node in the input's own graph: :math:`y_p = \sum_r A_{pr} x_r`.

    .. math:: \Sigma' = A \Sigma A'^T, \quad \Theta' = A \Theta A'^T

    A graph that all inputs share is :class:`Aggregate`'s, which may run on other engines.

    Parameters
    ----------
    mean : bool
        Whether rows of :math:`A` are divided by their sums (those of zeros stay), which are not negative then.

    Raises
    ------
    SpecError
        ``mean`` is no bool; and when compiled: no :class:`Graph` before it, or other positions than its nodes.

    References
    ----------
    Du, Hou, Salakhutdinov, Poczos, Wang, Xu 2019, "Graph Neural Tangent Kernel".

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.data import pack_graphs
    >>> from ntklab.spec import Dense, GlobalSumPool, Serial
    >>> x = pack_graphs([np.eye(2)], [[[0, 1], [1, 0]]])  # two nodes that are neighbours
    >>> network = Serial(Graph(2), Neighbours(), Dense(), GlobalSumPool())
    >>> ntklab.compile(network, input_shape=(2, 4))(x).nngp
    Array([[1.]], dtype=float32)
    """

    mean: bool = False

    def __post_init__(self) -> None:
        """Check the argument."""
        check_flag(self, "mean")
