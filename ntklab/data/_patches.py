"""Responses of images to random patches of training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ntklab.data._preprocess import checked_images, floating
from ntklab.errors import InputError

_CHUNK = 16
_FLOOR = 10.0
"""Added to the variance of a patch in grey levels, so that flat patches stay small: Coates et al.'s choice."""
_SAMPLE = 20_000
"""Patches that the whitening is fitted to."""


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    r"""Images as their responses to random patches of training images, at every position: a fixed first layer.

    With a window :math:`p` of the image, without its mean and divided by :math:`\sqrt{\operatorname{var} p + 10}`, and
    the whitening :math:`w` of such windows, two channels for each of ``count`` patches :math:`d_k` are

    .. math:: \max(r_k - \tau, 0), \quad \max(-r_k - \tau, 0), \quad r_k = \frac{w(d_k)^\top w(p)}{\lVert w(d_k) \rVert}

    Half of the patches are mirror images of the other half, so that a mirrored image has the mirrored responses, with
    channels in another order, of which no kernel knows.

    Parameters
    ----------
    filters : ndarray of float64, shape (size * size * C, count)
        What windows without their mean are multiplied by, whitening included.
    offset : ndarray of float64, shape (count,)
        What is taken off then: the responses of the mean window.
    shape : tuple of int
        ``(H, W, C)`` of the images.
    size : int
        Of patches, along both axes.
    threshold : float
        :math:`\tau`.

    References
    ----------
    A. Coates, H. Lee, A. Ng, "An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011.
    A. Coates, A. Ng, "The importance of encoding versus training with sparse coding and vector quantization", ICML
    2011, for random patches and the threshold. Z. Li et al., "Enhanced convolutional neural tangent kernels", 2019, who
    put them in front of CNTKs.

    Examples
    --------
    >>> x = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    >>> PatchFeatures.fit(x, count=10, size=5).apply(x).shape
    (50, 4, 4, 20)
    """

    filters: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, ...]
    size: int
    threshold: float

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        *,
        count: int = 64,
        size: int = 5,
        threshold: float = 0.25,
        regularisation: float = 0.1,
        seed: int = 0,
    ) -> PatchFeatures:
        """Draw patches of images (n, H, W, C), and fit the whitening to more of them.

        Parameters
        ----------
        x : array_like, shape (n, H, W, C)
            Grey levels, 0 to 255.
        count : int
            Even: half are drawn, half are their mirror images.
        size : int
            Of patches.
        threshold : float
            What responses lose; they have a standard deviation of about 1.
        regularisation : float
            Added to the eigenvalues of the windows' covariance.
        seed : int
            Of all draws.

        Raises
        ------
        InputError
            ``x`` is no array of images at least as large as the patches; a number is not as described.

        Notes
        -----
        Cost: of fitting, 20,000 windows of ``size**2 C`` numbers; of applying, ``size**2 C count`` multiply-adds for
        each position.
        """
        images = checked_images(x)
        if not len(images):
            raise InputError("fitting needs an image at least; got none")
        for name, value, least in (("count", count, 2), ("size", size, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} is an integer of {least} at least, got {value!r}.")
        if count % 2:
            raise InputError(f"count is even, as every patch comes with its mirror image; got {count}.")
        if size > min(images.shape[1:3]):
            raise InputError(f"patches of {size} x {size} need images as large, these are {images.shape[1:3]}.")
        if not 0 <= threshold < np.inf or not 0 < regularisation < np.inf:
            raise InputError(
                f"threshold is 0 or more and regularisation positive, got {threshold!r} and {regularisation!r}."
            )
        rng = np.random.default_rng(seed)
        windows = _normalised(_draw(rng, images, size, _SAMPLE // 2))
        both = np.concatenate([windows, windows[:, :, ::-1]]).reshape((2 * len(windows), -1))
        mean = both.mean(axis=0)
        values, vectors = np.linalg.eigh((both - mean).T @ (both - mean) / len(both))
        whitening = (vectors / np.sqrt(np.maximum(values, 0.0) + regularisation)) @ vectors.T
        drawn = _normalised(_draw(rng, images, size, count // 2))
        patches = np.concatenate([drawn, drawn[:, :, ::-1]]).reshape((count, -1))
        directions = (patches - mean) @ whitening
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        if not lengths.all():
            raise InputError("a patch drawn is the mean of all: these images are flat; leave flat images out")
        filters = whitening @ (directions / lengths).T
        return cls(filters, mean @ filters, images.shape[1:], size, threshold)

    def apply(self, x: ArrayLike, *, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return responses (n, H - size + 1, W - size + 1, 2 count); computed in float64, returned as ``dtype``.

        Raises
        ------
        InputError
            ``x`` is no array of images of the fitted shape, or ``dtype`` is no floating one.
        """
        images, target = checked_images(x), floating(dtype)
        if images.shape[1:] != self.shape:
            raise InputError(f"fitted to images of shape {self.shape}; got {images.shape[1:]}")
        height, width = (n - self.size + 1 for n in self.shape[:2])
        count = self.filters.shape[1]
        result = np.empty((len(images), height, width, 2 * count), target)
        for start in range(0, len(images), _CHUNK):
            part = images[start : start + _CHUNK].astype(np.float64)
            windows = np.lib.stride_tricks.sliding_window_view(part, (self.size, self.size), axis=(1, 2))
            rows = _normalised(np.moveaxis(windows, 3, -1).reshape((-1, self.size, self.size, self.shape[2])))
            responses = rows.reshape((len(rows), -1)) @ self.filters - self.offset
            both = np.concatenate([responses, -responses], axis=1) - self.threshold
            result[start : start + _CHUNK] = np.maximum(both, 0.0).reshape((-1, height, width, 2 * count))
        return result


def _draw(rng: np.random.Generator, images: NDArray[Any], size: int, count: int) -> NDArray[np.float64]:
    """Return windows at random places of random images, (count, size, size, C)."""
    of = rng.integers(len(images), size=count)
    top, left = (rng.integers(n - size + 1, size=count) for n in images.shape[1:3])
    at = np.arange(size)
    rows, columns = top[:, None] + at, left[:, None] + at
    return images[of[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float64)


def _normalised(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take from each window its mean, and divide by its standard deviation."""
    axes = tuple(range(1, windows.ndim))
    centred = windows - windows.mean(axis=axes, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axes, keepdims=True) + _FLOOR)
