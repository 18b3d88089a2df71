"""The covariance estimate of one function's outputs."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from ntklab.errors import InputError
from ntklab.finite._axes import Axes, Outputs, blocks, mirror, settle_axes
from ntklab.finite._costs import MOST_ROWS
from ntklab.finite._model import Function, Model, as_model
from ntklab.finite._network import Network


def empirical_nngp(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    outputs: Outputs = "mean",
    batch: int | None = None,
) -> Float[np.ndarray, "n1 n2 ..."]:
    r"""Return one function's estimate of its NNGP kernel, :math:`\frac1O \sum_o f_o(x) f_o(x')`.

    An estimate by one sample per output: its standard error is about ``sqrt(2 / O)`` of the diagonal.
    Ask :func:`network` for many ``outputs``, or average over many ``params`` (:func:`monte_carlo`).

    Parameters
    ----------
    f : Network or function
        As for :func:`empirical_ntk`.
    params : pytree of arrays
        Straight from the initialisation: a trained network's outputs are no draws of the prior.
    x1, x2 : array, (n, ...)
        ``x2=None`` stands for ``x1``; the result then equals its transpose bit for bit.
    outputs : {"mean", "trace", "diagonal", "full"}, or a tuple of them, one per output axis
        As for :func:`empirical_ntk`.
    batch : int, optional
        Inputs per forward pass, 128 unless given.

    Returns
    -------
    numpy array, (n1, n2, ...)
        In the dtype of the outputs.

    Raises
    ------
    InputError
        Arrays, function or options that do not fit.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import empirical_nngp, network
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(W_std=2.0), (2,), outputs=4000)
    >>> empirical_nngp(net, net.init(jax.random.key(0)), jax.numpy.ones((1, 2))).round(0)  # 2^2 * 2 / 2
    array([[4.]], dtype=float32)
    """
    if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise InputError(f"batch is a positive integer or None, got {batch!r}.")
    model = as_model(f, params)
    a = model.inputs(x1, "x1")
    axes = settle_axes(outputs, model.output(a).shape)
    left = _outputs(model, a, axes, batch or MOST_ROWS)
    if x2 is not None:
        right = _outputs(model, model.inputs(x2, "x2"), axes, batch or MOST_ROWS)
        return axes.finish(np.einsum("ntdf,mtdg->nmdfg", left, right, optimize=True))
    return axes.finish(mirror(np.einsum("ntdf,mtdg->nmdfg", left, left, optimize=True)))


@jax.jit
def _forward(model_f: jax.tree_util.Partial, params: PyTree[Array], x: Shaped[Array, "n ..."]) -> Float[Array, "n O"]:
    return model_f(params, x).reshape(len(x), -1)


def _outputs(model: Model, x: Shaped[Array, "n ..."], axes: Axes, rows: int) -> Float[np.ndarray, "n T D F"]:
    out = [np.asarray(_forward(model.f, model.params, x[i])) for i in blocks(len(x), rows)]
    empty = np.zeros((0, axes.table.size), model.output(x).dtype)
    return np.concatenate([empty, *out])[:, axes.table]
