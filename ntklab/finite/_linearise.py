"""Taylor polynomials of a function in its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ntklab.errors import InputError
from ntklab.finite._model import Function, as_model
from ntklab.finite._network import Network


def linearise(f: Network | Function, params: PyTree[Array]) -> Function:
    r"""Return the function that is linear in its parameters and touches ``f`` at ``params``.

    .. math:: f^{lin}(\theta, x) = f(\theta_0, x) + \nabla_\theta f(\theta_0, x)\, (\theta - \theta_0)

    Parameters
    ----------
    f : Network or function
        As for :func:`empirical_ntk`.
    params : pytree of arrays
        :math:`\theta_0`. Of a Network's Params the trainable part; the frozen part stays what it is.

    Returns
    -------
    function
        Of parameters (of a Network's, the trainable part) and inputs, ready for :func:`train_flow` and the rest of
        this room; its tangent kernel is that of ``f`` at ``params``, wherever it is asked for.

    Raises
    ------
    InputError
        As :func:`empirical_ntk`.

    Notes
    -----
    About two forward passes of ``f`` each call.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import linearise
    >>> linear = linearise(lambda w, x: w**2 * x, jnp.array(1.0))
    >>> linear(jnp.array(1.5), jnp.array([1.0])).tolist()  # 1 + 2 * 0.5
    [2.0]
    """
    return taylor_expand(f, params, 1)


def taylor_expand(f: Network | Function, params: PyTree[Array], degree: int) -> Function:
    r"""Return the Taylor polynomial of ``f`` in its parameters, around ``params``.

    .. math:: f^{(d)}(\theta, x) = \sum_{k=0}^{d} \frac{1}{k!}
              \frac{d^k}{ds^k} f(\theta_0 + s(\theta - \theta_0), x) \Big|_{s=0}

    Parameters
    ----------
    f, params
        As for :func:`linearise`.
    degree : int
        At least 0.

    Returns
    -------
    function
        Of parameters and inputs.

    Raises
    ------
    InputError
        As :func:`empirical_ntk`, or the degree is negative.

    Notes
    -----
    Nested forward derivatives along one direction: about ``2**degree`` forward passes. ReLU has no second
    derivative but at its jump: of a network of ReLUs, the polynomials hold what is left, products of layers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ntklab.finite import taylor_expand
    >>> square = taylor_expand(lambda w, x: w**3 * x, jnp.array(1.0), 2)
    >>> square(jnp.array(1.5), jnp.array([1.0])).tolist()  # 1 + 3 * 0.5 + 3 * 0.25
    [3.25]
    """
    if not isinstance(degree, int) or isinstance(degree, bool) or degree < 0:
        raise InputError(f"degree is an integer >= 0, got {degree!r}.")
    model = as_model(f, params)

    def polynomial(moved: PyTree[Array], x: Array) -> Array:
        if jax.tree.structure(moved) != jax.tree.structure(model.params):
            raise InputError(
                f"params have another form than where f was expanded, {jax.tree.structure(model.params)}. Of a "
                "Network's Params, give the trainable part."
            )
        direction = jax.tree.map(jnp.subtract, moved, model.params)

        def along(s: Array) -> Array:
            return model.f(jax.tree.map(lambda start, by: start + s * by, model.params, direction), x)

        term: Callable[[Array], Any] = along
        zero = jnp.zeros((), model.dtype)
        total = along(zero)
        for k in range(1, degree + 1):
            term = _derivative(term)
            total = total + term(zero) / math.factorial(k)
        return total

    return polynomial


def _derivative(g: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda s: jax.jvp(g, (s,), (jnp.ones_like(s),))[1]
