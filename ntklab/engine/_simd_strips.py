"""Dense networks in the simd engine: what each input contributes alone, and strips of the Gram matrix for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ntklab.engine._simd_build import programs
from ntklab.engine._simd_dense import ROWS, floats, tiles
from ntklab.engine._simd_numbers import LEAST_STD, aligned
from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM, TAP, Program
from ntklab.engine._simd_relu import table
from ntklab.kernel import Plan

_LANES, _VECTORS = 16, 8
_COLUMNS = _LANES * _VECTORS
_ROWS = 2048
"""Rows that share one packed strip of columns: packing costs as much as about 60 rows."""

Parallel = Callable[[Callable[[Any], None], Iterator[Any]], None]


def compute_dense(
    plan: Plan, x1: np.ndarray, x2: np.ndarray | None, learned: dict, diagonal: bool, parallel: Parallel
) -> list[list[np.ndarray]]:
    """Return covariance and tangent kernel, if any, of each output; what ``plan.get`` leaves out is not filled."""
    (program,) = programs(plan)
    symmetric = x2 is None and not diagonal
    y = x1 if x2 is None else x2
    own_x = _alone(program, plan, learned, x1)
    own_y = own_x if x2 is None else _alone(program, plan, learned, y)
    n1, n2 = len(x1), 1 if diagonal else len(y)
    wanted = {word: (0,) if word in plan.get else () for word in ("nngp", "ntk")}
    taps = len(program.taps)
    nngp, ntk = (aligned((taps, n1, n2) if wanted[word] else (0, 0, 0)) for word in wanted)
    constants, instructions = table(_LANES), _instructions(program, plan, learned)

    def task(part: tuple[int, int, int, int]) -> None:
        scratch = np.empty(floats(_COLUMNS, x1.shape[1], program.buffers, taps), np.float32)
        tiles(
            (0,) * _LANES, (0,) * _VECTORS, wanted["ntk"], wanted["nngp"], constants, instructions, program.buffers,
            taps, x1, y, own_x.planes, own_y.planes, own_x.inverse, own_y.inverse, *part, symmetric, diagonal, scratch,
            nngp, ntk,
        )  # fmt: skip

    parallel(task, _strips(n1, n2, symmetric))
    out = []
    for _, number in plan.outputs:
        tap = program.taps.index(number)
        both = [nngp[tap]] if wanted["nngp"] else [ntk[tap]]  # a covariance that nobody asked for is not read
        both += [ntk[tap]] if plan.ops[number].ntk else []
        out.append([values[:, 0] if diagonal else values for values in both])
    return out


def _strips(n1: int, n2: int, symmetric: bool) -> Iterator[tuple[int, int, int, int]]:
    """Cut the Gram matrix into parts, the longest strips of a symmetric one first."""
    rows = max(ROWS, min(_ROWS, -(-n1 // 4)))
    for left in reversed(range(0, n2, _COLUMNS)):
        right = min(left + _COLUMNS, n2)
        for top in range(0, min(n1, right) if symmetric else n1, rows):
            yield top, min(top + rows, n1), left, right


def _instructions(program: Program, plan: Plan, learned: dict) -> Int[np.ndarray, "instructions 7"]:
    """Return the instructions as ``tiles`` reads them; a RELU alone is a layer without weights."""
    rows = np.zeros((len(program.ops), 7), np.int64)
    rows[:, :4] = program.instructions[:, :4]
    rows[:, 4:6] = program.instructions[:, 5:7]
    for number, (row, i) in enumerate(zip(program.instructions, program.ops, strict=True)):
        rows[number, 5] |= row[0] == RELU
        rows[number, 6] = row[0] == CONV and float(learned[plan.ops[i].hyper].get("b_std", 0.0)) > 0.0
    return rows


class _Alone(NamedTuple):
    """What each input contributes alone."""

    planes: Float[np.ndarray, "planes columns"]
    inverse: Float[np.ndarray, " n"]


def _alone(program: Program, plan: Plan, learned: dict, x: Float[np.ndarray, "n d"]) -> _Alone:
    """Follow the variances in float64; return shares of sums and deviations at taps, rounded once, and 1 / lengths."""
    planes = np.zeros((2 * len(program.ops), len(x) + _COLUMNS), np.float32)
    values = np.zeros((program.buffers, len(x)))
    squared = np.einsum("nd,nd->n", x, x, dtype=np.float64)
    for number, (row, i) in enumerate(zip(program.instructions, program.ops, strict=True)):
        kind, source, target, third = row[:4]
        first, second = planes[2 * number, : len(x)], planes[2 * number + 1, : len(x)]
        v = values[source]
        if kind == INPUT:
            v = squared / x.shape[1]
        elif kind == CONV:
            numbers = learned[plan.ops[i].hyper]
            scaled, bias = float(numbers["W_std"]) * v, float(numbers.get("b_std", 0.0))
            v = scaled + bias
            first[:], second[:] = _share(scaled, v), _share(np.full_like(v, bias), v)
        elif kind == SUM:
            other = values[third]
            v = v + other
            first[:], second[:] = _share(values[source], v), _share(other, v)
        elif kind == TAP:
            first[:] = np.sqrt(v)
            continue
        values[target] = 0.5 * v if kind == RELU or row[6] else v
    return _Alone(planes, _inverse(np.sqrt(squared)))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the share of a variance in a whole one, as one of standard deviations; zero of zero."""
    return np.sqrt(part) * _inverse(np.sqrt(whole))


def _inverse(a: np.ndarray) -> np.ndarray:
    return np.divide(1.0, a, out=np.zeros_like(a), where=a > LEAST_STD)
