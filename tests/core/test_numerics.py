"""Numerics that several rooms share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab._core import safe_sqrt


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_safe_sqrt_is_the_square_root_of_positive_numbers(dtype):
    x = jnp.asarray([1e-30, 0.25, 2.0, 1e30], dtype)
    root = safe_sqrt(x)
    assert root.dtype == dtype
    np.testing.assert_array_equal(root, jnp.sqrt(x))


def test_safe_sqrt_takes_what_rounding_made_negative_for_zero():
    np.testing.assert_array_equal(safe_sqrt(jnp.asarray([0.0, -0.0, -1e-17, -1.0])), np.zeros(4))


@pytest.mark.parametrize("x", [0.0, -0.0, -1e-17])
def test_the_derivatives_of_safe_sqrt_at_and_below_zero_are_zero(x):
    first = jax.grad(safe_sqrt)
    assert first(x) == 0.0
    assert jax.grad(first)(x) == 0.0
    assert jax.jvp(safe_sqrt, (x,), (1.0,))[1] == 0.0


def test_the_derivative_of_safe_sqrt_above_zero_is_that_of_the_square_root():
    assert jax.grad(safe_sqrt)(4.0) == 0.25
    np.testing.assert_allclose(jax.grad(safe_sqrt)(1e-30), 0.5e15, rtol=1e-15)


def test_safe_sqrt_passes_nan_on_and_infinity():
    root = safe_sqrt(jnp.asarray([np.inf, np.nan]))
    assert np.isinf(root[0])
    assert root[1] == 0.0 or np.isnan(root[1])
