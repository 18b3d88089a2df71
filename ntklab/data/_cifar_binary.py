"""CIFAR-10, binary version: records of one label byte and 3,072 pixel bytes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ntklab.data._fault import fault, file_size, read_bounded, read_class_names
from ntklab.data._images import ImageData

TRAIN_FILES = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST_FILE = "test_batch.bin"
META_FILE = "batches.meta.txt"

_RECORD = 1 + 32 * 32 * 3
_REMEDY = "Unpack the original archive cifar-10-binary.tar.gz again and name its directory."
_MOST_META = 65_536


def read_binary_version(folder: Path, records: int) -> ImageData:
    """Read the six files of `records` images each, and the class names, from one directory."""
    names = _read_meta(folder / META_FILE)
    x_train = np.empty((len(TRAIN_FILES) * records, 32, 32, 3), np.uint8)
    y_train = np.empty(len(x_train), np.int64)
    for k, name in enumerate(TRAIN_FILES):
        rows = slice(k * records, (k + 1) * records)
        x_train[rows], y_train[rows] = _read_batch(folder / name, records, len(names))
    x_test, y_test = _read_batch(folder / TEST_FILE, records, len(names))
    return ImageData(x_train, y_train, np.ascontiguousarray(x_test), y_test, names, "CIFAR-10 binary version")


def _read_batch(path: Path, records: int, n_classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    size = records * _RECORD
    expected = f"{records:,} records of {_RECORD:,} bytes, that is {size:,} bytes"
    held = file_size(path, expected, _REMEDY)
    if held != size:
        whole, rest = divmod(held, _RECORD)
        found = f"{held:,} bytes, that is {whole:,} whole records and {rest:,} bytes more"
        raise fault(path, found, expected, _REMEDY)
    content = read_bounded(path, size, expected, _REMEDY)
    table = np.frombuffer(content, np.uint8).reshape(records, _RECORD)
    labels = table[:, 0].astype(np.int64)
    outside = np.flatnonzero(labels >= n_classes)
    if outside.size:
        row = outside[0]
        found = f"the label {labels[row]} in record {row}"
        raise fault(path, found, f"labels 0..{n_classes - 1} in the first byte of each record", _REMEDY)
    # The pixels of a record are three planes, red, green and blue, each row by row.
    return table[:, 1:].reshape(records, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _read_meta(path: Path) -> tuple[str, ...]:
    content = read_bounded(path, _MOST_META, "a text file of 10 class names, one a line", _REMEDY)
    lines = content.decode("latin-1").splitlines()
    return read_class_names(path, [line.strip() for line in lines if line.strip()], 10, _REMEDY)
