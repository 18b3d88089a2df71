"""How far a quadrature may be trusted: for functions of the user, above all."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ntklab.errors import InputError, PrecisionWarning
from ntklab.kernel._dual_affine import AffineDual
from ntklab.kernel._dual_quadrature import GELU_TANH, QuadratureDual
from ntklab.kernel._plan import Carry, Plan
from ntklab.kernel._rule_activation import Dual
from ntklab.kernel._table import DUALS
from ntklab.kernel._values import ImageValue, Sides
from ntklab.spec import Activation, Affine, Elementwise, Gelu

_COARSE = 1e-5


def quadrature_error(layer: Activation, std: float = 1.0, dtype: str = "float64") -> float:
    r"""Return how well the kernel of an activation is known: the change that half as many nodes again make.

    The largest change of :math:`E[\phi(u)\phi(v)]` and :math:`E[(\phi(u) - \phi(v))^2]` over 17 correlations from -1 to
    1, and of :math:`E[\phi(u)^2]`, relative to the latter, where ``u`` and ``v`` have the standard deviation ``std``.

    Parameters
    ----------
    layer : Activation
        Such as ``Elementwise(fn)``.
    std : float
        Of the activation's input; with ``Dense(W_std=w)`` before it, about ``w`` times the root mean square of what
        enters that layer.
    dtype : {"float64", "float32"}
        Of the computation; float64 has twice as many nodes along each axis.

    Returns
    -------
    float
        0 for activations in closed form. Below 1e-11 in float64 for every activation of ntklab up to ``std=10``.

    Raises
    ------
    InputError
        The standard deviation is not a positive number, or the type is another.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from ntklab.kernel import quadrature_error
    >>> from ntklab.spec import Elementwise, Erf
    >>> quadrature_error(Erf())
    0.0
    >>> quadrature_error(Elementwise(lambda x: jnp.clip(x, -1.0, 1.0)), dtype="float32") < 1e-6  # kinks away from 0
    False
    """
    if not (isinstance(std, int | float) and math.isfinite(std) and std > 0.0):
        raise InputError(f"std is a positive number, got {std!r}.")
    if dtype not in ("float64", "float32"):
        raise InputError(f'dtype is "float64" or "float32", got {dtype!r}.')
    finer = _finer(layer)
    if finer is None:
        return 0.0
    with jax.enable_x64(dtype == "float64"):
        return float(_change(DUALS[type(layer)], finer, layer, jnp.asarray(std, dtype)))


def _finer(layer: Activation) -> Dual | None:
    """Return the dual with half as many nodes again, or None of a closed form."""
    if isinstance(layer, Affine):
        inside = _finer(layer.activation)
        return inside and AffineDual({layer.activation.kind(): inside})
    dual = GELU_TANH if isinstance(layer, Gelu) and layer.approximate else DUALS[type(layer)]
    if not isinstance(dual, QuadratureDual):
        return None
    more = {name: (3 * angles // 2, 3 * radii // 2) for name, (angles, radii) in dual.nodes.items()}
    return QuadratureDual(dual.phi, more)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _change(dual: Dual, finer: Dual, layer: Activation, std: Array) -> Array:
    p = {**dict(layer.options), **{name: jnp.asarray(value, std.dtype) for name, value in layer.numbers}}
    z = jnp.linspace(0.0, 2.0, 17, dtype=std.dtype)
    std = jnp.broadcast_to(std, z.shape)
    variance = jnp.square(std)
    side = ImageValue(variance, std)
    sides, distance = Sides(side, side, Carry.NUMBER, block=False), 2.0 * variance * z
    coarse, fine = ((d.variance(variance, p), *d.pair(distance, sides, p)[:2]) for d in (dual, finer))
    change = jnp.max(jnp.abs(jnp.stack(coarse) - jnp.stack(fine)))
    return change / jnp.maximum(fine[0][0], jnp.finfo(std.dtype).tiny)


def warn_of_coarse_quadrature(plan: Plan, dtype: np.dtype) -> None:
    """Warn of functions of the user that the quadrature does not resolve."""
    for fn in {fn: None for op in plan.ops for fn in _functions(op.options)}:
        error = quadrature_error(Elementwise(fn), dtype=dtype.name)
        if not error <= _COARSE:
            warnings.warn(
                f"The kernel of {Elementwise(fn)!r} is known to {error:.0e} only, at inputs of standard deviation 1: "
                f"it has kinks or jumps away from 0, or changes on a scale far below 1. "
                f"ntklab.kernel.quadrature_error tells the error at others.",
                PrecisionWarning,
                stacklevel=3,
            )


def _functions(options: tuple[tuple[str, Any], ...]) -> Iterator[Callable[[Any], Any]]:
    """Yield the functions of the user inside an operation."""
    for name, value in options:
        if name == "fn":
            yield value
        for _, inner in (value,) if name == "of" else value if name == "terms" else ():
            yield from _functions(inner)
