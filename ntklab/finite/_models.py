"""Modules of Equinox and Flax as pure functions of parameters and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, PyTree

from ntklab.errors import InputError, MissingExtraError
from ntklab.finite._model import Function


class PureModel(NamedTuple):
    """A function and its parameters, the first two arguments of everything in this room.

    Attributes
    ----------
    f : function
        ``f(params, x)`` of a batch ``x``.
    params : pytree of arrays
        What is differentiated and trained.
    """

    f: Function
    params: PyTree[Array]


def from_equinox(module: Any) -> PureModel:
    """Return an Equinox module, which takes one input, as a function of batches.

    Everything that is no floating array (sizes, activations, integer arrays) is held. Dropout is switched off
    (``equinox.nn.inference_mode``). Modules that need a state or a key at each call do not fit: wrap them.

    Parameters
    ----------
    module : equinox.Module

    Returns
    -------
    PureModel
        Keep its ``f``: another call makes another function, which is compiled anew.

    Raises
    ------
    MissingExtraError
        Equinox is not installed: ``pip install 'ntklab[models]'``.
    InputError
        The argument is no Equinox module.

    Examples
    --------
    >>> import equinox, jax
    >>> from ntklab.finite import empirical_ntk, from_equinox
    >>> f, params = from_equinox(equinox.nn.Linear(2, 1, dtype="float32", key=jax.random.key(0)))
    >>> empirical_ntk(f, params, jax.numpy.eye(2, dtype="float32")).tolist()  # x . x' + 1
    [[2.0, 1.0], [1.0, 2.0]]
    """
    try:
        from ntklab.finite._equinox import split
    except ModuleNotFoundError as error:
        raise _missing(error, "equinox", "from_equinox") from None
    return PureModel(*split(module))


def from_nnx(module: Any) -> PureModel:
    """Return a Flax NNX module, which takes a batch, as a function.

    Parameters are what is an ``nnx.Param``; statistics and the like are held. Call ``module.eval()`` first if the
    module has dropout or batch normalisation: rows must not depend on each other, nor on chance.

    Parameters
    ----------
    module : flax.nnx.Module

    Returns
    -------
    PureModel
        Keep its ``f``: another call makes another function, which is compiled anew.

    Raises
    ------
    MissingExtraError
        Flax is not installed: ``pip install 'ntklab[models]'``.
    InputError
        The argument is no NNX module.

    Examples
    --------
    >>> import jax
    >>> from flax import nnx
    >>> from ntklab.finite import empirical_ntk, from_nnx
    >>> f, params = from_nnx(nnx.Linear(2, 1, use_bias=False, rngs=nnx.Rngs(0)))
    >>> empirical_ntk(f, params, jax.numpy.eye(2, dtype="float32")).tolist()  # x . x'
    [[1.0, 0.0], [0.0, 1.0]]
    """
    try:
        from ntklab.finite._nnx import split
    except ModuleNotFoundError as error:
        raise _missing(error, "flax", "from_nnx") from None
    return PureModel(*split(module))


def from_linen(module: Any, variables: Mapping[str, Any], **options: Any) -> PureModel:
    """Return a Flax Linen module, which takes a batch, as a function.

    Parameters
    ----------
    module : flax.linen.Module
    variables : mapping
        From ``module.init``. ``"params"`` are the parameters; other collections, such as ``"batch_stats"``, are held.
    **options
        Handed to ``module.apply``, as ``train=False``: rows must not depend on each other, nor on chance.

    Returns
    -------
    PureModel
        Keep its ``f``: another call makes another function, which is compiled anew.

    Raises
    ------
    InputError
        The module has no ``apply``, or the variables no ``"params"``.

    Examples
    --------
    >>> import jax
    >>> from flax import linen
    >>> from ntklab.finite import empirical_ntk, from_linen
    >>> layer, x = linen.Dense(1, use_bias=False), jax.numpy.eye(2, dtype="float32")
    >>> f, params = from_linen(layer, layer.init(jax.random.key(0), x))
    >>> empirical_ntk(f, params, x).tolist()  # x . x'
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if not hasattr(module, "apply") or not isinstance(variables, Mapping) or "params" not in variables:
        raise InputError(
            'from_linen takes a Linen module and what its init returned, a mapping with "params"; got a '
            f"{type(module).__name__} and a {type(variables).__name__}."
        )
    held = {name: value for name, value in variables.items() if name != "params"}

    def f(params: PyTree[Array], x: Array) -> Array:
        return module.apply({"params": params, **held}, x, **options)

    return PureModel(f, variables["params"])


def _missing(error: ModuleNotFoundError, package: str, caller: str) -> Exception:
    if error.name != package:
        return error
    return MissingExtraError(f"{caller} needs {package}, which is not installed: pip install 'ntklab[models]'.")
