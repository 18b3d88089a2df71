"""One displacement tile through one layer, in cache: the inner loops of the simd engine (numba).

A tile holds, for one pair of images and one displacement ``(di, dj)``, the squared distance ``D`` and the tangent
kernel ``T`` at position pairs ``p = (i, j)``, ``q = ((i + di) mod height, (j + dj) mod width)``. A stride-1 convolution
is a window sum in the tile, along rows (``across``), then along columns with the ReLU that follows (``down``). Where
the window leaves one of the two images, at the wrap as well, ``T`` gets nothing and ``D`` the variance at the position
that is still inside (``kernel/_rules.py``).

``T`` is stored in half the unit of ``D``, and a ReLU halves both units: no step is spent on factors of two.
Arguments: addresses in bytes of ``D`` and ``T`` (buffers with margins), of ``x`` and ``y`` (a plane of each image, rows
of ``padded`` floats, those of y moved by ``dj``); ``shape`` is the height and a tuple as long as a row has vectors: a
number would make loops along rows ones of unknown length, each of which costs as much as a vector's work.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ntklab.engine._simd_program import REACH
from ntklab.engine._simd_relu import OPTIONS, half_relu, relu_from
from ntklab.engine._simd_vectors import add, add_at, copy, fma, keep, lanes_of, load, mul, splat, store, sub, total


@njit(**OPTIONS, forceinline=True)
def _within(i, size):
    """Return ``i % size`` for ``i`` within one size of the range; a division would cost more than a vector's step."""
    if i < 0:
        return i + size
    return i - size if i >= size else i


@njit(**OPTIONS)
def start(d, t, x, y, channels, plane, shape, di, nil):
    """Begin a tile: squared distances of the inputs, summed over channels; no tangent kernel."""
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    padded, row = 4 * vectors * lanes, 4 * (vectors * lanes + 2 * REACH)
    for i in range(height):
        px, py = x + i * padded, y + _within(i + di, height) * padded
        for v in range(vectors):
            at = 4 * lanes * v
            acc = nil
            for c in range(channels):
                gap = sub(load(px + c * plane + at, nil), load(py + c * plane + at, nil))
                acc = fma(gap, gap, acc)
            store(d + i * row + at, acc)
            store(t + i * row + at, nil)


@njit(**OPTIONS)
def wrap(d, shape, width, reach, nil):
    """Continue the rows of a buffer periodically, for circular convolutions."""
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    row = 4 * (vectors * lanes + 2 * REACH)
    for i in range(height):
        for o in range(reach):
            copy(d + i * row - 4 * (1 + o), d + i * row + 4 * (width - 1 - o))
            copy(d + i * row + 4 * (width + o), d + i * row + 4 * o)


@njit(**OPTIONS)
def across(d, t, hd, ht, reach, masks, borders, count, x, y, x_row, y_row, shape, di, tangent, nil):
    """Sum windows along rows.

    ``masks`` says which left and right neighbours are inside both images, for each offset. The first ``count`` of
    ``borders`` are those inside one image only: which (0 for x), column written, column of its variance read.
    """
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    padded, row = 4 * vectors * lanes, 4 * (vectors * lanes + 2 * REACH)
    for v in range(vectors):
        at = 4 * lanes * v
        for o in range(1, reach + 1):
            base_d, base_t = (d, t) if o == 1 else (hd, ht)
            left = load(masks + 2 * (o - 1) * padded + at, nil)
            right = load(masks + (2 * o - 1) * padded + at, nil)
            for i in range(height):
                p = at + i * row
                acc = load(base_d + p, nil)
                acc = add(acc, keep(load(d + p - 4 * o, nil), left))
                store(hd + p, add(acc, keep(load(d + p + 4 * o, nil), right)))
                if len(tangent):
                    acc = load(base_t + p, nil)
                    acc = add(acc, keep(load(t + p - 4 * o, nil), left))
                    store(ht + p, add(acc, keep(load(t + p + 4 * o, nil), right)))
    for n in range(count):
        target, source = hd + 4 * borders[n, 1], 4 * borders[n, 2]
        if borders[n, 0] == 0:
            source += x
            for i in range(height):
                add_at(target + i * row, source + i * x_row)
        else:
            source += y
            for i in range(height - di):
                add_at(target + i * row, source + (i + di) * y_row)
            for i in range(height - di, height):
                add_at(target + i * row, source + (i + di - height) * y_row)


@njit(**OPTIONS, forceinline=True)
def _neighbour(i, o, di, height, row, circular, hd, ht, nothing, sums):
    """Return the addresses of what row ``i + o`` adds to row ``i``, for D and for T."""
    p, q = i + o, _within(i + di, height) + o
    if circular:
        p = _within(p, height)
        return hd + p * row, ht + p * row
    if 0 <= p < height:
        if 0 <= q < height:
            return hd + p * row, ht + p * row
        return sums[0] + p * sums[1], nothing
    if 0 <= q < height:
        return sums[2] + q * sums[3], nothing
    return nothing, nothing


@njit(**OPTIONS)
def down(
    hd, ht, d, t, size, factor, trainable, relu, circular, nothing, sums, ax, ay, rx, ry, shape, di, tangent,
    constants, nil,
):  # fmt: skip
    """Sum windows along columns, add the layer's own covariance to T, and apply the ReLU that follows, if any.

    ``sums`` has address and bytes per row of the variances' window sums along rows, for x and y. Without a ReLU,
    ``ax`` and ``ay`` are variances.
    """
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    padded, row = 4 * vectors * lanes, 4 * (vectors * lanes + 2 * REACH)
    reach = size // 2
    scale, scaled = splat(factor, nil), factor != 1.0
    for i in range(height):
        d0, t0 = _neighbour(i, 0, di, height, row, circular, hd, ht, nothing, sums)
        d1, t1 = _neighbour(i, -1, di, height, row, circular, hd, ht, nothing, sums)
        d2, t2 = _neighbour(i, 1, di, height, row, circular, hd, ht, nothing, sums)
        px, py = i * padded, _within(i + di, height) * padded
        for v in range(vectors):
            at = 4 * lanes * v
            e, s = load(d0 + at, nil), nil
            if len(tangent):
                s = load(t0 + at, nil)
            if reach > 0:
                e = add(e, add(load(d1 + at, nil), load(d2 + at, nil)))
                if len(tangent):
                    s = add(s, add(load(t1 + at, nil), load(t2 + at, nil)))
            for o in range(2, reach + 1):
                for side in range(-1, 2, 2):
                    dn, tn = _neighbour(i, side * o, di, height, row, circular, hd, ht, nothing, sums)
                    e = add(e, load(dn + at, nil))
                    if len(tangent):
                        s = add(s, load(tn + at, nil))
            if scaled:
                e, s = mul(e, scale), mul(s, scale)
            a, b = load(ax + px + at, nil), load(ay + py + at, nil)
            if relu:
                rr = load(rx + px + at, nil)
                u, root, obtuse, product = half_relu(e, a, b, rr, load(ry + py + at, nil), constants, nil)
                e, s = relu_from(u, root, obtuse, product, e, s, trainable, constants, nil)
            elif trainable:
                s = add(s, sub(add(a, b), e))
            store(d + i * row + at, e)
            if len(tangent):
                store(t + i * row + at, s)


@njit(**OPTIONS)
def step(
    hd, ht, lines, nothing, sums, ax, ay, rx, ry, masks, borders, count, x, y, x_row, y_row, shape, di, tangent,
    constants, nil,
):  # fmt: skip
    """Do ``down`` of one 3 x 3 convolution (trained, with ReLU) and ``across`` of the next, in place and row by row.

    One tile instead of two then stays in cache beside the planes. Rows wait in ``lines``, two each of D and T, before
    they are summed along: their stores must have settled before they are read shifted.
    """
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    padded, row = 4 * vectors * lanes, 4 * (vectors * lanes + 2 * REACH)
    for i in range(height + 1):
        if i < height:
            d0, t0 = hd + i * row, ht + i * row
            d1, t1, d2, t2 = d0 - row, t0 - row, d0 + row, t0 + row
            if i == 0 or i == height - di:
                d1, t1 = _neighbour(i, -1, di, height, row, False, hd, ht, nothing, sums)
            if i == height - 1 or i == height - di - 1:
                d2, t2 = _neighbour(i, 1, di, height, row, False, hd, ht, nothing, sums)
            px, py = i * padded, _within(i + di, height) * padded
            line = lines + (i & 1) * row
            for v in range(vectors):
                at = 4 * lanes * v
                e, s = add(load(d0 + at, nil), add(load(d1 + at, nil), load(d2 + at, nil))), nil
                if len(tangent):
                    s = add(load(t0 + at, nil), add(load(t1 + at, nil), load(t2 + at, nil)))
                a, b, rr = load(ax + px + at, nil), load(ay + py + at, nil), load(rx + px + at, nil)
                u, root, obtuse, product = half_relu(e, a, b, rr, load(ry + py + at, nil), constants, nil)
                e, s = relu_from(u, root, obtuse, product, e, s, True, constants, nil)
                store(line + at, e)
                if len(tangent):
                    store(line + 2 * row + at, s)
        if i > 0:
            k = i - 1
            line, out = lines + (k & 1) * row, k * row
            for v in range(vectors):
                at = 4 * lanes * v
                left, right = load(masks + at, nil), load(masks + padded + at, nil)
                acc = add(load(line + at, nil), keep(load(line + at - 4, nil), left))
                store(hd + out + at, add(acc, keep(load(line + at + 4, nil), right)))
                if len(tangent):
                    acc = add(load(line + 2 * row + at, nil), keep(load(line + 2 * row + at - 4, nil), left))
                    store(ht + out + at, add(acc, keep(load(line + 2 * row + at + 4, nil), right)))
            rx_k, ry_k = x + k * x_row, y + _within(k + di, height) * y_row
            for n in range(count):
                source = rx_k if borders[n, 0] == 0 else ry_k
                add_at(hd + out + 4 * borders[n, 1], source + 4 * borders[n, 2])


@njit(**OPTIONS)
def activate(d, t, d_out, t_out, ax, ay, rx, ry, shape, di, tangent, constants, nil):
    """Apply a ReLU that does not follow a convolution."""
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    padded, row = 4 * vectors * lanes, 4 * (vectors * lanes + 2 * REACH)
    for i in range(height):
        px, py = i * padded, _within(i + di, height) * padded
        for v in range(vectors):
            at = 4 * lanes * v
            p = i * row + at
            e, s = load(d + p, nil), load(t + p, nil)
            a, b, rr = load(ax + px + at, nil), load(ay + py + at, nil), load(rx + px + at, nil)
            u, root, obtuse, product = half_relu(e, a, b, rr, load(ry + py + at, nil), constants, nil)
            e, s = relu_from(u, root, obtuse, product, e, s, False, constants, nil)
            store(d_out + p, e)
            if len(tangent):
                store(t_out + p, s)


@njit(**OPTIONS)
def weighted_sum(a, b, out, factor_a, factor_b, shape, nil):
    """Add two values, each brought to the unit of the sum."""
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    row = 4 * (vectors * lanes + 2 * REACH)
    fa, fb = splat(factor_a, nil), splat(factor_b, nil)
    for i in range(height):
        for v in range(vectors):
            at = i * row + 4 * lanes * v
            store(out + at, fma(load(a + at, nil), fa, mul(load(b + at, nil), fb)))


@njit(**OPTIONS)
def sum_of_tile(a, rows, columns, valid, shape, nil):
    """Return the sum over positions, each times the weights of its row and column.

    ``rows`` is an array, ``columns`` an address; ``valid`` masks the lanes beyond the image's width.
    """
    height, vectors, lanes = shape[0], len(shape[1]), lanes_of(nil)
    row = 4 * (vectors * lanes + 2 * REACH)
    acc = np.float64(0.0)
    for v in range(vectors):
        at = 4 * lanes * v
        column = nil
        for i in range(height):
            column = fma(load(a + i * row + at, nil), splat(rows[i], nil), column)
        acc += np.float64(total(mul(keep(column, load(valid + at, nil)), load(columns + at, nil))))
    return acc
