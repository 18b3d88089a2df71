"""JAX's 64-bit mode, where a type needs it."""

import jax
import numpy as np
import pytest

from ntklab._core import precision_for


@pytest.mark.parametrize(
    ("dtype", "double"),
    [("float64", True), (np.dtype("float64"), True), ("float32", False), (np.dtype("float32"), False)],
)
def test_double_precision_is_on_for_float64_alone(dtype, double):
    with jax.enable_x64(False), precision_for(dtype):
        assert jax.config.read("jax_enable_x64") == double


def test_another_type_leaves_the_mode_as_it_is():
    with jax.enable_x64(True), precision_for("float32"):
        assert jax.config.read("jax_enable_x64")
