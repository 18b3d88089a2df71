"""Small regression problems whose train and test kernels come from one positive definite function."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    k_train: np.ndarray
    k_test_train: np.ndarray
    targets: np.ndarray
    f0_train: np.ndarray
    f0_test: np.ndarray


def gaussian_problem(n=12, m=5, outputs=(3,), seed=0, scale=2.0):
    """Gaussian kernel of random points with random targets and random initial outputs."""
    return joint_problem(n, m, outputs, seed, scale)[1]


def joint_problem(n=12, m=5, outputs=(3,), seed=0, scale=2.0, width=0.3):
    """The kernel of training and test points together, training points first, and the problem it belongs to."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(n + m, 4))
    kernel = scale * np.exp(-width * ((points[:, None] - points[None]) ** 2).sum(-1))
    return kernel, Problem(
        k_train=kernel[:n, :n],
        k_test_train=kernel[n:, :n],
        targets=random.normal(size=(n, *outputs)),
        f0_train=random.normal(size=(n, *outputs)),
        f0_test=random.normal(size=(m, *outputs)),
    )


def linear_problem(n=12, m=5, rank=3, outputs=(2,), seed=0):
    """The singular kernel x . x' of points in `rank` < n dimensions."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(n + m, rank))
    kernel = points @ points.T
    return Problem(
        k_train=kernel[:n, :n],
        k_test_train=kernel[n:, :n],
        targets=random.normal(size=(n, *outputs)),
        f0_train=np.zeros((n, *outputs)),
        f0_test=np.zeros((m, *outputs)),
    ), points
