"""Records: plain values, written whole or not at all, silent about people and places."""

import getpass
import json
import re
import socket
import sys
from dataclasses import FrozenInstanceError, asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab._core import Record, environment
from ntklab.errors import DataError


@pytest.fixture
def record() -> Record:
    return Record.make("trial", {"depth": 3}, {"accuracy": 0.5})


def test_a_saved_record_loads_as_an_equal_one(record, tmp_path):
    record.save(tmp_path / "trial.json")
    assert Record.load(tmp_path / "trial.json") == record


def test_paths_may_be_text_and_folders_are_made(record, tmp_path):
    path = str(tmp_path / "new" / "folder" / "trial.json")
    record.save(path)
    assert Record.load(path) == record


def test_saving_again_replaces_the_record_and_leaves_no_draft(record, tmp_path):
    path = tmp_path / "trial.json"
    record.save(path)
    other = Record.make("trial", {"depth": 4}, {})
    other.save(path)
    assert Record.load(path) == other
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_that_cannot_be_written_leaves_the_old_one_whole(record, tmp_path):
    path = tmp_path / "trial.json"
    record.save(path)
    before = path.read_bytes()
    bad = Record("trial", {"no JSON": object()}, {}, {}, "")
    with pytest.raises(TypeError):
        bad.save(path)
    assert path.read_bytes() == before


def test_an_interrupted_write_leaves_the_old_record_whole(record, tmp_path, monkeypatch):
    path = tmp_path / "trial.json"
    record.save(path)
    before = path.read_bytes()

    def half(self: Path, text: str, **options: str) -> None:
        with self.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(KeyboardInterrupt):
        Record.make("trial", {"depth": 4}, {}).save(path)
    assert path.read_bytes() == before


def test_the_file_is_readable_json_with_a_format_number(record, tmp_path):
    record.save(tmp_path / "trial.json")
    text = (tmp_path / "trial.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    document = json.loads(text)
    assert document.pop("format") == 1
    assert document == asdict(record)


def test_numpy_and_jax_values_become_plain_ones():
    values = {
        "float": np.float64(0.5),
        "int": np.int32(3),
        "bool": np.bool_(True),
        "array": np.arange(3, dtype=np.float32),
        "jax": jnp.asarray([[1.0, 2.0]]),
        "tuple": (1, np.float32(2.0)),
        "nested": {"list": [jnp.asarray(1.0), None, "text"]},
        1: Path("folder"),
    }
    plain = Record.make("trial", values, {}).settings
    assert plain == {
        "float": 0.5,
        "int": 3,
        "bool": True,
        "array": [0.0, 1.0, 2.0],
        "jax": [[1.0, 2.0]],
        "tuple": [1, 2.0],
        "nested": {"list": [1.0, None, "text"]},
        "1": "folder",
    }
    assert [type(plain[name]) for name in ("float", "int", "bool", "array")] == [float, int, bool, list]


@pytest.mark.parametrize(("value", "text"), [(np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan")])
def test_numbers_that_json_lacks_become_words(value, text, tmp_path):
    record = Record.make("trial", {}, {"float": value, "array": np.array([value])})
    assert record.results == {"float": text, "array": [text]}
    record.save(tmp_path / "trial.json")
    json.loads((tmp_path / "trial.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_floats_keep_every_digit(tmp_path):
    Record.make("trial", {}, {"x": 0.1 + 0.2}).save(tmp_path / "trial.json")
    assert Record.load(tmp_path / "trial.json").results["x"] == 0.1 + 0.2


def test_a_record_says_when_it_was_made_in_utc(record):
    made = datetime.fromisoformat(record.created)
    assert made.tzinfo is not None
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=5)


def test_a_record_cannot_be_changed(record):
    with pytest.raises(FrozenInstanceError):
        record.kind = "other"


def test_the_environment_names_versions_and_device_but_no_person_or_place():
    here = environment()
    assert set(here) == {"python", "system", "cores", "device", "packages", "command"}
    assert here["packages"]["jax"] == version("jax")
    assert here["packages"]["ntklab"] == version("ntklab")
    text = json.dumps(here)
    for word in (socket.gethostname(), str(Path.home()), str(Path.cwd()), sys.prefix):
        assert word not in text
    assert getpass.getuser() not in re.findall(r"\w+", text)


@pytest.mark.parametrize(
    ("program", "command"),
    [("somewhere/bin/ntklab", "ntklab verify --quick"), ("somewhere/pytest", ""), ("", "")],
)
def test_the_command_is_told_only_if_it_was_ours_and_without_its_folder(monkeypatch, program, command):
    monkeypatch.setattr(sys, "argv", [program, "verify", "--quick"])
    assert environment()["command"] == command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"kind": "trial"}',
        '{"format": 2, "kind": "trial", "settings": {}, "results": {}, "environment": {}, "created": ""}',
        '{"format": 1, "kind": "trial"}',
        '{"format": 1, "kind": "t", "settings": {}, "results": {}, "environment": {}, "created": "", "more": 1}',
    ],
)
def test_what_is_no_record_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "trial.json"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(f"{path} is not a record")):
        Record.load(path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "trial.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a record"):
        Record.load(tmp_path / "trial.json")


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json"):
        Record.load(tmp_path / "absent.json")
