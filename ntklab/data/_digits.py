"""Handwritten digits that need no file: scikit-learn carries them."""

import numpy as np

from ntklab.data._arguments import checked_count, checked_seed
from ntklab.data._images import ImageData
from ntklab.errors import DataError, MissingExtraError


def load_digits(seed: int = 0, *, n_test: int = 297) -> ImageData:
    """Return scikit-learn's bundled 8x8 digits, split with a seed.

    The 1,797 images have no split of their own. The rows ``numpy.random.default_rng(seed).permutation(1797)``
    are drawn; the first `n_test` of them are the test images, the others the training images, each part in
    the original order. The default leaves 1,500 training images.

    Parameters
    ----------
    seed : int
        Seed of the split, not negative.
    n_test : int
        Number of test images, 0 to 1,796.

    Returns
    -------
    ImageData
        Images (n, 8, 8, 1), grey levels **0 to 16**; ``index_train`` and ``index_test`` are rows of
        scikit-learn's arrays.

    Raises
    ------
    InputError
        If `n_test` leaves no training image, or `seed` is negative.
    MissingExtraError
        If scikit-learn is not installed.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998 (its test part).

    Examples
    --------
    >>> load_digits()
    ImageData('scikit-learn digits, seed 0': 1500 training and 297 test images of 8x8x1 in 10 classes)
    """
    try:
        from ntklab.data import _sklearn_digits
    except ImportError as error:
        message = "the digits come with scikit-learn, which is not installed: run pip install 'ntklab[digits]'"
        raise MissingExtraError(message) from error
    values, labels = _sklearn_digits.bundled_digits()
    images = values.astype(np.uint8)[..., None]
    if not np.array_equal(images[..., 0], values) or images.max() > 16:
        raise DataError("scikit-learn's digits: found other values than the expected integers 0..16")
    n_test = checked_count("n_test", n_test, 0, len(images) - 1, "images beside one for training")
    order = np.random.default_rng(checked_seed(seed)).permutation(len(images))
    test, train = np.sort(order[:n_test]), np.sort(order[n_test:])
    return ImageData(
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
        class_names=tuple(map(str, range(10))),
        source=f"scikit-learn digits, seed {seed}",
        index_train=train,
        index_test=test,
    )
