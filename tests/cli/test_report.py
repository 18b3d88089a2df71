"""`ntklab report` on records of the benchmarks."""

import re
from pathlib import Path

RECORD = Path(__file__).parents[2] / "benchmarks/results/equivalence-fc.json"


def test_the_command_writes_page_and_figures(ntklab_command, tmp_path):
    status, out, _ = ntklab_command("report", RECORD, "--html", tmp_path / "r.html", "--png", tmp_path / "png")
    assert status == 0
    assert out.split() == [str(tmp_path / "r.html"), str(tmp_path / "png/equivalence-fc-results.png")]
    assert (tmp_path / "r.html").read_text("utf-8").count("<img") == 1
    assert (tmp_path / "png/equivalence-fc-results.png").read_bytes().startswith(b"\x89PNG")


def test_records_of_one_name_and_files_that_are_none_are_refused(ntklab_command, tmp_path):
    for files, message in (
        ((RECORD, RECORD), "InputError: Two records"),
        ((tmp_path / "no.json",), "DataError: .*is not"),
    ):
        status, _, err = ntklab_command("report", *files, "--html", tmp_path / "r.html")
        assert (status, re.match(message, err) is not None) == (2, True)
    assert not (tmp_path / "r.html").exists()
