"""Predictions and finite functions: what they refuse, and where they differ from the original on purpose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab.compat.neural_tangents as nt
from ntklab.errors import InputError

RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(7, 9))
K, K_TEST, Y = A[:5] @ A[:5].T, A[5:] @ A[:5].T, RANDOM.normal(size=(5, 2))
X = jnp.asarray(RANDOM.normal(size=(3, 2)))
W = jnp.asarray(RANDOM.normal(size=(2, 2)))


class Both(NamedTuple):
    """What a kernel function returns for both kernels."""

    nngp: jax.Array
    ntk: jax.Array


def linear(params, x):
    return x @ params


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nt.predict.gradient_descent_mse(K, Y)(1.0, None), "nothing to predict"),
        (lambda: nt.predict.gradient_descent_mse(K, Y)(1.0, None, 0.0), "need k_test_train"),
        (lambda: nt.predict.gradient_descent(lambda f, y: 0.0, K, Y)(None), "no known end"),
        (
            lambda: nt.predict.gradient_descent(lambda f, y: 0.0, K, Y, 1.0, 0.9)(1.0, nt.predict.ODEState(Y)),
            "all times",
        ),
        (lambda: nt.predict.gp_inference(K, Y)("ntk-gp"), "get is"),
        (lambda: nt.predict.gradient_descent_mse(K[None], Y), "even number of axes"),
        (lambda: jax.jit(lambda k: nt.predict.gradient_descent_mse(k, Y)(1.0))(K), "outside jax.jit"),
        (lambda: jax.jit(lambda p: nt.empirical_ntk_fn(linear)(X, None, p))(W), "outside jax.jit"),
        (lambda: nt.empirical_ntk_fn(linear, vmap_axes=(1, 0, {})), "along axis 0"),
        (lambda: nt.empirical_ntk_fn(linear, trace_axes=(-1,), diagonal_axes=(1,))(X, None, W), "in common"),
        (lambda: nt.empirical_ntk_fn(linear, diagonal_axes=(0,))(X, X[:2], W), "as many on both sides"),
        (lambda: nt.monte_carlo_kernel_fn(None, linear, jax.random.key(0), 0), "n_samples"),
        (lambda: nt.batch(linear, -1), "batch_size"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_way(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_ridge_holds_at_training_points_too():
    expected = K @ np.linalg.solve(K + 0.5 * np.eye(5), Y)
    options = {"diag_reg": 0.5, "diag_reg_absolute_scale": True}
    predict_fn = nt.predict.gradient_descent_mse(K, Y, **options)
    np.testing.assert_allclose(predict_fn(None, 0.0), expected, rtol=1e-10)
    np.testing.assert_allclose(predict_fn(1e9, 0.0), expected, rtol=1e-10)
    posterior = nt.predict.gp_inference(K, Y, **options)("nngp", None, K)
    np.testing.assert_allclose(posterior.mean, expected, rtol=1e-10)
    covariance = K - K @ np.linalg.solve(K + 0.5 * np.eye(5), K)
    np.testing.assert_allclose(posterior.covariance, covariance, atol=1e-10 * np.abs(K).max())


def test_results_have_the_dtype_of_the_kernel():
    predict_fn = nt.predict.gradient_descent_mse(K.astype(np.float32), Y)
    assert predict_fn(2.0).dtype == jnp.float32
    test = predict_fn(jnp.ones((2, 3)), None, 0.0, K_TEST.astype(np.float32))
    assert (test.shape, test.dtype) == ((2, 3, 2, 2), jnp.float32)


def test_an_ensemble_asks_for_training_kernels_once():
    asked = []

    def kernel_fn(x1, x2, get):
        asked.append((x2 is None, get))
        k = jnp.asarray(x1 @ (x1 if x2 is None else x2).T)
        return k if isinstance(get, str) else Both(k, k)

    predict_fn = nt.predict.gradient_descent_mse_ensemble(kernel_fn, A[:5], Y)
    for t in (None, 1.0, 2.0):
        predict_fn(t, A[5:])
    assert asked.count((True, ("nngp", "ntk"))) == 1


def test_batching_returns_the_kernel_function_itself():
    kernel_fn = nt.stax.Dense(1)[2]
    assert nt.batch(kernel_fn, 7) is kernel_fn
    np.testing.assert_allclose(nt.batch(nt.empirical_ntk_fn(linear), 2)(X, None, W), X @ X.T, rtol=1e-12)
