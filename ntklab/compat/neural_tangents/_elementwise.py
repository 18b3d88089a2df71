"""Activations: names, arguments and defaults of neural-tangents' stax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ntklab import spec
from ntklab.compat.neural_tangents._fn import Triple, triple
from ntklab.compat.neural_tangents._trace import on_value
from ntklab.errors import SpecError
from ntklab.spec import Activation


def _activation(layer: Activation) -> Triple:
    return triple(on_value(type(layer).__name__, lambda value: value.then(layer)))


def ABRelu(a: float, b: float, do_stabilize: bool = False) -> Triple:
    """``a * min(x, 0) + b * max(x, 0)``. Kernels are stable at any scale: ``do_stabilize`` changes nothing."""
    return _activation(spec.ABRelu(a, b))


def Abs(do_stabilize: bool = False) -> Triple:
    """``|x|``. Kernels are stable at any scale: ``do_stabilize`` changes nothing."""
    return _activation(spec.Abs())


def Cos(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Triple:
    """``a * cos(b * x + c)``."""
    return _activation(spec.Cos(a, b, c))


def Elementwise(
    fn: Callable[[Any], Any] | None = None,
    nngp_fn: Callable[[Any, Any, Any], Any] | None = None,
    d_nngp_fn: Callable[[Any, Any, Any], Any] | None = None,
) -> Triple:
    """Any function; its kernel by quadrature of ``fn``, so that ``nngp_fn`` and ``d_nngp_fn`` are not needed."""
    if fn is None:
        raise SpecError(
            "Elementwise needs fn, of which the kernel is computed by quadrature. A kernel without a function, given "
            "by nngp_fn, is an activation of one's own with a dual: docs/extending.md."
        )
    return _activation(spec.Elementwise(fn))


def ElementwiseNumerical(fn: Callable[[Any], Any], deg: int, df: Callable[[Any], Any] | None = None) -> Triple:
    """Any function; its kernel by our own quadrature of ``fn``, whatever ``deg`` and ``df``."""
    return _activation(spec.Elementwise(fn))


def Erf(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Triple:
    """``a * erf(b * x) + c``."""
    return _activation(spec.Erf(a, b, c))


def Exp(a: float = 1, b: float = 1) -> Triple:
    """``a * exp(b * x)``."""
    return _activation(spec.Exp(a, b))


def ExpNormalized(gamma: float = 1, shift: float = -1, do_clip: bool = False) -> Triple:
    """The normalised Gaussian kernel. Correlations never leave [-1, 1]: ``do_clip`` changes nothing."""
    return _activation(spec.ExpNormalized(gamma, shift))


def Gabor() -> Triple:
    """``exp(-x**2) * sin(x)``."""
    return _activation(spec.Gabor())


def Gaussian(a: float = 1, b: float = -1) -> Triple:
    """``a * exp(b * x**2)``."""
    return _activation(spec.Gaussian(a, b))


def Gelu(approximate: bool = False) -> Triple:
    """Gaussian error linear unit; ``approximate`` holds for kernels, too."""
    return _activation(spec.Gelu(approximate))


def Hermite(degree: int) -> Triple:
    """The Hermite polynomial of a degree; right at any variance."""
    return _activation(spec.Hermite(degree))


def LeakyRelu(alpha: float, do_stabilize: bool = False) -> Triple:
    """``alpha * min(x, 0) + max(x, 0)``. Kernels are stable at any scale: ``do_stabilize`` changes nothing."""
    return _activation(spec.LeakyRelu(alpha))


def Monomial(degree: int) -> Triple:
    """``x**degree``."""
    return _activation(spec.Monomial(degree))


def Polynomial(coef: Sequence[float]) -> Triple:
    """``coef[0] + coef[1] * x + ...``."""
    return _activation(spec.Polynomial(tuple(coef)))


def Rbf(gamma: float = 1.0) -> Triple:
    """``sqrt(2) * sin(sqrt(2 * gamma) * x + pi / 4)``."""
    return _activation(spec.Rbf(gamma))


def RectifiedMonomial(degree: int) -> Triple:
    """``x**degree`` for ``x >= 0``, else 0."""
    return _activation(spec.RectifiedMonomial(degree))


def Relu(do_stabilize: bool = False) -> Triple:
    """``max(x, 0)``. Kernels are stable at any scale: ``do_stabilize`` changes nothing."""
    return _activation(spec.Relu())


def Sigmoid_like() -> Triple:
    """``0.5 * erf(x / 2.4020563531719796) + 0.5``."""
    return _activation(spec.Sigmoid_like())


def Sign() -> Triple:
    """``sign(x)``."""
    return _activation(spec.Sign())


def Sin(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Triple:
    """``a * sin(b * x + c)``."""
    return _activation(spec.Sin(a, b, c))
