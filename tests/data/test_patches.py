"""Responses to patches against their definition, position by position, and against mirrored images."""

import numpy as np
import pytest
import scipy.linalg

from ntklab.data import PatchFeatures
from ntklab.errors import InputError


def pictures(n=30, seed=0):
    """Images with strong correlations between neighbours."""
    raw = np.random.default_rng(seed).normal(size=(n, 9, 8, 2)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 20 * raw, 0, 255).astype(np.uint8)


def normalised(window):
    centred = window - window.mean()
    return centred / np.sqrt(window.var() + 10)


def test_each_response_is_the_cosine_like_product_of_whitened_windows():
    x, new = pictures(), pictures(2, seed=1)
    fitted = PatchFeatures.fit(x, count=6, size=3, threshold=0.3, regularisation=0.2)
    found = fitted.apply(new, dtype="float64")
    assert found.shape == (2, 7, 6, 12)
    # the whitening, measured again from all windows and their mirror images rather than from a sample of them
    windows = np.array([normalised(w) for w in every_window(x.astype(float), 3)])
    rows = np.concatenate([windows, windows[:, :, ::-1]]).reshape(-1, 18)
    whitening = scipy.linalg.inv(scipy.linalg.sqrtm(np.cov(rows.T, bias=True) + 0.2 * np.eye(18)))
    # filters are w(d_k) / |w(d_k)| with the whitening once more: of length 1 without it
    directions = np.linalg.solve(whitening, fitted.filters)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1, rtol=0.05)
    for image, row, column in ((0, 0, 0), (1, 6, 5), (1, 2, 4)):
        window = normalised(new[image, row : row + 3, column : column + 3].astype(float)).ravel()
        r = directions.T @ whitening @ (window - rows.mean(axis=0))
        expected = np.maximum(np.concatenate([r, -r]) - 0.3, 0)
        np.testing.assert_allclose(found[image, row, column], expected, atol=0.1)


def every_window(x, size):
    for image in x:
        for i in range(image.shape[0] - size + 1):
            for j in range(image.shape[1] - size + 1):
                yield image[i : i + size, j : j + size]


def test_products_of_filters_and_windows_are_exact():
    x = pictures(3)
    fitted = PatchFeatures.fit(x, count=4, size=3, threshold=0.0)
    found = fitted.apply(x, dtype="float64")
    window = normalised(x[2, 1:4, 2:5].astype(float)).ravel()
    r = window @ fitted.filters - fitted.offset
    np.testing.assert_allclose(found[2, 1, 2], np.maximum(np.concatenate([r, -r]), 0), atol=1e-12)
    np.testing.assert_allclose(fitted.apply(x), found, rtol=1e-6)
    assert fitted.apply(x).dtype == np.float32


def test_responses_of_training_windows_have_a_spread_of_about_one():
    x = pictures()
    r = PatchFeatures.fit(x, count=20, size=3, threshold=0.0, regularisation=1e-3).apply(x, dtype="float64")
    both = r[..., :20] - r[..., 20:]
    assert 0.7 < both.std() < 1.3
    assert abs(both.mean()) < 0.2


def test_a_mirrored_image_has_the_mirrored_responses_with_its_channels_in_another_order():
    x = pictures()
    fitted = PatchFeatures.fit(x, count=6, size=3)
    straight, mirrored = fitted.apply(x[:4], dtype="float64"), fitted.apply(x[:4, :, ::-1], dtype="float64")
    order = [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]
    np.testing.assert_allclose(mirrored, straight[:, :, ::-1][..., order], atol=1e-10)
    assert not np.allclose(mirrored, straight[:, :, ::-1])


def test_the_seed_alone_decides_the_patches():
    x = pictures()
    one, same, other = (PatchFeatures.fit(x, count=4, size=3, seed=seed).filters for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"count": 5}, "even"),
        ({"count": 0}, "2 at least"),
        ({"size": 0}, "1 at least"),
        ({"size": 9}, "need images as large"),
        ({"threshold": -1.0}, "0 or more"),
        ({"regularisation": 0.0}, "positive"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(options, needed):
    with pytest.raises(InputError, match=needed):
        PatchFeatures.fit(pictures(), **{"count": 4, "size": 3, **options})


def test_images_of_another_shape_and_flat_ones_are_refused():
    with pytest.raises(InputError, match="got none"):
        PatchFeatures.fit(pictures()[:0])
    with pytest.raises(InputError, match="flat"):
        PatchFeatures.fit(np.full((3, 6, 6, 1), 9, np.uint8), count=4, size=3)
    with pytest.raises(InputError, match="fitted to images of shape"):
        PatchFeatures.fit(pictures(), count=4, size=3).apply(pictures()[:, 1:])
