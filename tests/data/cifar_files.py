"""Writers of small files in the formats of the public ones, and where the real ones may lie."""

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORDS = 4
N_TRAIN = 5 * RECORDS


def real_file(name: str) -> Path:
    """Return a file of the development data, or skip the test that wants it."""
    folder = Path(os.environ.get("NTKLAB_DATA", Path(__file__).parents[2] / "../shared/data"))
    if not (folder / name).is_file():
        pytest.skip(f"{name} is not in the directory NTKLAB_DATA nor in ../shared/data")
    return folder / name


def images_and_labels() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (24, 32, 32, 3) and labels that the files below hold, test images last."""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 256, (6 * RECORDS, 32, 32, 3), dtype=np.uint8)
    return x, rng.integers(0, 10, 6 * RECORDS)


def planes(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn images to rows of red, green and blue planes, as both public versions store them."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(len(x), -1)


class Python2Pickle:
    """Writes what cPickle of Python 2 wrote with protocol 2: byte strings, and memo numbers from 1."""

    def __init__(self, module: bytes = b"numpy.core.multiarray") -> None:
        self.module = module
        self.memo = 0

    def dumps(self, value: Any) -> bytes:
        return b"\x80\x02" + self._save(value) + b"."

    def _put(self) -> bytes:
        self.memo += 1
        return b"q" + bytes([self.memo]) if self.memo < 256 else b"r" + struct.pack("<I", self.memo)

    def _save(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            short = len(value) < 256
            head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
            return head + value + self._put()
        if isinstance(value, int):
            if 0 <= value < 256:
                return b"K" + bytes([value])
            return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"]" + self._put() + b"(" + b"".join(map(self._save, value)) + b"e"
        if isinstance(value, dict):
            items = b"".join(self._save(key) + self._save(item) for key, item in value.items())
            return b"}" + self._put() + b"(" + items + b"u"
        return self._save_array(value)

    def _save_array(self, array: NDArray[Any]) -> bytes:
        empty = b"c" + self.module + b"\n_reconstruct\n" + self._put() + b"cnumpy\nndarray\n" + self._put()
        empty += b"K\x00\x85U\x01b\x87R" + self._put()
        code = array.dtype.str[1:].encode()
        dtype = b"cnumpy\ndtype\n" + self._put() + b"U" + bytes([len(code)]) + code + b"K\x00K\x01\x87R" + self._put()
        dtype += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"(" + b"".join(map(self._save, array.shape)) + b"t"
        raw = array.tobytes()
        return empty + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"


def batch(k: int) -> dict[bytes, Any]:
    """Return the dictionary of batch k = 0..5; 5 is the test batch."""
    x, y = images_and_labels()
    rows = slice(k * RECORDS, (k + 1) * RECORDS)
    return {
        b"batch_label": b"testing batch 1 of 1" if k == 5 else b"training batch %d of 5" % (k + 1),
        b"labels": y[rows].tolist(),
        b"data": planes(x[rows]),
        b"filenames": [b"image_s_%06d.png" % row for row in range(RECORDS)],
    }


def write_python_version(folder: Path) -> Path:
    """Write the six batches and the class names as Python 2 did."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(6):
        name = "test_batch" if k == 5 else f"data_batch_{k + 1}"
        (folder / name).write_bytes(Python2Pickle().dumps(batch(k)))
    meta = {b"num_cases_per_batch": 10000, b"label_names": [n.encode() for n in NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(Python2Pickle().dumps(meta))
    return folder


def write_binary_version(folder: Path) -> Path:
    """Write six files of records and the class names."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = images_and_labels()
    records = np.concatenate([y.astype(np.uint8)[:, None], planes(x)], axis=1)
    for k in range(6):
        name = "test_batch.bin" if k == 5 else f"data_batch_{k + 1}.bin"
        (folder / name).write_bytes(records[k * RECORDS : (k + 1) * RECORDS].tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def subset_arrays() -> dict[str, Any]:
    """Return the arrays of an exact subset."""
    x, y = images_and_labels()
    return {
        "x_train": x[:N_TRAIN],
        "y_train": y[:N_TRAIN].astype(np.uint8),
        "index_train": np.arange(N_TRAIN, dtype=np.int32) * 3,
        "x_test": x[N_TRAIN:],
        "y_test": y[N_TRAIN:].astype(np.uint8),
        "index_test": np.arange(RECORDS, dtype=np.int32),
        "class_names": np.array(NAMES),
    }


def jpeg_arrays() -> dict[str, Any]:
    """Return the arrays of an archive of JPEG copies, of images with one colour each."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    _, y = images_and_labels()
    arrays: dict[str, Any] = {"class_names": np.array(NAMES)}
    for part, labels in (("train", y[:N_TRAIN]), ("test", y[N_TRAIN:])):
        files = []
        for k in range(len(labels)):
            buffer = io.BytesIO()
            image.new("RGB", (32, 32), (10 * k, 100, 200)).save(buffer, "JPEG", quality=95)
            files.append(np.frombuffer(buffer.getvalue(), np.uint8))
        arrays[f"jpeg_{part}"] = np.concatenate(files)
        arrays[f"offset_{part}"] = np.concatenate([[0], np.cumsum([len(file) for file in files])])
        arrays[f"y_{part}"] = labels.astype(np.uint8)
    return arrays
