import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntklab.data import load_cifar10
from ntklab.errors import DataError
from tests.data import cifar_files as files

pytestmark = pytest.mark.usefixtures("few_records")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.write_python_version(tmp_path)


def rewrite(folder: Path, change: Callable[[dict[bytes, Any]], object]) -> None:
    content = files.batch(1)
    change(content)
    (folder / "data_batch_2").write_bytes(files.Python2Pickle().dumps(content))


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        load_cifar10(folder)
    message = str(caught.value)
    for part in ("data_batch_2: found ", "; expected ", "Unpack the original archive", *parts):
        assert part in message


def test_the_writer_of_python_2_pickles_writes_what_python_reads() -> None:
    # Without an array: the dtype call of Python 2 has align=0, of which NumPy 2.4 warns in an ordinary load.
    content = {b"labels": [1, 2, 300, -1], b"filenames": [b"a", b"b" * 300]}
    assert pickle.loads(files.Python2Pickle().dumps(content), encoding="bytes") == content


def test_the_published_class_name_file_has_the_size_that_the_writer_gives_it(folder: Path) -> None:
    assert (folder / "batches.meta").stat().st_size == 158


def test_batches_saved_again_by_python_3_with_protocol_3_are_read(folder: Path) -> None:
    before = load_cifar10(folder)
    for k in range(6):
        name = "test_batch" if k == 5 else f"data_batch_{k + 1}"
        content = pickle.dumps(files.batch(k), protocol=3)
        assert b"numpy._core.multiarray" in content
        (folder / name).write_bytes(content)
    after = load_cifar10(folder)
    np.testing.assert_array_equal(after.x_train, before.x_train)
    np.testing.assert_array_equal(after.y_test, before.y_test)


def test_keys_as_text_and_data_in_fortran_order_are_read(folder: Path) -> None:
    before = load_cifar10(folder)
    content = {key.decode(): value for key, value in files.batch(1).items()}
    content["data"] = np.asfortranarray(content["data"])
    (folder / "data_batch_2").write_bytes(pickle.dumps(content, protocol=3))
    np.testing.assert_array_equal(load_cifar10(folder).x_train, before.x_train)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_batches_saved_again_with_another_protocol_are_refused_and_the_archive_named(
    folder: Path, protocol: int
) -> None:
    (folder / "data_batch_2").write_bytes(pickle.dumps(files.batch(1), protocol=protocol))
    refused(folder, "cifar-10-python.tar.gz")


def test_a_truncated_file_is_refused_at_any_length(folder: Path) -> None:
    whole = (folder / "data_batch_2").read_bytes()
    (folder / "data_batch_2").write_bytes(whole[:1000])
    refused(folder, "a file of 1,000 bytes, truncated")
    (folder / "data_batch_2").write_bytes(whole[:-1])
    refused(folder, "a pickle that cannot be accepted")
    (folder / "data_batch_2").write_bytes(whole[:-200])
    refused(folder, "a pickle that cannot be accepted")


def test_a_file_of_absurd_size_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "data_batch_2").open("ab") as file:
        file.truncate(10**12)
    refused(folder, "1,000,000,000,000 bytes", "in at most 17,408 bytes")


def test_bytes_after_the_pickle_are_refused(folder: Path) -> None:
    with (folder / "data_batch_2").open("ab") as file:
        file.write(b"more")
    refused(folder, "4 bytes after the end")


def test_missing_keys_are_named_and_cifar_100_is_recognised(folder: Path) -> None:
    rewrite(folder, lambda content: content.pop(b"labels"))
    refused(folder, "the keys 'batch_label', 'data', 'filenames'", "'labels', a list of 4 integers")
    rewrite(folder, lambda content: content.update({b"fine_labels": content.pop(b"labels")}))
    refused(folder, "this looks like CIFAR-100")


def test_a_wrong_number_of_rows_or_columns_is_refused(folder: Path) -> None:
    rewrite(folder, lambda content: content.update({b"data": np.zeros((5, 3072), np.uint8)}))
    refused(folder, "'data' of shape (5, 3072)", "shape (4, 3072)")
    rewrite(folder, lambda content: content.update({b"data": np.zeros(4 * 3072, np.uint8)}))
    refused(folder, "'data' of shape (12288,)")


def test_data_that_is_no_uint8_array_is_refused(folder: Path) -> None:
    rewrite(folder, lambda content: content.update({b"data": np.zeros((4, 3072), np.int8)}))
    refused(folder, "an array of dtype 'i1', not uint8")
    rewrite(folder, lambda content: content.update({b"data": bytes(4 * 3072)}))
    refused(folder, "'data' that is a bytes, no uint8 array")


def test_labels_that_do_not_fit_the_images_are_refused(folder: Path) -> None:
    rewrite(folder, lambda content: content[b"labels"].append(3))
    refused(folder, "5 labels for 4 images")
    rewrite(folder, lambda content: content[b"labels"].pop())
    refused(folder, "3 labels for 4 images")
    rewrite(folder, lambda content: content.update({b"labels": np.zeros(4, np.uint8)}))
    refused(folder, "'labels' that is a ndarray")


@pytest.mark.parametrize(("label", "shown"), [(10, "10"), (-1, "-1"), (b"cat", "of type bytes")])
def test_a_label_that_names_no_class_is_refused_with_its_row(folder: Path, label: object, shown: str) -> None:
    rewrite(folder, lambda content: content[b"labels"].__setitem__(2, label))
    refused(folder, f"the label {shown} in row 2", "labels 0..9")


def test_a_pickle_that_is_no_dictionary_is_refused(folder: Path) -> None:
    (folder / "data_batch_2").write_bytes(files.Python2Pickle().dumps([b"x" * 4 * 3072]))
    refused(folder, "a pickled list")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([b"cat"], "1 class names ('cat')"),
        ([b"cat"] * 10, "10 class names"),
        (3, "no list of strings under 'label_names'"),
        ([1] * 10, "no list of strings under 'label_names'"),
    ],
)
def test_class_names_that_do_not_name_ten_classes_are_refused(folder: Path, names: object, found: str) -> None:
    (folder / "batches.meta").write_bytes(files.Python2Pickle().dumps({b"label_names": names}))
    with pytest.raises(DataError, match=r"batches\.meta: found .*; expected .*10 ") as caught:
        load_cifar10(folder)
    assert found in str(caught.value)


def test_a_file_without_class_names_is_refused(folder: Path) -> None:
    (folder / "batches.meta").unlink()
    with pytest.raises(DataError, match=r"batches\.meta: found no such file; expected .*label_names"):
        load_cifar10(folder)
