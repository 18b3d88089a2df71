"""The one value that every reader returns: labelled images with a training and a test part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ntklab.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """Labelled images, split into a training and a test part; checked when it is made.

    The arrays are held as read-only views, so a value can be shared without being changed by accident;
    copy an array to write to it. Two values compare equal only if they are the same object.

    Parameters
    ----------
    x_train : ndarray of uint8, shape (n_train, H, W, C)
        Training pixels in grey levels, channels last.
    y_train : ndarray of int64, shape (n_train,)
        Training labels, ``0 <= label < len(class_names)``.
    x_test : ndarray of uint8, shape (n_test, H, W, C)
        Test pixels; ``n_test`` may be 0.
    y_test : ndarray of int64, shape (n_test,)
        Test labels.
    class_names : tuple of str
        The name of each label, all different.
    source : str
        What was read, for the record of a run, for example ``"CIFAR-10 python version"``.
    index_train, index_test : ndarray of int64, shapes (n_train,) and (n_test,)
        The row of each image in the original data, without repeats. ``arange`` when not given.

    Raises
    ------
    DataError
        If a shape, dtype, label, class name or row number does not fit the above.

    Examples
    --------
    >>> x = np.zeros((2, 4, 4, 1), np.uint8)
    >>> ImageData(x, np.array([0, 1]), x[:1], np.array([1]), ("cat", "dog"), "made up")
    ImageData('made up': 2 training and 1 test images of 4x4x1 in 2 classes)
    """

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    source: str
    # None is only a way to ask for arange: both are arrays once the value is made.
    index_train: NDArray[np.int64] = None  # pyright: ignore[reportAssignmentType]
    index_test: NDArray[np.int64] = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        names = self.class_names
        if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
            raise DataError(f"class_names must be a tuple of non-empty strings; got {names!r}")
        if not names or len(set(names)) != len(names):
            raise DataError(f"class_names must hold at least one name and no repeats; got {names!r}")
        if not isinstance(self.source, str) or not self.source:
            raise DataError(f"source must say what was read, as a non-empty string; got {self.source!r}")
        for part in ("train", "test"):
            n = _check_images(f"x_{part}", getattr(self, f"x_{part}"))
            _check_labels(f"y_{part}", getattr(self, f"y_{part}"), n, len(names))
            if getattr(self, f"index_{part}") is None:
                object.__setattr__(self, f"index_{part}", np.arange(n, dtype=np.int64))
            _check_rows(f"index_{part}", getattr(self, f"index_{part}"), n)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"x_train and x_test must hold images of one shape (H, W, C); "
                f"got {self.x_train.shape[1:]} and {self.x_test.shape[1:]}"
            )
        for field in ("x_train", "y_train", "x_test", "y_test", "index_train", "index_test"):
            view = getattr(self, field).view()
            view.flags.writeable = False
            object.__setattr__(self, field, view)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.image_shape))
        return (
            f"ImageData({self.source!r}: {len(self.x_train)} training and {len(self.x_test)} test images "
            f"of {size} in {len(self.class_names)} classes)"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        _, height, width, channels = self.x_train.shape
        return height, width, channels


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    return f"a {type(value).__name__}"


def _check_images(name: str, x: object) -> int:
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 4:
        raise DataError(f"{name} must be a uint8 array of shape (n, H, W, C); got {_describe(x)}")
    if 0 in x.shape[1:]:
        raise DataError(f"{name} must hold images of at least one pixel and channel; got shape {x.shape}")
    return len(x)


def _check_labels(name: str, y: object, n: int, n_classes: int) -> None:
    if not isinstance(y, np.ndarray) or y.dtype != np.int64 or y.shape != (n,):
        raise DataError(f"{name} must be an int64 array of shape ({n},), as the images; got {_describe(y)}")
    outside = np.flatnonzero((y < 0) | (y >= n_classes))
    if outside.size:
        row = outside[0]
        raise DataError(f"{name} must hold labels 0..{n_classes - 1}; got {y[row]} in row {row}")


def _check_rows(name: str, rows: object, n: int) -> None:
    if not isinstance(rows, np.ndarray) or rows.dtype != np.int64 or rows.shape != (n,):
        raise DataError(f"{name} must be an int64 array of shape ({n},), as the images; got {_describe(rows)}")
    if n and (rows.min() < 0 or np.unique(rows).size != n):
        raise DataError(f"{name} must hold row numbers of the original data: not negative, no repeats")
