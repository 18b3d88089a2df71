"""Pairs, blocks and threads of the simd engine, and what follows the pooling of positions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from ntklab.engine._head import head
from ntklab.engine._simd_build import programs
from ntklab.engine._simd_images import follow
from ntklab.engine._simd_numbers import aligned, all_bits, factors, neighbours, weights
from ntklab.engine._simd_program import Program
from ntklab.engine._simd_relu import table
from ntklab.engine._simd_strips import Parallel, compute_dense
from ntklab.engine._simd_walk import walk, workspace
from ntklab.kernel import Plan

_IMAGE_BYTES = 64 << 20
"""What the planes of a block of images may take, on either side."""
_PAIRS = 1 << 14
"""Pairs whose partial sums are kept at once."""
_GROUP = 4
"""Without displacements, pairs of 4 and 4 images go through a layer together: each plane serves four pairs."""


def compute(
    plan: Plan, x1: np.ndarray, x2: np.ndarray | None, learned: dict, diagonal: bool, parallel: Parallel
) -> list[list[np.ndarray]]:
    """Return covariance and tangent kernel, if any, of each output: ``(n1, n2)``, or ``(n1,)`` for the diagonal."""
    if not plan.ops[0].spatial:
        return compute_dense(plan, x1, x2, learned, diagonal, parallel)
    made = programs(plan)
    n1, n2 = len(x1), len(x1) if x2 is None else len(x2)
    shape = (n1,) if diagonal else (n1, n2)
    out = [[aligned(shape) for _ in range(1 + plan.ops[i].ntk)] for _, i in plan.outputs]
    runs = [_Run(program, plan, learned, parallel) for program in made]
    for left, right in _blocks(min(run.block for run in runs), n1, n2, x2 is None, diagonal):
        sides = (x1[left], (x1 if x2 is None else x2)[right])
        same = x2 is None and left == right
        i, j = _pairs(sides, same, diagonal)
        values: dict[int, tuple] = {}
        for run in runs:
            values |= run.pooled(*sides, i, j)
        for (_, number), target in zip(plan.outputs, out, strict=True):
            cov, ntk = head(plan, number, values, learned)
            for whole, part in zip(target, (cov, ntk), strict=False):  # the covariance alone, where there is no NTK
                if diagonal:
                    whole[left] = part
                    continue
                whole[i + left.start, j + right.start] = part
                if x2 is None:
                    whole[j + right.start, i + left.start] = part
    return out


def _blocks(size: int, n1: int, n2: int, symmetric: bool, diagonal: bool) -> Iterator[tuple[slice, slice]]:
    for top in range(0, n1, size):
        rows = slice(top, min(top + size, n1))
        if diagonal:
            yield rows, rows
            continue
        for left in range(top if symmetric else 0, n2, size):
            yield rows, slice(left, min(left + size, n2))


def _pairs(sides: tuple[np.ndarray, np.ndarray], same: bool, diagonal: bool) -> tuple[np.ndarray, np.ndarray]:
    n1, n2 = map(len, sides)
    if diagonal:
        return np.arange(n1), np.arange(n1)
    if same:
        i, j = np.triu_indices(n1)
    else:
        i, j = (index.ravel() for index in np.indices((n1, n2)))
    order = np.lexsort((j // _GROUP, i // _GROUP))
    return i[order], j[order]


class _Run:
    """One program with its numbers, laid out for this machine's vectors."""

    def __init__(self, program: Program, plan: Plan, learned: dict, parallel: Parallel) -> None:
        self.program, self.parallel = program, parallel
        self.factors, self.bias, self.units = factors(program, plan, learned)
        height, width = program.size
        lanes = 16 if width > 8 else 8  # 256-bit machines hold 16 in two registers, whose steps overlap
        vectors = -(-width // lanes)
        self.padded = vectors * lanes
        self.witness, self.vectors = (0,) * lanes, (0,) * vectors
        self.tangent = (0,) if "ntk" in plan.get else ()
        self.table = table(lanes)
        self.y_row = self.padded + (width if program.displaced else 0)
        self.group = 1 if program.displaced else _GROUP**2
        self.geometry = np.array(
            [height, width, program.buffers, program.planes, program.circular, self.group], np.int64
        )
        self.moves = np.array(program.rows, np.int64), np.array(program.columns, np.int64)
        self.neighbours = neighbours(program, self.padded)
        self.weights = weights(program, self.padded)
        self.shares = np.array([np.outer(*end.shares()) for end in program.ends])
        self.spreads = [end.spread for end in program.ends]
        self.valid = all_bits(np.arange(self.padded) < width)
        floats = (program.planes + program.border_planes) * height * self.y_row
        self.block = max(1, _IMAGE_BYTES // (4 * floats))

    def pooled(
        self,
        x: Float[np.ndarray, "b1 *shape"],
        y: Float[np.ndarray, "b2 *shape"],
        i: Int[np.ndarray, " pairs"],
        j: Int[np.ndarray, " pairs"],
    ) -> dict[int, tuple]:
        """Return covariance and tangent kernel of the pairs, float64, by the number of the squeezing operation."""
        program = self.program
        own_x, sums_x = self._images(x, self.padded, 1)
        own_y, sums_y = self._images(y, self.y_row, 2 if program.displaced else 1)
        sums = np.empty((len(i), len(program.taps), 2))
        for start in range(0, len(i), _PAIRS):
            some = slice(start, min(start + _PAIRS, len(i)))
            sums[some] = self._walk(own_x, own_y, i[some], j[some])
        values = {}
        for n, number in enumerate(program.taps):
            unit, spread = self.units[n], self.spreads[n]
            mean = 0.5 * (sums_x[i, n] + sums_y[j, n] - sums[:, n, 0] / spread)
            values[number] = (unit * mean, 0.5 * unit / spread * sums[:, n, 1])  # T is in half the unit of D
        return values

    def _images(self, x: np.ndarray, row: int, copies: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        program = self.program
        height, width = program.size
        images = np.ascontiguousarray(x.reshape((len(x), height, width, x.shape[-1])))
        planes = np.zeros((len(x), program.planes, height, row), np.float32)
        border_planes = np.zeros((len(x), max(1, program.border_planes), height, row), np.float32)
        sums = np.zeros((len(x), len(program.taps)))

        def task(part: tuple[int, int]) -> None:
            follow(
                program.instructions, self.factors, self.bias, program.size, program.buffers, program.circular,
                program.border_planes > 0, copies, images, *part, self.shares, planes, border_planes, sums,
            )  # fmt: skip

        self.parallel(task, ((k, min(k + 8, len(x))) for k in range(0, len(x), 8)))
        return (planes, border_planes), sums

    def _walk(self, own_x: tuple, own_y: tuple, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        program = self.program
        masks, borders, counts = self.neighbours
        sums = np.zeros((len(i), len(program.rows), len(program.taps), 2))

        def task(part: tuple[int, int, int, int]) -> None:
            scratch = workspace(program.size[0], self.padded, program.buffers, program.planes, self.group)
            walk(
                self.witness, self.vectors, self.tangent, self.table, program.instructions, self.factors,
                self.geometry, *self.moves, masks, self.valid, *self.weights, borders, counts, own_x[0], own_y[0],
                own_x[1], own_y[1], i, j, *part, scratch, sums,
            )  # fmt: skip

        self.parallel(task, self._parts(len(i)))
        total = np.zeros((len(i), *sums.shape[2:]))
        for k in range(sums.shape[1]):  # in the order of displacements, whoever computed them
            total += sums[:, k]
        return total

    def _parts(self, pairs: int) -> Iterator[tuple[int, int, int, int]]:
        """Cut the work: by pairs, and by rows of displacements where pairs are few."""
        rows = len(self.program.rows)
        if pairs >= 64:
            size = max(16, min(256, pairs // 32))
            for k in range(0, pairs, size):
                yield k, min(k + size, pairs), 0, rows
            return
        for k in range(pairs):
            step = -(-rows // 8)
            for top in range(0, rows, step):
                yield k, k + 1, top, min(top + step, rows)
