"""The activations themselves, as definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab import spec
from ntklab.spec import Activation


def _hermite(layer: spec.Hermite, x: Float[Array, "..."]) -> Float[Array, "..."]:
    coef = np.polynomial.hermite_e.herme2poly([0] * layer.degree + [1])
    return jnp.polyval(jnp.asarray(coef[::-1].copy(), x.dtype), x) / math.sqrt(math.factorial(layer.degree))


def _polynomial(layer: spec.Polynomial, x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.polyval(jnp.asarray(layer.coef[::-1] or (0.0,), x.dtype), x)


def _affine(layer: spec.Affine, x: Float[Array, "..."]) -> Float[Array, "..."]:
    inner = layer.activation
    return layer.scale * PHI[type(inner)](inner, layer.input_scale * x) + layer.shift


def _combination(layer: spec.Combination, x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.stack([PHI[type(term)](term, x) for term in layer.terms]).sum(axis=0)


PHI: dict[type[Activation], Callable[[Any, Float[Array, "..."]], Float[Array, "..."]]] = {
    spec.ABRelu: lambda f, x: f.a * jnp.minimum(x, 0.0) + f.b * jnp.maximum(x, 0.0),
    spec.Abs: lambda _, x: jnp.abs(x),
    spec.Affine: _affine,
    spec.Combination: _combination,
    spec.Cos: lambda f, x: f.a * jnp.cos(f.b * x + f.c),
    spec.Erf: lambda f, x: f.a * jax.lax.erf(f.b * x) + f.c,
    spec.Exp: lambda f, x: f.a * jnp.exp(f.b * x),
    spec.Gabor: lambda _, x: jnp.exp(-jnp.square(x)) * jnp.sin(x),
    spec.Gaussian: lambda f, x: f.a * jnp.exp(f.b * jnp.square(x)),
    spec.Gelu: lambda f, x: jax.nn.gelu(x, approximate=f.approximate),
    spec.Hermite: _hermite,
    spec.LeakyRelu: lambda f, x: f.alpha * jnp.minimum(x, 0.0) + jnp.maximum(x, 0.0),
    spec.Monomial: lambda f, x: x**f.degree,
    spec.Polynomial: _polynomial,
    spec.Rbf: lambda f, x: math.sqrt(2.0) * jnp.sin(math.sqrt(2.0 * f.gamma) * x + math.pi / 4.0),
    spec.RectifiedMonomial: lambda f, x: jnp.where(x >= 0.0, x**f.degree, 0.0),
    spec.Relu: lambda _, x: jax.nn.relu(x),
    spec.Sigmoid_like: lambda _, x: 0.5 * jax.lax.erf(x / 2.4020563531719796) + 0.5,
    spec.Sign: lambda _, x: jnp.sign(x),
    spec.Sin: lambda f, x: f.a * jnp.sin(f.b * x + f.c),
    spec.Elementwise: lambda f, x: f.fn(x),
    spec.Elu: lambda f, x: jax.nn.elu(x, f.alpha),
    spec.Selu: lambda _, x: jax.nn.selu(x),
    spec.Sigmoid: lambda _, x: jax.nn.sigmoid(x),
    spec.Silu: lambda _, x: jax.nn.silu(x),
    spec.Softplus: lambda _, x: jax.nn.softplus(x),
    spec.Tanh: lambda _, x: jnp.tanh(x),
}
"""Layer type -> ``phi(layer, x)``. ExpNormalized has none: it is a kernel without a function."""
