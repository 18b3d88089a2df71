"""Activations as functions, where a quadrature needs them; ``finite`` has its own, of which these know nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ntklab import spec
from ntklab.errors import SpecError
from ntklab.kernel._duals_polynomial import hermite
from ntklab.kernel._duals_smooth import SIGMOID_LIKE
from ntklab.kernel._rule_activation import Numbers, inside
from ntklab.spec import Activation

Function = Callable[[Array, Numbers], Array]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer et al. 2017, "Self-Normalizing Neural Networks"."""


def _elu(x: Array, alpha: Any) -> Array:
    left = jnp.where(x > 0.0, 0.0, x)
    return jnp.where(x > 0.0, x, alpha * jnp.expm1(left))


def gelu_tanh(x: Array, p: Numbers) -> Array:
    """Return the approximation of Gelu by tanh."""
    return 0.5 * x * (1.0 + jnp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _gelu(x: Array, p: Numbers) -> Array:
    return gelu_tanh(x, p) if p["approximate"] else 0.5 * x * (1.0 + jax.lax.erf(math.sqrt(0.5) * x))


def _erf(x: Array, p: Numbers) -> Array:
    return p["a"] * jax.lax.erf(p["b"] * x) + p["c"]


def _slopes(x: Array, left: Any, right: Any) -> Array:
    return jnp.where(x > 0.0, right * x, left * x)


def _power(x: Array, degree: int) -> Array:
    return x**degree if degree else jnp.ones_like(x)


def _polynomial(x: Array, coef: Any) -> Array:
    total = jnp.zeros_like(x)
    for a in reversed(coef):
        total = total * x + a
    return total


def _affine(x: Array, p: Numbers) -> Array:
    return p["scale"] * _value(p["of"], p["input_scale"] * x, p, "activation.") + p["shift"]


def _combination(x: Array, p: Numbers) -> Array:
    terms = [_value(term, x, p, f"term{i}.") for i, term in enumerate(p["terms"])]
    return sum(terms[1:], start=terms[0])


def _value(of: tuple[str, Any], x: Array, p: Numbers, prefix: str) -> Array:
    kind, options = of
    if kind not in _BY_KIND:
        raise SpecError(f"{kind} is no function that ntklab.kernel knows, and so no term of a Combination.")
    return _BY_KIND[kind](x, inside(p, prefix, options))


BY_QUADRATURE: dict[type[Activation], Function] = {
    spec.Combination: _combination,
    spec.Elementwise: lambda x, p: p["fn"](x),
    spec.Elu: lambda x, p: _elu(x, p["alpha"]),
    spec.Selu: lambda x, p: SELU_SCALE * _elu(x, SELU_ALPHA),
    spec.Sigmoid: lambda x, p: 0.5 * (1.0 + jnp.tanh(0.5 * x)),
    spec.Silu: lambda x, p: 0.5 * x * (1.0 + jnp.tanh(0.5 * x)),
    spec.Softplus: lambda x, p: jnp.logaddexp(x, 0.0),
    spec.Tanh: lambda x, p: jnp.tanh(x),
}
"""What has no closed form: these functions are all that their kernels need."""

IN_CLOSED_FORM: dict[type[Activation], Function] = {
    spec.ABRelu: lambda x, p: _slopes(x, p["a"], p["b"]),
    spec.Abs: lambda x, p: _slopes(x, -1.0, 1.0),
    spec.Affine: _affine,
    spec.Cos: lambda x, p: p["a"] * jnp.cos(p["b"] * x + p["c"]),
    spec.Erf: _erf,
    spec.Exp: lambda x, p: p["a"] * jnp.exp(p["b"] * x),
    spec.Gabor: lambda x, p: jnp.exp(-x * x) * jnp.sin(x),
    spec.Gaussian: lambda x, p: p["a"] * jnp.exp(p["b"] * x * x),
    spec.Gelu: _gelu,
    spec.Hermite: lambda x, p: _polynomial(x, hermite(p["degree"])),
    spec.LeakyRelu: lambda x, p: _slopes(x, p["alpha"], 1.0),
    spec.Monomial: lambda x, p: _power(x, p["degree"]),
    spec.Polynomial: lambda x, p: _polynomial(x, [p[f"coef{i}"] for i in range(p["count"])]),
    spec.Rbf: lambda x, p: math.sqrt(2.0) * jnp.sin(jnp.sqrt(2.0 * p["gamma"]) * x + 0.25 * math.pi),
    spec.RectifiedMonomial: lambda x, p: jnp.where(x >= 0.0, _power(x, p["degree"]), 0.0),
    spec.Relu: lambda x, p: _slopes(x, 0.0, 1.0),
    spec.Sigmoid_like: lambda x, p: _erf(x, SIGMOID_LIKE),
    spec.Sign: lambda x, p: jnp.sign(x),
    spec.Sin: lambda x, p: p["a"] * jnp.sin(p["b"] * x + p["c"]),
}
"""What needs no quadrature alone, but as a term of a Combination."""

_BY_KIND = {layer.kind(): function for layer, function in {**BY_QUADRATURE, **IN_CLOSED_FORM}.items()}
