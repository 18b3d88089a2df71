"""Sliding windows against loops that visit every position and every tap."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.kernel import Window, _windows
from ntklab.testing import assert_close, made_up_inputs


def taps(n, k, s, padding):
    """For each window along an axis: the positions under its taps, None outside."""
    count = (n - k) // s + 1 if padding == "VALID" else math.ceil(n / s)
    before = 0 if padding == "VALID" else max((count - 1) * s + k - n, 0) // 2
    rows = []
    for i in range(count):
        at = [i * s - before + o for o in range(k)]
        rows.append([a % n if padding == "CIRCULAR" else (a if 0 <= a < n else None) for a in at])
    return rows


def windows(spatial, window):
    """For each window: the list of positions under its taps, None outside, taps in the same order everywhere."""
    axes = [taps(n, k, s, window.padding) for n, k, s in zip(spatial, window.sizes, window.strides, strict=True)]
    for corner in itertools.product(*axes):
        yield [None if None in tap else tap for tap in itertools.product(*corner)]


def counts(spatial, window):
    return tuple(
        len(taps(n, k, s, window.padding)) for n, k, s in zip(spatial, window.sizes, window.strides, strict=True)
    )


def moved_together(a, spatial, window, groups):
    """sum_o a[p + o] or sum_o a[p + o, q + o], with zeros outside."""
    out = []
    every = list(windows(spatial, window))
    for corner in itertools.product(every, repeat=groups):
        total = np.zeros(a.shape[0])
        for places in zip(*corner, strict=True):
            if None not in places:
                total = total + a[(slice(None), *itertools.chain(*places))]
        out.append(total)
    return np.array(out).T.reshape((a.shape[0], *counts(spatial, window) * groups))


def moved_apart(a, spatial, window, groups):
    """The mean over all combinations of taps of the windows around each position."""
    out = []
    every = list(windows(spatial, window))
    for corner in itertools.product(every, repeat=groups):
        total = np.zeros(a.shape[0])
        for places in itertools.product(*corner):
            if None not in places:
                total = total + a[(slice(None), *itertools.chain(*places))]
        out.append(total / math.prod(window.sizes) ** groups)
    return np.array(out).T.reshape((a.shape[0], *counts(spatial, window) * groups))


CASES = [
    ((7,), (3,), (1,)),
    ((7,), (2,), (2,)),
    ((6,), (4,), (3,)),
    ((2,), (5,), (1,)),
    ((4, 5), (3, 3), (1, 1)),
    ((4, 5), (3, 2), (1, 2)),
    ((5, 4), (2, 1), (2, 2)),
    ((4, 3), (4, 3), (1, 1)),
    ((3, 2, 3), (2, 2, 1), (1, 1, 2)),
]


PADDED_CASES = [
    (*case, padding)
    for case in CASES
    for padding in ("SAME", "VALID", "CIRCULAR")
    if padding != "VALID" or all(n >= k for n, k in zip(case[0], case[1], strict=True))
]


@pytest.mark.parametrize(("spatial", "sizes", "strides", "padding"), PADDED_CASES)
@pytest.mark.parametrize("groups", [1, 2])
def test_sliding_sums_and_means_are_those_of_loops(spatial, sizes, strides, padding, groups):
    window = Window(sizes, strides, padding)
    a = made_up_inputs(2, spatial * groups)
    padded = _windows.pad(jnp.asarray(a), spatial, window, groups)
    for ours, loops in ((_windows.together, moved_together), (_windows.apart, moved_apart)):
        expected = loops(a, spatial, window, groups)
        found = jax.jit(ours, static_argnums=(1, 2))(padded, window, groups)  # one program, not one for each slice
        assert_close(found, expected, 1e-14, scale=float(np.abs(a).max()) * math.prod(sizes))


@pytest.mark.parametrize(("spatial", "sizes", "strides", "padding"), PADDED_CASES)
def test_outside_marks_exactly_the_padding(spatial, sizes, strides, padding):
    window = Window(sizes, strides, padding)
    beyond = _windows.outside(spatial, window)
    amounts = _windows.pad_amounts(spatial, window)
    assert beyond.shape == tuple(n + sum(pads) for n, pads in zip(spatial, amounts, strict=True))
    if padding == "CIRCULAR":  # every position of the padding is one of the image
        assert not beyond.any()
        return
    assert (~beyond).sum() == math.prod(spatial)
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(spatial, amounts, strict=True))
    assert not beyond[inside].any()


@pytest.mark.parametrize("spatial", [(), (3,), (2, 3), (2, 1, 3)])
def test_diagonal_keeps_equal_positions(spatial):
    a = made_up_inputs(2, spatial * 2)
    kept = np.asarray(_windows.diagonal(jnp.asarray(a), len(spatial)))
    assert kept.shape == (2, *spatial)
    for p in itertools.product(*map(range, spatial)):
        np.testing.assert_array_equal(kept[(slice(None), *p)], a[(slice(None), *p, *p)])


def test_a_window_that_needs_no_padding_leaves_the_array_alone():
    a = jnp.ones((2, 4, 4))
    assert _windows.pad(a, (4, 4), Window((1, 1), (1, 1), "SAME"), 1) is a
    assert _windows.pad(a, (4, 4), Window((3, 3), (1, 1), "VALID"), 1) is a
