"""`ntklab reproduce uci` on a made-up archive."""

from ntklab._core import Record
from tests.data.uci_files import write_set


def test_the_study_runs_prints_its_table_and_resumes(ntklab_command, tmp_path):
    write_set(tmp_path / "data", "tiny", 24, 2, 2)
    words = ("reproduce", "uci", "--data", tmp_path, "--methods", "ridge", "--store", tmp_path / "store")
    status, out, _ = ntklab_command(*words, "--json", tmp_path / "uci.json")
    assert status == 0
    assert "tiny" in out
    assert Record.load(tmp_path / "uci.json").results["runs"][0]["set"] == "tiny"
    assert (tmp_path / "store/tiny.json").is_file()
    status, _, err = ntklab_command(*words, "--sets", "iris")
    assert status == 2
    assert "has no set iris" in err
