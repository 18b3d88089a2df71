from pathlib import Path

import numpy as np
import pytest

from ntklab.data import load_cifar10
from ntklab.errors import DataError
from tests.data import cifar_files as files

pytestmark = pytest.mark.usefixtures("few_records")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.write_binary_version(tmp_path)


def test_a_record_is_a_label_and_three_planes_row_by_row(folder: Path) -> None:
    planes = np.arange(3072, dtype=np.uint16).astype(np.uint8)
    content = (folder / "test_batch.bin").read_bytes()
    (folder / "test_batch.bin").write_bytes(b"\x07" + planes.tobytes() + content[3073:])
    data = load_cifar10(folder)
    assert data.y_test[0] == 7
    for i, j, c in [(0, 0, 0), (0, 5, 1), (3, 0, 2), (31, 31, 2)]:
        assert data.x_test[0, i, j, c] == (c * 1024 + i * 32 + j) % 256


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (3 * 3073, "9,219 bytes, that is 3 whole records and 0 bytes more"),
        (4 * 3073 - 1, "12,291 bytes, that is 3 whole records and 3,072 bytes more"),
        (10**12, "325,414,904 whole records"),
        (0, "0 bytes, that is 0 whole records"),
    ],
)
def test_a_file_of_another_size_says_how_many_records_it_holds(folder: Path, size: int, found: str) -> None:
    with (folder / "data_batch_5.bin").open("ab") as file:
        file.truncate(size)
    with pytest.raises(DataError, match=r"data_batch_5\.bin: found .*expected 4 records of 3,073") as caught:
        load_cifar10(folder)
    assert found in str(caught.value)
    assert "cifar-10-binary.tar.gz" in str(caught.value)


def test_the_published_files_have_10000_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(DataError, match="expected 10,000 records of 3,073 bytes, that is 30,730,000 bytes"):
        load_cifar10(folder)


def test_a_label_that_names_no_class_is_refused_with_its_record(folder: Path) -> None:
    content = bytearray((folder / "data_batch_1.bin").read_bytes())
    content[2 * 3073] = 10
    (folder / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_1\.bin: found the label 10 in record 2; expected labels 0\.\.9"):
        load_cifar10(folder)


def test_class_names_of_another_number_are_refused(folder: Path) -> None:
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"batches\.meta\.txt: found 2 class names \('cat', 'dog'\); expected 10"):
        load_cifar10(folder)
    (folder / "batches.meta.txt").unlink()
    with pytest.raises(DataError, match=r"batches\.meta\.txt: found no such file; expected a text file"):
        load_cifar10(folder)
