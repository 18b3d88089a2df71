"""Where half the digits go: inputs that are multiples of each other, whose kernels are known in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.spec import zoo

SCALES = np.array([0.3, 0.7, 1.0, 1.9, 3.0, -0.4, -1.3])


@pytest.mark.parametrize(("dtype", "engine"), [("float32", "simd"), ("float32", "reference"), ("float64", "reference")])
@pytest.mark.parametrize("depth", [2, 4])
def test_the_tangent_kernel_of_parallel_inputs_has_an_error_of_a_root_of_the_rounding_for_each_relu(
    depth, dtype, engine
):
    """Between c u and c' u of one sign every ReLU passes on or stops the same: K = 2 c c' |u|^2 / d, T = depth K."""
    u = np.random.default_rng(0).normal(size=5)
    x = SCALES[:, None] * u
    kernel = ntklab.compile(zoo.fc(depth), (5,), dtype=dtype, engine=engine)(x)
    same_side = np.outer(SCALES, SCALES) > 0.0
    exact = np.where(same_side, 2.0 * np.outer(SCALES, SCALES) * (u @ u) / 5.0, 0.0)
    size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    eps = float(jnp.finfo(dtype).eps)
    tangent = np.abs(np.asarray(kernel.ntk) - depth * exact)[same_side] / size[same_side]
    assert (tangent <= (depth - 1) * depth * np.sqrt(eps)).all()
    if depth == 2:  # a second ReLU correlates opposite inputs again
        assert (np.abs(np.asarray(kernel.nngp) - exact) <= 20.0 * eps * size).all()
