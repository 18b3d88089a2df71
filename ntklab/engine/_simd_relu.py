"""ReLU on vectors of distances: the formulas of ``kernel/_relu.py`` with as few steps as float32 needs (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit

from ntklab.engine._simd_vectors import fma, fnma, lanes_of, largest, load, mul, smallest, sqrt, sub, where_negative
from ntklab.kernel import ANGLE_FAST, CURVE_FAST

OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
CONSTANTS = (
    1.0,
    2.0,
    4.0,
    *(2.0 ** (-0.5 - k) * c for k, c in enumerate(ANGLE_FAST)),
    *(2.0 ** (-0.5 - k) * c for k, c in enumerate(CURVE_FAST)),
)
"""What a ReLU reads from memory, one vector of each: as literals, LLVM loads the address of each anew, every time.
The polynomials are those of ``2 u``."""


def table(lanes: int) -> np.ndarray:
    """Return :data:`CONSTANTS` as vectors."""
    return np.repeat(np.array(CONSTANTS, np.float32)[:, None], lanes, axis=1)


@njit(**OPTIONS, forceinline=True)
def constant(constants, number, nil):
    """Return one of :data:`CONSTANTS`."""
    return load(constants + 4 * lanes_of(nil) * number, nil)


@njit(**OPTIONS, forceinline=True)
def half_relu(d, ax, ay, rx, ry, constants, nil):
    """Return ``2 u``, its root, ``2 (z - 1)`` and ``a_x a_y``: the first half of a ReLU, ``relu_from`` is the second.

    ``a`` is a standard deviation and ``r`` its inverse, zero for zero; ``z = 1 - c``, ``u = 1 - |c|``.
    """
    w = sub(ax, ay)
    z = mul(fnma(w, w, d), mul(rx, ry))
    u = largest(smallest(z, sub(constant(constants, 2, nil), z)), nil)
    return u, sqrt(u), sub(z, constant(constants, 1, nil)), mul(ax, ay)


@njit(**OPTIONS, forceinline=True)
def _polynomials(u, root, obtuse, constants, nil):
    """Return what times ``root`` is the angle, and twice ``curve + max(z - 1, 0)``, which ``z`` loses in ``h``.

    Evaluated in pairs: a chain of steps is what everything would wait for.
    """
    u2 = mul(u, u)
    u4 = mul(u2, u2)
    low = fma(constant(constants, 4, nil), u, constant(constants, 3, nil))
    middle = fma(constant(constants, 6, nil), u, constant(constants, 5, nil))
    high = fma(constant(constants, 8, nil), u, constant(constants, 7, nil))
    high = fma(constant(constants, 9, nil), u2, high)
    angle = fma(high, u4, fma(middle, u2, low))
    even = fma(constant(constants, 14, nil), u2, constant(constants, 12, nil))
    odd = fma(constant(constants, 15, nil), u2, constant(constants, 13, nil))
    even = fma(even, u2, constant(constants, 10, nil))
    odd = fma(odd, u2, constant(constants, 11, nil))
    return angle, fma(mul(u, root), fma(odd, u, even), largest(obtuse, nil))


@njit(**OPTIONS, forceinline=True)
def relu_from(u, root, obtuse, product, d, t, trainable, constants, nil):
    """Return distance and tangent kernel after ReLU, in half their units before.

    With the curve of ``kernel/_relu.py``, ``D' = D / 2 - a_x a_y (curve + max(z - 1, 0))``: the same as there, with one
    step less.
    """
    angle, gap = _polynomials(u, root, obtuse, constants, nil)
    if trainable:  # the layer before adds its covariance
        t = fnma(product, obtuse, t)
    part = mul(mul(t, angle), root)
    return fnma(product, gap, d), where_negative(obtuse, sub(t, part), part)


@njit(**OPTIONS, forceinline=True)
def relu_of_angle(e, t, trainable, constants, nil):
    """Return ``2 z`` and ``2 T / (a_x a_y)`` after ReLU, from the same before: ``z' = h(z)``, and no lengths at all."""
    u = largest(smallest(e, sub(constant(constants, 2, nil), e)), nil)
    root, obtuse = sqrt(u), sub(e, constant(constants, 1, nil))
    angle, gap = _polynomials(u, root, obtuse, constants, nil)
    if trainable:  # the layer before adds its covariance
        t = sub(t, obtuse)
    part = mul(mul(t, angle), root)
    return sub(e, gap), where_negative(obtuse, sub(t, part), part)
