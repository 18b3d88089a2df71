import sys
from pathlib import Path

import numpy as np
import pytest

from ntklab.data import load_cifar10
from ntklab.errors import DataError, InputError
from tests.data import cifar_files as files

pytestmark = pytest.mark.usefixtures("few_records")


def write_npz(folder: Path) -> None:
    np.savez(folder / "cifar10-exact-subset.npz", **files.subset_arrays())


def test_auto_prefers_exact_originals_in_the_documented_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10-jpeg-full.npz", **files.jpeg_arrays())
    assert load_cifar10(tmp_path).source == "CIFAR-10 JPEG copies"
    write_npz(tmp_path)
    assert load_cifar10(tmp_path).source == "CIFAR-10 exact subset"
    files.write_binary_version(tmp_path / "cifar-10-batches-bin")
    assert load_cifar10(tmp_path).source == "CIFAR-10 binary version"
    files.write_python_version(tmp_path / "cifar-10-batches-py")
    assert load_cifar10(tmp_path).source == "CIFAR-10 python version"


def test_a_kind_that_is_named_is_read_whatever_else_is_there(tmp_path: Path) -> None:
    files.write_python_version(tmp_path)
    files.write_binary_version(tmp_path)
    write_npz(tmp_path)
    assert load_cifar10(tmp_path, kind="binary").source == "CIFAR-10 binary version"
    assert load_cifar10(str(tmp_path), kind="subset-npz").source == "CIFAR-10 exact subset"


def test_python_and_binary_versions_hold_the_same_images_in_the_same_order(tmp_path: Path) -> None:
    files.write_python_version(tmp_path)
    files.write_binary_version(tmp_path)
    x, y = files.images_and_labels()
    for kind in ("python", "binary"):
        data = load_cifar10(tmp_path, kind=kind)
        np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), x)
        np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), y)
        np.testing.assert_array_equal(data.index_train, np.arange(files.N_TRAIN))
        np.testing.assert_array_equal(data.index_test, np.arange(files.RECORDS))
        assert data.class_names == files.NAMES
        assert data.x_train.flags.c_contiguous
        assert data.x_test.flags.c_contiguous


def test_an_incomplete_original_is_an_error_and_no_other_form_takes_its_place(tmp_path: Path) -> None:
    write_npz(tmp_path)
    files.write_python_version(tmp_path)
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(DataError, match=r"data_batch_4: found no such file; .*cifar-10-python\.tar\.gz"):
        load_cifar10(tmp_path)


def test_one_file_of_a_form_may_stand_for_its_directory(tmp_path: Path) -> None:
    files.write_python_version(tmp_path)
    files.write_binary_version(tmp_path)
    write_npz(tmp_path)
    assert load_cifar10(tmp_path / "data_batch_2").source == "CIFAR-10 python version"
    assert load_cifar10(tmp_path / "test_batch.bin").source == "CIFAR-10 binary version"
    assert load_cifar10(tmp_path / "cifar10-exact-subset.npz").source == "CIFAR-10 exact subset"


def test_a_renamed_archive_is_recognised_by_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **files.subset_arrays())
    np.savez(tmp_path / "b.npz", **files.jpeg_arrays())
    assert load_cifar10(tmp_path / "a.npz").source == "CIFAR-10 exact subset"
    assert load_cifar10(tmp_path / "b.npz").source == "CIFAR-10 JPEG copies"
    with pytest.raises(DataError, match=r"a\.npz: found the form 'subset-npz'; expected 'jpeg-npz'"):
        load_cifar10(tmp_path / "a.npz", kind="jpeg-npz")


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kind must be one of 'auto', 'python', .*; got 'tar'"):
        load_cifar10(tmp_path, kind="tar")


def test_a_missing_directory_and_an_empty_one_say_where_the_files_come_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: found no such file or directory; .*Get cifar-10-python"):
        load_cifar10(tmp_path / "absent")
    with pytest.raises(DataError, match=r"found none of its files; expected CIFAR-10 in any form.*kriz"):
        load_cifar10(tmp_path)
    with pytest.raises(DataError, match="in the form 'binary'"):
        load_cifar10(tmp_path, kind="binary")


def test_an_archive_that_is_still_packed_is_pointed_out(tmp_path: Path) -> None:
    packed = tmp_path / "cifar-10-binary.tar.gz"
    packed.write_bytes(b"")
    with pytest.raises(DataError, match=r"still packed; .*tar -xzf cifar-10-binary\.tar\.gz"):
        load_cifar10(tmp_path)
    with pytest.raises(DataError, match=r"still packed; .*tar -xzf cifar-10-binary\.tar\.gz"):
        load_cifar10(packed)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt: found a file that is no form of CIFAR-10"):
        load_cifar10(tmp_path / "notes.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="directories cannot be opened as files there")
def test_a_directory_in_the_place_of_a_batch_is_refused(tmp_path: Path) -> None:
    files.write_binary_version(tmp_path)
    (tmp_path / "data_batch_1.bin").unlink()
    (tmp_path / "data_batch_1.bin").mkdir()
    with pytest.raises(DataError, match=r"data_batch_1\.bin: found something that is no regular file"):
        load_cifar10(tmp_path)
