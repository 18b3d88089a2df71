"""Kernel regression in a few lines, for studies of images and their mirror images."""

import numpy as np

from ntklab.predict import choose_ridge


def regressions(k_train, k_test, part):
    """Yield, of kernels of training images and behind them their mirror images: kind, mirrored, accuracy, choice.

    Accuracies are of no ridge; the choice of a ridge by leave-one-out, and its accuracy, are of the images alone.
    """
    n = len(part.y_train)
    labels = np.where(np.arange(10) == part.y_train[:, None], 0.9, -0.1)
    for kind in ("nngp", "ntk"):
        of_train, of_test = (np.asarray(getattr(k, kind), np.float64) for k in (k_train, k_test))
        choice = choose_ridge(of_train[:n, :n], labels)
        chosen = choice.ridge.value, accuracy(choice.regression.predict(of_test[:, :n]), part)
        for mirrored, count in ((False, n), (True, 2 * n)):
            targets = np.concatenate([labels, labels])[:count]
            scores = of_test[:, :count] @ np.linalg.solve(of_train[:count, :count], targets)
            yield kind, mirrored, accuracy(scores, part), chosen


def accuracy(scores, part):
    return 100 * (scores.argmax(1) == part.y_test).mean()
