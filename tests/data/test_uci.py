"""The UCI archive: what is read, what is left out, and what is refused."""

import shutil

import numpy as np
import pytest

from ntklab.data import load_uci, uci_sets
from ntklab.errors import DataError
from tests.data.uci_files import write_set


@pytest.fixture
def archive(tmp_path):
    write_set(tmp_path / "data", "wide", 20, 5, 3)
    write_set(tmp_path / "data", "small", 12, 2, 2)
    write_set(tmp_path / "data", "split-already", 12, 2, 2, test_file=True)
    (tmp_path / "data" / "notes").mkdir()
    return tmp_path


def test_sets_come_smallest_first_without_large_ones_and_those_with_a_test_file(archive):
    assert uci_sets(archive) == uci_sets(archive / "data") == {"small": 12, "wide": 20}
    assert uci_sets(archive, largest=15) == {"small": 12}


def test_a_set_has_its_features_classes_and_splits(archive):
    part = load_uci(archive, "wide")
    lines = (archive / "data/wide/wide_R.dat").read_text().splitlines()
    assert part.x.shape == (20, 5)
    assert [float(word) for word in lines[3].split()[1:-1]] == list(part.x[2])
    assert int(lines[3].split()[-1]) == part.y[2]
    assert part.n_classes == 3
    assert sorted(np.concatenate(part.split)) == list(range(20))
    assert len(part.folds) == 4
    assert sorted(np.concatenate([test for _, test in part.folds])) == list(range(20))


def test_a_zip_is_read_as_its_directory(archive, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "uci"), "zip", archive, "data")
    assert uci_sets(zipped) == uci_sets(archive)
    assert np.array_equal(load_uci(zipped, "wide").x, load_uci(archive, "wide").x)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("wide.txt", "n_patrons1= 20", "n_patrons1= many", "no number for n_patrons1"),
        ("wide.txt", "n_patrons1= 20", "n_patrons1= 21", r"needs 21 rows of a number, 5 features and a class"),
        ("wide.txt", "n_clases= 3", "n_clases= 2", "classes are 0 .. 1"),
        ("wide_R.dat", "\n1\t", "\none\t", "not a table of numbers"),
        ("conxuntos.dat", " ", " 99 ", "a row twice, or one beyond 19"),
        ("conxuntos.dat", "\n", " ", "needs pairs of lines, found 1"),
        ("conxuntos_kfold.dat", " ", " x ", "not rows of a table"),
    ],
)
def test_a_damaged_set_is_refused(archive, file, old, new, message):
    path = archive / "data/wide" / file
    path.write_text(path.read_text().replace(old, new, 1 if "99" in new or "one" in new else -1))
    with pytest.raises(DataError, match=message):
        load_uci(archive, "wide")


def test_what_is_missing_is_named(archive, tmp_path):
    (archive / "data/wide/conxuntos.dat").unlink()
    with pytest.raises(DataError, match=r"conxuntos.dat is missing"):
        load_uci(archive, "wide")
    with pytest.raises(DataError, match="does not exist"):
        uci_sets(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no UCI set"):
        uci_sets(archive / "data/wide")
