"""CIFAR-10 from whichever of its forms lies in a directory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from ntklab.data import _cifar_binary, _cifar_npz, _cifar_python
from ntklab.data._images import ImageData
from ntklab.errors import DataError, InputError

CifarKind = Literal["auto", "python", "binary", "subset-npz", "jpeg-npz"]
"""The forms of CIFAR-10 that :func:`load_cifar10` reads; ``"auto"`` takes the first that is there."""

# Images in each of the six files of the python and binary versions.
_RECORDS_PER_FILE = 10_000

_FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "python": ("cifar-10-batches-py", (*_cifar_python.TRAIN_FILES, _cifar_python.TEST_FILE)),
    "binary": ("cifar-10-batches-bin", (*_cifar_binary.TRAIN_FILES, _cifar_binary.TEST_FILE)),
    "subset-npz": ("", (_cifar_npz.SUBSET_FILE,)),
    "jpeg-npz": ("", (_cifar_npz.JPEG_FILE,)),
}
_READERS: dict[str, Callable[[Path], ImageData]] = {
    "python": lambda folder: _cifar_python.read_python_version(folder, _RECORDS_PER_FILE),
    "binary": lambda folder: _cifar_binary.read_binary_version(folder, _RECORDS_PER_FILE),
    "subset-npz": _cifar_npz.read_exact_subset,
    "jpeg-npz": _cifar_npz.read_jpeg_copies,
}
_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")


def load_cifar10(path: str | os.PathLike[str], *, kind: CifarKind = "auto") -> ImageData:
    """Read CIFAR-10 [1]_ from a directory, in any of four forms.

    With ``kind="auto"`` the first form in this order of which any data file is there is read; the
    ``source`` of the result says which. A form that is there but incomplete is an error: the next one is
    never taken in its place.

    1. ``"python"``: ``data_batch_1`` to ``data_batch_5``, ``test_batch`` and ``batches.meta``, in `path` or
       in its folder ``cifar-10-batches-py``. These are pickles; they are read without running what they name.
    2. ``"binary"``: ``data_batch_1.bin`` to ``data_batch_5.bin``, ``test_batch.bin`` and
       ``batches.meta.txt``, in `path` or in its folder ``cifar-10-batches-bin``.
    3. ``"subset-npz"``: ``cifar10-exact-subset.npz``, some images of each original file with exact pixels.
    4. ``"jpeg-npz"``: ``cifar10-jpeg-full.npz``, all images as JPEG copies, which differ from the original
       pixels by about 8 grey levels; needs Pillow and some ten seconds.

    Parameters
    ----------
    path : str or path-like
        A directory, or one of the files above, which then settles the form.
    kind : {"auto", "python", "binary", "subset-npz", "jpeg-npz"}
        The form to read.

    Returns
    -------
    ImageData
        Images (n, 32, 32, 3) in RGB, 50,000 for training and 10,000 for test in the original order unless a
        subset was read; ``index_train`` and ``index_test`` are rows of the original data.

    Raises
    ------
    DataError
        If no form is there, or a file is missing, damaged or not what it should be; the message names the
        file, what was found, what was expected and what to do.
    InputError
        If `kind` is none of the above.
    MissingExtraError
        If JPEG copies are to be read and Pillow is not installed.

    References
    ----------
    .. [1] A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
       https://www.cs.toronto.edu/~kriz/cifar.html
    """
    if kind not in get_args(CifarKind):
        raise InputError(f"kind must be one of {', '.join(map(repr, get_args(CifarKind)))}; got {kind!r}")
    root = Path(path).expanduser()
    if root.is_dir():
        found_kind, place = _find(root, kind)
    elif root.exists():
        found_kind, place = _recognise(root)
        if kind not in ("auto", found_kind):
            raise DataError(f"{root}: found the form {found_kind!r}; expected {kind!r}. Name its directory instead.")
    else:
        raise DataError(f"{root}: found no such file or directory; expected CIFAR-10 there. {_advice()}")
    return _READERS[found_kind](place)


def _find(root: Path, kind: str) -> tuple[str, Path]:
    for form, (folder, files) in _FORMS.items():
        if kind not in ("auto", form):
            continue
        for place in dict.fromkeys((root, root / folder)):
            # One file is enough to mean this form: an incomplete original must be reported, not passed over.
            if any((place / name).exists() for name in files):
                return form, (place / files[0] if len(files) == 1 else place)
    wanted = "CIFAR-10 in any form" if kind == "auto" else f"CIFAR-10 in the form {kind!r}"
    packed = [name for name in _ARCHIVES if (root / name).exists()]
    found = f"{packed[0]}, still packed" if packed else "none of its files"
    advice = f"Unpack it: tar -xzf {packed[0]}" if packed else _advice()
    raise DataError(f"{root}: found {found}; expected {wanted}. {advice}")


def _recognise(file: Path) -> tuple[str, Path]:
    for form, (_, files) in _FORMS.items():
        if file.name in files:
            return form, (file if len(files) == 1 else file.parent)
    if file.name in _ARCHIVES:
        raise DataError(
            f"{file}: found an archive, still packed; expected what it holds. Unpack it: tar -xzf {file.name}"
        )
    members = _cifar_npz.npz_members(file)
    if "jpeg_train" in members:
        return "jpeg-npz", file
    if "x_train" in members:
        return "subset-npz", file
    raise DataError(f"{file}: found a file that is no form of CIFAR-10; expected a file or directory. {_advice()}")


def _advice() -> str:
    return (
        f"Get {_ARCHIVES[0]} or {_ARCHIVES[1]} from https://www.cs.toronto.edu/~kriz/cifar.html, "
        "unpack it, and name the directory that it makes."
    )
