"""Pickles of plain values and uint8 arrays, read without running anything that the file names.

A pickle is a program: an ordinary load runs what it asks for. Two walls stand here. `_scan` walks over
the opcodes first and refuses all that the published CIFAR-10 files do not use. Then a load runs in which
every global name resolves to an inert stand-in of this file, so that not even NumPy's functions are called.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ntklab.data._fault import fault

_RECONSTRUCT = frozenset({("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")})
_NDARRAY = ("numpy", "ndarray")
_DTYPE = ("numpy", "dtype")
_GLOBALS = _RECONSTRUCT | {_NDARRAY, _DTYPE}
_SPELT_GLOBALS = frozenset(f"{module} {name}" for module, name in _GLOBALS)

# Strings of Python 2 and of protocol 3.
_STRING_OPCODES = frozenset({"BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "BINBYTES", "SHORT_BINBYTES"})
# What holds data may come as often as the file is long.
_DATA_OPCODES = _STRING_OPCODES | frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1"}
    | {"MARK", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT"}
)
# What builds structure is needed a dozen times; more could nest or share values until hashing never ends.
_STRUCTURE_OPCODES = frozenset(
    {"PROTO", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"}
    | {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "REDUCE", "BUILD", "BINGET", "LONG_BINGET"}
)
_MOST_OF_A_STRUCTURE_OPCODE = 16
# The load allocates a table as long as the largest memo index, whatever the length of the file.
_MEMO_INDICES = range(1_000_000)


def parse_pickle(path: Path, content: bytes, expected: str, remedy: str) -> dict[str, object]:
    """Return the dictionary that a pickle holds, its keys as text and Python 2 strings as bytes.

    Values are bytes, str, int, bool, None, lists, tuples and dictionaries of these, and uint8 arrays.
    A pickle that asks for anything else, or is damaged, raises DataError and runs nothing.
    """
    try:
        _scan(content)
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can fail in any way, and each means the same to the caller
        found = f"a pickle that cannot be accepted ({type(error).__name__}: {error})"
        raise fault(path, found, expected, remedy) from error
    if type(value) is not dict:
        raise fault(path, f"a pickled {type(value).__name__}", expected, remedy)
    result: dict[str, object] = {}
    for key, item in value.items():
        text = key.decode("latin-1") if isinstance(key, bytes) else key
        if not isinstance(text, str):
            raise fault(path, f"a dictionary key of type {type(key).__name__}", expected, remedy)
        result[text] = item.array if isinstance(item, _Array) else item
    return result


def _scan(content: bytes) -> None:
    """Refuse, before anything is loaded, all opcodes and names that the published files do not use."""
    counts: dict[str, int] = {}
    shared_strings: set[object] = set()
    previous, end = "", 0
    for opcode, argument, position in pickletools.genops(content):
        name, end = opcode.name, position or 0
        if name in {"BINGET", "LONG_BINGET"} and argument in shared_strings:
            pass
        elif name in _STRUCTURE_OPCODES:
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > _MOST_OF_A_STRUCTURE_OPCODE:
                raise pickle.UnpicklingError(f"too many opcodes {name}, at byte {position}")
        elif name not in _DATA_OPCODES:
            raise pickle.UnpicklingError(f"forbidden opcode {name} at byte {position}")
        if name == "GLOBAL" and argument not in _SPELT_GLOBALS:
            raise pickle.UnpicklingError(f"forbidden name {str(argument)[:80]!r} at byte {position}")
        if name in {"BINPUT", "LONG_BINPUT"}:
            if argument not in _MEMO_INDICES:
                raise pickle.UnpicklingError(f"memo index {argument} at byte {position}")
            # A string holds nothing, so it may be shared any number of times.
            (shared_strings.add if previous in _STRING_OPCODES else shared_strings.discard)(argument)
        previous = name
    if end != len(content) - 1:
        raise pickle.UnpicklingError(f"{len(content) - 1 - end} bytes after the end of the pickle")


class _Unpickler(pickle.Unpickler):
    """The second wall: it imports nothing, and it has no persistent objects."""

    def find_class(self, module: str, name: str, /) -> "_Global":
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"forbidden name {f'{module} {name}'[:80]!r}")
        return _Global((module, name))

    def persistent_load(self, pid: object, /) -> object:
        raise pickle.UnpicklingError(f"forbidden persistent id {str(pid)[:80]!r}")


class _Inert:
    """An object of a pickle that takes no attributes: the opcode BUILD fails on it."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError(f"a state for {type(self).__name__.strip('_').lower()}")


class _Global(_Inert):
    """What a name stands for: calling it makes a stand-in, never the thing itself."""

    __slots__ = ("name",)

    def __init__(self, name: tuple[str, str]) -> None:
        self.name = name

    def __call__(self, *arguments: object) -> "_Array | _Dtype":
        if self.name in _RECONSTRUCT:
            base = arguments[0] if arguments else None
            if not isinstance(base, _Global) or base.name != _NDARRAY:
                raise pickle.UnpicklingError("an array of a class other than numpy.ndarray")
            return _Array()
        if self.name == _DTYPE and arguments:
            return _Dtype(arguments[0])
        raise pickle.UnpicklingError(f"a call of {'.'.join(self.name)}")


class _Dtype(_Inert):
    """A dtype that is remembered by its code; its byte order and fields mean nothing for uint8."""

    __slots__ = ("code",)

    def __init__(self, code: object) -> None:
        self.code = code.decode("latin-1") if isinstance(code, bytes) else str(code)[:80]

    def __setstate__(self, state: object) -> None:
        """Ignore the state: `_Array` accepts the code ``u1`` alone, which has none."""


class _Array(_Inert):
    """An array that is made only from bytes that the file really holds."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: NDArray[np.uint8] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array whose state is no tuple of five")
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or dtype.code not in {"u1", "|u1"}:
            code = dtype.code if isinstance(dtype, _Dtype) else type(dtype).__name__
            raise pickle.UnpicklingError(f"an array of dtype {code!r}, not uint8")
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError("an array whose shape is no tuple of sizes")
        if not isinstance(raw, bytes) or len(shape) > 4 or math.prod(shape) != len(raw):
            held = f"{len(raw)} bytes" if isinstance(raw, bytes) else f"a {type(raw).__name__}"
            raise pickle.UnpicklingError(f"an array of shape {str(shape)[:80]} made from {held}")
        self.array = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
