"""Kernels of one finite network: its tangent kernel and the covariance estimate of its outputs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from ntklab.errors import InputError
from ntklab.finite._forward import Weights
from ntklab.finite._linear import PRECISION
from ntklab.finite._network import Network, Params, as_inputs

# Two Jacobians of this size are alive at a time; larger blocks were no faster on a CPU.
JACOBIAN_BYTES = 2**28
MOST_ROWS = 128


def empirical_ntk(
    network: Network,
    params: Params,
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    batch: int | None = None,
    outputs: Literal["mean", "full"] = "mean",
) -> Float[np.ndarray, "n1 n2"] | Float[np.ndarray, "n1 n2 O O"]:
    r"""Return the tangent kernel of one network at one point of its parameters.

    .. math:: \Theta_{oo'}(x, x') = \sum_{\theta \text{ trainable}}
              \frac{\partial f_o(x)}{\partial\theta} \frac{\partial f_{o'}(x')}{\partial\theta}

    Computed by writing out the Jacobians of ``batch`` inputs at a time and contracting them: slow and
    hard to get wrong, as an oracle should be.

    Parameters
    ----------
    network : Network
    params : Params
        Only the trainable part is differentiated.
    x1, x2 : array, (n, *input_shape)
        ``x2=None`` stands for ``x1``: then half the blocks are computed, and the result equals its
        transpose bit for bit.
    batch : int, optional
        Inputs per block. Memory is 2 x batch x ``network.num_trainable`` numbers (for ``"full"``, times
        the number of outputs). Default: as many, 1 to 128, as keep one Jacobian below 256 MiB.
    outputs : {"mean", "full"}
        ``"mean"``, the default, is the trace over outputs divided by their number: what tends to the
        NTK of infinite width, where outputs do not mix. ``"full"`` keeps both output axes.

    Returns
    -------
    numpy array, (n1, n2) or (n1, n2, O, O)
        In the dtype of the network. The derivative of ReLU at 0 is taken as 0.

    Raises
    ------
    InputError
        Arrays or options that do not fit the network.

    Notes
    -----
    Cost: for each output ``n1 + n1 n2 / batch`` forward and backward passes (half of the second term
    for ``x2=None``) and ``2 n1 n2 num_trainable`` operations; ``"full"`` contracts the square of the
    number of outputs.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, "Neural Tangent Kernel"; Novak, Sohl-Dickstein, Schoenholz 2022,
    "Fast Finite Width Neural Tangent Kernel", section 3.1 (Jacobian contraction).

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import empirical_ntk, network
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(W_std=2.0), (2,))
    >>> x = jax.numpy.eye(2)
    >>> empirical_ntk(net, net.init(jax.random.key(0)), x).round(3)  # linear: W_std^2 x . x' / 2
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """
    if outputs not in ("mean", "full"):
        raise InputError(f'outputs is "mean" or "full", got {outputs!r}.')
    a = as_inputs(network, x1, "x1")
    b = a if x2 is None else as_inputs(network, x2, "x2")
    count = network.output_width
    units = jnp.eye(count, dtype=network.dtype)
    # "mean" takes one output at a time, so that memory does not grow with their number.
    cotangents = [units] if outputs == "full" else [units[o : o + 1] for o in range(count)]
    kept = len(cotangents[0])
    rows = _batch(network, batch, kept)
    kernel = np.zeros((len(a), kept, len(b), kept), network.dtype)
    for cotangent in cotangents if network.num_trainable else ():
        for i in _blocks(len(a), rows):
            left = _jacobian(network, params, a[i], cotangent)
            for j in _blocks(len(b), rows):
                if x2 is not None or j.start > i.start:
                    kernel[i, :, j] += np.asarray(_contract(left, _jacobian(network, params, b[j], cotangent)))
                elif j.start == i.start:
                    kernel[i, :, j] += np.asarray(_contract(left, left))
    if x2 is None:
        kernel = _mirror(kernel)
    if outputs == "mean":
        return kernel[:, 0, :, 0] / count
    return np.ascontiguousarray(kernel.transpose(0, 2, 1, 3))


def empirical_nngp(
    network: Network,
    params: Params,
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    batch: int | None = None,
) -> Float[np.ndarray, "n1 n2"]:
    r"""Return one network's estimate of its NNGP kernel, :math:`\frac1O \sum_o f_o(x) f_o(x')`.

    An estimate by one sample per output: its standard error is about ``sqrt(2 / O)`` of the diagonal.
    Ask :func:`network` for many ``outputs``, or average over many ``params``.

    Parameters
    ----------
    network : Network
    params : Params
        Straight from ``network.init``: a trained network's outputs are no draws of the prior.
    x1, x2 : array, (n, *input_shape)
        ``x2=None`` stands for ``x1``; the result then equals its transpose bit for bit.
    batch : int, optional
        Inputs per forward pass, 128 unless given.

    Returns
    -------
    numpy array, (n1, n2)
        In the dtype of the network.

    Raises
    ------
    InputError
        Arrays or options that do not fit the network.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import empirical_nngp, network
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(W_std=2.0), (2,), outputs=4000)
    >>> empirical_nngp(net, net.init(jax.random.key(0)), jax.numpy.ones((1, 2))).round(0)  # 2^2 * 2 / 2
    array([[4.]], dtype=float32)
    """
    rows = MOST_ROWS if batch is None else _check_batch(batch)
    a = _outputs(network, params, as_inputs(network, x1, "x1"), rows)
    if x2 is not None:
        return a @ _outputs(network, params, as_inputs(network, x2, "x2"), rows).T / network.output_width
    upper = np.triu(a @ a.T) / network.output_width
    return upper + np.triu(upper, 1).T


@functools.partial(jax.jit, static_argnames="network")
def _jacobian(
    network: Network, params: Params, x: Float[Array, "n ..."], cotangents: Float[Array, "S O"]
) -> PyTree[Float[Array, "n S ..."]]:
    """Derivatives of ``S`` combinations of outputs with respect to every trainable leaf."""

    def of_one(single: Float[Array, "..."]) -> PyTree[Float[Array, "S ..."]]:
        def output(trainable: Weights) -> Float[Array, "O"]:
            return network.apply(Params(trainable, params.frozen), single[None])[0]

        _, pull_back = jax.vjp(output, params.trainable)
        return jax.vmap(lambda c: pull_back(c)[0])(cotangents)

    return jax.vmap(of_one)(x)


@jax.jit
def _contract(left: PyTree[Float[Array, "n S ..."]], right: PyTree[Float[Array, "m S ..."]]) -> Float[Array, "n S m S"]:
    def product(a: Float[Array, "n S ..."], b: Float[Array, "m S ..."]) -> Float[Array, "nS mS"]:
        flat_a, flat_b = (j.reshape(j.shape[0] * j.shape[1], -1) for j in (a, b))
        return jnp.matmul(flat_a, flat_b.T, precision=PRECISION)

    (n, s), (m, _) = (jax.tree.leaves(j)[0].shape[:2] for j in (left, right))
    parts = jax.tree.leaves(jax.tree.map(product, left, right))
    return functools.reduce(jnp.add, parts).reshape(n, s, m, s)


@functools.partial(jax.jit, static_argnames="network")
def _forward(network: Network, params: Params, x: Float[Array, "n ..."]) -> Float[Array, "n O"]:
    return network.apply(params, x)


def _outputs(network: Network, params: Params, x: Float[Array, "n ..."], rows: int) -> Float[np.ndarray, "n O"]:
    blocks = [np.asarray(_forward(network, params, x[i])) for i in _blocks(len(x), rows)]
    return np.concatenate([np.zeros((0, network.output_width), network.dtype), *blocks])


def _mirror(kernel: Float[np.ndarray, "n S n S"]) -> Float[np.ndarray, "n S n S"]:
    n, s = kernel.shape[:2]
    upper = np.triu(kernel.reshape(n * s, n * s))
    return (upper + np.triu(upper, 1).T).reshape(n, s, n, s)


def _blocks(n: int, rows: int) -> Iterator[slice]:
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def _batch(network: Network, batch: int | None, kept: int) -> int:
    if batch is not None:
        return _check_batch(batch)
    per_row = max(network.num_trainable * kept * np.dtype(network.dtype).itemsize, 1)
    return min(max(JACOBIAN_BYTES // per_row, 1), MOST_ROWS)


def _check_batch(batch: int) -> int:
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise InputError(f"batch is a positive integer or None, got {batch!r}.")
    return batch
