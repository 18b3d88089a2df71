"""CIFAR-10 in one NumPy archive: some images with exact pixels, or all of them as JPEG copies."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ntklab.data._fault import fault, read_class_names
from ntklab.data._images import ImageData
from ntklab.errors import DataError, MissingExtraError

SUBSET_FILE = "cifar10-exact-subset.npz"
JPEG_FILE = "cifar10-jpeg-full.npz"

_REMEDY = "Copy the file again, or name a directory with the original CIFAR-10 files."
_MOST_IMAGES = 60_000
_MOST_JPEG_BYTES = _MOST_IMAGES * 16_384


def npz_members(path: Path) -> set[str]:
    """Return the names of the arrays in an archive, or nothing if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def read_exact_subset(path: Path) -> ImageData:
    """Read ``x``, ``y`` and ``index`` of both parts and ``class_names``."""
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = _read(path, f"x_{part}", "u", 4, _MOST_IMAGES * 32 * 32 * 3)
        arrays[f"y_{part}"] = _read(path, f"y_{part}", "iu", 1, _MOST_IMAGES).astype(np.int64)
        arrays[f"index_{part}"] = _read(path, f"index_{part}", "iu", 1, _MOST_IMAGES).astype(np.int64)
    return _image_data(path, arrays, "CIFAR-10 exact subset")


def read_jpeg_copies(path: Path) -> ImageData:
    """Decode ``jpeg[offset[k]:offset[k + 1]]`` of both parts; needs Pillow, about ten seconds for 60,000."""
    try:
        from ntklab.data import _jpeg
    except ImportError as error:
        message = f"{path}: its images are JPEG copies, which Pillow decodes: run pip install 'ntklab[jpeg]'"
        raise MissingExtraError(message) from error
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        labels = _read(path, f"y_{part}", "iu", 1, _MOST_IMAGES).astype(np.int64)
        offsets = _read(path, f"offset_{part}", "iu", 1, _MOST_IMAGES + 1).astype(np.int64)
        jpeg = _read(path, f"jpeg_{part}", "u", 1, _MOST_JPEG_BYTES)
        ordered = offsets.size == labels.size + 1 and offsets[0] == 0 and bool(np.all(np.diff(offsets) > 0))
        if not ordered or offsets[-1] != jpeg.size:
            found = f"offset_{part} that does not divide the {jpeg.size:,} bytes of jpeg_{part}"
            expected = f"{labels.size + 1} rising numbers from 0 to {jpeg.size}, one more than labels"
            raise fault(path, found, expected, _REMEDY)
        try:
            arrays[f"x_{part}"] = _jpeg.decode_images(jpeg.tobytes(), offsets, (32, 32))
        except ValueError as error:
            raise fault(path, f"in jpeg_{part} {error}", "RGB JPEG images of 32x32", _REMEDY) from error
        arrays[f"y_{part}"] = labels
    return _image_data(path, arrays, "CIFAR-10 JPEG copies")


def _image_data(path: Path, arrays: dict[str, Any], source: str) -> ImageData:
    for name in ("x_train", "x_test"):
        if arrays[name].shape[1:] != (32, 32, 3):
            raise fault(path, f"{name!r} of shape {arrays[name].shape}", "shape (n, 32, 32, 3)", _REMEDY)
    names = read_class_names(path, list(map(str, _read(path, "class_names", "U", 1, 1000))), 10, _REMEDY)
    try:
        return ImageData(**arrays, class_names=names, source=source)
    except DataError as error:
        raise fault(path, f"arrays that do not fit together ({error})", "labelled images", _REMEDY) from error


def _read(path: Path, name: str, kinds: str, ndim: int, most: int) -> NDArray[Any]:
    """Read one array of an archive after its header alone has shown that kind, rank and size will do.

    `kinds` are NumPy's dtype kinds; ``u`` alone means uint8.
    """
    what = "a uint8" if kinds == "u" else "a text" if kinds == "U" else "an integer"
    expected = f"{what} array {name!r} of {ndim} dimension(s) and at most {most:,} elements"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = npy_format.read_magic(file)
            header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = header(file)
        # A header can claim any size, and NumPy allocates it before it reads.
        fits = dtype.kind in kinds and (kinds != "u" or dtype.itemsize == 1) and dtype.itemsize <= 1024
        if not fits or len(shape) != ndim or np.prod(shape, dtype=object) > most:
            raise fault(path, f"{name!r} with dtype {dtype} and shape {shape}", expected, _REMEDY)
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except DataError:
        raise
    except KeyError as error:
        held = ", ".join(sorted(npz_members(path))[:12]) or "nothing"
        raise fault(path, f"an archive that holds {held}", expected, _REMEDY) from error
    except Exception as error:  # a damaged archive can fail in any way, and each means the same to the caller
        found = f"an archive that cannot be read ({type(error).__name__}: {error})"
        raise fault(path, found, expected, _REMEDY) from error
