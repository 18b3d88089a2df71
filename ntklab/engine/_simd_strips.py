"""Dense networks in the simd engine: what each input contributes alone, and strips of the Gram matrix for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from ntklab.engine._simd_dense import ROWS, floats, tiles
from ntklab.engine._simd_numbers import LEAST_STD, aligned, factors
from ntklab.engine._simd_program import CONV, INPUT, RELU, SUM, TAP, Program, programs
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
    scale, bias, units = factors(program, plan, learned)
    symmetric = x2 is None and not diagonal
    y = x1 if x2 is None else x2
    own_x = _alone(program, scale, bias, x1)
    own_y = own_x if x2 is None else _alone(program, scale, bias, y)
    n1, n2 = len(x1), 1 if diagonal else len(y)
    wanted = {word: (0,) if word in plan.get else () for word in ("nngp", "ntk")}
    nngp, ntk = (aligned((len(program.taps), n1, n2) if wanted[word] else (0, 0, 0)) for word in wanted)
    constants = table(_LANES)
    halves = (0.5 * units).astype(np.float32)

    def task(part: tuple[int, int, int, int]) -> None:
        scratch = np.empty(floats(_COLUMNS, x1.shape[1], program.buffers, len(program.taps)), np.float32)
        tiles(
            (0,) * _LANES, (0,) * _VECTORS, wanted["ntk"], wanted["nngp"], constants, program.instructions, scale,
            halves, x1, y, own_x, own_y, *part, symmetric, diagonal, scratch, nngp, ntk,
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


def _alone(
    program: Program, scale: np.ndarray, bias: np.ndarray, x: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "planes columns"]:
    """Return variances, standard deviations and their inverses through the layers, in float64 and rounded once."""
    planes = np.zeros((program.planes, len(x) + _COLUMNS), np.float32)
    values = np.zeros((program.buffers, len(x)))
    for number, row in enumerate(program.instructions):
        kind, source, target = row[:3]
        v = values[source]
        if kind == INPUT:
            v = np.einsum("nd,nd->n", x, x, dtype=np.float64)
        elif kind == CONV:
            v = scale[number, 0] * v + bias[number]
        elif kind == SUM:
            v = scale[number, 0] * v + scale[number, 1] * values[row[3]]
        if kind == RELU or row[6]:
            planes[row[9], : len(x)] = a = np.sqrt(v)
            planes[row[10], : len(x)] = np.divide(1.0, a, out=np.zeros_like(a), where=a > LEAST_STD)
        elif kind == TAP or (kind == CONV and row[5]):
            planes[row[9], : len(x)] = v
        if kind != TAP:
            values[target] = v  # after a ReLU half of it, in half the unit
    return planes
