"""Choice of the ridge, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._inputs import cross_kernel, product, real_array
from ntklab.predict._regression import KernelRegression, fit
from ntklab.solve import Ridge, RidgePath, Spectrum, eigendecompose, ridge_path

By = Literal["loo", "gcv", "likelihood", "validation"]


class Validation(NamedTuple):
    """Points kept aside for choosing a ridge: ``k_val_train`` (M, N) and their ``targets`` (M,) or (M, C)."""

    k_val_train: ArrayLike
    targets: ArrayLike


@dataclass(frozen=True, eq=False)
class RidgeChoice:
    """The ridge that was chosen, with everything that it was chosen from; made by :func:`choose_ridge`.

    Attributes
    ----------
    ridge
        The best one; of equal ones the first.
    by
        The criterion.
    scores
        One per ridge, smaller is better: mean squared leave-one-out or validation error, GCV, or minus the log
        marginal likelihood.
    at_edge
        Whether the best ridge is the smallest or the largest one: a wider range may hold a better one.
    path
        The :class:`ntklab.solve.RidgePath` with the criteria that need no further data.
    regression
        The :class:`KernelRegression` with the chosen ridge.
    """

    ridge: Ridge
    by: By
    scores: Float[np.ndarray, " r"] = field(repr=False)
    at_edge: bool
    path: RidgePath = field(repr=False)
    regression: KernelRegression = field(repr=False)


def choose_ridge(
    k_train: ArrayLike | Spectrum,
    targets: ArrayLike,
    by: By = "loo",
    ridges: Sequence[Ridge] | None = None,
    *,
    validation: Validation | tuple[ArrayLike, ArrayLike] | None = None,
) -> RidgeChoice:
    """Fit kernel ridge regression with the ridge that a criterion likes best.

    Parameters
    ----------
    k_train
        K, shape (N, N), float32 or float64; or its :class:`ntklab.solve.Spectrum`, nearly all of the cost.
    targets
        Y, shape (N,) or (N, C).
    by
        ``"loo"`` (the default): mean squared leave-one-out error, no assumptions. ``"gcv"``: the same with
        averaged leverages. ``"likelihood"``: of a Gaussian process with noise lambda. ``"validation"``: mean
        squared error on `validation`.
    ridges
        What to choose from. By default 10^-8, 10^-7.5, ..., 10 times the mean diagonal, without those that
        the stored precision of a nearly singular K cannot carry.
    validation
        ``(k_val_train, targets)`` of other points; needed exactly for ``by="validation"``.

    Returns
    -------
    RidgeChoice
        The ridge, the scores of all, and the fitted regression.

    Raises
    ------
    InputError
        Shapes do not fit, the criterion is unknown, or `validation` is missing or superfluous.
    SolveError
        K has an eigenvalue that is negative beyond rounding, or is singular and no ridge is among `ridges`.

    Notes
    -----
    One eigendecomposition (9 N^3 operations, 16 N^2 bytes), then about 2 N^2 (C + 1) per ridge.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import choose_ridge
    >>> x = np.linspace(0, 6, 30)
    >>> K = np.exp(-((x[:, None] - x) ** 2))
    >>> noise = 0.1 * np.random.default_rng(0).normal(size=30)
    >>> choice = choose_ridge(K, np.sin(x) + noise)
    >>> f"{choice.ridge.value:.4f}", choice.at_edge
    ('0.0032', False)
    """
    if by not in get_args(By):
        raise InputError(f"Choose a ridge by 'loo', 'gcv', 'likelihood' or 'validation', got {by!r}.")
    if (validation is None) == (by == "validation"):
        raise InputError("validation=(k_val_train, targets) is needed for by='validation', and for nothing else.")
    spectrum = k_train if isinstance(k_train, Spectrum) else eigendecompose(k_train)
    candidates = _default(spectrum) if ridges is None else list(ridges)
    path = ridge_path(spectrum, targets, candidates)
    if by == "validation":
        assert validation is not None
        scores = _validate(spectrum, targets, path.ridge_absolute, *validation)
    else:
        scores = path.scores(by)
    best = int(np.argmin(scores))
    sizes = path.ridge_absolute
    return RidgeChoice(
        ridge=candidates[best],
        by=by,
        scores=scores,
        at_edge=bool(sizes[best] in (sizes.min(), sizes.max())),
        path=path,
        regression=fit(spectrum, targets, candidates[best]),
    )


def _default(spectrum: Spectrum) -> list[Ridge]:
    ridges = [Ridge(float(value)) for value in np.logspace(-8, 1, 19)]
    carried = [ridge for ridge in ridges if spectrum.absolute(ridge) >= spectrum.smallest_ridge]
    return carried or ridges[-1:]


def _validate(
    spectrum: Spectrum,
    targets: ArrayLike,
    shifts: Float[np.ndarray, " r"],
    k_val_train: ArrayLike,
    val_targets: ArrayLike,
) -> Float[np.ndarray, " r"]:
    """Mean squared errors, with one pass over the validation kernel for all ridges: they become columns."""
    kernel = cross_kernel(k_val_train, spectrum.size)
    wanted = real_array(val_targets, "validation targets", kernel.shape[0], "validation")
    train = real_array(targets, "targets", spectrum.size, "training")
    if wanted.shape[1:] != train.shape[1:] or wanted.size == 0:
        raise InputError(
            f"Validation needs at least one point and targets of shape (M, *{train.shape[1:]}), got {wanted.shape}."
        )
    modes = spectrum.eigenvectors.T @ train.reshape(spectrum.size, -1)
    rates = spectrum.eigenvalues[:, None] + shifts
    alphas = [spectrum.eigenvectors @ (modes / rate[:, None]) for rate in rates.T]
    found = product(kernel, np.stack(alphas, axis=1).reshape(spectrum.size, -1))
    residual = found.reshape(kernel.shape[0], len(shifts), -1) - wanted.reshape(kernel.shape[0], 1, -1)
    return np.mean(residual**2, axis=(0, 2))
