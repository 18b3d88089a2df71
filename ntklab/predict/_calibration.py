"""Class probabilities from regression scores, calibrated on predictions that the fit did not see."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.predict._labels import class_labels, decode


@dataclass(frozen=True)
class Calibration:
    """p_c = softmax_c(beta f_c): class probabilities from scores; made by :func:`calibrate`.

    Attributes
    ----------
    beta
        Inverse temperature, at least 0, per unit of the scores.
    log_loss
        Mean negative log probability of the true class on the calibration points, natural logarithm; log C is what
        guessing achieves.
    calibration_error
        Expected calibration error there: the mean over points of |accuracy - confidence| in 15 bins of equal
        width of the confidence (Guo et al., 2017, arXiv:1706.04599).
    """

    beta: float
    log_loss: float
    calibration_error: float

    def probabilities(self, scores: ArrayLike) -> Float[np.ndarray, "m c"]:
        """Class probabilities; they rank classes as the scores do.

        Parameters
        ----------
        scores
            Predictions, shape (M, C), of the coding and scale that the calibration was made with.

        Returns
        -------
        Float[np.ndarray, "m c"]
            Rows that sum to 1.

        Examples
        --------
        >>> from ntklab.predict import Calibration
        >>> Calibration(beta=2.0, log_loss=0.3, calibration_error=0.01).probabilities([[0.5, 0.5], [1.0, 0.0]])
        array([[0.5       , 0.5       ],
               [0.88079708, 0.11920292]])
        """
        decode(scores)  # its checks
        return scipy.special.softmax(self.beta * np.asarray(scores, np.float64), axis=1)


def calibrate(scores: ArrayLike, labels: ArrayLike) -> Calibration:
    """Choose the one temperature with which softmax of the scores gives the likeliest labels.

    Use scores of points that the fit did not see: ``regression.factor.leave_one_out(targets)`` for the training
    points, which costs no data, or predictions for validation points. Scores *at* training points of their own
    fit say nothing: without a ridge they are the targets.

    Parameters
    ----------
    scores
        Predictions, shape (M, C).
    labels
        Integer classes 0 .. C - 1, shape (M,).

    Returns
    -------
    Calibration
        Inverse temperature with log loss and calibration error on these points.

    Raises
    ------
    InputError
        Shapes or kinds do not fit, a score is not finite, or all scores of every point are equal.

    Notes
    -----
    Minimises the log loss, convex in beta, for labels smoothed by one count per class: probability (M + 1) / (M + C)
    for the label, as Platt (1999) does for two classes. Without that, beta would be infinite where all are right.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.predict import calibrate
    >>> scores = np.array([[1.0, 0.0]] * 75 + [[1.0, 0.0]] * 25)
    >>> calibration = calibrate(scores, [0] * 75 + [1] * 25)
    >>> calibration.probabilities([[1.0, 0.0]]).round(2)
    array([[0.75, 0.25]])
    """
    predicted = decode(scores)
    values, classes = np.asarray(scores, np.float64), class_labels(labels)
    m, count = values.shape
    if classes.shape != (m,) or int(classes.max()) >= count:
        raise InputError(f"There must be {m} labels below {count}, got {classes.shape[0]} up to {int(classes.max())}.")
    if not np.isfinite(values).all():
        raise InputError("Scores must be finite to be calibrated.")
    centred = values - values.max(axis=1, keepdims=True)
    spread = -float(centred.min())
    if spread == 0:
        raise InputError("All scores of every point are equal: they say nothing about the classes. Check the fit.")
    smoothed = np.full(values.shape, 1 / (m + count))
    smoothed[np.arange(m), classes] = (m + 1) / (m + count)
    # In units of the largest spread, where beta is of order 1 to 1000 whatever the units of the scores are.
    unit = centred / spread
    wanted = np.sum(smoothed * unit) / m

    def slope(beta: float) -> float:
        return float(np.sum(scipy.special.softmax(beta * unit, axis=1) * unit) / m - wanted)

    beta = 0.0
    if slope(0.0) < 0:
        upper = 1.0
        while slope(upper) < 0:
            upper *= 2
        beta = scipy.optimize.root_scalar(slope, bracket=(0.0, upper), method="brentq", xtol=1e-14).root / spread
    logs = scipy.special.log_softmax(beta * centred, axis=1)
    hits, confidence = predicted == classes, np.exp(logs.max(axis=1))
    return Calibration(
        beta=beta,
        log_loss=float(-np.mean(logs[np.arange(m), classes])),
        calibration_error=_calibration_error(hits, confidence),
    )


def _calibration_error(hits: np.ndarray, confidence: Float[np.ndarray, " m"], bins: int = 15) -> float:
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=hits - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))
