"""What each image contributes alone: variances through all layers, in float64 and rounded once (numba)."""

from __future__ import annotations

import numpy as np
from numba import njit

from ntklab.engine._simd_numbers import LEAST_STD
from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM

_OPTIONS = {"nogil": True, "error_model": "numpy", "cache": True}


@njit(**_OPTIONS)
def _put(plane, values, height, width, copies):
    """Write a plane, once or twice side by side: then any displacement of columns is a contiguous read."""
    for i in range(height):
        for copy in range(copies):
            for j in range(width):
                plane[i, copy * width + j] = values[i, j]


@njit(**_OPTIONS)
def _shifted(v, out, o, circular):
    """Add rows ``i + o`` to rows ``i``; what is outside adds nothing unless it wraps."""
    height, width = v.shape
    for i in range(height):
        k = (i + o) % height if circular else i + o
        if 0 <= k < height:
            for j in range(width):
                out[i, j] += v[k, j]


@njit(**_OPTIONS)
def _box(v, out, rows, columns, circular):
    """Sum windows along rows, then along columns, and return the former."""
    turned = np.ascontiguousarray(v.T)
    across = np.zeros(turned.shape)
    for o in range(-(columns // 2), columns // 2 + 1):
        _shifted(turned, across, o, circular)
    across = np.ascontiguousarray(across.T)
    for o in range(-(rows // 2), rows // 2 + 1):
        _shifted(across, out, o, circular)
    return across


@njit(**_OPTIONS)
def follow(
    program,
    factors,
    bias,
    size,
    buffers,
    circular,
    borders,
    copies,
    images,
    first,
    last,
    shares,
    planes,
    border_planes,
    sums,
):
    """Fill the planes and the taps' sums of variances of the images ``first`` to ``last``.

    Parameters
    ----------
    images : float32 (images, height, width, channels)
    shares : float64 (taps, height, width)
    planes, border_planes : float32 (images, planes, height, floats per row), zeros
    sums : float64 (images, taps)
    """
    height, width = size
    values = np.zeros((buffers, height, width))
    for n in range(first, last):
        for number in range(len(program)):
            op = program[number]
            source, target = values[op[1]], values[op[2]]
            if op[0] == INPUT:
                target[:] = 0.0
                for c in range(op[3]):
                    channel = images[n, :, :, c].astype(np.float64)
                    _put(planes[n, c], channel, height, width, copies)
                    target += channel * channel
            elif op[0] == CONV:
                out = np.zeros((height, width))
                before = source.copy()
                across = _box(before, out, op[3], op[4], circular)
                if borders:
                    _put(border_planes[n, op[7]], before, height, width, copies)
                    _put(border_planes[n, op[8]], across, height, width, copies)
                out = out * factors[number, 0] + bias[number]
                if op[6]:
                    _deviations(planes, n, op[9], op[10], out, height, width, copies)
                elif op[5]:
                    _put(planes[n, op[9]], out, height, width, copies)
                target[:] = out
            elif op[0] == RELU:
                _deviations(planes, n, op[9], op[10], source, height, width, copies)
                target[:] = source  # half of it, in half the unit
            elif op[0] == SUM:
                other = values[op[3]]
                target[:] = factors[number, 0] * source + factors[number, 1] * other
            else:
                sums[n, op[3]] = (source * shares[op[3]]).sum()


@njit(**_OPTIONS)
def _deviations(planes, n, deviation, inverse, variance, height, width, copies):
    """Write standard deviations and their inverses; zero counts as having the inverse zero."""
    a = np.sqrt(variance)
    r = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            if a[i, j] > LEAST_STD:
                r[i, j] = 1.0 / a[i, j]
    _put(planes[n, deviation], a, height, width, copies)
    _put(planes[n, inverse], r, height, width, copies)
