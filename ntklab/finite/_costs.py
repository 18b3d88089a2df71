"""What each way to a tangent kernel costs, counted before any of them runs; ``method="auto"`` takes the least work."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, PyTree, Shaped

from ntklab.errors import InputError
from ntklab.finite._axes import Axes, Outputs, settle_axes
from ntklab.finite._model import Function, Model, as_model, call
from ntklab.finite._network import Network
from ntklab.finite._structure import by_positions, trace_one

MethodName = Literal["jacobian", "vector", "structured"]

# Blocks are as large as keep the arrays of one below this; larger ones were no faster on a CPU.
BLOCK_BYTES = 2**28
MOST_ROWS = 128
_STORED = frozenset({"dot_general", "conv_general_dilated", "gather", "dynamic_slice", "concatenate", "cumsum", "sort"})


@dataclass(frozen=True)
class NtkCosts:
    """Counted work and memory of one call of :func:`empirical_ntk`.

    Attributes
    ----------
    operations : dict
        Method -> floating-point operations.
    bytes : dict
        Method -> about the most memory at once, besides parameters, inputs and the kernel itself, counted from shapes.
        The first call also compiles: some 20 MB for a few layers, 220 MB for a ResNet-18, whose derivatives by
        ``"jacobian"`` took half as much again as stated.
    batch, output_batch : dict
        Method -> inputs of a block, and outputs pulled back at once.
    best : {"jacobian", "vector", "structured"}
        The method of least work: what ``"auto"`` stands for.
    structured : float
        Share of the parameters that are the matrix of one product or the filters of one convolution;
        ``"structured"`` is on offer where it is above 0.
    """

    operations: dict[str, float]
    bytes: dict[str, int]
    batch: dict[str, int]
    output_batch: dict[str, int]
    best: MethodName
    structured: float


def ntk_costs(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    outputs: Outputs = "mean",
    batch: int | None = None,
    output_batch: int | None = None,
    by_leaf: bool = False,
) -> NtkCosts:
    """Count what :func:`empirical_ntk` with the same arguments would cost by each method, and which one is chosen.

    Parameters
    ----------
    f, params, x1, x2, outputs, batch, output_batch, by_leaf
        As for :func:`empirical_ntk`; nothing is computed with their values.

    Returns
    -------
    NtkCosts

    Raises
    ------
    InputError
        As :func:`empirical_ntk`.

    Notes
    -----
    With F the operations of one forward pass (JAX's own count), P parameters, C outputs pulled back and Q pairs of
    outputs that meet: ``"jacobian"`` takes 2 F C per input and 2 P Q per pair of inputs, ``"vector"`` 2 F C per pair,
    ``"structured"`` F C per input, and per pair and layer the least of what :func:`empirical_ntk` says.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import network, ntk_costs
    >>> from ntklab.spec import zoo
    >>> net = network(zoo.fc(3), (10,), width=256)
    >>> costs = ntk_costs(net, net.init(jax.random.key(0)), jax.numpy.ones((100, 10)))
    >>> costs.best, costs.structured
    ('structured', 1.0)
    """
    return settle(f, params, x1, x2, outputs, batch, output_batch, by_leaf).costs


class Settled(NamedTuple):
    """Checked arguments and what they cost; ``b`` is None where it stands for ``a``."""

    model: Model
    a: Shaped[Array, "n1 ..."]
    b: Shaped[Array, "n2 ..."] | None
    axes: Axes
    costs: NtkCosts


def settle(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None,
    outputs: Outputs,
    batch: int | None,
    output_batch: int | None,
    by_leaf: bool,
) -> Settled:
    """Check the arguments of a tangent kernel and count."""
    model = as_model(f, params)
    a = model.inputs(x1, "x1")
    b = None if x2 is None else model.inputs(x2, "x2")
    for name, value in (("batch", batch), ("output_batch", output_batch)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InputError(f"{name} is a positive integer or None, got {value!r}.")
    axes = settle_axes(outputs, model.output(a).shape)
    leaves, tree = jax.tree.flatten((model.f, model.params))
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    single = jax.ShapeDtypeStruct(a.shape[1:], a.dtype)
    sizes = len(a), len(a if b is None else b), b is None
    return Settled(model, a, b, axes, _count(tree, shapes, single, *sizes, axes, batch, output_batch, by_leaf))


@functools.lru_cache(maxsize=64)
def _count(
    tree: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    single: jax.ShapeDtypeStruct,
    n1: int,
    n2: int,
    symmetric: bool,
    axes: Axes,
    batch: int | None,
    output_batch: int | None,
    by_leaf: bool,
) -> NtkCosts:
    """Count, from shapes alone: kept, since it takes longer than the kernel of a small network."""
    f, params = jax.tree.unflatten(tree, shapes)
    closed, _, taps = trace_one(f, params, single)
    sizes = [math.prod(leaf.shape) for leaf in jax.tree.leaves(params)]
    size, widest = sum(sizes), max(sizes, default=0)
    largest = widest if by_leaf else size
    # Derivatives of filters are made side by side, each in scratch of its own, and then laid out; others in turn.
    filters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params) if len(leaf.shape) > 2)
    pulled = widest + min(filters, largest)
    item = max((leaf.dtype.itemsize for leaf in jax.tree.leaves(params)), default=4)
    activations = _activations(closed.jaxpr)
    forward = _flops(f, params, single)
    tapped = sum(sizes[tap.leaf] for tap in taps)

    def sides(r: int) -> int:
        return 1 if symmetric and r >= n1 else 2

    def copies(c: int) -> int:
        """Return how many copies of a side a contraction makes: none where rows meet rows as they lie in memory."""
        slices, outputs = next(axes.portions(c)).left.shape
        return 0 if slices == 1 or (outputs == 1 and axes.table.shape[1] == 1) else 2

    def structured(r: int, c: int) -> tuple[float, float]:
        slices, outputs = next(axes.portions(c)).left.shape
        per_row, per_pair, block, patches = (size - tapped) * c, (size - tapped) * axes.products, 0, 0
        for tap in taps:
            if by_positions(tap, slices, outputs):
                per_row += tap.positions * (tap.contracted + c * tap.width)
                rounds = axes.products / (slices * outputs**2)
                per_pair += tap.positions**2 * (rounds * tap.contracted + axes.products * (tap.width + 1))
                block = max(block, tap.positions**2 * (1 + slices * outputs**2))
            else:
                per_row += tap.contracted * tap.width * c
                per_pair += tap.contracted * tap.width * axes.products
                patches += tap.positions * tap.contracted
        work = max(r * (patches + (1 + c) * activations), r * r * block + copies(c) * r * per_row)
        return item * (sides(r) * r * per_row + work), 2 * per_pair

    def memory(name: str) -> Callable[[int, int], float]:
        def jacobian(r: int, c: int) -> float:
            work = max(r * (c * pulled + (1 + c) * activations), copies(c) * r * c * largest)
            return item * (sides(r) * r * c * largest + work)

        def vector(r: int, c: int) -> float:
            pull, push = c * pulled + (1 + c) * activations, c * largest + (1 + r * c) * activations
            return item * r * (c * largest + max(pull, push))

        return {"jacobian": jacobian, "vector": vector}.get(name, lambda r, c: structured(r, c)[0])

    half, together = (0.5 if symmetric else 1.0), axes.cotangents
    rows, repeats = min(MOST_ROWS, max(n1, n2, 1)), len(sizes) if by_leaf else 1
    names = ["jacobian", "vector"] + ["structured"] * bool(taps and not by_leaf)
    operations, most, batches, portions = {}, {}, {}, {}
    for name in names:
        of = memory(name)
        c = min(output_batch or _largest(together, lambda c, of=of: of(1, c)), max(together, 1))
        r = min(batch or _largest(rows, lambda r, of=of, c=c: of(r, c)), rows)
        # Derivatives are taken anew for each pair of blocks, of inputs and of outputs kept twice.
        rounds = math.ceil(axes.table.shape[2] / max(next(axes.portions(c)).left.shape[1], 1)) * repeats
        groups, pairs = max(math.ceil(n1 / r), 1), half * n1 * n2
        columns = n2 * ((groups - 1) / 2 if symmetric else groups) + (n2 if name == "vector" and symmetric else 0)
        if name == "jacobian":
            work = (n1 + columns) * forward * (1 + 2 * together) * rounds + 2 * pairs * axes.products * size
        elif name == "vector":
            work = columns * forward * (1 + 2 * together) * rounds + 2 * pairs * together * forward * rounds
        else:
            work = (n1 + columns) * forward * (1 + together) * rounds + pairs * structured(r, c)[1]
        operations[name], most[name], batches[name], portions[name] = float(work), int(of(r, c)), r, c
    best: Any = min(operations, key=lambda name: operations[name])
    return NtkCosts(operations, most, batches, portions, best, tapped / size if size else 0.0)


def _largest(most: int, memory: Callable[[int], float]) -> int:
    """Return the largest of most, most / 2, ..., 1 that fits; 1 if none does."""
    value = max(most, 1)
    while value > 1 and memory(value) > BLOCK_BYTES:
        value = (value + 1) // 2
    return value


def _flops(f: Any, params: Any, single: jax.ShapeDtypeStruct) -> float:
    counted = call.lower(f, params, jax.ShapeDtypeStruct((1, *single.shape), single.dtype)).cost_analysis() or {}
    # A back end that does not count: at least one multiply-add per parameter.
    return max(float(counted.get("flops", 0.0)), 2.0 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)))


def _activations(jaxpr: Any) -> int:
    """Return how many numbers of a forward pass are stored: elementwise results are fused into what they come from."""
    found = 0
    for eqn in jaxpr.eqns:
        parts = [getattr(part, "jaxpr", part) for part in jax.tree.leaves(list(eqn.params.values()))]
        inner = sum(_activations(part) for part in parts if hasattr(part, "eqns"))
        if inner:
            found += inner * int(eqn.params.get("length") or 1)
        elif eqn.primitive.name in _STORED or eqn.primitive.name.startswith("reduce"):
            found += sum(math.prod(v.aval.shape) for v in eqn.outvars)
    return found
