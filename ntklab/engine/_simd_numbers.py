"""The numbers that go with a program: neighbours of positions, factors and units of layers."""

from __future__ import annotations

import math

import numpy as np

from ntklab.engine._simd_program import CONV, INPUT, LOAD, RELU, STORE, SUM, Program
from ntklab.kernel import Plan

LEAST_STD = 1e-18
"""Standard deviations up to this count as zero, and zero as having the inverse zero."""


def neighbours(program: Program, padded: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who is whose neighbour in the rows of a tile, for every displacement of columns.

    Returns
    -------
    masks : float32 (columns, 2 * reach, padded)
        All bits set where the left (right) neighbour at distance 1, 2, ... is inside both images.
    borders : int64 (columns, entries, 3)
        Where it is inside one image only: which (0 for x), the column, and the neighbour's column in that image.
    counts : int64 (columns, reach + 1)
        How many borders there are up to each distance.
    """
    width = program.size[1]
    columns = len(program.columns)
    inside = np.zeros((columns, program.reach, 2, padded), bool)
    found: list[list[tuple[int, int, int]]] = []
    counts = np.zeros((columns, program.reach + 1), np.int64)
    j = np.arange(width)
    for k, dj in enumerate(program.columns):
        q = (j + dj) % width
        entries: list[tuple[int, int, int]] = []
        for o in range(1, program.reach + 1):
            for side, step in enumerate((-o, o)):
                x_in = (j + step >= 0) & (j + step < width)
                y_in = (q + step >= 0) & (q + step < width)
                if program.circular:
                    x_in[:] = y_in[:] = True
                inside[k, o - 1, side, :width] = x_in & y_in
                entries += [(0, int(at), int(at) + step) for at in j[x_in & ~y_in]]
                entries += [(1, int(at), int(q[at]) + step) for at in j[y_in & ~x_in]]
            counts[k, o] = len(entries)
        found.append(entries)
    borders = np.zeros((columns, max(1, counts.max()), 3), np.int64)
    for k, entries in enumerate(found):
        if entries:
            borders[k, : len(entries)] = entries
    return all_bits(inside).reshape((columns, 2 * program.reach, padded)), borders, counts


def weights(program: Program, padded: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how each tap weighs rows and columns at each displacement, float32.

    Of shapes (taps, displacements of rows, height) and (taps, displacements of columns, padded); zero beyond the width.
    """
    taps = len(program.taps)
    rows = np.zeros((taps, len(program.rows), program.size[0]), np.float32)
    columns = np.zeros((taps, len(program.columns), padded), np.float32)
    for n, end in enumerate(program.ends):
        for found, own, moves in ((rows[n], end.rows, program.rows), (columns[n], end.columns, program.columns)):
            at = np.arange(len(own))
            for k, move in enumerate(moves):
                found[k, : len(own)] = own[at, (at + move) % len(own)]
    return rows, columns


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 memory that JAX takes over without a copy: it begins at a multiple of 64 bytes."""
    whole = np.empty(math.prod(shape) + 16, np.float32)
    first = -whole.ctypes.data % 64 // 4
    return whole[first : first + math.prod(shape)].reshape(shape)


def all_bits(where: np.ndarray) -> np.ndarray:
    """Return float32 masks: all bits set where true, none where false."""
    return np.where(where, np.uint32(0xFFFFFFFF), np.uint32(0)).view(np.float32)


def factors(
    program: Program, plan: Plan, learned: dict, begin: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of each instruction, and the unit of each tap.

    Values are stored in units, so that each layer's factor ``W_std**2 / (rows * columns)`` becomes a power of two
    and rounds nothing: stored times unit is the value.

    Returns
    -------
    factors : float32 (instructions, 2)
    bias : float64 (instructions,)
    units : float64 (taps,)
        Of the mean over positions, where each counts by its share (``End``); of what is stored, where there is no tap.
        ``begin`` is that of what is loaded.
    """
    unit = np.ones(program.buffers)
    scale = np.zeros((len(program.ops), 2))
    bias = np.zeros(len(program.ops))
    taps = np.zeros(max(1, len(program.taps)))
    for n, (row, i) in enumerate(zip(program.instructions, program.ops, strict=True)):
        kind, source, target, third = (int(field) for field in row[:4])
        if kind == INPUT:
            unit[target] = 1.0 / third
        elif kind == LOAD:
            unit[target] = begin
        elif kind == CONV:
            numbers = learned[plan.ops[i].hyper]
            gain = float(numbers["W_std"]) / (row[3] * row[4])
            whole = unit[source] * gain
            scale[n, 0] = _power_of_two(whole) if whole > 0.0 else 0.0
            before = whole / scale[n, 0] if whole > 0.0 else 1.0
            unit[target] = 0.5 * before if row[6] else before  # half if a ReLU follows
            bias[n] = float(numbers.get("b_std", 0.0)) / before
        elif kind == RELU:
            scale[n, 0] = 1.0
            unit[target] = 0.5 * unit[source]
        elif kind == SUM:
            scale[n] = 1.0, unit[third] / unit[source]
            unit[target] = unit[source]
        elif kind == STORE:
            taps[0] = unit[source]
        else:
            end = program.ends[third]
            taps[third] = unit[source] * end.scale * end.spread
    return scale.astype(np.float32), bias, taps


def _power_of_two(unit: float) -> float:
    """Return what to multiply by: nothing while numbers stay within 2**+-60, else what brings the unit back to 1."""
    exponent = round(math.log2(unit))
    return 2.0**exponent if abs(exponent) > 60 else 1.0
