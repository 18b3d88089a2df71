"""CIFAR-10, python version: pickled dictionaries of uint8 rows, written by Python 2."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ntklab.data._fault import fault, read_bounded, read_class_names
from ntklab.data._images import ImageData
from ntklab.data._restricted_pickle import parse_pickle

TRAIN_FILES = tuple(f"data_batch_{k}" for k in range(1, 6))
TEST_FILE = "test_batch"
META_FILE = "batches.meta"

_PIXELS = 32 * 32 * 3
_REMEDY = "Unpack the original archive cifar-10-python.tar.gz again and name its directory."
# A record beside its pixels: a label, and a file name with its opcodes; the published files need 32 bytes.
_MOST_EXTRA_PER_RECORD = 256
_MOST_META = 65_536


def read_python_version(folder: Path, records: int) -> ImageData:
    """Read the six batches of `records` images each, and the class names, from one directory."""
    names = _read_meta(folder / META_FILE)
    x_train = np.empty((len(TRAIN_FILES) * records, 32, 32, 3), np.uint8)
    y_train = np.empty(len(x_train), np.int64)
    for k, name in enumerate(TRAIN_FILES):
        rows = slice(k * records, (k + 1) * records)
        x_train[rows], y_train[rows] = _read_batch(folder / name, records, len(names))
    x_test, y_test = _read_batch(folder / TEST_FILE, records, len(names))
    return ImageData(x_train, y_train, np.ascontiguousarray(x_test), y_test, names, "CIFAR-10 python version")


def _read_batch(path: Path, records: int, n_classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    expected = (
        f"a CIFAR-10 python batch: a pickled dictionary with 'labels', a list of {records} integers, "
        f"and 'data', a uint8 array of shape ({records}, {_PIXELS})"
    )
    most = records * (_PIXELS + _MOST_EXTRA_PER_RECORD) + 4096
    content = read_bounded(path, most, expected, _REMEDY)
    if len(content) < records * _PIXELS:
        raise fault(path, f"a file of {len(content):,} bytes, truncated or no batch", expected, _REMEDY)
    batch = parse_pickle(path, content, expected, _REMEDY)
    if not {"labels", "data"} <= batch.keys():
        keys = ", ".join(sorted(repr(key[:40]) for key in batch)[:12]) or "none"
        hint = " (this looks like CIFAR-100)" if "fine_labels" in batch else ""
        raise fault(path, f"the keys {keys}{hint}", expected, _REMEDY)
    data, labels = batch["data"], batch["labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        raise fault(path, f"'data' that is a {type(data).__name__}, no uint8 array", expected, _REMEDY)
    if data.shape != (records, _PIXELS):
        raise fault(path, f"'data' of shape {data.shape}", expected, _REMEDY)
    if not isinstance(labels, list):
        raise fault(path, f"'labels' that is a {type(labels).__name__}", expected, _REMEDY)
    if len(labels) != records:
        raise fault(path, f"{len(labels)} labels for {records} images", expected, _REMEDY)
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < n_classes:
            shown = label if type(label) is int else f"of type {type(label).__name__}"
            raise fault(path, f"the label {shown} in row {row}", f"labels 0..{n_classes - 1}", _REMEDY)
    # A row is three planes, red, green and blue, each row by row.
    images = data.reshape(records, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(labels, np.int64)


def _read_meta(path: Path) -> tuple[str, ...]:
    expected = "a pickled dictionary with 'label_names', a list of 10 strings"
    content = read_bounded(path, _MOST_META, expected, _REMEDY)
    names = parse_pickle(path, content, expected, _REMEDY).get("label_names")
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise fault(path, "no list of strings under 'label_names'", expected, _REMEDY)
    text = [name.decode("latin-1") if isinstance(name, bytes) else str(name) for name in names]
    return read_class_names(path, text, 10, _REMEDY)
