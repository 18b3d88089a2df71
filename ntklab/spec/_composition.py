"""What an activation is, and activations made of others by arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ntklab.errors import SpecError
from ntklab.spec._layer import Layer, check_number


class Activation(Layer):
    """Abstract base of functions applied to each channel alone; each needs a Gaussian input, so weights before it.

    Fields of type float are learnable numbers: they are in ``kfn.hyper``. ``2.0 * Relu() - 1.0`` is an activation, too:
    an :class:`Affine`; ``Relu() + Tanh()`` is a :class:`Combination`.
    """

    has_function: ClassVar[bool] = True
    """Whether it is a function, and not a kernel alone."""

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, _ in self.numbers:
            check_number(self, name)

    @classmethod
    def kind(cls) -> str:
        """Return the name of its operation in plans: ``leaky_relu`` of LeakyRelu."""
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """Its learnable numbers."""
        found = (f.name for f in fields(self) if f.type in ("float", float))  # pyright: ignore[reportArgumentType]
        return tuple((name, getattr(self, name)) for name in found)

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """The other arguments."""
        learned = {name for name, _ in self.numbers}
        names = (f.name for f in fields(self))  # pyright: ignore[reportArgumentType]
        return tuple((name, getattr(self, name)) for name in names if name not in learned)

    def __mul__(self, factor: float) -> Affine:
        """Scale its values."""
        return _plain(self)._changed(factor, 0.0) if _is_number(factor) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Affine:
        """Scale its values."""
        return self * (1.0 / divisor) if _is_number(divisor) else NotImplemented

    def __add__(self, other: float | Activation) -> Affine | Combination:
        """Shift its values, or add those of another."""
        if isinstance(other, Activation):
            return Combination(*_terms(self), *_terms(other))
        return _plain(self)._changed(1.0, other) if _is_number(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: float | Activation) -> Affine | Combination:
        """Shift its values, or subtract those of another."""
        return self + (-other) if _is_number(other) or isinstance(other, Activation) else NotImplemented

    def __rsub__(self, shift: float) -> Affine | Combination:
        """Subtract its values from a number."""
        return -self + shift

    def __neg__(self) -> Affine:
        """Change the sign of its values."""
        return self * -1.0


@dataclass(frozen=True, repr=False)
class Affine(Activation):
    r"""``scale * activation(input_scale * x) + shift``; ``2.0 * Relu() - 1.0`` is ``Affine(Relu(), 2.0, -1.0)``.

    With :math:`\kappa, \dot\kappa, m` the dual of the activation, of its derivative, and its mean, at variances and
    covariance times the square of :math:`i` (``input_scale``),

    .. math:: \Sigma' = a^2 \kappa + a b\,(m_x + m_y) + b^2, \quad D' = a^2 D_\kappa, \quad
              \Theta' = (a i)^2 \dot\kappa\, \Theta

    as exact as the dual of the activation: its mean has a closed form where its dual has one. Where the shift nearly
    cancels the mean and the rest is small, as in ``Cos() - 1.0`` at small variances, digits cancel, too.

    Parameters
    ----------
    activation : Activation
        Any with a function: all but :class:`ExpNormalized`.
    scale, shift, input_scale : float
        Learnable numbers, as those of the activation: ``activation.a`` in ``kfn.hyper``.

    Raises
    ------
    SpecError
        No activation, one without a function, or a number that is not finite.

    Examples
    --------
    >>> from ntklab.spec import Relu
    >>> 3 * (2.0 * Relu() - 1.0)
    Affine(Relu(), scale=6.0, shift=-3.0)
    """

    positional: ClassVar[str] = "activation"
    activation: Activation
    scale: float = 1.0
    shift: float = 0.0
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_function(self, self.activation)
        for name in ("scale", "shift", "input_scale"):
            check_number(self, name)

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """Its own, and those of the activation."""
        return (*super().numbers, *((f"activation.{name}", value) for name, value in self.activation.numbers))

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """What the activation is."""
        return (("of", (self.activation.kind(), self.activation.options)),)

    def _changed(self, factor: float, shift: float) -> Affine:
        return Affine(self.activation, factor * self.scale, factor * self.shift + shift, self.input_scale)


@dataclass(frozen=True, repr=False, init=False)
class Combination(Activation):
    """The sum of several activations of the same input; kernel by quadrature, whatever the terms.

    Written ``Relu() + 0.5 * Tanh()``: factors and shifts are those of :class:`Affine` terms. Unlike
    :class:`Elementwise` it has JSON, and the numbers of its terms are learnable: ``term1.scale`` in ``kfn.hyper``.
    Terms depend on each other, so that their sum has no closed form even where each has one; the error is that of
    :class:`Tanh` for terms that grow no faster than polynomials, and ``ntklab.kernel.quadrature_error`` states it.
    (Branches with weights of their own are added by :class:`Parallel`.)

    Parameters
    ----------
    *terms : Activation
        At least two, each with a function: all but :class:`ExpNormalized`.

    Raises
    ------
    SpecError
        Fewer than two, something else than activations, or one without a function.

    Examples
    --------
    >>> from ntklab.spec import Cos, Monomial
    >>> Monomial(1) - 0.5 * Cos(b=2.0) + 0.5  # x + sin(x)**2
    Affine(Combination(Monomial(1), Affine(Cos(b=2.0), scale=-0.5)), shift=0.5)
    """

    positional: ClassVar[str] = "*terms"
    terms: tuple[Activation, ...]

    def __init__(self, *terms: Activation) -> None:
        for term in terms:
            _check_function(self, term)
        if len(terms) < 2:
            raise SpecError(f"Combination needs at least two activations, got {len(terms)}.")
        object.__setattr__(self, "terms", terms)

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """Those of all terms."""
        return tuple((f"term{i}.{name}", x) for i, term in enumerate(self.terms) for name, x in term.numbers)

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """What the terms are."""
        return (("terms", tuple((term.kind(), term.options) for term in self.terms)),)


def _terms(layer: Activation) -> tuple[Activation, ...]:
    return layer.terms if isinstance(layer, Combination) else (layer,)


def _check_function(layer: Activation, inner: object) -> None:
    name = type(layer).__name__
    if not isinstance(inner, Activation):
        raise SpecError(f"{name} takes an activation such as Relu(), got {inner!r}.")
    if not inner.has_function:
        raise SpecError(f"{name}: {inner!r} has a kernel and no function to scale, shift or add.")


def _plain(layer: Activation) -> Affine:
    return layer if isinstance(layer, Affine) else Affine(layer)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
