"""Programs for neural-tangents, run with ours; what the original returned is in ``golden.npz``.

``benchmarks/compat.py --golden`` writes that file, with neural-tangents 0.6.5 in an environment of its own.
"""

import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import ntklab.compat.neural_tangents as nt
from benchmarks.compat_functions import PROGRAMS as FUNCTIONS
from benchmarks.compat_layers import PROGRAMS as LAYERS

GOLDEN = Path(__file__).parent / "golden.npz"
FEW = (
    "activation_erf_0.8_1.2_0.3",
    "attention_positions_that_decay",
    "aggregate_sparse",
    "conv_channels_first",
    "dense_with_the_batch_last",
    "dot_general_right",
    "ensemble_at_the_end",
    "ensemble_at_times",
    "ensemble_of_positions",
    "gaussian_process_inference",
    "gradient_descent_mse_at_times",
    "gradient_descent_mse_of_positions",
    "gradient_descent_mse_to_the_end",
    "gradient_descent_mse_with_ridge",
    "kernel_object",
    "kernel_of_positions",
    "kernels_piece_by_piece",
    "largest_learning_rate",
    "masks_of_sequences",
    "outputs_of_a_residual_network",
)
"""Of those that compile quickly, what the others are made of."""
TOLERANCE = 1e-8
"""Its own kernels of ReLU networks carry 1e-9 where inputs nearly coincide."""
OF_ITS_ODE_SOLVER = 1e-6
"""Which works to 1.4e-8 per step; ours to 1e-10."""


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as found:
        return dict(found)


def run(name, golden):
    """Run a program, and compare all that it returns."""
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        warnings.catch_warnings(),
    ):
        found = (LAYERS | FUNCTIONS)[name](nt)
    expected = {key.partition("/")[2]: value for key, value in golden.items() if key.partition("/")[0] == name}
    assert set(found) == set(expected)
    assert expected
    for key, value in found.items():
        mine, theirs = np.asarray(str(value) if value is None else value), expected[key]
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), key
        if mine.dtype.kind == "f":
            tolerance = OF_ITS_ODE_SOLVER if key.startswith("ode_") else TOLERANCE
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * np.abs(theirs).max(), err_msg=key)
        else:
            assert (mine == theirs).all(), key


@pytest.mark.parametrize("name", FEW)
def test_a_program_returns_what_it_returned_there(name, golden):
    run(name, golden)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(LAYERS | FUNCTIONS) - set(FEW)))
def test_every_other_program_returns_what_it_returned_there(name, golden):
    run(name, golden)


def test_there_is_a_golden_value_of_every_program(golden):
    assert {key.partition("/")[0] for key in golden} == set(LAYERS | FUNCTIONS)
    assert len(LAYERS | FUNCTIONS) >= 60
