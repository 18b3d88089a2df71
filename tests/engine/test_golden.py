"""The golden values that ship with the package: where they come from, and that engines reach them."""

import numpy as np
import pytest

import ntklab
from ntklab.testing import assert_close, golden_cases, tolerance
from tests.oracles import cntk_numpy

CASES = {case.name: case for case in golden_cases()}


@pytest.mark.parametrize("name", CASES)
def test_golden_values_are_what_the_numpy_oracle_gives(name):
    case = CASES[name]
    digits = np.longdouble if np.finfo(np.longdouble).eps < 1e-18 else np.float64
    nngp, ntk = cntk_numpy.gram(cntk_numpy.of_spec(case.spec), case.inputs, dtype=digits)
    allowed = 2.3e-16 if digits is np.longdouble else 1e-13
    assert_close(case.nngp, nngp, allowed, what="nngp")
    assert_close(case.ntk, ntk, allowed, what="ntk")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_the_package_reaches_the_golden_values(name, dtype):
    case = CASES[name]
    kernel = ntklab.compile(case.spec, case.inputs.shape[1:], dtype=dtype)(case.inputs)
    assert_close(kernel.nngp, case.nngp, tolerance(dtype), what="nngp")
    assert_close(kernel.ntk, case.ntk, tolerance(dtype), what="ntk")


def test_golden_values_are_positive_symmetric_and_unlike_one_another():
    for case in CASES.values():
        for matrix in (case.nngp, case.ntk):
            assert matrix.shape == (3, 3)
            assert matrix.dtype == np.float64
            np.testing.assert_array_equal(matrix, matrix.T)
            assert np.linalg.eigvalsh(matrix).min() > 0
    assert len({float(case.ntk[0, 1]) for case in CASES.values()}) == len(CASES)
