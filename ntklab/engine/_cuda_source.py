"""The source of the cuda engine: one text, specialised to a program by compile-time constants."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntklab.engine._simd_build import chains
from ntklab.engine._simd_numbers import LEAST_STD
from ntklab.engine._simd_numbers import weights as weigh
from ntklab.engine._simd_program import CONV, INPUT, LOAD, RELU, STORE, SUM, Program
from ntklab.kernel import ANGLE_FAST, CURVE_FAST, Plan

LARGEST = 64
"""Largest height and width: what a lane holds of a row, and the rows that are unrolled, have to end somewhere."""
_LANES = 32
_IN_REGISTERS = 64
"""Numbers of a tile that a thread holds in registers; a larger tile is walked row by row, in its thread's memory."""
_FILES = ("warp.cuh", "relu.cuh", "tile.cuh", "images.cuh", "kernels.cu")
_MOST_WARPS = 8
_WARPS_AT_ONCE = 16
"""Warps of a multiprocessor: with tiles in registers, each thread may take 128 of its 65,536."""


@dataclass(frozen=True)
class Source:
    """The text of three kernels for one program, and the shapes of what they read and write."""

    text: str
    program: Program
    warps: int
    plane: int
    tangent: bool

    @property
    def displaced(self) -> bool:
        """Whether each pair has a block for each displacement of rows; else a block has a pair for each warp."""
        return self.program.displaced

    @property
    def blocks(self) -> int:
        """Blocks of a pair, if displaced."""
        return len(self.program.rows)

    @property
    def parts(self) -> int:
        """Partial sums of a pair."""
        return self.blocks * self.warps if self.displaced else 1


@functools.cache
def sources(plan: Plan) -> tuple[tuple[Source, ...], ...]:
    """Return the sources of each chain of programs of a plan: more than one, where poolings lie between them."""
    tangent = "ntk" in plan.get
    return tuple(
        tuple(_source(program, 1 if number else plan.input_shape[-1], tangent) for number, program in enumerate(chain))
        for chain in chains(plan)
    )


def _source(program: Program, channels: int, tangent: bool) -> Source:
    """Return the source of a program: constants first, then the files of ``_cuda/`` as they are."""
    height, width = program.size
    columns = -(-width // _LANES)
    warps = _warps(len(program.columns)) if program.displaced else _MOST_WARPS
    plain = all(np.all(w == 1.0) for end in program.ends for w in (end.rows, end.columns)) or not program.displaced
    numbers = height * columns * (1 + tangent) * program.buffers
    in_registers = numbers <= _IN_REGISTERS
    constants = {
        "HEIGHT": height,
        "WIDTH": width,
        "COLUMNS": columns,
        "ROWS_AT_ONCE": 2 * height if in_registers else 1,
        "BUFFERS": program.buffers,
        "TAPS": max(1, len(program.taps)),
        "MOVES_DOWN": len(program.rows),
        "MOVES_RIGHT": len(program.columns),
        "WEIGHED": int(not plain),
        "PLANES": program.planes,
        "BORDER_PLANES": max(1, program.border_planes),
        "CHANNELS": channels,
        "WARPS": warps,
        "BLOCKS": _WARPS_AT_ONCE // warps if in_registers else 1,
        "TANGENT": int(tangent),
        "DISPLACED": int(program.displaced),
        "CIRCULAR": int(program.circular),
        "COUNT": len(program.ops),
    }
    cases, numbers_of = _cases(program)
    lines = [f"constexpr int {name} = {value};" for name, value in constants.items()]
    lines += [
        "#define CASES \\",
        *(f"  case {n}: {call}; break; \\" for n, call in enumerate(cases)),
        "  default: break;",
        f"enum {{ INPUT = {INPUT}, CONV = {CONV}, RELU = {RELU}, SUM = {SUM}, LOAD = {LOAD}, STORE = {STORE} }};",
        f"enum {{ ANGLES = {len(ANGLE_FAST)}, CURVES = {len(CURVE_FAST)} }};",
        f"constexpr double LEAST_STD = {LEAST_STD};",
        "struct Number { float scale, other; double bias; };",
    ]
    weights = weigh(program, width)
    shares = [end.shares() for end in program.ends]
    tables = [
        _table("int", "DOWN[MOVES_DOWN]", program.rows),
        _table("int", "RIGHT[MOVES_RIGHT]", program.columns),
        _array("float", "ROW_WEIGHTS[TAPS][MOVES_DOWN][HEIGHT]", weights[0]),
        _array("float", "COLUMN_WEIGHTS[TAPS][MOVES_RIGHT][WIDTH]", weights[1]),
        _array("double", "ROW_SHARES[TAPS][HEIGHT]", np.array([rows for rows, _ in shares])),
        _array("double", "COLUMN_SHARES[TAPS][WIDTH]", np.array([columns for _, columns in shares])),
        _array("double", "SPREAD[TAPS]", np.array([end.spread for end in program.ends])),
        _table("int", "PROGRAM[COUNT][13]", (_braces(row) for row in program.instructions.tolist())),
        _table("int", "CASE[COUNT]", numbers_of),
        # the polynomials are those of 2 u
        _table("float", "ANGLE[ANGLES]", (f"{2.0 ** (-0.5 - k) * c!r}f" for k, c in enumerate(ANGLE_FAST))),
        _table("float", "CURVE[CURVES]", (f"{2.0 ** (-0.5 - k) * c!r}f" for k, c in enumerate(CURVE_FAST))),
    ]
    folder = Path(__file__).with_name("_cuda")
    first, *others = ((folder / name).read_text(encoding="utf-8") for name in _FILES)
    text = "\n".join([*lines, first, *tables, *others])
    return Source(text, program, warps, 2 * height * width, tangent)


def _warps(moves: int) -> int:
    """Return the warps of a block, of which as few as can be are idle as they share displacements along columns."""
    return min(range(_MOST_WARPS, 0, -1), key=lambda n: (n < min(moves, 4), -(-moves // n) * n))


def _cases(program: Program) -> tuple[list[str], list[int]]:
    """Return the calls that differ in what the compiler has to know, and the call of each instruction."""
    calls: list[str] = []
    for row in program.instructions.tolist():
        kind, source, target, third = row[:4]
        if kind == INPUT:
            call = f"start<{target}>(tile, at, op)"
        elif kind == CONV:
            name = "wind" if program.circular else "convolve"
            trained, relu = (str(bool(flag)).lower() for flag in row[5:7])
            call = f"{name}<{source}, {target}, {third}, {row[4]}, {trained}, {relu}>(tile, at, op, factor)"
        elif kind == RELU:
            call = f"activate<{source}, {target}>(tile, at, op)"
        elif kind == SUM:
            call = f"sum<{source}, {third}, {target}>(tile, factor, other)"
        elif kind == LOAD:
            call = f"fetch<{target}>(tile, at, tile_d, tile_t)"
        elif kind == STORE:
            call = f"put_away<{source}>(tile, at, away_d, away_t)"
        else:
            call = f"tap<{source}, {third}>(tile, at, sums[{third}])"
        calls.append(call)
    distinct = list(dict.fromkeys(calls))
    return distinct, [distinct.index(call) for call in calls]


def _braces(numbers: list[int]) -> str:
    return "{" + ", ".join(map(str, numbers)) + "}"


def _array(kind: str, name: str, numbers: np.ndarray) -> str:
    """Return a table in a GPU's ordinary memory: threads read different numbers of it, and it may be large."""
    return f"ARRAY {kind} {name} = {_nested(numbers.tolist(), 'f' if kind == 'float' else '')};"


def _nested(numbers: Any, suffix: str) -> str:
    if isinstance(numbers, list):
        return "{" + ", ".join(_nested(n, suffix) for n in numbers) + "}"
    return f"{numbers!r}{suffix}"


def _table(kind: str, name: str, values: Iterable[object]) -> str:
    return f"TABLE {kind} {name} = {{{', '.join(map(str, values))}}};"
