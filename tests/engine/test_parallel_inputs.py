"""Inputs that are multiples of each other: the lengths tell nothing of the angle, which the NTK takes a root of."""

from functools import cache

import mpmath
import numpy as np
import pytest

import ntklab
from ntklab.spec import zoo

SCALES = np.array([0.3, 0.7, 1.0, 1.9, 3.0, -0.4, -1.3])
HIDDEN, W = 3, 1.5
DIRECTIONS = {"a number": np.ones(1), "a vector": np.random.default_rng(0).normal(size=5)}

TIGHT = {"float32": 1e-6, "float64": 1e-15}
LOOSE = {"float32": 5e-5, "float64": 5e-13}
"""Measured 3e-7 and 5e-16; 2e-5 and 1.5e-13 where a root is left: opposite vectors, whose 2 - z rounds once, and a
bias of 1e-4, which makes an angle of 1e-4 out of none."""


@cache
def exact(direction: str, bias: float, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return NNGP and NTK of the inputs as rounded, by the recursion of Cho and Saul in 40 digits."""
    x = (SCALES[:, None] * DIRECTIONS[direction]).astype(dtype)
    both = np.zeros((2, len(x), len(x)))
    with mpmath.workdps(40):
        rows = [[mpmath.mpf(float(number)) for number in row] for row in x]
        gain, shift = mpmath.mpf(W) ** 2, mpmath.mpf(bias) ** 2
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                sums = [sum(p * q for p, q in zip(*pair, strict=True)) / len(a) for pair in ((a, a), (b, b), (a, b))]
                v_x, v_y, cov = (gain * value + shift for value in sums)
                ntk = cov
                for _ in range(HIDDEN):
                    size = mpmath.sqrt(v_x * v_y)
                    c = max(mpmath.mpf(-1), min(mpmath.mpf(1), cov / size))
                    theta = mpmath.acos(c)
                    ntk *= gain * (mpmath.pi - theta) / (2 * mpmath.pi)
                    after = size * (mpmath.sin(theta) + (mpmath.pi - theta) * c) / (2 * mpmath.pi)
                    v_x, v_y, cov = (gain * value + shift for value in (v_x / 2, v_y / 2, after))
                    ntk += cov
                both[:, i, j] = float(cov), float(ntk)
    return both[0], both[1]


@pytest.mark.parametrize(("dtype", "engine"), [("float32", "simd"), ("float32", "reference"), ("float64", "reference")])
@pytest.mark.parametrize("bias", [0.0, 1e-4, 0.3])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_inputs_of_one_direction_keep_the_digits_of_their_kernels(direction, bias, dtype, engine):
    x = (SCALES[:, None] * DIRECTIONS[direction]).astype(dtype)
    network = zoo.fc(HIDDEN + 1, W_std=W, b_std=bias or None)
    kernel = ntklab.compile(network, x.shape[1:], dtype=dtype, engine=engine)(x)
    nngp, ntk = exact(direction, bias, dtype)
    errors = []
    for ours, true in ((kernel.nngp, nngp), (kernel.ntk, ntk)):
        errors.append(np.abs(np.asarray(ours, np.float64) - true) / np.sqrt(np.outer(true.diagonal(), true.diagonal())))
    assert errors[0].max() <= TIGHT[dtype]
    rooted = np.full(ntk.shape, bias == 1e-4)
    if direction == "a vector" and not bias:
        rooted |= np.outer(SCALES, SCALES) < 0.0
    assert errors[1][~rooted].max(initial=0.0) <= TIGHT[dtype]
    assert errors[1][rooted].max(initial=0.0) <= LOOSE[dtype]
