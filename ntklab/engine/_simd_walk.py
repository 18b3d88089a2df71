"""All displacement tiles of many pairs: runs a program on each tile (numba, without the GIL)."""

from __future__ import annotations

import numpy as np
from numba import njit

from ntklab.engine._simd_program import CONV, INPUT, REACH, RELU, SUM, TAP
from ntklab.engine._simd_relu import OPTIONS
from ntklab.engine._simd_tile import across, activate, down, start, step, sum_of_tile, weighted_sum, wrap
from ntklab.engine._simd_vectors import address, load, store, zero


@njit(**OPTIONS, forceinline=True)
def _area(height, padded):
    """Return the floats of a buffer: 1024 bytes more than a multiple of 4096.

    A store delays loads whose addresses agree in the last 12 bits: rows of different buffers must not.
    """
    area = height * (padded + 2 * REACH)
    return area + (256 - area) % 1024


def workspace(height: int, padded: int, buffers: int, planes: int, group: int) -> np.ndarray:
    """Return zeroed memory for ``walk``: a group's buffers, a row of zeros, four rows that wait, moved planes."""
    area = _area.py_func(height, padded)
    floats = group * 2 * (buffers + 1) * area + 5 * (padded + 2 * REACH) + planes * height * padded
    return np.zeros(floats + 128, np.float32)


@njit(**OPTIONS)
def _turn(y, turned, planes, height, y_row, padded, lanes, dj, nil):
    """Copy planes with their columns moved by ``dj``: aligned and compact for all rows of displacements."""
    for r in range(planes * height):
        for at in range(0, 4 * padded, 4 * lanes):
            store(turned + 4 * r * padded + at, load(y + 4 * (r * y_row + dj) + at, nil))


@njit(**OPTIONS, cache=True)
def walk(
    witness, vectors, tangent, table, program, factors, geometry, down_by, right_by, masks, valid, row_weights,
    column_weights, borders, counts,
    x, y, border_x, border_y, left, right, first, last, top, bottom, scratch, out,
):  # fmt: skip
    """Add up the tiles of pairs ``first`` to ``last`` and displacements of rows number ``top`` to ``bottom``.

    Parameters
    ----------
    witness, vectors, tangent : tuples
        As long as a vector; as a row has vectors; of one element if the tangent kernel is wanted, else empty.
    table : float32 (constants, lanes)
    program, factors : int64 (instructions, fields), float32 (instructions, 2)
    geometry : int64 (6,)
        Height, width, buffers, dense planes, circular, and the pairs of a group: they go through each instruction one
        after another, while the planes of their images are in cache.
    down_by, right_by : int64 (rows,), (columns,)
        The displacements.
    row_weights, column_weights : float32 (taps, rows, height), (taps, columns, padded)
        How taps weigh positions.
    masks, valid : float32 (columns, 2 * reach, padded) and (padded,)
    borders, counts : int64 (columns, entries, 3) and (columns, reach + 1)
        As ``across`` reads them, and how many there are up to each reach.
    x, y : float32 (images, dense planes, height, padded or floats per row)
    border_x, border_y : float32 (images, border planes, height, floats per row)
    left, right : int64 (pairs,)
        Which images make a pair.
    scratch : float32
        What ``workspace`` returns, one for each thread. (Arrays made here would be freed after their last mention, the
        address.)
    out : float64 (pairs, displacement rows, taps, 2)
        Sums over positions of D and T.
    """
    nil = zero(witness)
    lanes = len(witness)
    height, width, buffers, dense, circular, group = geometry
    shape = (height, vectors)
    padded = len(vectors) * lanes
    area, row = _area(height, padded), padded + 2 * REACH
    base = address(scratch)
    base += (64 - base) % 64 + 4 * REACH
    whole = 8 * (buffers + 1) * area
    nothing = base + group * whole
    lines = nothing + 4 * row
    moved = lines + 4 * 4 * row
    moved += (64 - moved) % 64
    plane = 4 * height * padded
    x_row, y_row = 4 * border_x.shape[3], 4 * border_y.shape[3]
    ring_x_plane, ring_y_plane = height * x_row, height * y_row
    constants = address(table)
    image_x, image_y = address(x), address(y)
    image_x_size, image_y_size = plane * dense, 4 * height * dense * y.shape[3]
    ring_x, ring_y = address(border_x), address(border_y)
    ring_x_size, ring_y_size = ring_x_plane * border_x.shape[1], ring_y_plane * border_y.shape[1]
    for start_pair in range(first, last, group):
        for to_right in range(len(right_by)):
            dj = right_by[to_right]
            turned = image_y
            if y.shape[3] > padded:  # a group is one pair then
                at = right[start_pair] * image_y_size
                _turn(image_y + at, moved, dense, height, y.shape[3], padded, lanes, dj, nil)
                turned = moved - at
            mask, border, count = address(masks[to_right]), borders[to_right], counts[to_right]
            for downwards in range(top, bottom):
                di = down_by[downwards]
                for number in range(len(program)):
                    for pair in range(start_pair, min(start_pair + group, last)):
                        own = base + (pair - start_pair) * whole
                        values = own + 8 * area
                        px, py = image_x + left[pair] * image_x_size, turned + right[pair] * image_y_size
                        qx = ring_x + left[pair] * ring_x_size
                        qy = ring_y + right[pair] * ring_y_size
                        kind, third = program[number, 0], program[number, 3]
                        d_in = values + 8 * program[number, 1] * area
                        d_out = values + 8 * program[number, 2] * area
                        t_in, t_out = d_in + 4 * area, d_out + 4 * area
                        ax, ay = px + program[number, 9] * plane, py + program[number, 9] * plane
                        rx, ry = px + program[number, 10] * plane, py + program[number, 10] * plane
                        factor = factors[number, 0]
                        if kind == INPUT:
                            start(d_out, t_out, px, py, third, plane, shape, di, nil)
                        elif kind == CONV:
                            trained, relu = program[number, 5] > 0, program[number, 6] > 0
                            reach, entered = program[number, 4] >> 1, program[number, 11]
                            chained = program[number, 12] > 0
                            hd, ht = (own, own + 4 * area) if reach > 0 else (d_in, t_in)
                            if reach > 0 and not entered:
                                vx = qx + program[number, 7] * ring_x_plane
                                vy = qy + program[number, 7] * ring_y_plane
                                if circular:
                                    wrap(d_in, shape, width, reach, nil)
                                    wrap(t_in, shape, width, reach, nil)
                                across(
                                    d_in, t_in, hd, ht, reach, mask, border, count[reach], vx, vy, x_row, y_row,
                                    shape, di, tangent, nil,
                                )  # fmt: skip
                            vx, vy = qx + program[number, 8] * ring_x_plane, qy + program[number, 8] * ring_y_plane
                            sums = (vx, x_row, vy + 4 * dj, y_row)
                            if chained:
                                vx = qx + program[number + 1, 7] * ring_x_plane
                                vy = qy + program[number + 1, 7] * ring_y_plane
                            if chained and factor == 1.0:
                                step(
                                    hd, ht, lines, nothing, sums, ax, ay, rx, ry, mask, border, count[1], vx, vy,
                                    x_row, y_row, shape, di, tangent, constants, nil,
                                )  # fmt: skip
                                continue
                            down(
                                hd, ht, d_out, t_out, third, factor, trained, relu, circular > 0, nothing, sums, ax, ay,
                                rx, ry, shape, di, tangent, constants, nil,
                            )  # fmt: skip
                            if chained:
                                across(
                                    d_out, t_out, hd, ht, 1, mask, border, count[1], vx, vy, x_row, y_row, shape,
                                    di, tangent, nil,
                                )  # fmt: skip
                        elif kind == RELU:
                            activate(d_in, t_in, d_out, t_out, ax, ay, rx, ry, shape, di, tangent, constants, nil)
                        elif kind == SUM:
                            other = values + 8 * third * area
                            weighted_sum(d_in, other, d_out, factor, factors[number, 1], shape, nil)
                            weighted_sum(t_in, other + 4 * area, t_out, factor, factors[number, 1], shape, nil)
                        elif kind == TAP:
                            weighing = row_weights[third, downwards], address(column_weights[third, to_right])
                            out[pair, downwards, third, 0] += sum_of_tile(d_in, *weighing, address(valid), shape, nil)
                            if len(tangent):
                                out[pair, downwards, third, 1] += sum_of_tile(
                                    t_in, *weighing, address(valid), shape, nil
                                )
