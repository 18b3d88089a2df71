"""The tangent kernel of one function at one point of its parameters, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree, Shaped

from ntklab._core import progress_bar
from ntklab.errors import InputError
from ntklab.finite._axes import Axes, Outputs, blocks, mirror
from ntklab.finite._costs import MethodName, NtkCosts, settle
from ntklab.finite._methods import BY_JACOBIAN, BY_VECTORS, Method
from ntklab.finite._model import Function, Model, as_model
from ntklab.finite._network import Network
from ntklab.finite._structure import BY_STRUCTURE

_METHODS = {"jacobian": BY_JACOBIAN, "vector": BY_VECTORS, "structured": BY_STRUCTURE}


def empirical_ntk(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    outputs: Outputs = "mean",
    method: Literal["auto", "jacobian", "vector", "structured"] = "auto",
    batch: int | None = None,
    output_batch: int | None = None,
    by_leaf: bool = False,
    progress: bool = False,
) -> Float[np.ndarray, "n1 n2 ..."]:
    r"""Return the tangent kernel of any function, or of one of our networks, at one point of its parameters.

    .. math:: \Theta_{oo'}(x, x') = \sum_{\theta}
              \frac{\partial f_o(x)}{\partial\theta} \frac{\partial f_{o'}(x')}{\partial\theta}

    Parameters
    ----------
    f : Network or function
        ``f(params, x)``: pure, inputs of shape (n, ...) to real outputs of shape (n, ...), each row by itself: rows
        are given to it one at a time, so a batch normalisation must use stored statistics. Give the same function
        each time: a new one is compiled anew. :func:`from_equinox`, :func:`from_nnx` and :func:`from_linen` make one.
    params : pytree of floating arrays of one dtype; of a Network, its Params
        Everything in it is differentiated (of Params, the trainable part). Let ``f`` close over the rest.
    x1, x2 : array, (n, ...)
        ``x2=None`` stands for ``x1``: then half the blocks are computed, and the result equals its
        transpose bit for bit.
    outputs : {"mean", "trace", "diagonal", "full"}, or a tuple of them, one per output axis
        ``"mean"``, the default, is the trace over outputs divided by their number: what tends to the NTK of infinite
        width, where outputs do not mix. ``"diagonal"`` keeps an output axis once (o = o'), ``"full"`` twice.
    method : {"auto", "jacobian", "vector", "structured"}
        See Notes. ``"auto"``, the default, takes the least counted work; :func:`ntk_costs` tells which that is.
        A method asked for by name is used, or refused.
    batch : int, optional
        Inputs per block.
    output_batch : int, optional
        Outputs pulled back at once.
    by_leaf : bool
        One array of the parameters at a time: memory for derivatives falls from all parameters to the
        largest array; forward passes are repeated for each and compiled for each. Not for ``"structured"``, which
        has no need of it.
    progress : bool
        Show a bar of blocks.

    Returns
    -------
    numpy array, (n1, n2, ...)
        In the dtype of the parameters. After the axes of inputs: those of ``"diagonal"``, then those of ``"full"``
        twice, each group in the order of the outputs. The derivative of ReLU at 0 is taken as 0.

    Raises
    ------
    InputError
        Arrays, function or options that do not fit.

    Notes
    -----
    ``"jacobian"`` writes out the derivatives of a block and contracts them. ``"vector"`` pulls an output at x' back to
    a direction in the parameters and pushes the outputs at x along it: no two Jacobians meet, and it wins where
    outputs are many and parameters are shared by few positions. ``"structured"`` finds the parameters that
    are the matrix W of one product y = h W, or the filters of one convolution, and contracts
    activations h and cotangents :math:`\delta` of the P positions,

    .. math:: \Theta_W = \sum_{pq} (h_p \cdot h'_q)\, (\delta_p \cdot \delta'_q),

    or, where that is less work, the derivatives of this layer alone. All other parameters (biases, scales,
    embeddings, weights used twice or inside a scan) it differentiates as they are.

    Memory: ``ntk_costs(...).bytes``, for given batches or for the default ones, the largest that keep a block
    below 256 MiB; parameters, inputs and the kernel itself come on top.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, "Neural Tangent Kernel"; Novak, Sohl-Dickstein, Schoenholz 2022,
    "Fast Finite Width Neural Tangent Kernel", for the three methods.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import empirical_ntk
    >>> def f(params, x):
    ...     return x @ params["W"] + params["b"]
    >>> params = {"W": jax.numpy.ones((2, 1)), "b": jax.numpy.zeros(())}
    >>> empirical_ntk(f, params, jax.numpy.eye(2)).tolist()  # x . x' + 1
    [[2.0, 1.0], [1.0, 2.0]]
    """
    kernel = prepare(
        f, params, x1, x2, outputs, method, batch=batch, output_batch=output_batch, by_leaf=by_leaf, progress=progress
    )
    return kernel(params)


def prepare(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None,
    outputs: Outputs,
    method: str,
    *,
    batch: int | None = None,
    output_batch: int | None = None,
    by_leaf: bool = False,
    progress: bool = False,
) -> Callable[[PyTree[Array]], Float[np.ndarray, "n1 n2 ..."]]:
    """Check, count and choose; return the kernel as a function of parameters like these."""
    _, a, b, axes, costs = settle(f, params, x1, x2, outputs, batch, output_batch, by_leaf)
    name = _choose(method, costs, by_leaf)
    rows, together = costs.batch[name], costs.output_batch[name]

    def kernel(params: PyTree[Array]) -> Float[np.ndarray, "n1 n2 ..."]:
        model = as_model(f, params)
        parts = _leaves(model) if by_leaf or not model.size else [(model.f, model.params)]
        return axes.finish(_kernel(_METHODS[name], parts, a, b, axes, rows, together, model.dtype, progress))

    return kernel


def _choose(method: str, costs: NtkCosts, by_leaf: bool) -> MethodName:
    if method == "auto":
        return costs.best
    if method not in _METHODS:
        raise InputError(f'method is "auto", "jacobian", "vector" or "structured", got {method!r}.')
    if method == "structured" and by_leaf:
        raise InputError('by_leaf is for "jacobian" and "vector": "structured" never holds all derivatives.')
    if method == "structured" and not costs.structured:
        raise InputError(
            "No parameter of this function is the matrix of one product or the filters of one convolution, so there "
            'is no structure to use. Take "auto", "jacobian" or "vector".'
        )
    return method  # pyright: ignore[reportReturnType]


def _kernel(
    method: Method,
    parts: list[tuple[Partial, Any]],
    a: Shaped[Array, "n1 ..."],
    b: Shaped[Array, "n2 ..."] | None,
    axes: Axes,
    rows: int,
    outputs: int,
    dtype: np.dtype[Any],
    progress: bool,
) -> Float[np.ndarray, "n1 n2 D F F"]:
    _, diagonal, full = axes.table.shape
    n1, n2 = len(a), len(a if b is None else b)
    kernel = np.zeros((n1, n2, diagonal, full, full), dtype)
    work = list(itertools.product(parts, axes.portions(outputs), blocks(n1, rows)))
    for (f, params), portion, i in progress_bar(work, unit="row of blocks", show=progress):
        left = method.left(f, params, a[i], portion.left)
        for j in blocks(n2, rows):
            if b is None and j.start < i.start:
                continue
            mirrored = b is None and i == j and portion.rows == portion.columns
            if mirrored and method.left is method.right:
                right = left
            else:
                right = method.right(f, params, a[j] if b is None else b[j], portion.right)
            block = method.pair(f, params, left, right, portion.total)
            kernel[i, j, portion.diagonal, portion.rows, portion.columns] += np.asarray(block)
    return mirror(kernel) if b is None else kernel


def _leaves(model: Model) -> list[tuple[Partial, Any]]:
    """Return the model as a function of each of its arrays, the others held."""
    leaves, tree = jax.tree.flatten(model.params)
    return [(Partial(_OneLeaf(tree, i), model.f, leaves), leaf) for i, leaf in enumerate(leaves)]


@dataclass(frozen=True)
class _OneLeaf:
    """A function of one array of the parameters; equal ones are equal functions."""

    tree: Any
    place: int

    def __call__(self, f: Partial, leaves: list[Array], leaf: Array, x: Array) -> Array:
        return f(jax.tree.unflatten(self.tree, [*leaves[: self.place], leaf, *leaves[self.place + 1 :]]), x)
