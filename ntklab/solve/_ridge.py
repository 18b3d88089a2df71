"""The multiple of the identity that is added to a kernel matrix, with its scale."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError

Scale = Literal["mean_diagonal", "nothing"]

# A ridge beyond this multiple of tr(K) >= w_max leaves less than a thousandth of the targets in any direction.
_LARGEST = 1e3


def require_ridge(ridge: object) -> None:
    """Refuse a bare number in place of a ridge: it would not say what it is relative to.

    Raises
    ------
    InputError
        `ridge` is no :class:`Ridge`; the message has both ways to write the number as one.
    """
    if not isinstance(ridge, Ridge):
        raise InputError(
            f"A ridge names its scale: pass Ridge({ridge!r}) for a multiple of the mean diagonal or "
            f"Ridge({ridge!r}, relative_to='nothing') for an absolute one, not {ridge!r} itself."
        )


@dataclass(frozen=True)
class Ridge:
    """The ridge of K + lambda I, with the scale it is measured in.

    With ``relative_to="mean_diagonal"``, lambda = value * tr(K) / N; with ``relative_to="nothing"``,
    lambda = value, in the units of K.

    Parameters
    ----------
    value
        Size of the ridge, at least 0 and finite. There is no default: a ridge is always asked for.
    relative_to
        ``"mean_diagonal"`` (the default, because kernels of different depth and width have different
        overall constants) or ``"nothing"`` for an absolute ridge.

    Raises
    ------
    InputError
        The value is negative, not finite or not a number, or the scale has another name.

    Notes
    -----
    Papers do not agree on the scale: neural-tangents' ``diag_reg`` is relative to the mean diagonal,
    the ridges of Shankar et al. (2020, arXiv:2003.02237) are absolute, and Arora et al. (2019,
    arXiv:1904.11955) use none.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import Ridge
    >>> K = np.array([[3.0, 1.0], [1.0, 1.0]])
    >>> Ridge(1e-2).absolute(K)
    0.02
    >>> print(Ridge(1e-2))
    ridge of 0.01 times the mean diagonal
    >>> print(Ridge(1e-2, relative_to="nothing"))
    ridge of 0.01, absolute
    >>> print(Ridge.none())
    no ridge
    """

    value: float
    relative_to: Scale = "mean_diagonal"

    def __post_init__(self) -> None:
        try:
            value = float(self.value)
        except (TypeError, ValueError):
            raise InputError(f"The value of a ridge must be a number, got {self.value!r}.") from None
        if not math.isfinite(value) or value < 0:
            raise InputError(f"The value of a ridge must be finite and at least 0, got {value!r}.")
        if self.relative_to not in get_args(Scale):
            raise InputError(f"relative_to must be 'mean_diagonal' or 'nothing' (absolute), got {self.relative_to!r}.")
        object.__setattr__(self, "value", value)

    def __str__(self) -> str:
        if self.value == 0:
            return "no ridge"
        if self.relative_to == "nothing":
            return f"ridge of {self.value:g}, absolute"
        return f"ridge of {self.value:g} times the mean diagonal"

    @classmethod
    def none(cls) -> "Ridge":
        """No ridge at all, as in Arora et al. (2019): the same as ``Ridge(0.0, "nothing")``.

        Examples
        --------
        >>> from ntklab.solve import Ridge
        >>> Ridge.none()
        Ridge(value=0.0, relative_to='nothing')
        """
        return cls(0.0, "nothing")

    def absolute(self, gram: ArrayLike) -> float:
        """Lambda in the units of the kernel: value * tr(K) / N, or value for an absolute ridge.

        Parameters
        ----------
        gram
            Kernel matrix, shape (N, N). Only its diagonal is read: O(N).

        Returns
        -------
        float
            The number that is added to the diagonal of K.

        Raises
        ------
        InputError
            `gram` is not a non-empty square matrix.
        SolveError
            The ridge is relative and the mean diagonal is negative or not finite.

        Examples
        --------
        >>> from ntklab.solve import Ridge
        >>> Ridge(0.5).absolute([[4.0, 0.0], [0.0, 2.0]])
        1.5
        """
        matrix = np.asarray(gram)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise InputError(f"A kernel matrix must be square and not empty, got shape {matrix.shape}.")
        return self.of_mean(float(np.mean(matrix.diagonal(), dtype=np.float64)))

    def of_mean(self, mean: float) -> float:
        """Lambda for a matrix with this mean diagonal; see :meth:`absolute`."""
        if self.relative_to == "nothing" or self.value == 0:
            return self.value
        if not math.isfinite(mean) or mean < 0:
            raise SolveError(
                f"A ridge relative to the mean diagonal needs a mean diagonal >= 0, got {mean:g}. A kernel "
                "has k(x, x) >= 0: check the matrix, or give an absolute ridge."
            )
        return self.value * mean


def usable_shift(ridge: Ridge, mean: float, n: int) -> float:
    """Lambda of a ridge whose scale fits an n x n matrix of this mean diagonal; an error says where it does not."""
    require_ridge(ridge)
    shift = ridge.of_mean(mean)
    if shift == 0 or not mean > 0:
        return shift
    given = f"The {ridge} is {shift / mean:.3g} of the mean diagonal {mean:.3g}"
    if shift > _LARGEST * mean * n:
        raise InputError(
            f"{given}, more than {_LARGEST:g} times the trace: it shrinks every prediction below 1/{_LARGEST:g} of "
            f"the targets. Ridge(1e-6) is relative to the mean diagonal, Ridge(1e-6, relative_to='nothing') is "
            "absolute; choose the scale that is meant."
        )
    if shift < np.finfo(np.float64).eps / 2 * mean:
        raise InputError(
            f"{given}, below the rounding of float64: adding it changes nothing. Use Ridge.none(), a larger ridge, "
            "or one relative to the mean diagonal if that is meant."
        )
    return shift
