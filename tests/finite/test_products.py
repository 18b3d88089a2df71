"""Products and spectra without a matrix, against the matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError
from ntklab.finite import empirical_ntk, network, ntk_product, ntk_spectrum, parameter_gram_product
from ntklab.spec import zoo


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def f(params, x):
    return jnp.tanh(x @ params["W"]) @ params["V"]


PARAMS = {"W": jnp.asarray(draw(0, 3, 5)), "V": jnp.asarray(draw(1, 5, 2))}
X1, X2 = draw(2, 7, 3), draw(3, 4, 3)


@pytest.mark.parametrize("batch", [2, 128])
def test_the_product_is_that_of_the_matrix(batch):
    rectangular = empirical_ntk(f, PARAMS, X1, X2, outputs="full")
    v2, v1 = draw(4, 4, 2), draw(5, 7, 2)
    found = ntk_product(f, PARAMS, X1, v2, X2, batch=batch)
    np.testing.assert_allclose(found, np.einsum("nmab,mb->na", rectangular, v2), rtol=1e-11)
    square = empirical_ntk(f, PARAMS, X1, outputs="full")
    found = ntk_product(f, PARAMS, X1, v1, batch=batch)
    np.testing.assert_allclose(found, np.einsum("nmab,mb->na", square, v1), rtol=1e-11)


def test_the_other_gram_matrix_is_that_of_the_jacobian():
    jacobian = jax.jacrev(lambda p: f(p, X1))(PARAMS)
    flat = np.concatenate([np.reshape(jacobian[name], (14, -1)) for name in ("V", "W")], axis=1)
    u = jax.tree.map(lambda leaf: jnp.asarray(draw(6, *leaf.shape)), PARAMS)
    vector = np.concatenate([np.ravel(u["V"]), np.ravel(u["W"])])
    for batch in (3, 128):
        product = parameter_gram_product(f, PARAMS, X1, u, batch=batch)
        found = np.concatenate([np.ravel(product["V"]), np.ravel(product["W"])])
        np.testing.assert_allclose(found, flat.T @ (flat @ vector), rtol=1e-11)


def test_the_spectrum_is_the_upper_end_of_that_of_the_matrix():
    net = network(zoo.fc(2, width=32), (3,), outputs=2, dtype="float64")
    params = net.init(jax.random.key(0))
    matrix = empirical_ntk(net, params, X1, outputs="full").transpose(0, 2, 1, 3).reshape(14, 14)
    spectrum = ntk_spectrum(net, params, X1, 5, tolerance=1e-10, batch=3)
    np.testing.assert_allclose(spectrum.eigenvalues, np.linalg.eigvalsh(matrix)[:-6:-1], rtol=1e-9)
    vectors = spectrum.eigenvectors.reshape(5, 14)
    np.testing.assert_allclose(matrix @ vectors.T, vectors.T * spectrum.eigenvalues, atol=1e-6)
    assert spectrum.eigenvectors.shape == (5, 7, 2)
    assert spectrum.products > 5


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        (
            lambda: ntk_product(f, PARAMS, X1, np.ones((7, 3))),
            r"shape of the outputs, \(7, 2\), got \(7, 3\)",
        ),
        (lambda: ntk_product(f, PARAMS, X1, np.ones((7, 2)), batch=0), "batch is a positive integer, got 0"),
        (lambda: parameter_gram_product(f, PARAMS, X1, {"W": np.ones(3)}), "u has the form of the parameters"),
        (lambda: ntk_spectrum(f, PARAMS, X1, 14), "k is an integer from 1 to 13, below the size 14"),
        (lambda: ntk_spectrum(f, PARAMS, X1, 2, tolerance=2.0), "tolerance is a number between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, needed):
    with pytest.raises(InputError, match=needed):
        call()
