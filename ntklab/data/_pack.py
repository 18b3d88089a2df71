"""Inputs with structure as one array, as layers such as ``spec.Mask`` read them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntklab.errors import InputError

ABSENT = -1e9
"""What marks absence unless told otherwise: the default of ``spec.Mask``."""


def pack_ragged(
    inputs: Sequence[Any], shape: Sequence[int] | None = None, *, constant: float = ABSENT
) -> NDArray[np.floating]:
    """Fill sequences or images of different sizes up to one size, as ``spec.Mask(constant)`` reads them.

    Parameters
    ----------
    inputs : sequence of arrays
        Of shapes ``(L, C)`` each, or ``(H, W, C)``, ...: the same number of axes and of channels.
    shape : sequence of int, optional
        Spatial sizes to fill up to: ``(L,)`` or ``(H, W)``. Default: the largest of each. Kernels between two sets need
        one shape for both.
    constant : float
        What fills: a number that float32 holds exactly and that is none of the features.

    Returns
    -------
    ndarray, (n, *shape, C)
        What is absent comes last along each axis. float32 if all inputs are, else float64.

    Raises
    ------
    InputError
        No input; inputs with no channels axis, of different ranks or channels, empty, or larger than ``shape``; values
        that are not finite real numbers; a constant that is among them or that float32 rounds.

    Examples
    --------
    >>> pack_ragged([[[1.0]], [[2.0], [3.0]]], constant=-1.0)[..., 0]
    array([[ 1., -1.],
           [ 2.,  3.]])
    """
    arrays = [_features(x, f"input {i}") for i, x in enumerate(inputs)]
    if not arrays:
        raise InputError("pack_ragged needs at least one input, got none.")
    if not np.isfinite(constant) or float(np.float32(constant)) != constant:
        raise InputError(f"constant is a number that float32 holds exactly, such as -1e9; got {constant!r}.")
    first = arrays[0]
    for i, x in enumerate(arrays):
        if x.ndim != first.ndim or x.shape[-1] != first.shape[-1]:
            raise InputError(
                f"Inputs need the same axes and channels; input 0 has shape {first.shape}, input {i} {x.shape}."
            )
        if (x == constant).any():
            raise InputError(
                f"Input {i} has the number {constant!r} among its features, which would mark them as absent; choose "
                f"another constant, here and in spec.Mask."
            )
    largest = tuple(max(sizes) for sizes in zip(*(x.shape[:-1] for x in arrays), strict=True))
    sizes = largest if shape is None else tuple(shape)
    if len(sizes) != len(largest) or any(n < m for n, m in zip(sizes, largest, strict=True)):
        raise InputError(f"shape has a size for each spatial axis, at least {largest} for these inputs; got {shape!r}.")
    packed = np.full((len(arrays), *sizes, first.shape[-1]), constant, np.result_type(*arrays))
    for row, x in zip(packed, arrays, strict=True):
        row[tuple(slice(n) for n in x.shape[:-1])] = x
    return packed


def _features(x: Any, name: str) -> NDArray[np.floating]:
    """Return one input as floating-point numbers, or raise InputError."""
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(f"{name} is no array: {error}; give lists whose rows have equal lengths") from None
    if array.ndim < 2 or array.size == 0:
        raise InputError(
            f"{name} needs positions and channels, such as (L, C) with L >= 1 and C >= 1, got shape {array.shape}."
        )
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds real numbers, got dtype {array.dtype}.")
    array = array.astype(np.float32 if array.dtype == np.float32 else np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} has NaN or infinite values; clean or drop it.")
    return array


def pack_graphs(
    features: Sequence[Any],
    adjacencies: Sequence[Any],
    nodes: int | None = None,
    *,
    self_loops: bool = False,
    constant: float = 0.0,
) -> NDArray[np.floating]:
    """Put nodes and edges of graphs into one array, as ``spec.Graph(F)`` reads them.

    Parameters
    ----------
    features : sequence of arrays (N, F)
        Of the nodes of each graph.
    adjacencies : sequence of arrays (N, N)
        ``A[p, r]`` is the weight with which node ``p`` gathers from node ``r``.
    nodes : int, optional
        To fill up to. Default: the most there are. Kernels between two sets need one number for both.
    self_loops : bool
        Whether to add 1 to the diagonals, so that neighbours of a node include itself, as in Du et al. 2019.
    constant : float
        What stands for features of nodes that are absent: 0, which is what they are to networks without biases, or
        ``spec.Mask().constant`` for networks with ``Graph(F), Mask()``.

    Returns
    -------
    ndarray, (n, nodes, F + nodes)

    Raises
    ------
    InputError
        No graph, different numbers of features and adjacencies, shapes that do not fit, values that are not finite.

    Examples
    --------
    >>> pack_graphs([[[5.0], [6.0]]], [[[0, 1], [1, 0]]], nodes=3)[0]
    array([[5., 0., 1., 0.],
           [6., 1., 0., 0.],
           [0., 0., 0., 0.]])
    """
    xs = [_features(x, f"features {i}") for i, x in enumerate(features)]
    edges = [_features(A, f"adjacency {i}") for i, A in enumerate(adjacencies)]
    if not xs or len(xs) != len(edges):
        raise InputError(f"pack_graphs needs an adjacency for each of its graphs, got {len(xs)} and {len(edges)}.")
    for i, (x, A) in enumerate(zip(xs, edges, strict=True)):
        if x.ndim != 2 or A.shape != (len(x), len(x)) or x.shape[1] != xs[0].shape[1]:
            raise InputError(
                f"Graph {i}: features (N, {xs[0].shape[-1]}) and an adjacency (N, N), got {x.shape} and {A.shape}."
            )
    most = max(map(len, xs))
    if nodes is not None and nodes < most:
        raise InputError(f"nodes is at least {most} for these graphs, got {nodes!r}.")
    size, F = nodes or most, xs[0].shape[1]
    packed = np.zeros((len(xs), size, F + size), np.result_type(*xs))
    for row, x, A in zip(packed, xs, edges, strict=True):
        row[:, :F] = constant
        row[: len(x), :F] = x
        row[: len(x), F : F + len(x)] = A + self_loops * np.eye(len(x))
    return packed


def pack_inputs(*inputs: Any) -> NDArray[np.floating]:
    """Put several inputs of each example into one vector, from which ``spec.Part(shape, start)`` takes them.

    Parameters
    ----------
    *inputs : arrays (n, ...)
        The same number of examples each, in the order in which parts follow each other.

    Returns
    -------
    ndarray, (n, d)
        float32 if all are, else float64.

    Raises
    ------
    InputError
        No inputs, different numbers of examples, no features, values that are not finite real numbers.

    Examples
    --------
    >>> pack_inputs(np.ones((2, 2, 2)), np.zeros((2, 1)))
    array([[1., 1., 1., 1., 0.],
           [1., 1., 1., 1., 0.]])
    """
    arrays = [_features(x, f"input {i}") for i, x in enumerate(inputs)]
    if not arrays or len({len(x) for x in arrays}) > 1:
        raise InputError(f"pack_inputs needs the same number of examples of each, got {[x.shape for x in arrays]}.")
    return np.concatenate([x.reshape((len(x), -1)) for x in arrays], axis=1)
