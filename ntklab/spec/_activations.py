"""Activations: functions applied to each channel alone. Names, arguments and defaults follow neural-tangents' stax.

Each needs a weight layer before it: only then is its input Gaussian. Arguments of type float are learnable numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ntklab.errors import SpecError
from ntklab.spec._composition import Activation
from ntklab.spec._layer import check_flag, check_number


@dataclass(frozen=True, repr=False)
class Relu(Activation):
    """``max(x, 0)``, elementwise. Needs a weight layer before it: only then is its input Gaussian."""


@dataclass(frozen=True, repr=False)
class LeakyRelu(Activation):
    """``alpha * min(x, 0) + max(x, 0)``.

    Examples
    --------
    >>> LeakyRelu(0.1)
    LeakyRelu(0.1)
    """

    positional: ClassVar[str] = "alpha"
    alpha: float


@dataclass(frozen=True, repr=False)
class ABRelu(Activation):
    """``a * min(x, 0) + b * max(x, 0)``.

    Examples
    --------
    >>> ABRelu(0.5, 2.0)
    ABRelu(a=0.5, b=2.0)
    """

    a: float
    b: float


@dataclass(frozen=True, repr=False)
class Abs(Activation):
    """``|x|``."""


@dataclass(frozen=True, repr=False)
class Sign(Activation):
    """``sign(x)``, and 0 at 0. Its derivative is zero, so that the NTK counts only the layers after it."""


@dataclass(frozen=True, repr=False)
class Erf(Activation):
    """``a * erf(b * x) + c``."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0


@dataclass(frozen=True, repr=False)
class Sigmoid_like(Activation):
    """``0.5 * erf(x / 2.4020563531719796) + 0.5``: close to a sigmoid, with a closed form (see :class:`Sigmoid`)."""


@dataclass(frozen=True, repr=False)
class Gelu(Activation):
    r"""Gaussian error linear unit, :math:`x \, \Phi(x)`.

    Parameters
    ----------
    approximate : bool
        The usual approximation by tanh instead, in kernels and in finite networks. (neural-tangents keeps the exact
        kernel, so that its kernels are not those of its finite networks.)
    """

    approximate: bool = False

    def __post_init__(self) -> None:
        """Check the argument."""
        check_flag(self, "approximate")


@dataclass(frozen=True, repr=False)
class Sin(Activation):
    """``a * sin(b * x + c)``."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0


@dataclass(frozen=True, repr=False)
class Cos(Activation):
    """``a * cos(b * x + c)``."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0


@dataclass(frozen=True, repr=False)
class Rbf(Activation):
    r"""``sqrt(2) * sin(sqrt(2 * gamma) * x + pi / 4)``, whose dual is the Gaussian kernel :math:`e^{-\gamma D}`."""

    gamma: float = 1.0

    def __post_init__(self) -> None:
        """Check the argument."""
        check_number(self, "gamma", 0.0)


@dataclass(frozen=True, repr=False)
class Gaussian(Activation):
    """``a * exp(b * x**2)``. For ``b > 0`` its kernel exists up to a variance of ``1 / (4 * b)``, and is NaN beyond."""

    a: float = 1.0
    b: float = -1.0


@dataclass(frozen=True, repr=False)
class Exp(Activation):
    """``a * exp(b * x)``."""

    a: float = 1.0
    b: float = 1.0


@dataclass(frozen=True, repr=False)
class ExpNormalized(Activation):
    r"""The normalised Gaussian kernel, :math:`\sqrt{v_x v_y}\, e^{\gamma (c + shift)}` with the correlation ``c``.

    A dual without a function: it has a kernel and no finite network. Source: Shankar et al. 2020, "Neural Kernels
    Without Tangents".
    """

    has_function: ClassVar[bool] = False
    gamma: float = 1.0
    shift: float = -1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_number(self, "gamma", 0.0)
        check_number(self, "shift")


@dataclass(frozen=True, repr=False)
class Gabor(Activation):
    """``exp(-x**2) * sin(x)``."""


@dataclass(frozen=True, repr=False)
class Monomial(Activation):
    """``x**degree``."""

    positional: ClassVar[str] = "degree"
    degree: int

    def __post_init__(self) -> None:
        """Check the argument."""
        _check_degree(self, self.degree)


@dataclass(frozen=True, repr=False)
class RectifiedMonomial(Activation):
    """``x**degree`` for ``x >= 0``, else 0; degree 0 is a step, degree 1 is :class:`Relu`."""

    positional: ClassVar[str] = "degree"
    degree: int

    def __post_init__(self) -> None:
        """Check the argument."""
        _check_degree(self, self.degree)


@dataclass(frozen=True, repr=False)
class Hermite(Activation):
    """The Hermite polynomial of a degree, of mean square 1 at inputs of variance 1.

    The kernel is right at any variance (neural-tangents assumes 1).
    """

    positional: ClassVar[str] = "degree"
    degree: int

    def __post_init__(self) -> None:
        """Check the argument."""
        _check_degree(self, self.degree)


@dataclass(frozen=True, repr=False)
class Polynomial(Activation):
    """``coef[0] + coef[1] * x + ...``; every coefficient is a learnable number.

    Examples
    --------
    >>> Polynomial([0.5, 0, 1])
    Polynomial((0.5, 0.0, 1.0))
    """

    positional: ClassVar[str] = "coef"
    coef: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the coefficients and write them out as a tuple."""
        try:
            coef = tuple(float(c) + 0.0 for c in self.coef)
        except (TypeError, ValueError):
            coef = (math.nan,)
        if not all(map(math.isfinite, coef)):
            raise SpecError(f"Polynomial: coef is a sequence of finite numbers, got {self.coef!r}.")
        object.__setattr__(self, "coef", coef)

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        """Its coefficients by degree."""
        return tuple((f"coef{i}", c) for i, c in enumerate(self.coef))

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """How many there are."""
        return (("count", len(self.coef)),)


@dataclass(frozen=True, repr=False)
class Tanh(Activation):
    """``tanh(x)``; kernel by quadrature."""


@dataclass(frozen=True, repr=False)
class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``; kernel by quadrature (:class:`Sigmoid_like` has a closed form)."""


@dataclass(frozen=True, repr=False)
class Silu(Activation):
    """``x * sigmoid(x)``, also known as Swish; kernel by quadrature."""


@dataclass(frozen=True, repr=False)
class Softplus(Activation):
    """``log(1 + exp(x))``; kernel by quadrature."""


@dataclass(frozen=True, repr=False)
class Elu(Activation):
    """``x`` for ``x > 0``, else ``alpha * (exp(x) - 1)``; kernel by quadrature."""

    alpha: float = 1.0


@dataclass(frozen=True, repr=False)
class Selu(Activation):
    """``1.0507 * Elu(1.6733)`` with all digits of Klambauer et al. 2017; kernel by quadrature."""


@dataclass(frozen=True, repr=False)
class Elementwise(Activation):
    """Any function of each channel alone; kernel by quadrature.

    The kernel is as accurate as those of :class:`Tanh` and :class:`Elu` if ``fn`` is analytic on both sides of 0 and
    changes on a scale of about 1; a kink or jump at 0 costs nothing, one elsewhere costs digits, and ``ntklab.compile``
    warns of it. ``ntklab.kernel.quadrature_error(layer, std)`` is the error. Such a network has no JSON, so that its
    kernels cannot be stored.

    Parameters
    ----------
    fn : callable
        Elementwise, from JAX arrays to JAX arrays, with a derivative. Equal functions are one object.
    """

    positional: ClassVar[str] = "fn"
    fn: Callable[[Any], Any]

    def __post_init__(self) -> None:
        """Check the argument."""
        if not callable(self.fn):
            raise SpecError(f"Elementwise: fn is a function of arrays, got {self.fn!r}.")


Swish = Silu


def _check_degree(layer: Activation, degree: object) -> None:
    if not isinstance(degree, int) or isinstance(degree, bool) or degree < 0:
        raise SpecError(f"{type(layer).__name__}: degree is an integer >= 0, got {degree!r}.")
