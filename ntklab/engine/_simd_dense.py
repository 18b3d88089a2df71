"""Dense networks: squared distances of the inputs, then all layers, one tile of the Gram matrix at a time (numba)."""

from __future__ import annotations

from numba import njit

from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM, TAP
from ntklab.engine._simd_relu import OPTIONS, half_relu, relu_from
from ntklab.engine._simd_vectors import add, address, fma, lanes_of, load, mul, splat, spread, store, sub, zero

ROWS = 36
"""Rows of a tile, a multiple of three."""
_DEPTH = 256
"""Numbers of an input whose squared differences are summed before they are added to the rest: short sums round less."""


def floats(columns: int, depth: int, buffers: int, taps: int) -> int:
    """Return the size of the scratch memory of ``tiles``."""
    return columns * (depth + ROWS + 2 * buffers + 2 * taps * ROWS) + 16


@njit(**OPTIONS)
def _pack(y, left, columns, lanes, target):
    """Lay a strip of inputs out number by number, ``lanes`` inputs side by side; the last one fills what is left."""
    n, depth = y.shape
    for panel in range(columns // lanes):
        base = panel * lanes * depth
        for lane in range(lanes):
            row = y[min(left + panel * lanes + lane, n - 1)]
            for k in range(depth):
                target[base + k * lanes + lane] = row[k]


@njit(**OPTIONS)
def _distances(x, top, packed, depth, columns, tile, nil):
    """Add up squared differences: differences, not products, which cancel between near-duplicates."""
    lanes, n = lanes_of(nil), x.shape[0]
    for begin in range(0, depth, _DEPTH):
        steps = min(_DEPTH, depth - begin)
        for panel in range(columns // lanes):
            y = packed + 4 * lanes * (panel * depth + begin)
            for i in range(0, ROWS, 3):  # four rows would not fit into 16 registers
                p0 = address(x) + 4 * (depth * min(top + i, n - 1) + begin)
                p1 = address(x) + 4 * (depth * min(top + i + 1, n - 1) + begin)
                p2 = address(x) + 4 * (depth * min(top + i + 2, n - 1) + begin)
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


@njit(**OPTIONS)
def _layers(program, factors, units, d, base, kept, kept_row, x, x_row, y, y_row, vectors, tangent, constants, nil):
    """Take one row of pairs through all layers; ``x`` and ``y`` address a plane's number of row and of column."""
    lanes = lanes_of(nil)
    size = 4 * lanes * len(vectors)
    for number in range(len(program)):
        kind, third, relu = program[number, 0], program[number, 3], program[number, 6] > 0
        d_in, d_out = base + 2 * size * program[number, 1], base + 2 * size * program[number, 2]
        t_in, t_out = d_in + size, d_out + size
        ax, ay = x + x_row * program[number, 9], y + y_row * program[number, 9]
        rx, ry = x + x_row * program[number, 10], y + y_row * program[number, 10]
        factor, second = splat(factors[number, 0], nil), splat(factors[number, 1], nil)
        if kind == INPUT:
            for v in range(len(vectors)):
                at = 4 * lanes * v
                store(d_out + at, load(d + at, nil))
                store(t_out + at, nil)
        elif kind in (CONV, RELU):
            trained = kind == CONV and program[number, 5] > 0
            a, r = spread(ax, nil), spread(rx, nil)
            for v in range(len(vectors)):
                at = 4 * lanes * v
                e, s = mul(load(d_in + at, nil), factor), nil
                if len(tangent):
                    s = mul(load(t_in + at, nil), factor)
                b = load(ay + at, nil)
                if relu:
                    u, root, obtuse, product = half_relu(e, a, b, r, load(ry + at, nil), constants, nil)
                    e, s = relu_from(u, root, obtuse, product, e, s, trained, constants, nil)
                elif trained:
                    s = add(s, sub(add(a, b), e))
                store(d_out + at, e)
                if len(tangent):
                    store(t_out + at, s)
        elif kind == SUM:
            other = base + 2 * size * third
            for v in range(2 * len(vectors)):
                at = 4 * lanes * v
                store(d_out + at, fma(load(d_in + at, nil), factor, mul(load(other + at, nil), second)))
        elif kind == TAP:
            a, half = spread(ax, nil), splat(units[third], nil)
            for v in range(len(vectors)):
                at = 4 * lanes * v
                target = kept + third * 2 * kept_row * ROWS + at
                store(target, mul(sub(add(a, load(ay + at, nil)), load(d_in + at, nil)), half))
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
    witness, vectors, tangent, covariance, table, program, factors, units, x, y, own_x, own_y, top, bottom, left,
    right, symmetric, diagonal, scratch, nngp, ntk,
):  # fmt: skip
    """Compute rows ``top`` to ``bottom`` of a strip of columns that is at most ``vectors`` vectors wide.

    Parameters
    ----------
    witness, vectors, tangent : tuples
        As in ``walk``; ``covariance`` like ``tangent``.
    units : float32 (taps,)
        Half the unit of each tap.
    x, y : float32 (n1, d), (n2, d)
    own_x, own_y : float32 (planes, n1), (planes, n2 or more)
        Standard deviations, their inverses and variances; as many columns that the last strip reads inside.
    symmetric, diagonal : bool
        Write the upper triangle and its mirror image; pair every row with itself, one column.
    scratch : float32
        :func:`floats` of them, one for each thread.
    nngp, ntk : float32 (taps, n1, n2)
    """
    nil = zero(witness)
    lanes, columns, depth = len(witness), len(witness) * len(vectors), x.shape[1]
    taps = len(units)
    base = address(scratch)
    base += (64 - base) % 64
    first = (base - address(scratch)) // 4
    packed = scratch[first : first + columns * depth]
    tile = scratch[first + columns * depth : first + columns * (depth + ROWS)]
    kept = scratch[first + columns * (depth + ROWS) : first + columns * (depth + ROWS + 2 * taps * ROWS)]
    values = address(kept) + 4 * columns * 2 * taps * ROWS
    if not diagonal:
        _pack(y, left, columns, lanes, packed)
    for i0 in range(top, bottom, ROWS):
        if symmetric and i0 >= right:
            break
        end = min(i0 + ROWS, bottom)
        tile[:] = 0.0
        if not diagonal:
            _distances(x, i0, address(packed), depth, columns, address(tile), nil)
        for i in range(i0, end):
            _layers(
                program, factors, units, address(tile) + 4 * columns * (i - i0), values,
                address(kept) + 4 * columns * (i - i0), 4 * columns, address(own_x) + 4 * i, 4 * own_x.shape[1],
                address(own_y) + 4 * (i if diagonal else left), 4 * own_y.shape[1], vectors, tangent, address(table),
                nil,
            )  # fmt: skip
        for n in range(taps):
            part = kept[2 * n * ROWS * columns :]
            if len(covariance):
                _write(part, columns, nngp, n, i0, end, left, right, symmetric)
            if len(tangent):
                _write(part[ROWS * columns :], columns, ntk, n, i0, end, left, right, symmetric)
