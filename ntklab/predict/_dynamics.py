"""Ways of training on the squared loss, each a rule for one eigenvector of the kernel: no eigenvalue is special.

All of them minimise L = 1/2 sum_i ||f(x_i) - y_i||^2, a sum and not a mean, and start at rest.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import scipy.special
from jaxtyping import Float

from ntklab.errors import InputError, SolveError


class Dynamics(ABC):
    """How one mode of the residual moves: a :class:`Flow`, a :class:`MomentumFlow` or a :class:`Descent`."""

    def gain(self, rates: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, " n"]:
        """(1 - r) / w, where r is what remains of a residual along an eigenvector with eigenvalue w.

        Parameters
        ----------
        rates
            w >= 0, ridge included. Where w is 0 the value is the limit w -> 0; at infinite time, where that
            does not exist, it is 0 (pseudo-inverse).
        time
            Time, or number of steps, at least 0; ``inf`` is the end, 1 / w.

        Raises
        ------
        InputError
            The dynamics count steps and `time` is no whole number.
        SolveError
            The steps are so large that they diverge.
        """
        if np.isinf(time):
            self._require_end(float(rates.max(initial=0.0)))
            return np.divide(1.0, rates, out=np.zeros_like(rates), where=rates > 0)
        return self._gain(rates, time)

    @abstractmethod
    def _gain(self, rates: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, " n"]:
        """The gain at a finite time."""

    def _require_end(self, largest: float) -> None:  # noqa: B027 - a flow has nothing to refuse
        """Fail if this does not converge for the largest rate; a flow always does."""


@dataclass(frozen=True)
class Flow(Dynamics):
    """Gradient flow, df/dt = -k(x, X) (f(X) - Y): what remains at time t is e^{-w t}.

    Small steps of gradient descent with learning rate eta on L reach t = eta * steps.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import Flow
    >>> Flow().gain(np.array([0.0, 1.0, 2.0]), 1.0)
    array([1.        , 0.63212056, 0.43233236])
    """

    def _gain(self, rates: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, " n"]:
        with np.errstate(over="ignore"):  # an infinite w t is as good as any large one
            return np.divide(-np.expm1(-rates * time), rates, out=np.full_like(rates, time), where=rates > 0)


@dataclass(frozen=True)
class MomentumFlow(Dynamics):
    """Gradient flow with momentum, f'' + c f' = -k(x, X) (f(X) - Y), from rest.

    Parameters
    ----------
    friction
        c > 0. Heavy-ball steps f_{k+1} = f_k + m (f_k - f_{k-1}) - eta grad L approach this flow for small eta with
        c = (1 - m) / sqrt(eta) and t = sqrt(eta) * steps.

    Raises
    ------
    InputError
        The friction is not a positive finite number.

    Notes
    -----
    With d = sqrt(c^2 / 4 - w), imaginary for fast modes, what remains is e^{-c t / 2} (cosh(d t) +
    c / (2 d) sinh(d t)).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import MomentumFlow
    >>> MomentumFlow(friction=2.0).gain(np.array([0.0, 1.0, 5.0]), 1.0)  # overdamped, critical, oscillating
    array([0.28383382, 0.26424112, 0.19716719])
    """

    friction: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.friction) and self.friction > 0):
            raise InputError(f"The friction must be a positive finite number, got {self.friction!r}.")

    def _gain(self, rates: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, " n"]:
        # The gain is the divided difference of phi(s) = (e^{s t} - 1) / s between the roots of s^2 + c s + w.
        half = self.friction / 2
        square = half**2 - rates
        apart = np.abs(square) * time >= _NEAR**2 / time if time > 0 else np.zeros(rates.shape, bool)
        result = np.empty_like(rates)
        if half * time > _OVER:
            result[~apart] = 1 / rates[~apart]
        else:
            result[~apart] = _near_critical(half * time, square[~apart] * time**2) * time**2
        # One of the roots; -w / (half + d) for the slow one, since -half + d cancels.
        d = np.sqrt(square[apart].astype(np.complex128))
        slow, fast = -rates[apart] / (half + d), -half - d
        early = ((_phi(slow, time) - _phi(fast, time)) / (2 * d)).real
        remains = ((slow * np.exp(fast * time) - fast * np.exp(slow * time)) / (2 * d)).real
        # Late, phi is -1 / s, whose difference cancels for close roots, while 1 - r does not.
        late = np.divide(1 - remains, rates[apart], out=early.copy(), where=rates[apart] > 0)
        result[apart] = np.where(remains < 0.5, late, early)
        return result


# After this many times 2 / c, a mode near critical damping is done: what remains is below e^-50.
_OVER = 60.0
# Roots closer than this, in units of 1 / t, are left to a series: their difference would cancel.
_NEAR = 0.1


def _phi(roots: np.ndarray, time: float) -> np.ndarray:
    """(e^{s t} - 1) / s, and its limit t at s = 0."""
    return np.divide(np.expm1(roots * time), roots, out=np.full_like(roots, time), where=roots != 0)


def _near_critical(a: float, x_squared: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Int_0^1 u e^{-a u} sinh(x u) / (x u) du for small x, real or imaginary: six terms of Taylor in x^2."""
    terms = range(6)
    return sum(
        (x_squared**k / math.factorial(2 * k + 1) * _moment(2 * k + 1, a) for k in terms), np.zeros_like(x_squared)
    )


def _moment(m: int, a: float) -> float:
    """Int_0^1 u^m e^{-a u} du."""
    if a < 1e-3:  # the incomplete gamma function underflows for small a
        return sum((-a) ** j / math.factorial(j) / (m + 1 + j) for j in range(6))
    return float(scipy.special.gammainc(m + 1, a)) * math.factorial(m) / a ** (m + 1)


@dataclass(frozen=True)
class Descent(Dynamics):
    """Gradient descent in steps, f_{k+1} = f_k + v_{k+1} with v_{k+1} = m v_k - eta k(x, X) (f_k(X) - Y).

    Time counts steps: whole numbers.

    Parameters
    ----------
    learning_rate
        eta > 0, for the summed loss L: a loss that is divided by n needs n times as much. Steps converge for eta <
        2 (1 + m) / w_max (:func:`max_learning_rate`); beyond, predictions at finitely many steps are those
        of the diverging iteration.
    momentum
        m, 0 <= m < 1; 0 is plain gradient descent, where (1 - eta w)^k remains.

    Raises
    ------
    InputError
        A number is out of its range.

    Notes
    -----
    A 3 x 3 recurrence per eigenvector, raised to the power k by squaring: about 2 log2 k small products, whatever
    eta, m and w are.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import Descent
    >>> Descent(learning_rate=0.5).gain(np.array([0.0, 1.0]), 3)  # 3 steps: eta k, and 1 - 0.5^3
    array([1.5  , 0.875])
    """

    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"The learning rate must be a positive finite number, got {self.learning_rate!r}.")
        if not 0 <= self.momentum < 1:
            raise InputError(f"The momentum must be at least 0 and below 1, got {self.momentum!r}.")

    def _gain(self, rates: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, " n"]:
        if time != int(time):
            raise InputError(f"Descent counts steps: times must be whole numbers, got {time}.")
        # Dual coefficient, its velocity and 1, under the recurrence minus the identity: squaring that keeps the
        # digits of small eta w, which next to 1 would be lost.
        eta, m = self.learning_rate, self.momentum
        power = np.zeros((len(rates), 3, 3))
        power[:, :2, 0] = -eta * rates[:, None]
        power[:, 0, 1], power[:, 1, 1] = m, m - 1
        power[:, :2, 2] = eta
        total, steps = np.zeros_like(power), int(time)
        with np.errstate(over="ignore", invalid="ignore"):
            while steps:
                if steps % 2:
                    total = total + power + total @ power
                steps //= 2
                if steps:
                    power = 2 * power + power @ power
        if not np.isfinite(total[:, 0, 2]).all():
            self._require_end(float(rates.max()))
        return total[:, 0, 2]

    def _require_end(self, largest: float) -> None:
        bound = 2 * (1 + self.momentum)
        if self.learning_rate * largest >= bound:
            raise SolveError(
                f"Gradient descent diverges: learning rate {self.learning_rate:g} times the largest eigenvalue "
                f"{largest:.6g} is {self.learning_rate * largest:.3g}, and must be below 2 (1 + momentum) = {bound:g}. "
                f"Use a learning rate below {bound / largest:.6g} (for the summed loss), or max_learning_rate."
            )
