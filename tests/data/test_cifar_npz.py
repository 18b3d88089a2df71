import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntklab.data import load_cifar10
from ntklab.errors import DataError, MissingExtraError
from tests.data import cifar_files as files


def refused(path: Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        load_cifar10(path)
    for part in (f"{path.name}: found ", "; expected ", "Copy the file again", *parts):
        assert part in str(caught.value)


def write(tmp_path: Path, arrays: dict[str, Any], **changes: Any) -> Path:
    path = tmp_path / "cifar.npz"
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


def test_an_exact_subset_keeps_its_pixels_labels_and_original_rows(tmp_path: Path) -> None:
    arrays = files.subset_arrays()
    data = load_cifar10(write(tmp_path, arrays))
    for name in ("x_train", "y_train", "index_train", "x_test", "y_test", "index_test"):
        np.testing.assert_array_equal(getattr(data, name), arrays[name])
    assert data.class_names == files.NAMES


def test_jpeg_copies_are_decoded_each_by_its_offsets(tmp_path: Path) -> None:
    data = load_cifar10(write(tmp_path, files.jpeg_arrays()))
    np.testing.assert_allclose(data.x_train[3, 5, 5], [30, 100, 200], atol=4)
    np.testing.assert_allclose(data.x_test[2, 31, 0], [20, 100, 200], atol=4)
    np.testing.assert_array_equal(data.y_train, files.images_and_labels()[1][: files.N_TRAIN])
    np.testing.assert_array_equal(data.index_test, np.arange(files.RECORDS))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"x_test": None}, "an archive that holds class_names, index_test"),
        ({"x_train": np.zeros((20, 32, 32, 3))}, "'x_train' with dtype float64 and shape (20, 32, 32, 3)"),
        ({"x_train": np.zeros((20, 32, 32), np.uint8)}, "'x_train' with dtype uint8 and shape (20, 32, 32)"),
        ({"x_train": np.zeros((20, 8, 8, 3), np.uint8)}, "'x_train' of shape (20, 8, 8, 3)"),
        ({"y_train": np.zeros(19, np.uint8)}, "y_train must be an int64 array of shape (20,)"),
        ({"y_train": np.full(20, 10, np.uint8)}, "y_train must hold labels 0..9; got 10 in row 0"),
        ({"y_test": np.zeros(4)}, "'y_test' with dtype float64"),
        ({"index_train": np.zeros(20, int)}, "index_train must hold row numbers"),
        ({"class_names": np.array(files.NAMES[:9])}, "9 class names"),
        ({"class_names": np.arange(10)}, "'class_names' with dtype int64"),
    ],
)
def test_an_exact_subset_with_a_wrong_array_is_refused(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    refused(write(tmp_path, files.subset_arrays(), **changes), found)


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    refused(
        write(tmp_path, files.subset_arrays(), class_names=np.array(list(files.NAMES), dtype=object)),
        "'class_names' with dtype object",
    )


def test_a_header_that_claims_an_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(tmp_path / "cifar.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    refused(tmp_path / "cifar.npz", "shape (1000000000, 32, 32, 3)", "at most 184,320,000 elements")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar10-exact-subset.npz"
    np.savez(path, **files.subset_arrays())
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:5000])
    refused(path, "an archive that cannot be read (BadZipFile")
    content[3000] ^= 1
    path.write_bytes(content)
    refused(path, "an archive that cannot be read (BadZipFile")


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o[:-1],
        lambda o: o + 1,
        lambda o: o[::-1],
        lambda o: np.r_[o[:-1], o[-1] + 1],
        lambda o: o[:0],
    ],
)
def test_offsets_that_do_not_divide_the_bytes_are_refused(tmp_path: Path, change: Any) -> None:
    arrays = files.jpeg_arrays()
    path = write(tmp_path, arrays, offset_test=change(arrays["offset_test"]))
    refused(path, "offset_test that does not divide", "5 rising numbers from 0")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    arrays = files.jpeg_arrays()
    arrays["jpeg_train"] = arrays["jpeg_train"].copy()
    arrays["jpeg_train"][arrays["offset_train"][2] :][:20] = 0
    refused(write(tmp_path, arrays), "in jpeg_train image 2 that cannot be used", "RGB JPEG images of 32x32")


@pytest.mark.parametrize(("mode", "size"), [("L", (32, 32)), ("RGB", (40, 32)), ("RGB", (8000, 8000))])
def test_an_image_of_another_size_or_mode_is_refused_before_it_is_decoded(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    arrays = files.jpeg_arrays()
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    buffer = io.BytesIO()
    image.new(mode, size).save(buffer, "JPEG")
    jpeg = np.frombuffer(buffer.getvalue(), np.uint8)
    changes = {"jpeg_test": jpeg, "offset_test": np.array([0, jpeg.size]), "y_test": np.zeros(1, np.uint8)}
    refused(write(tmp_path, arrays, **changes), f"size {size[1]}x{size[0]}, mode {mode}")


def test_without_pillow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, files.jpeg_arrays())
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "ntklab.data._jpeg", raising=False)
    monkeypatch.delattr("ntklab.data._jpeg", raising=False)
    with pytest.raises(MissingExtraError, match=r"cifar\.npz: .*pip install 'ntklab\[jpeg\]'"):
        load_cifar10(path)


def test_the_real_exact_subset_is_the_front_of_each_file() -> None:
    data = load_cifar10(files.real_file("cifar10-exact-subset.npz"))
    assert data.x_train.shape == (5085, 32, 32, 3)
    assert data.x_test.shape == (1017, 32, 32, 3)
    assert data.class_names == files.NAMES
    expected = (np.arange(5)[:, None] * 10_000 + np.arange(1017)).ravel()
    np.testing.assert_array_equal(data.index_train, expected)
    np.testing.assert_array_equal(data.index_test, np.arange(1017))


def test_the_first_real_jpeg_copies_show_the_images_of_the_exact_subset() -> None:
    decode_images = pytest.importorskip("ntklab.data._jpeg", reason="Pillow is not installed").decode_images
    exact = load_cifar10(files.real_file("cifar10-exact-subset.npz"))
    with np.load(files.real_file("cifar10-jpeg-full.npz"), allow_pickle=False) as archive:
        offsets = archive["offset_test"][:201]
        copies = decode_images(archive["jpeg_test"][: offsets[-1]].tobytes(), offsets, (32, 32))
    difference = copies.astype(float) - exact.x_test[:200]
    assert 7.5 < np.sqrt((difference**2).mean()) < 8.7


@pytest.mark.slow
def test_the_real_jpeg_copies_agree_with_the_exact_subset_to_eight_grey_levels() -> None:
    exact = load_cifar10(files.real_file("cifar10-exact-subset.npz"))
    copies = load_cifar10(files.real_file("cifar10-jpeg-full.npz"))
    assert copies.x_train.shape == (50_000, 32, 32, 3)
    assert copies.class_names == exact.class_names
    assert np.bincount(copies.y_train).tolist() == [5000] * 10
    assert np.bincount(copies.y_test).tolist() == [1000] * 10
    for part in ("train", "test"):
        rows = getattr(exact, f"index_{part}")
        np.testing.assert_array_equal(getattr(copies, f"y_{part}")[rows], getattr(exact, f"y_{part}"))
        difference = getattr(copies, f"x_{part}")[rows].astype(float) - getattr(exact, f"x_{part}")
        assert 7.5 < np.sqrt((difference**2).mean()) < 8.7
        # No image may be swapped for another: unrelated images differ by some 80 grey levels.
        assert np.sqrt((difference**2).mean(axis=(1, 2, 3))).max() < 30
