import builtins
import copyreg
import io
import os
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntklab.data import load_cifar10
from ntklab.data._restricted_pickle import _Unpickler, parse_pickle
from ntklab.errors import DataError
from tests.data import cifar_files as files


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A file that live payloads create; no test below may leave it behind."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def string(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def live_payloads(marker: Path) -> dict[str, bytes]:
    """Return pickles that create `marker` when an ordinary load reads them."""
    command = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    shell, code = string(f"touch '{marker}'"), string(command)
    touch = Calls(exec, command)
    return {
        "os.system by protocol 0": pickle.dumps(Calls(os.system, f"touch '{marker}'"), protocol=0),
        "os.system by protocol 2": b"\x80\x02cos\nsystem\n" + shell + b"\x85R.",
        "os.system by STACK_GLOBAL": pickle.dumps(Calls(os.system, f"touch '{marker}'"), protocol=4),
        "os.system by INST": f"(S\"touch '{marker}'\"\nios\nsystem\n.".encode(),
        "os.system by OBJ": b"(cos\nsystem\n" + shell + b"o.",
        "builtins.exec": pickle.dumps(touch, protocol=2),
        "builtins.eval": b"\x80\x02cbuiltins\neval\n" + string(f"exec({command!r})") + b"\x85R.",
        "__builtin__.eval": b"\x80\x02c__builtin__\neval\n" + string(f"exec({command!r})") + b"\x85R.",
        "nested getattr": b"\x80\x02cbuiltins\ngetattr\ncimportlib\nimport_module\n"
        + (string("os") + b"\x85R" + string("system") + b"\x86R" + shell + b"\x85R."),
        "dotted name by STACK_GLOBAL": b"\x80\x04"
        + string("os")
        + string("path.os.system")
        + b"\x93"
        + shell
        + b"\x85R.",
        "among the data": b"\x80\x02}(U\x06labels](K\x01K\x02eU\x04datacbuiltins\nexec\n" + code + b"\x85Ru.",
        "as the state of an array": pickle.dumps({"data": [np.zeros(3, np.uint8), touch]}, protocol=2),
        "in an object array": pickle.dumps({"data": np.array([touch], dtype=object)}, protocol=2),
    }


LIVE = tuple(live_payloads(Path("marker")))


def refused(content: bytes, found: str = "") -> None:
    with pytest.raises(DataError, match=r"file: found .*; expected a dictionary\. Fetch it again") as caught:
        parse_pickle(Path("file"), content, "a dictionary", "Fetch it again")
    assert found in str(caught.value)


def refused_without_the_scan(content: bytes) -> None:
    with pytest.raises((pickle.UnpicklingError, AttributeError, TypeError)):
        _Unpickler(io.BytesIO(content), encoding="bytes").load()


@pytest.mark.skipif(os.name == "nt", reason="the payloads are for a POSIX shell")
@pytest.mark.parametrize("name", LIVE)
def test_each_payload_is_live_in_an_ordinary_load(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "executed"
    pickle.loads(live_payloads(marker)[name], encoding="bytes")
    assert marker.exists()


@pytest.mark.parametrize("name", LIVE)
def test_a_live_payload_is_refused_and_nothing_of_it_runs(marker: Path, name: str) -> None:
    refused(live_payloads(marker)[name], "a pickle that cannot be accepted (UnpicklingError: forbidden")


@pytest.mark.parametrize("name", LIVE)
def test_the_load_alone_refuses_a_live_payload_too(marker: Path, name: str) -> None:
    refused_without_the_scan(live_payloads(marker)[name])


@pytest.mark.usefixtures("few_records")
@pytest.mark.parametrize("file", ["batches.meta", "data_batch_3", "test_batch"])
def test_a_payload_in_any_file_of_cifar_10_is_refused_by_the_file_name(tmp_path: Path, marker: Path, file: str) -> None:
    folder = files.write_python_version(tmp_path / "cifar")
    payload = live_payloads(marker)["among the data"]
    # A batch must have its size to be looked into at all.
    padding = b"" if file == "batches.meta" else b"T" + struct.pack("<i", 4 * 3072) + bytes(4 * 3072) + b"K\x01s"
    (folder / file).write_bytes(payload[:-1] + padding + b".")
    with pytest.raises(DataError, match=rf"{file}: found .*forbidden name 'builtins exec'"):
        load_cifar10(folder)


@pytest.mark.parametrize(
    "name",
    [
        "numpy load",
        "numpy fromfile",
        "numpy memmap",
        "numpy.testing assert_equal",
        "numpy.core.multiarray scalar",
        "numpy.core.multiarray frombuffer",
        "numpy._core.multiarray fromstring",
        "numpy ndarray.__new__",
        "copyreg _reconstructor",
        "copy_reg __newobj__",
        "_codecs encode",
        "functools partial",
        "operator attrgetter",
        "ntklab.data._restricted_pickle _scan",
    ],
)
def test_names_beyond_the_four_of_an_array_are_refused_by_both_walls(name: str) -> None:
    content = b"\x80\x02c" + "\n".join(name.split()).encode() + b"\n."
    refused(content, f"forbidden name {name!r}")
    refused_without_the_scan(content)


@pytest.mark.parametrize(
    ("content", "opcode"),
    [
        (b"Pname\n.", "PERSID"),
        (b"\x80\x02U\x04nameQ.", "BINPERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"\x80\x04cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
    ],
)
def test_opcodes_of_other_machinery_are_refused_by_both_walls(content: bytes, opcode: str) -> None:
    refused(content, f"forbidden opcode {opcode}")
    if opcode.startswith("EXT"):
        with pytest.raises((pickle.UnpicklingError, ValueError), match="unregistered extension code"):
            _Unpickler(io.BytesIO(content), encoding="bytes").load()
    else:
        refused_without_the_scan(content)


def test_a_registered_extension_code_opens_no_way_to_its_function(marker: Path) -> None:
    code = 0xF0F0
    copyreg.add_extension("os", "system", code)
    try:
        content = b"\x80\x02\x83" + struct.pack("<H", code) + string(f"touch '{marker}'") + b"\x85R."
        refused(content, "forbidden opcode EXT2")
        refused_without_the_scan(content)
    finally:
        copyreg.remove_extension("os", "system", code)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"cnumpy\nndarray\nJ\x00\x00\x00\x7f\x85R.", "a call of numpy.ndarray"),
        (b"cnumpy\nndarray\n}U\x04nameU\x02osstb.", ""),
        (b"cnumpy\ndtype\n}U\x04nameU\x02ossb.", "a state for global"),
        (b"cnumpy\ndtype\nN}U\x04nameU\x02oss\x86b.", "a state for global"),
        (b"cnumpy\ndtype\n)R.", "a call of numpy.dtype"),
        (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.", "a class other than"),
        (b"cnumpy.core.multiarray\n_reconstruct\nK\x00\x85R.", "a class other than"),
    ],
)
def test_allowed_names_used_in_other_ways_are_refused(content: bytes, found: str) -> None:
    refused(b"\x80\x02" + content, found)


def array_with(shape: bytes, code: bytes, raw: bytes) -> bytes:
    head = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
    dtype = b"cnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
    return head + shape + dtype + b"\x89" + raw + b"tbs."


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (array_with(b"K\x02\x85", b"O8", b"](NNe"), "an array of dtype 'O8', not uint8"),
        (array_with(b"K\x02\x85", b"V2", b"U\x02ab"), "an array of dtype 'V2', not uint8"),
        (array_with(b"K\x02\x85", b"u1", b"](NNe"), "an array of shape (2,) made from a list"),
        (array_with(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", b"u1", b"U\x02ab"), "made from 2 bytes"),
        (array_with(b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86", b"u1", b"U\x02ab"), "no tuple of sizes"),
        (array_with(b"(K\x02K\x01K\x01K\x01K\x01t", b"u1", b"U\x02ab"), "made from 2 bytes"),
        (array_with(b"K\x02", b"u1", b"U\x02ab"), "no tuple of sizes"),
    ],
)
def test_arrays_that_are_not_made_of_the_bytes_in_the_file_are_refused(content: bytes, found: str) -> None:
    refused(content, found)


def test_the_array_of_these_tests_is_read_when_it_is_right() -> None:
    content = array_with(b"K\x02\x85", b"u1", b"U\x02ab")
    data = parse_pickle(Path("file"), content, "a dictionary", "Fetch it again")["data"]
    np.testing.assert_array_equal(np.asarray(data), np.array([97, 98], np.uint8), strict=True)


def test_strings_may_be_shared_any_number_of_times() -> None:
    content = b"\x80\x02}U\x05namesq\x00](" + string("image") + b"q\x01" + b"h\x01" * 500 + b"es."
    names = parse_pickle(Path("file"), content, "a dictionary", "Fetch it again")
    assert names == {"names": ["image"] * 501}


def test_a_memo_index_that_held_a_string_and_now_holds_a_tuple_is_no_longer_free() -> None:
    content = b"\x80\x02U\x01aq\x01K\x01\x85q\x01" + b"h\x01" * 17 + b"."
    refused(content, "too many opcodes BINGET")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x80\x02}r\xff\xff\xff\x7f.", "memo index 2147483647"),
        (b"\x80\x04\x96" + struct.pack("<Q", 10**15) + b".", ""),
        (b"\x80\x02T\xff\xff\xff\x7fabc.", ""),
        (b"\x80\x02N" + b"\x85" * 100_000 + b".", "too many opcodes TUPLE1"),
        (b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b".", "too many opcodes"),
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "too many opcodes EMPTY_LIST"),
    ],
)
def test_a_few_bytes_cannot_ask_for_much_memory_or_depth(content: bytes, found: str) -> None:
    refused(content, found)


@pytest.mark.parametrize(
    "content", [b"", b".", b"\x80\x02", b"\x80\x02}", b"no pickle", b"\x80\x02}K\x01.", b"\xff" * 99]
)
def test_damaged_pickles_are_refused(content: bytes) -> None:
    refused(content)


def test_keys_that_are_no_strings_are_refused() -> None:
    refused(b"\x80\x02}K\x01K\x02s.", "a dictionary key of type int")


def test_reading_imports_nothing_and_calls_no_numpy_function_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the load imported or built something")

    content = files.Python2Pickle(b"numpy._core.multiarray").dumps(files.batch(0))
    with monkeypatch.context() as patch:
        patch.setattr(np, "dtype", fail)
        patch.setattr(np, "ndarray", fail)
        patch.setattr(builtins, "__import__", fail)
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    np.testing.assert_array_equal(value[b"data"].array, files.batch(0)[b"data"])
