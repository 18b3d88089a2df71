"""Calibrated probabilities: where the right answer is known, and against a minimiser of the loss as written."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from ntklab.errors import InputError
from ntklab.predict import calibrate, encode, fit
from ntklab.solve import Ridge
from tests.predict.problems import joint_problem


def drawn(beta=3.0, m=20_000, classes=4, scale=1.0):
    """Scores, and labels drawn from softmax(beta * scores)."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(m, classes))
    probabilities = np.exp(beta * scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = (random.uniform(size=(m, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return scale * scores, labels, probabilities


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_temperature_that_made_the_labels_is_found(scale):
    scores, labels, probabilities = drawn(scale=scale)
    calibration = calibrate(scores, labels)
    assert calibration.beta * scale == pytest.approx(3.0, rel=0.02)  # statistical: 1 / sqrt(20,000) each way
    np.testing.assert_allclose(calibration.probabilities(scores), probabilities, atol=0.02)
    assert calibration.calibration_error < 0.01
    entropy = -np.mean(np.sum(probabilities * np.log(probabilities), axis=1))
    assert calibration.log_loss == pytest.approx(entropy, rel=0.02)


def test_the_loss_of_smoothed_labels_is_at_its_minimum():
    scores, labels, _ = drawn(m=50)
    smoothed = np.full((50, 4), 1 / 54) + np.eye(4)[labels] * 50 / 54

    def loss(beta):
        logits = beta * scores
        return -np.sum(smoothed * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))))

    best = minimize_scalar(loss, bounds=(0, 100), method="bounded", options={"xatol": 1e-9}).x
    assert calibrate(scores, labels).beta == pytest.approx(best, rel=1e-6)


def test_perfect_scores_give_a_finite_temperature_and_confident_probabilities():
    labels = np.arange(30) % 3
    calibration = calibrate(encode(labels, "one-hot"), labels)
    # The optimum reproduces the smoothed labels: (30 + 1) / (30 + 3).
    np.testing.assert_allclose(calibration.probabilities(np.eye(3)).diagonal(), 31 / 33, rtol=1e-9)


def test_scores_that_point_away_from_the_labels_become_uniform():
    calibration = calibrate(-np.eye(3), [0, 1, 2])
    assert calibration.beta == 0.0
    np.testing.assert_allclose(calibration.probabilities(np.eye(3)), np.full((3, 3), 1 / 3))
    assert calibration.log_loss == pytest.approx(np.log(3))


def test_the_calibration_error_is_the_gap_between_accuracy_and_confidence():
    # All confidences are 0.6 or more in one bin; the fitted beta makes them agree with the accuracy of 70 %.
    scores = np.tile([[1.0, 0.0]], (1000, 1))
    calibration = calibrate(scores, (np.arange(1000) % 10 >= 7).astype(int))
    assert calibration.calibration_error == pytest.approx(0.0, abs=1e-3)
    confident = np.r_[scores, 5 * scores]
    labels = np.r_[np.zeros(1000, int), np.arange(1000) % 2]
    found = calibrate(confident, labels)
    p = found.probabilities([[1.0, 0.0], [5.0, 0.0]])[:, 0]
    assert found.calibration_error == pytest.approx((abs(1 - p[0]) + abs(0.5 - p[1])) / 2, rel=1e-9)


def test_leave_one_out_scores_calibrate_a_fit_that_memorises():
    kernel, problem = joint_problem(n=300, m=600, width=0.2)
    signal = np.sin(2 * kernel[:, :3])
    labels = np.argmax(signal + 0.3 * np.random.default_rng(0).normal(size=signal.shape), axis=1)
    targets = encode(labels[:300], "centred-one-hot", 3)
    regression = fit(problem.k_train, targets, Ridge(1e-3))
    test = regression.predict(problem.k_test_train)

    def loss(calibration):
        return -np.mean(np.log(calibration.probabilities(test)[np.arange(600), labels[300:]]))

    held_out = loss(calibrate(regression.factor.leave_one_out(targets), labels[:300]))
    memorised = loss(calibrate(regression.predict(problem.k_train), labels[:300]))
    best = loss(calibrate(test, labels[300:]))
    assert held_out < best + 0.03 < memorised


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.eye(3), [0, 1], "3 labels below 3, got 2"),
        (np.eye(3), [0, 1, 3], "up to 3"),
        (np.ones((3, 2)), [0, 1, 0], "equal"),
        ([[0.0, np.inf]], [0], "finite"),
        ([[0.0, np.nan]], [0], "NaN"),
        ([1.0, 2.0], [0, 1], r"\(M, C\)"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(scores, labels, message):
    with pytest.raises(InputError, match=message):
        calibrate(scores, labels)
