"""Kernel matrices for the tests, each with something known about it."""

from fractions import Fraction
from math import factorial, prod

import numpy as np


def gaussian(n, seed=0, width=0.05, dimension=5, duplicate=None):
    """Gaussian kernel of random points; `duplicate=(j, k)` makes point k a copy of point j."""
    points = np.random.default_rng(seed).normal(size=(n, dimension))
    if duplicate is not None:
        points[duplicate[1]] = points[duplicate[0]]
    return np.exp(-width * ((points[:, None] - points[None]) ** 2).sum(-1))


def with_spectrum(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors, from a random rotation."""
    values = np.asarray(eigenvalues, float)
    vectors, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(values.size, values.size)))
    gram = (vectors * values) @ vectors.T
    return (gram + gram.T) / 2, vectors


def hilbert(n):
    """K_ij = 1 / (i + j + 1), the Gram matrix of the monomials on [0, 1]."""
    index = np.arange(n)
    return 1.0 / (index[:, None] + index[None, :] + 1)


def hilbert_determinants(n):
    """Exact determinants of the leading Hilbert matrices of sizes 1 .. n: c_k^4 / c_2k (Hilbert 1894)."""

    def c(k):
        return prod(factorial(i) for i in range(1, k))

    return [Fraction(c(k) ** 4, c(2 * k)) for k in range(1, n + 1)]
