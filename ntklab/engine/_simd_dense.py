r"""Dense networks: angles between the inputs, then all layers, one tile of the Gram matrix at a time (numba).

A pair carries :math:`2z = 2 (1 - c)` and :math:`2 T / (a_x a_y)`, with correlation :math:`c` and standard deviations
:math:`a`: a ReLU makes :math:`z` into :math:`h(z)` whatever the lengths, a dense layer without a bias changes nothing,
and a sum of independent values, or of a value and a bias, with shares :math:`p = a_1 / a` and :math:`s = a_2 / a` gives
:math:`2z = p_x p_y\, 2z_1 + s_x s_y\, 2z_2 + (p_x - p_y)^2 + (s_x - s_y)^2`. Nothing is subtracted that cancels.
"""

from __future__ import annotations

from numba import njit

from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM, TAP
from ntklab.engine._simd_relu import OPTIONS, constant, relu_of_angle
from ntklab.engine._simd_vectors import add, address, fma, fnma, lanes_of, load, mul, splat, spread, store, sub, zero

ROWS = 36
"""Rows of a tile, a multiple of three."""
_DEPTH = 256
"""Numbers of an input whose squared differences are summed before they are added to the rest: short sums round less."""


def floats(columns: int, depth: int, buffers: int, taps: int) -> int:
    """Return the size of the scratch memory of ``tiles``."""
    return (columns + ROWS) * depth + columns * (ROWS + 2 * buffers + 2 * taps * ROWS) + 16


@njit(**OPTIONS)
def _unit_rows(x, inverse, top, target):
    """Copy the rows of a tile, each times the inverse of its length; the last one fills what is left."""
    n, depth = x.shape
    for i in range(ROWS):
        row = min(top + i, n - 1)
        for k in range(depth):
            target[i * depth + k] = x[row, k] * inverse[row]


@njit(**OPTIONS)
def _unit_columns(y, inverse, left, columns, lanes, target):
    """Lay a strip of unit vectors out number by number, ``lanes`` side by side; the last one fills what is left."""
    n, depth = y.shape
    for panel in range(columns // lanes):
        base = panel * lanes * depth
        for lane in range(lanes):
            row = min(left + panel * lanes + lane, n - 1)
            for k in range(depth):
                target[base + k * lanes + lane] = y[row, k] * inverse[row]


@njit(**OPTIONS)
def _distances(x, packed, depth, columns, tile, nil):
    """Add up squared differences: differences, not products, which cancel between near-duplicates."""
    lanes = lanes_of(nil)
    for begin in range(0, depth, _DEPTH):
        steps = min(_DEPTH, depth - begin)
        for panel in range(columns // lanes):
            y = packed + 4 * lanes * (panel * depth + begin)
            for i in range(0, ROWS, 3):  # four rows would not fit into 16 registers
                p0 = x + 4 * (depth * i + begin)
                p1, p2 = p0 + 4 * depth, p0 + 8 * depth
                s0, s1, s2 = nil, nil, nil
                for k in range(steps):
                    b = load(y + 4 * lanes * k, nil)
                    g0, g1 = sub(spread(p0 + 4 * k, nil), b), sub(spread(p1 + 4 * k, nil), b)
                    g2 = sub(spread(p2 + 4 * k, nil), b)
                    s0, s1, s2 = fma(g0, g0, s0), fma(g1, g1, s1), fma(g2, g2, s2)
                at, row = tile + 4 * (columns * i + lanes * panel), 4 * columns
                store(at, add(load(at, nil), s0))
                store(at + row, add(load(at + row, nil), s1))
                store(at + 2 * row, add(load(at + 2 * row, nil), s2))


@njit(**OPTIONS, forceinline=True)
def _joined(e, second, p, q, s, w):
    """Return ``2 z`` of a sum, from those of its terms and the terms' shares of the length on both sides."""
    moved, turned = sub(p, q), sub(s, w)
    return fma(mul(p, q), e, fma(mul(s, w), second, fma(moved, moved, mul(turned, turned))))


@njit(**OPTIONS)
def _layers(program, e, base, kept, kept_row, x, x_row, y, y_row, vectors, tangent, constants, nil):
    """Take one row of pairs through all layers; ``x`` and ``y`` address a plane's number of row and of column."""
    lanes = lanes_of(nil)
    size = 4 * lanes * len(vectors)
    for number in range(len(program)):
        kind, third = program[number, 0], program[number, 3]
        trained, relu, biased = program[number, 4] > 0, program[number, 5] > 0, program[number, 6] > 0
        e_in, e_out = base + 2 * size * program[number, 1], base + 2 * size * program[number, 2]
        t_in, t_out = e_in + size, e_out + size
        p, s = spread(x + 2 * x_row * number, nil), spread(x + 2 * x_row * number + x_row, nil)
        qs, ws = y + 2 * y_row * number, y + 2 * y_row * number + y_row
        if kind == INPUT:
            for v in range(len(vectors)):
                at = 4 * lanes * v
                store(e_out + at, load(e + at, nil))
                store(t_out + at, nil)
        elif kind in (CONV, RELU):
            for v in range(len(vectors)):
                at = 4 * lanes * v
                z, t = load(e_in + at, nil), nil
                if len(tangent):
                    t = load(t_in + at, nil)
                if biased:
                    q = load(qs + at, nil)
                    z, t = _joined(z, nil, p, q, s, load(ws + at, nil)), mul(t, mul(p, q))
                if relu:
                    z, t = relu_of_angle(z, t, trained, constants, nil)
                elif trained:
                    t = add(t, sub(constant(constants, 1, nil), z))
                store(e_out + at, z)
                if len(tangent):
                    store(t_out + at, t)
        elif kind == SUM:
            other = base + 2 * size * third
            for v in range(len(vectors)):
                at = 4 * lanes * v
                q, w = load(qs + at, nil), load(ws + at, nil)
                t = fma(load(t_in + at, nil), mul(p, q), mul(load(other + size + at, nil), mul(s, w)))
                store(e_out + at, _joined(load(e_in + at, nil), load(other + at, nil), p, q, s, w))
                store(t_out + at, t)
        elif kind == TAP:
            for v in range(len(vectors)):
                at = 4 * lanes * v
                product = mul(p, load(qs + at, nil))
                half = mul(product, splat(0.5, nil))
                target = kept + third * 2 * kept_row * ROWS + at
                store(target, fnma(half, load(e_in + at, nil), product))
                if len(tangent):
                    store(target + kept_row * ROWS, mul(load(t_in + at, nil), half))


@njit(**OPTIONS)
def _write(kept, columns, out, n, top, bottom, left, right, symmetric):
    """Copy a tile of one output; of a symmetric one what is on and above the diagonal, and mirror it."""
    for i in range(top, bottom):
        row = (i - top) * columns
        for j in range(max(left, i) if symmetric else left, right):
            out[n, i, j] = kept[row + j - left]
    if symmetric:
        for j in range(max(left, top), right):
            for i in range(top, min(bottom, j)):
                out[n, j, i] = kept[(i - top) * columns + j - left]


@njit(**OPTIONS, cache=True)
def tiles(
    witness, vectors, tangent, covariance, table, program, buffers, taps, x, y, own_x, own_y, inverse_x, inverse_y,
    top, bottom, left, right, symmetric, diagonal, scratch, nngp, ntk,
):  # fmt: skip
    """Compute rows ``top`` to ``bottom`` of a strip of columns that is at most ``vectors`` vectors wide.

    Parameters
    ----------
    witness, vectors, tangent : tuples
        As in ``walk``; ``covariance`` like ``tangent``.
    program : int64 (instructions, 7)
        Kind, buffer read, buffer written, second buffer or tap, trainable, a ReLU follows, a bias is added.
    x, y : float32 (n1, d), (n2, d)
    own_x, own_y : float32 (2 instructions, n1), (2 instructions, n2 or more)
        Shares of each instruction's terms, or the standard deviation at a tap; as many columns that the last strip
        reads inside.
    inverse_x, inverse_y : float64 (n1,), (n2,)
        Inverse lengths of the inputs, zero for zero.
    symmetric, diagonal : bool
        Write the upper triangle and its mirror image; pair every row with itself, one column.
    scratch : float32
        :func:`floats` of them, one for each thread.
    nngp, ntk : float32 (taps, n1, n2)
    """
    nil = zero(witness)
    lanes, columns, depth = len(witness), len(witness) * len(vectors), x.shape[1]
    base = address(scratch)
    base += (64 - base) % 64
    first = (base - address(scratch)) // 4
    packed = scratch[first : first + columns * depth]
    first += columns * depth
    tile = scratch[first : first + columns * ROWS]
    first += columns * ROWS
    kept = scratch[first : first + columns * 2 * taps * ROWS]
    first += columns * 2 * taps * ROWS
    values = address(scratch) + 4 * first
    rows = scratch[first + columns * 2 * buffers :]
    if not diagonal:
        _unit_columns(y, inverse_y, left, columns, lanes, packed)
    for i0 in range(top, bottom, ROWS):
        if symmetric and i0 >= right:
            break
        end = min(i0 + ROWS, bottom)
        tile[:] = 0.0
        if not diagonal:
            _unit_rows(x, inverse_x, i0, rows)
            _distances(address(rows), address(packed), depth, columns, address(tile), nil)
        for i in range(i0, end):
            _layers(
                program, address(tile) + 4 * columns * (i - i0), values, address(kept) + 4 * columns * (i - i0),
                4 * columns, address(own_x) + 4 * i, 4 * own_x.shape[1],
                address(own_y) + 4 * (i if diagonal else left), 4 * own_y.shape[1], vectors, tangent, address(table),
                nil,
            )  # fmt: skip
        for n in range(taps):
            part = kept[2 * n * ROWS * columns :]
            if len(covariance):
                _write(part, columns, nngp, n, i0, end, left, right, symmetric)
            if len(tangent):
                _write(part[ROWS * columns :], columns, ntk, n, i0, end, left, right, symmetric)
