"""The source of the cuda engine: one text, specialised to a program by compile-time constants."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ntklab.engine._simd_numbers import LEAST_STD
from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM, Program, programs
from ntklab.kernel import ANGLE_FAST, CURVE_FAST, Plan

LARGEST = 64
"""Largest height and width: what a lane holds of a row, and the rows that are unrolled, have to end somewhere."""
_LANES = 32
_IN_REGISTERS = 64
"""Numbers of a tile that a thread holds in registers; a larger tile is walked row by row, in its thread's memory."""
_FILES = ("warp.cuh", "relu.cuh", "tile.cuh", "images.cuh", "kernels.cu")
_MOST_WARPS = 8


@dataclass(frozen=True)
class Source:
    """The text of three kernels for one program, and the shapes of what they read and write."""

    text: str
    program: Program
    warps: int
    plane: int

    @property
    def displaced(self) -> bool:
        """Whether each pair has a block for each displacement of rows; else a block has a pair for each warp."""
        return self.program.displaced

    @property
    def parts(self) -> int:
        """Partial sums of a pair."""
        return self.program.size[0] * self.warps if self.displaced else 1


@functools.cache
def sources(plan: Plan) -> tuple[Source, ...]:
    """Return the source of each program of a plan."""
    return tuple(_source(program, plan.input_shape[-1], "ntk" in plan.get) for program in programs(plan))


def _source(program: Program, channels: int, tangent: bool) -> Source:
    """Return the source of a program: constants first, then the files of ``_cuda/`` as they are."""
    height, width = program.size
    columns = -(-width // _LANES)
    warps = _warps(width) if program.displaced else _MOST_WARPS
    numbers = height * columns * (1 + tangent) * program.buffers
    in_registers = numbers <= _IN_REGISTERS
    constants = {
        "HEIGHT": height,
        "WIDTH": width,
        "COLUMNS": columns,
        "ROWS_AT_ONCE": 2 * height if in_registers else 1,
        "BUFFERS": program.buffers,
        "TAPS": len(program.taps),
        "PLANES": program.planes,
        "BORDER_PLANES": max(1, program.border_planes),
        "CHANNELS": channels,
        "WARPS": warps,
        "BLOCKS": 2 if in_registers else 1,
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
        f"enum {{ INPUT = {INPUT}, CONV = {CONV}, RELU = {RELU}, SUM = {SUM} }};",
        f"enum {{ ANGLES = {len(ANGLE_FAST)}, CURVES = {len(CURVE_FAST)} }};",
        f"constexpr double LEAST_STD = {LEAST_STD};",
        "struct Number { float scale, other; double bias; };",
    ]
    tables = [
        _table("int", "PROGRAM[COUNT][13]", (_braces(row) for row in program.instructions.tolist())),
        _table("int", "CASE[COUNT]", numbers_of),
        # the polynomials are those of 2 u
        _table("float", "ANGLE[ANGLES]", (f"{2.0 ** (-0.5 - k) * c!r}f" for k, c in enumerate(ANGLE_FAST))),
        _table("float", "CURVE[CURVES]", (f"{2.0 ** (-0.5 - k) * c!r}f" for k, c in enumerate(CURVE_FAST))),
    ]
    folder = Path(__file__).with_name("_cuda")
    first, *others = ((folder / name).read_text(encoding="utf-8") for name in _FILES)
    text = "\n".join([*lines, first, *tables, *others])
    return Source(text, program, warps, 2 * height * width)


def _warps(width: int) -> int:
    """Return the warps of a block, which share the displacements along columns evenly where they can."""
    return max(n for n in range(1, _MOST_WARPS + 1) if width % n == 0 or n == min(width, 4))


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
        else:
            call = f"tap<{source}>(tile, at, sums[{third}])"
        calls.append(call)
    distinct = list(dict.fromkeys(calls))
    return distinct, [distinct.index(call) for call in calls]


def _braces(numbers: list[int]) -> str:
    return "{" + ", ".join(map(str, numbers)) + "}"


def _table(kind: str, name: str, values: Iterable[object]) -> str:
    return f"TABLE {kind} {name} = {{{', '.join(map(str, values))}}};"
