"""What is done to pixels before a kernel sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ntklab.errors import InputError

# Images handled at once: their float64 copies stay in cache; those of a whole data set take gigabytes.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Standardiser:
    r"""Per-channel standardisation that was fitted to training images.

    .. math:: x \mapsto \frac{x / \mathrm{scale} - \mathrm{mean}_c}{\mathrm{std}_c}

    Mean and population standard deviation (divisor N, not N - 1) run over all pixels of all training images
    of channel c, computed in float64. With ``scale=255`` this is the preprocessing of Arora et al. 2019 [1]_.

    Parameters
    ----------
    mean, std : ndarray of float64, shape (C,)
        In units of `scale` grey levels, as the formula says.
    scale : float
        Grey levels that make 1.

    References
    ----------
    .. [1] S. Arora et al., "On exact computation with an infinitely wide neural net", NeurIPS 2019.

    Examples
    --------
    >>> x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    >>> fitted = Standardiser.fit(x)
    >>> fitted.mean, fitted.std
    (array([0.5]), array([0.5]))
    >>> fitted.apply(x).ravel()
    array([-1., 1.])
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    scale: float = 255.0

    @classmethod
    def fit(cls, x: ArrayLike, *, scale: float = 255.0) -> "Standardiser":
        """Measure mean and standard deviation of images (n, H, W, C).

        Raises
        ------
        InputError
            If `x` has another rank, no image, no real numbers or values that are not finite, if `scale` is
            not positive, or if a channel has one value throughout, so that its standard deviation is 0.
        """
        if not (np.isfinite(scale) and scale > 0):
            raise InputError(f"scale must be a positive number; got {scale!r}")
        images = checked_images(x)
        if images.size == 0:
            raise InputError(f"fitting needs at least one image; got shape {images.shape}")
        n_pixels = images.size // images.shape[-1]
        low = np.min([plane.min(axis=1) for plane in _planes(images)], axis=0)
        high = np.max([plane.max(axis=1) for plane in _planes(images)], axis=0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise InputError("the images hold values that are not finite; find them with numpy.isfinite and drop them")
        # Rounding leaves a constant channel a tiny positive std; its extremes are equal exactly.
        constant = np.flatnonzero(low == high)
        if constant.size:
            channel = constant[0]
            raise InputError(
                f"channel {channel} has the value {low[channel]} in all {n_pixels} pixels, so its standard "
                "deviation is 0 and cannot divide; leave that channel out"
            )
        mean = np.sum([plane.sum(axis=1) for plane in _planes(images)], axis=0) / n_pixels
        squares = [((plane - mean[:, None]) ** 2).sum(axis=1) for plane in _planes(images)]
        std = np.sqrt(np.sum(squares, axis=0) / n_pixels)
        return cls(np.asarray(mean / scale), np.asarray(std / scale), float(scale))

    def apply(self, x: ArrayLike, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Standardise images (n, H, W, C) with the fitted numbers; computed in float64, returned as `dtype`.

        Raises
        ------
        InputError
            If `x` is no array of images with the fitted number of channels, or `dtype` no floating one.
        """
        images, target = checked_images(x), floating(dtype)
        if images.shape[-1] != self.mean.size:
            raise InputError(f"fitted to {self.mean.size} channels; got images of shape {images.shape}")
        result = np.empty(images.shape, target)
        for k, chunk in enumerate(_chunks(images)):
            chunk /= self.scale
            chunk -= self.mean
            chunk /= self.std
            result[k * _CHUNK : k * _CHUNK + len(chunk)] = chunk
        return result


def standardise(
    train: ArrayLike, *others: ArrayLike, scale: float = 255.0, dtype: DTypeLike = np.float64
) -> tuple[NDArray[Any], ...]:
    """Standardise training images, and other images with the training images' numbers.

    Each channel is divided by `scale`, then the training mean is subtracted and the training standard
    deviation divided out: the preprocessing of Arora et al. 2019. :class:`Standardiser` has the formula, and
    keeps the numbers for images that come later.

    Parameters
    ----------
    train : array_like, shape (n, H, W, C)
        Images that mean and standard deviation are taken from.
    *others : array_like, shape (m, H, W, C)
        Images, of any number, that are treated alike.
    scale : float
        Grey levels that make 1. The result does not depend on it beyond rounding, as it divides out: 255 also
        serves the digits, whose grey levels end at 16.
    dtype : dtype
        Floating dtype of the results; the computation is in float64.

    Returns
    -------
    tuple of ndarray
        One array for `train` and each of `others`, in order, shapes unchanged.

    Raises
    ------
    InputError
        As :meth:`Standardiser.fit` and :meth:`Standardiser.apply`.

    Examples
    --------
    >>> x = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    >>> train, test = standardise(x, x[1:], dtype=np.float32)
    >>> train.ravel(), test.ravel()
    (array([-1., 1.], dtype=float32), array([1.], dtype=float32))
    """
    fitted = Standardiser.fit(train, scale=scale)
    return tuple(fitted.apply(x, dtype=dtype) for x in (train, *others))


def flatten_images(x: ArrayLike) -> NDArray[Any]:
    """Turn images (n, H, W, C) into rows (n, H * W * C), channels fastest; the dtype stays.

    Raises
    ------
    InputError
        If `x` is no array of images.

    Examples
    --------
    >>> flatten_images(np.zeros((5, 4, 4, 3), np.uint8)).shape
    (5, 48)
    """
    images = checked_images(x)
    return images.reshape(len(images), int(np.prod(images.shape[1:])))


def unit_norm(x: ArrayLike, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Divide each example (along axis 0) by its Euclidean norm over all other axes; computed in float64.

    Raises
    ------
    InputError
        If `x` has fewer than two axes or no real numbers, or an example has norm 0 or one that is not finite.

    Examples
    --------
    >>> unit_norm([[3.0, 4.0], [0.0, 2.0]])
    array([[0.6, 0.8],
           [0. , 1. ]])
    """
    target = floating(dtype)
    values = _real(x)
    if values.ndim < 2:
        raise InputError(f"unit_norm needs examples along axis 0 and at least one more axis; got {values.shape}")
    values = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported below, by its row
        norms = np.sqrt((values**2).sum(axis=tuple(range(1, values.ndim)), keepdims=True))
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        raise InputError(f"example {bad[0]} has the norm {norms.ravel()[bad[0]]}, which cannot divide; leave it out")
    return (values / norms).astype(target)


def _real(x: ArrayLike) -> NDArray[Any]:
    values = np.asarray(x)
    if values.dtype.kind not in "uif":
        raise InputError(f"needs an array of real numbers; got dtype {values.dtype}")
    return values


def checked_images(x: ArrayLike) -> NDArray[Any]:
    """Return images (n, H, W, C) as an array, or raise InputError."""
    images = _real(x)
    if images.ndim != 4 or images.shape[-1] == 0:
        raise InputError(f"needs images of shape (n, H, W, C); got shape {images.shape}")
    return images


def floating(dtype: DTypeLike) -> np.dtype[Any]:
    """Return a floating dtype, or raise InputError."""
    target = np.dtype(dtype)
    if target.kind != "f":
        raise InputError(f"dtype must be a floating one, as float32 or float64; got {target}")
    return target


def _chunks(images: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK].astype(np.float64)


def _planes(images: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    # NumPy sums a long contiguous axis pairwise: several times faster here, and with smaller rounding errors.
    for chunk in _chunks(images):
        yield np.ascontiguousarray(chunk.reshape(-1, images.shape[-1]).T)
