"""Products with the tangent kernel and with its other Gram matrix, and the kernel's spectrum, without any matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree, Shaped
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ntklab.errors import InputError, SolveError
from ntklab.finite._axes import blocks
from ntklab.finite._costs import MOST_ROWS
from ntklab.finite._model import Function, Model, as_model
from ntklab.finite._network import Network


def ntk_product(
    f: Network | Function,
    params: PyTree[Array],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    v: Float[Array | np.ndarray, "n2 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    batch: int = MOST_ROWS,
) -> Float[np.ndarray, "n1 ..."]:
    r"""Return the tangent kernel times a vector, :math:`\Theta(x_1, x_2)\, v = J(x_1)\, J(x_2)^T v`.

    Parameters
    ----------
    f, params, x1, x2
        As for :func:`empirical_ntk`; but here ``batch`` rows are given to ``f`` at once.
    v : array, (n2, ...)
        Of the shape of the outputs at ``x2`` (at ``x1`` for ``x2=None``).
    batch : int
        Inputs at a time. Memory is one gradient, and what a forward and backward pass of a batch takes.

    Returns
    -------
    numpy array, (n1, ...)
        Of the shape of the outputs at ``x1``: outputs are not averaged.

    Raises
    ------
    InputError
        Arrays or function that do not fit.

    Notes
    -----
    One backward pass over ``x2`` and one forward derivative over ``x1``.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import ntk_product
    >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0]])
    >>> ntk_product(lambda w, x: x @ w, jnp.zeros(2), x, jnp.array([1.0, 1.0])).tolist()  # x x^T v
    [2.0, 3.0]
    """
    model = as_model(f, params)
    a = model.inputs(x1, "x1")
    b = a if x2 is None else model.inputs(x2, "x2")
    out = model.output(b)
    vector = jnp.asarray(v, out.dtype)
    if vector.shape != (len(b), *out.shape):
        raise InputError(f"v has the shape of the outputs, {(len(b), *out.shape)}, got {vector.shape}.")
    _check_batch(batch)
    return _forward_all(model, a, _pull_all(model, b, vector, batch), batch)


def parameter_gram_product(
    f: Network | Function,
    params: PyTree[Array],
    x: Shaped[Array | np.ndarray, "n ..."],
    u: PyTree[Array],
    *,
    batch: int = MOST_ROWS,
) -> PyTree[Array]:
    r"""Return the other Gram matrix of the Jacobian times a vector, :math:`J^T J\, u`, P x P for P parameters.

    Its eigenvalues above 0 are those of the kernel :math:`J J^T`. For the loss :math:`\frac12\sum_i|f(x_i)-y_i|^2` it
    is the Gauss-Newton matrix, and the Fisher information of Gaussian outputs of unit variance.

    Parameters
    ----------
    f, params, x
        As for :func:`ntk_product`.
    u : pytree of arrays
        Of the form of ``params`` (of a Network's Params, of the trainable part).
    batch : int
        Inputs at a time.

    Returns
    -------
    pytree of arrays
        Of the form of ``u``.

    Raises
    ------
    InputError
        Arrays or function that do not fit.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import parameter_gram_product
    >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0]])
    >>> parameter_gram_product(lambda w, x: x @ w, jnp.zeros(2), x, jnp.array([1.0, 1.0])).tolist()  # x^T x u
    [3.0, 2.0]
    """
    model = as_model(f, params)
    a = model.inputs(x, "x")
    model.output(a)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (u, model.params)]
    if shapes[0] != shapes[1]:
        raise InputError(f"u has the form of the parameters, {shapes[1]}, got {shapes[0]}.")
    _check_batch(batch)
    total = jax.tree.map(jnp.zeros_like, model.params)
    for i in blocks(len(a), batch):
        total = jax.tree.map(jnp.add, total, _pull(model.f, model.params, a[i], _push(model.f, model.params, a[i], u)))
    return total


class NtkSpectrum(NamedTuple):
    """The upper end of a spectrum; made by :func:`ntk_spectrum`.

    Attributes
    ----------
    eigenvalues : numpy array, (k,)
        Falling.
    eigenvectors : numpy array, (k, n, ...)
        Unit vectors of the shape of the outputs.
    products : int
        How many products with the kernel it took.
    """

    eigenvalues: Float[np.ndarray, "k"]
    eigenvectors: Float[np.ndarray, "k n ..."]
    products: int


def ntk_spectrum(
    f: Network | Function,
    params: PyTree[Array],
    x: Shaped[Array | np.ndarray, "n ..."],
    k: int,
    *,
    tolerance: float = 1e-6,
    batch: int = MOST_ROWS,
) -> NtkSpectrum:
    r"""Return the largest eigenvalues of the tangent kernel of all outputs, without the matrix.

    Of :math:`\Theta` as a matrix of ``n O`` rows, one per input and output: gradient flow on squares moves along an
    eigenvector as :math:`e^{-\lambda t}`, and plain gradient descent is stable below :math:`2 / \lambda_1`. Lanczos
    iteration of SciPy (ARPACK) on :func:`ntk_product`, from a fixed start.

    Parameters
    ----------
    f, params, x, batch
        As for :func:`ntk_product`.
    k : int
        How many, fewer than ``n O``.
    tolerance : float
        Relative accuracy of the eigenvalues. Products in float32 carry about 1e-6 of the largest eigenvalue.

    Returns
    -------
    NtkSpectrum

    Raises
    ------
    InputError
        Arrays, function or options that do not fit.
    SolveError
        The iteration did not converge.

    Notes
    -----
    Some tens of products for the first eigenvalues. Memory: a few times ``k`` vectors of ``n O`` numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import ntk_spectrum
    >>> ntk_spectrum(lambda w, x: x @ w, jnp.ones(3), jnp.diag(jnp.array([1.0, 2.0, 3.0])), 2).eigenvalues
    array([9., 4.])
    """
    model = as_model(f, params)
    a = model.inputs(x, "x")
    out = model.output(a)
    shape = (len(a), *out.shape)
    size = int(np.prod(shape))
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k < size:
        raise InputError(f"k is an integer from 1 to {size - 1}, below the size {size} of the kernel; got {k!r}.")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is a number between 0 and 1, got {tolerance!r}.")
    _check_batch(batch)
    products = 0

    def product(v: Any) -> Float[np.ndarray, "nO"]:
        nonlocal products
        products += 1
        direction = _pull_all(model, a, jnp.asarray(v.reshape(shape), out.dtype), batch)
        return _forward_all(model, a, direction, batch).reshape(-1).astype(np.float64)

    start = np.random.default_rng(0).normal(size=size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    try:
        values, vectors = eigsh(operator, k=k, which="LA", v0=start, tol=tolerance)  # pyright: ignore[reportArgumentType]
    except ArpackNoConvergence as error:
        raise SolveError(f"The eigenvalues did not converge to {tolerance:g}: {error}. Raise tolerance or k.") from None
    order = np.argsort(values)[::-1]
    return NtkSpectrum(values[order], vectors.T[order].reshape(k, *shape), products)


@jax.jit
def _pull(f: Partial, params: Any, x: Shaped[Array, "n ..."], v: Float[Array, "n ..."]) -> PyTree[Array]:
    return jax.vjp(lambda p: f(p, x), params)[1](v)[0]


@jax.jit
def _push(f: Partial, params: Any, x: Shaped[Array, "n ..."], u: PyTree[Array]) -> Float[Array, "n ..."]:
    return jax.jvp(lambda p: f(p, x), (params,), (u,))[1]


def _pull_all(model: Model, x: Shaped[Array, "n ..."], v: Float[Array, "n ..."], batch: int) -> PyTree[Array]:
    total = jax.tree.map(jnp.zeros_like, model.params)
    for i in blocks(len(x), batch):
        total = jax.tree.map(jnp.add, total, _pull(model.f, model.params, x[i], v[i]))
    return total


def _forward_all(model: Model, x: Shaped[Array, "n ..."], u: PyTree[Array], batch: int) -> Float[np.ndarray, "n ..."]:
    out = model.output(x)
    parts = [np.asarray(_push(model.f, model.params, x[i], u)) for i in blocks(len(x), batch)]
    return np.concatenate([np.zeros((0, *out.shape), out.dtype), *parts])


def _check_batch(batch: int) -> None:
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise InputError(f"batch is a positive integer, got {batch!r}.")
