"""Files that are written whole or not at all."""

import pytest

from ntklab._core import written_whole


def test_a_file_takes_its_place_at_the_end_and_its_folder_is_made(tmp_path):
    target = tmp_path / "made" / "it.txt"
    with written_whole(target) as draft:
        draft.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_writer_that_fails_leaves_the_old_file_as_it_was(tmp_path):
    target = tmp_path / "it.txt"
    target.write_text("old")

    def fails_halfway() -> None:
        with written_whole(target) as draft:
            draft.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fails_halfway()
    assert target.read_text() == "old"
