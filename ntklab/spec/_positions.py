"""Layers that map positions to positions, the same way in every channel, without weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ntklab.errors import SpecError
from ntklab.spec._arrays import Numbers, settle_numbers
from ntklab.spec._layer import Layer, Misfit, Shape, check_flag, is_size, show_shape

_METHODS = {
    "nearest": ("nearest",),
    "linear": ("linear", "bilinear", "trilinear", "triangle"),
    "cubic": ("cubic", "bicubic", "tricubic"),
    "lanczos3": ("lanczos3",),
    "lanczos5": ("lanczos5",),
}
Axes = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Index(Layer):
    """Some of the positions, by NumPy's basic indexing of the spatial axes.

    Parameters
    ----------
    index : int, slice, ... or tuple of them
        One entry per spatial axis, fewer leave the last ones whole; ``numpy.s_[:4, ::-1]`` writes one. An integer
        drops its axis. Batch and channels cannot be indexed: which inputs there are is for the caller to say,
        and channels are infinitely many. Slices are kept as ``(start, stop, step)``.

    Raises
    ------
    SpecError
        Something else in the index; for a given input, an index that is out of range or that leaves nothing.

    Examples
    --------
    >>> from ntklab.spec import Index, output_shape
    >>> output_shape(Index((slice(None, None, 2), 0)), (5, 4, 3))
    (3, 3)
    """

    positional: ClassVar[str] = "index"
    index: Any

    def __post_init__(self) -> None:
        """Check the index and write slices out as tuples."""
        words = self.index if isinstance(self.index, tuple) else (self.index,)
        settled = tuple((w.start, w.stop, w.step) if isinstance(w, slice) else "..." if w is ... else w for w in words)
        for word in settled:
            if not (_is_slice(word) or _is_int(word) or word == "..."):
                raise SpecError(f"Index takes integers, slices and ..., got {word!r}; numpy.s_[:4, 0] writes an index.")
        if settled.count("...") > 1:
            raise SpecError(f"Index takes at most one ..., got {self.index!r}.")
        object.__setattr__(self, "index", settled)

    def picked(self, spatial: Sequence[int]) -> tuple[int | range, ...]:
        """Return, for each spatial axis, the one position kept (its axis is dropped) or the range of them."""
        words = list(self.index)
        at = words.index("...") if "..." in words else len(words)
        given = len(words) - ("..." in words)
        if given > len(spatial):
            raise Misfit(f"it indexes {given} axes, and there are {len(spatial)} spatial ones; channels stay whole")
        words[at : at + 1] = [(None, None, None)] * (len(spatial) - given)
        picked: list[int | range] = []
        for word, n in zip(words, spatial, strict=True):
            if isinstance(word, tuple):
                kept = range(n)[slice(*word)]
                if not kept:
                    raise Misfit(f"slice{word} keeps none of {n} positions")
                picked.append(kept)
            elif -n <= word < n:
                picked.append(word % n)
            else:
                raise Misfit(f"{word} is out of range for {n} positions")
        return tuple(picked)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the sizes of what is kept."""
        return (*(len(kept) for kept in self.picked(sizes_of(shape)) if isinstance(kept, range)), shape[-1])


@dataclass(frozen=True, repr=False)
class ImageResize(Layer):
    r"""Interpolation to other spatial sizes, as :func:`jax.image.resize` does it: :math:`y_p = \sum_q A_{pq} x_q`.

    A linear map for every method, so its kernel is exact for every method (neural-tangents has two of them).

    Parameters
    ----------
    shape : tuple of int
        New spatial sizes, without batch and channels; -1 keeps one.
    method : {"nearest", "linear", "cubic", "lanczos3", "lanczos5"}
        Or a synonym ("bilinear", ...), or a member of ``jax.image.ResizeMethod``.
    antialias : bool
        Whether the interpolation is stretched when it makes an image smaller; without meaning for "nearest".

    Examples
    --------
    >>> from ntklab.spec import ImageResize, output_shape
    >>> output_shape(ImageResize((8, -1), "cubic"), (4, 6, 3))
    (8, 6, 3)
    """

    positional: ClassVar[str] = "shape"
    shape: tuple[int, ...]
    method: Any = "linear"
    antialias: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        sizes = (self.shape,) if isinstance(self.shape, int) else self.shape
        if not isinstance(sizes, tuple | list) or not sizes or not all(is_size(n) or n == -1 for n in sizes):
            raise SpecError(f"ImageResize: shape is a tuple of positive integers or -1, got {self.shape!r}.")
        word = str(getattr(self.method, "name", self.method)).lower()
        found = [name for name, words in _METHODS.items() if word in words]
        if not found:
            raise SpecError(f"ImageResize: method is one of {', '.join(_METHODS)}, got {self.method!r}.")
        check_flag(self, "antialias")
        object.__setattr__(self, "shape", tuple(sizes))
        object.__setattr__(self, "method", found[0])

    def output_shape(self, shape: Shape) -> Shape:
        """Return the new sizes."""
        sizes = sizes_of(shape)
        if len(sizes) != len(self.shape):
            raise Misfit(f"it gives {len(self.shape)} sizes, and there are {len(sizes)} spatial axes")
        return (*(n if m == -1 else m for n, m in zip(sizes, self.shape, strict=True)), shape[-1])


@dataclass(frozen=True, repr=False)
class DotGeneral(Layer):
    """Product with a constant array over spatial axes, as :func:`jax.lax.dot_general` has it.

    Parameters
    ----------
    constant : number or array
        Kept as nested tuples, so that layers stay hashable.
    contract : (axes of the input, axes of the constant)
        Pairs that are multiplied and summed. Spatial axes of the input count from 0, without the batch.
    batch : (axes of the input, axes of the constant)
        Pairs that are multiplied only.
    constant_first : bool
        Whether the constant is the left operand. Spatial axes come out in ``dot_general``'s order: ``batch``, what
        is left of the left operand, what is left of the right one; then channels.

    Examples
    --------
    >>> from ntklab.spec import DotGeneral, output_shape
    >>> output_shape(DotGeneral([1.0, -1.0], contract=((0,), (0,))), (2, 30, 3))  # first row minus second
    (30, 3)
    """

    positional: ClassVar[str] = "constant"
    constant: Any
    contract: tuple[Axes, Axes] = ((), ())
    batch: tuple[Axes, Axes] = ((), ())
    constant_first: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        settle_numbers(self, "constant")
        check_flag(self, "constant_first")
        for field in ("contract", "batch"):
            pair = getattr(self, field)
            try:
                x, c = (tuple(int(i) for i in axes) for axes in pair)
            except (TypeError, ValueError):
                raise SpecError(f"DotGeneral: {field} is a pair of tuples of axes, got {pair!r}.") from None
            if len(x) != len(c):
                raise SpecError(
                    f"DotGeneral: {field} pairs axes of the input with those of the constant, got {pair!r}."
                )
            object.__setattr__(self, field, (x, c))
        for side, ndim in ((0, math.inf), (1, len(self.constant_shape))):
            used = (*self.contract[side], *self.batch[side])
            if len(set(used)) != len(used) or not all(0 <= i < ndim for i in used):
                whose = "constant" if side else "input"
                raise SpecError(f"DotGeneral: axes of the {whose} are used once each and counted from 0, got {used}.")

    @property
    def constant_shape(self) -> tuple[int, ...]:
        """Sizes of the constant."""
        return self.constant.shape if isinstance(self.constant, Numbers) else ()

    def output_shape(self, shape: Shape) -> Shape:
        """Return the sizes of the product."""
        sizes, constant = sizes_of(shape), self.constant_shape
        used, matched = ((*self.contract[side], *self.batch[side]) for side in (0, 1))
        for i, j in zip(used, matched, strict=True):
            if i >= len(sizes):
                raise Misfit(f"it names spatial axis {i}, and there are {len(sizes)}; channels stay whole")
            if sizes[i] != constant[j]:
                raise Misfit(f"axis {i} of the input has {sizes[i]} positions, axis {j} of the constant {constant[j]}")
        left = [n for i, n in enumerate(sizes) if i not in used]
        right = [n for j, n in enumerate(constant) if j not in matched]
        free = right + left if self.constant_first else left + right
        return (*(sizes[i] for i in self.batch[0]), *free, shape[-1])


@dataclass(frozen=True, repr=False)
class Aggregate(Layer):
    r"""Sum over the predecessors of each node of one graph, :math:`y_h = \sum_t A_{th} x_t`.

    Parameters
    ----------
    adjacency : array
        ``A[t, h]`` is the weight of the edge from node ``t`` to node ``h``. Nodes that several axes count take
        several axes each: ``(H, W, H, W)`` for pixels. Kept as nested tuples. The same graph for all inputs.
    axis : tuple of int, optional
        The spatial axes that count the nodes, from 0, without the batch. Default: all.

    References
    ----------
    Du et al. 2019, "Graph Neural Tangent Kernel".

    Examples
    --------
    >>> from ntklab.spec import Aggregate
    >>> Aggregate.from_edges([(0, 1), (1, 2), (2, 1)], nodes=3)
    Aggregate(((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), axis=(0,))
    """

    positional: ClassVar[str] = "adjacency"
    adjacency: Any
    axis: Axes | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        settle_numbers(self, "adjacency")
        sizes = self.adjacency.shape if isinstance(self.adjacency, Numbers) else ()
        k = len(sizes) // 2
        if not sizes or sizes[:k] != sizes[k:]:
            raise SpecError(f"Aggregate: adjacency has shape (nodes, nodes), or twice the sizes of axis; got {sizes}.")
        axis = (self.axis,) if isinstance(self.axis, int) else self.axis
        if axis is not None:
            axis = tuple(axis)
            if len(axis) != k or len(set(axis)) != k or not all(_is_int(i) and i >= 0 for i in axis):
                raise SpecError(f"Aggregate: axis is {k} different spatial axes counted from 0, got {self.axis!r}.")
        object.__setattr__(self, "axis", axis)

    @classmethod
    def from_edges(cls, edges: Iterable[Sequence[Any]], nodes: int, axis: int = 0) -> Aggregate:
        """Return the layer of a sparse graph of ``nodes`` nodes: edges ``(tail, head)`` or ``(tail, head, weight)``.

        Repeated edges add up; those with a negative end are padding and left out, as in neural-tangents.
        """
        rows = [[0.0] * nodes for _ in range(nodes)]
        for edge in edges:
            tail, head, weight = (*edge, 1.0)[:3] if len(edge) in (2, 3) else (nodes, nodes, 0.0)
            if not max(tail, head) < nodes:
                raise SpecError(
                    f"Aggregate: an edge is (tail, head) or (tail, head, weight), below {nodes}; got {edge!r}."
                )
            if min(tail, head) >= 0:
                rows[int(tail)][int(head)] += float(weight)
        return cls(rows, axis=(axis,))

    def over(self, spatial: Sequence[int]) -> Axes:
        """Return the axes that count the nodes."""
        return tuple(range(len(spatial))) if self.axis is None else self.axis

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same shape, if the graph fits."""
        sizes = sizes_of(shape)
        over = self.over(sizes)
        nodes = self.adjacency.shape[: len(over)]
        if max(over, default=-1) >= len(sizes) or tuple(sizes[i] for i in over) != nodes or not over:
            raise Misfit(f"its graph has nodes {nodes}, along axes {over} of {show_shape(shape)}")
        return shape


def sizes_of(shape: Shape) -> tuple[int, ...]:
    """Return the spatial sizes of a shape; only channels can be of any number."""
    return tuple(n for n in shape[:-1] if n is not None)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_slice(value: object) -> bool:
    return (
        isinstance(value, tuple) and len(value) == 3 and all(v is None or _is_int(v) for v in value) and value[2] != 0
    )
