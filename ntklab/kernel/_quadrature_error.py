"""How far a quadrature may be trusted: for functions of the user, above all."""

from __future__ import annotations

import math
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ntklab.errors import InputError, PrecisionWarning
from ntklab.kernel._dual_quadrature import GELU_TANH, QuadratureDual
from ntklab.kernel._plan import Carry, Plan
from ntklab.kernel._table import DUALS
from ntklab.kernel._values import ImageValue, Sides
from ntklab.spec import Activation, Elementwise, Gelu

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
    >>> from ntklab.spec import Elementwise
    >>> quadrature_error(Elementwise(jnp.arctan), dtype="float32") < 1e-6
    True
    >>> quadrature_error(Elementwise(lambda x: jnp.clip(x, -1.0, 1.0)), dtype="float32") < 1e-6  # kinks away from 0
    False
    """
    if not (isinstance(std, int | float) and math.isfinite(std) and std > 0.0):
        raise InputError(f"std is a positive number, got {std!r}.")
    if dtype not in ("float64", "float32"):
        raise InputError(f'dtype is "float64" or "float32", got {dtype!r}.')
    dual = GELU_TANH if isinstance(layer, Gelu) and layer.approximate else DUALS[type(layer)][1]
    if not isinstance(dual, QuadratureDual):
        return 0.0
    with jax.enable_x64(dtype == "float64"):
        return float(_change(dual, layer, jnp.asarray(std, dtype)))


@partial(jax.jit, static_argnums=(0, 1))
def _change(dual: QuadratureDual, layer: Activation, std: Array) -> Array:
    p = {**dict(layer.options), **{name: jnp.asarray(value, std.dtype) for name, value in layer.numbers}}
    more = {name: (3 * angles // 2, 3 * radii // 2) for name, (angles, radii) in dual.nodes.items()}
    z = jnp.linspace(0.0, 2.0, 17, dtype=std.dtype)
    std = jnp.broadcast_to(std, z.shape)
    variance = jnp.square(std)
    side = ImageValue(variance, std)
    sides, distance = Sides(side, side, Carry.NUMBER, block=False), 2.0 * variance * z
    both = (dual, QuadratureDual(dual.phi, more))
    coarse, fine = ((d.variance(variance, p), *d.pair(distance, sides, p)[:2]) for d in both)
    change = jnp.max(jnp.abs(jnp.stack(coarse) - jnp.stack(fine)))
    return change / jnp.maximum(fine[0][0], jnp.finfo(std.dtype).tiny)


def warn_of_coarse_quadrature(plan: Plan, dtype: np.dtype) -> None:
    """Warn of functions of the user that the quadrature does not resolve."""
    for fn in {dict(op.options)["fn"]: None for op in plan.ops if op.kind == DUALS[Elementwise][0]}:
        error = quadrature_error(Elementwise(fn), dtype=dtype.name)
        if not error <= _COARSE:
            warnings.warn(
                f"The kernel of {Elementwise(fn)!r} is known to {error:.0e} only, at inputs of standard deviation 1: "
                f"it has kinks or jumps away from 0, or changes on a scale far below 1. "
                f"ntklab.kernel.quadrature_error tells the error at others.",
                PrecisionWarning,
                stacklevel=3,
            )
