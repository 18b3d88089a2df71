"""Engines against the paper's recursion in NumPy: every entry, the diagonal included."""

import functools

import numpy as np
import pytest

import ntklab
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Relu, Serial
from ntklab.testing import Case, agreement, assert_close, cntk_cases, made_up_inputs, tolerance, window_cases
from tests.oracles import cntk_numpy

DTYPES = ("float64", "float32")
LARGE_BUT_QUICK = ("cntk(3, 'none')", "cntk(11, 'gap')")

_windows = window_cases()
# By default every padding and stride, with filters and readouts in turn; the rest in the slow lane.
_quick_windows = {_windows[6 * i + (2 * (i + i // 3) + i) % 6].name for i in range(9)}

POOLED = tuple(
    Case(
        f"pool {padding} inside",
        Serial(
            Conv(3, padding="SAME", W_std=1.3, b_std=0.3),
            Relu(),
            AvgPool((2, 3), strides=(1, 2), padding=padding),
            Conv((2, 1), padding=padding, W_std=1.3),
            Relu(),
            readout,
            Dense(W_std=0.7, b_std=0.2, trainable=False),
            Relu(),
            Dense(),
        ),
        (6, 7, 2),
        3,
    )
    for padding, readout in (("SAME", GlobalAvgPool()), ("VALID", Flatten()), ("CIRCULAR", GlobalAvgPool()))
)
FLAT = (
    Case("1-D", Serial(Conv((3,), strides=(2,), padding="SAME"), Relu(), Conv((2,), b_std=0.5), Flatten()), (9, 2), 4),
    Case("3-D", Serial(Conv((2, 3, 1), padding="CIRCULAR", b_std=0.1), Relu(), GlobalAvgPool()), (2, 4, 3, 1), 3),
    Case("dense", Serial(Dense(W_std=1.3, b_std=0.3), Relu(), Dense(trainable=False), Relu(), Dense()), (40,), 5),
)


def slow(case, dtype):
    """Whether another case has the same program, or the same in the other dtype."""
    if case in _windows:
        return case.name not in _quick_windows or (dtype == "float32" and "(2, 1)" not in case.name)
    if case in POOLED:
        return (dtype == "float32") != ("CIRCULAR" in case.name)
    if case.input_shape == (32, 32, 3):
        return not case.name.startswith(LARGE_BUT_QUICK) or (dtype == "float64" and "11" in case.name)
    return dtype == "float64" and case.name.startswith(("cntk(6", "cntk(11, 'none')"))


def lanes():
    for case in (*cntk_cases(8, 3), *_windows, *POOLED, *FLAT, *cntk_cases(32, 2)):
        for dtype in DTYPES:
            marks = [pytest.mark.slow] if slow(case, dtype) else []
            yield pytest.param(case, dtype, id=f"{case.name}-{dtype}", marks=marks)


@functools.cache
def oracle(case):
    digits = np.longdouble if case.input_shape[0] < 32 else np.float64
    return cntk_numpy.gram(cntk_numpy.of_spec(case.network), case.inputs, dtype=digits)


@pytest.mark.parametrize(("case", "dtype"), list(lanes()))
def test_every_entry_is_that_of_the_numpy_recursion(case, dtype):
    found = agreement(case, ntklab.compile(case.network, case.input_shape, dtype=dtype), oracle(case))
    print(found)
    assert found.error <= tolerance(dtype), found


@pytest.mark.parametrize("pooling", ["none", "gap"])
@pytest.mark.parametrize("depth", [2, 3, 11])
def test_the_oracle_of_the_paper_and_the_zoo_mean_the_same_network(depth, pooling):
    assert cntk_numpy.cntk(depth, pooling) == cntk_numpy.of_spec(ntklab.spec.zoo.cntk(depth, pooling))


@pytest.mark.parametrize("padding", ["SAME", "VALID", pytest.param("CIRCULAR", marks=pytest.mark.slow)])
def test_an_input_that_stands_in_both_sets_gives_the_diagonal_entry(padding):
    network = Serial(
        Conv(3, padding=padding, W_std=1.3), Relu(), AvgPool(2, padding=padding), Conv(1), Relu(), GlobalAvgPool()
    )
    x = made_up_inputs(3, (5, 5, 2))
    expected = cntk_numpy.gram(cntk_numpy.of_spec(network), x, x[1:], dtype=np.longdouble)
    kernel = ntklab.compile(network, (5, 5, 2), dtype="float64")(x, x[1:])
    assert_close(kernel.nngp, expected[0], tolerance("float64"))
    assert_close(kernel.ntk, expected[1], tolerance("float64"))
