"""Many ridges from one eigendecomposition: leave-one-out error, generalised cross-validation, likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.solve._gram import target_array
from ntklab.solve._ridge import Ridge
from ntklab.solve._ridged import RidgedSpectrum, inverse_diagonals
from ntklab.solve._spectral import Spectrum

Criterion = Literal["loo", "gcv", "likelihood"]


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Criteria for choosing a ridge, one entry per ridge; made by :func:`ridge_path`.

    With A = K + lambda I, alpha = A^{-1} Y and C outputs:

    Attributes
    ----------
    ridges
        The R ridges, in the order they were given.
    ridge_absolute
        Their lambdas, shape (R,), in the units of K.
    loo_error
        Mean squared leave-one-out residual, 1/(N C) sum_ic (alpha_ic / [A^{-1}]_ii)^2; shape (R,).
    gcv
        Generalised cross-validation, N/C sum_ic alpha_ic^2 / tr(A^{-1})^2; shape (R,). The same with the mean of
        [A^{-1}]_ii in place of each (Golub, Heath and Wahba, 1979).
    log_likelihood
        Log marginal likelihood, as :meth:`System.log_likelihood`; shape (R,).
    log_likelihood_slope
        Its derivative by lambda, 1/2 (sum_ic alpha_ic^2 - C tr A^{-1}); shape (R,).
    degrees_of_freedom
        tr(K A^{-1}) = sum_i w_i / (w_i + lambda); shape (R,), from N down to 0 as the ridge grows.

    Examples
    --------
    >>> from ntklab.solve import Ridge, eigendecompose, ridge_path
    >>> path = ridge_path(eigendecompose([[2.0, 1.0], [1.0, 2.0]]), [1.0, 2.0], [Ridge(0.1), Ridge(1.0)])
    >>> path.loo_error
    array([1.198347, 1.65625 ])
    >>> path.best("loo")
    Ridge(value=0.1, relative_to='mean_diagonal')
    """

    ridges: tuple[Ridge, ...]
    ridge_absolute: Float[np.ndarray, " r"] = field(repr=False)
    loo_error: Float[np.ndarray, " r"]
    gcv: Float[np.ndarray, " r"]
    log_likelihood: Float[np.ndarray, " r"]
    log_likelihood_slope: Float[np.ndarray, " r"] = field(repr=False)
    degrees_of_freedom: Float[np.ndarray, " r"] = field(repr=False)

    def scores(self, by: Criterion) -> Float[np.ndarray, " r"]:
        """The criterion as a number that is smaller for better ridges: the likelihood changes its sign."""
        if by not in get_args(Criterion):
            raise InputError(f"Choose a ridge by 'loo', 'gcv' or 'likelihood', got {by!r}.")
        return {"loo": self.loo_error, "gcv": self.gcv, "likelihood": -self.log_likelihood}[by]

    def best(self, by: Criterion = "loo") -> Ridge:
        """The ridge with the best criterion; of equal ones the first."""
        return self.ridges[int(np.argmin(self.scores(by)))]


def ridge_path(spectrum: Spectrum, targets: ArrayLike, ridges: Sequence[Ridge]) -> RidgePath:
    """Criteria for every ridge of a list.

    Parameters
    ----------
    spectrum
        The decomposition of K, by :func:`eigendecompose`: nearly all of the cost, whatever the number of ridges.
    targets
        Y, shape (N,) or (N, C).
    ridges
        At least one, in any order, relative and absolute ones alike.

    Returns
    -------
    RidgePath
        One entry per ridge.

    Raises
    ------
    InputError
        The targets have another shape or are not finite; there is no ridge, or one on a scale that makes no sense.
    SolveError
        One of the ridges is none and K is singular.

    Notes
    -----
    Cost 2 N^2 (C + R C + R) operations; memory (C + 1) R N numbers at most a few rows of V at a time.

    Examples
    --------
    >>> from ntklab.solve import Ridge, eigendecompose, ridge_path
    >>> path = ridge_path(eigendecompose([[1.0, 0.0], [0.0, 4.0]]), [1.0, 2.0], [Ridge.none()])
    >>> path.log_likelihood, path.degrees_of_freedom
    (array([-3.531024]), array([2.]))
    """
    if len(ridges) == 0:
        raise InputError("There is no ridge to evaluate: pass at least one.")
    n = spectrum.size
    columns = target_array(targets, n).reshape(n, -1)
    systems = spectrum.with_ridges(ridges)
    outputs = columns.shape[1]
    modes = spectrum.eigenvectors.T @ columns
    shifts = np.array([system.ridge_absolute for system in systems])
    shifted = spectrum.eigenvalues[:, None] + shifts  # (n, r)
    diagonals = inverse_diagonals(spectrum.eigenvectors, shifted)
    loo = np.array([_loo(system, modes, diagonal) for system, diagonal in zip(systems, diagonals.T, strict=True)])
    energy = np.square(modes).sum(axis=1)[:, None]
    traces = (1 / shifted).sum(axis=0)
    squared = (energy / shifted**2).sum(axis=0)  # sum of alpha^2
    logdet = np.array([system.logdet for system in systems])
    return RidgePath(
        ridges=tuple(ridges),
        ridge_absolute=shifts,
        loo_error=loo,
        gcv=n / outputs * squared / traces**2,
        log_likelihood=-0.5 * ((energy / shifted).sum(axis=0) + outputs * (logdet + n * np.log(2 * np.pi))),
        log_likelihood_slope=0.5 * (squared - outputs * traces),
        degrees_of_freedom=(spectrum.eigenvalues[:, None] / shifted).sum(axis=0),
    )


def _loo(system: RidgedSpectrum, modes: Float[np.ndarray, "n c"], diagonal: Float[np.ndarray, " n"]) -> float:
    return float(np.mean(np.square(system.from_modes(modes) / diagonal[:, None])))
