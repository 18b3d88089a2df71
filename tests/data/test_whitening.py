"""Whitening against its definition: by another decomposition, by moments, and by what no whitening may move."""

import numpy as np
import pytest
import scipy.linalg

from ntklab.data import Whitener
from ntklab.errors import InputError


def pictures(n=1500, seed=0):
    """Images with strong correlations between neighbours; more than are handled at once."""
    raw = np.random.default_rng(seed).normal(size=(n, 4, 5, 2)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 20 * raw, 0, 255).astype(np.uint8)


def rows(x):
    flat = x.reshape(len(x), -1).astype(float)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


@pytest.mark.parametrize(("regularisation", "n"), [(1e-6, 1500), (0.1, 1500), (3.0, 40), (0.1, 39), (1e-3, 2)])
def test_it_is_the_inverse_square_root_of_the_regularised_covariance(regularisation, n):
    x, new = pictures(n), pictures(7, seed=1)
    flat = rows(x)
    covariance = np.cov(flat.T, bias=True)
    shifted = covariance + regularisation * np.trace(covariance) / 40 * np.eye(40)
    expected = (rows(new) - flat.mean(axis=0)) @ scipy.linalg.inv(scipy.linalg.sqrtm(shifted))
    found = Whitener.fit(x, regularisation=regularisation).apply(new)
    assert found.shape == new.shape
    np.testing.assert_allclose(found.reshape(7, -1), expected, rtol=1e-7, atol=1e-9)


def test_training_images_come_out_white_but_for_their_own_mean():
    white = Whitener.fit(pictures(), regularisation=1e-9).apply(pictures()).reshape(-1, 40)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-8)
    eigenvalues = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    assert eigenvalues[0] < 1e-3  # the direction of an image's mean is empty
    np.testing.assert_allclose(eigenvalues[1:], 1, atol=1e-4)


def test_brightness_and_contrast_do_not_matter_and_float32_is_the_rounding():
    x = pictures()
    fitted = Whitener.fit(x)
    np.testing.assert_allclose(fitted.apply(3.0 * x + 7.0), fitted.apply(x), rtol=1e-9, atol=1e-11)
    single = fitted.apply(x[:3], dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, fitted.apply(x[:3]).astype(np.float32))
    assert fitted.apply(x[:0]).shape == (0, 4, 5, 2)


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        (lambda x: Whitener.fit(x, regularisation=0.0), "positive share"),
        (lambda x: Whitener.fit(x[0]), "images of shape"),
        (lambda x: Whitener.fit(x[:1]), "two images"),
        (lambda x: Whitener.fit(np.concatenate([x, 0 * x[:1]])), "image 1500 has one value"),
        (lambda x: Whitener.fit(x).apply(x[:, 1:]), "fitted to images of shape"),
        (lambda x: Whitener.fit(x).apply(x, dtype=int), "floating"),
    ],
)
def test_what_cannot_be_whitened_is_refused(call, needed):
    with pytest.raises(InputError, match=needed):
        call(pictures())
