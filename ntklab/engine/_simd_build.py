"""From a plan to programs: buffers, planes and the order of instructions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ntklab.engine._ends import ONE_POSITION, End, end_at
from ntklab.engine._simd_program import CONV, FIELDS, INPUT, LOAD, RELU, STORE, SUM, TAP, Program, cuts
from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Op, Plan


def programs(plan: Plan) -> tuple[Program, ...]:
    """Return the programs of a plan that ``decline`` accepts: one for all displacements, one for zero only."""
    return tuple(program for (program,) in chains(plan))


def chains(plan: Plan) -> tuple[tuple[Program, ...], ...]:
    """Return the same where poolings may lie inside: what is between them are programs that follow each other."""
    if not plan.ops[0].spatial:
        return ((_Builder(plan, dict.fromkeys(sorted({i for _, i in plan.outputs}), ONE_POSITION)).build(),),)
    ends = {i: end_at(plan, i) for i, op in enumerate(plan.ops) if op.squeeze}
    inner = cuts(plan)
    made = []
    for displaced in (True, False):
        some = {i: end for i, end in ends.items() if end.displaced == displaced}
        if some:
            last = _Builder(plan, some, begin=inner[-1] if inner else None).build()
            made.append((*_before(plan, inner, last), last))
    return tuple(made)


def _before(plan: Plan, inner: list[int], last: Program) -> list[Program]:
    """Return the programs up to each pooling, with the displacements that those after it need."""
    made: list[Program] = []
    after = last
    for number in reversed(range(len(inner))):
        pool = plan.ops[inner[number]]
        spatial = plan.ops[pool.inputs[0]].spatial
        assert pool.window is not None
        sizes, windows = flat_sizes(spatial), flat_sizes(pool.window.sizes)
        moves = [
            tuple(sorted({(k * move + o) % n for move in after_moves for o in range(1 - k, k)}))
            for n, k, after_moves in zip(sizes, windows, (after.rows, after.columns), strict=True)
        ]
        begin = inner[number - 1] if number else None
        builder = _Builder(plan, {}, begin=begin, store=inner[number], moves=(moves[0], moves[1]))
        after = replace(builder.build(), window=windows)
        made.insert(0, after)
    return made


def _filter(op: Op) -> tuple[int, int]:
    """Return rows and columns of an operation's filter."""
    return flat_sizes(op.window.sizes if op.window is not None else ())


def _displacements(weights: Iterable[np.ndarray]) -> tuple[int, ...]:
    """Return the displacements between positions, around the image, that any of some symmetric weights has."""
    found: set[int] = set()
    for w in weights:
        i, k = np.nonzero(w)
        found |= set(((k - i) % len(w)).tolist())
    return tuple(sorted(found))


@dataclass
class _Builder:
    plan: Plan
    ends: dict[int, End]
    begin: int | None = None  # the pooling before
    store: int | None = None  # the pooling behind
    moves: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    rows: list[list[int]] = field(default_factory=list)
    ops: list[int] = field(default_factory=list)

    def build(self) -> Program:
        plan = self.plan
        needed = self._needed()
        spatial = plan.ops[0 if self.begin is None else self.begin].spatial
        kept = None if self.store is None else plan.ops[self.store].inputs[0]
        self.taps = list(self.ends)
        moves = self.moves
        if self.ends:
            rows, columns = zip(*((end.rows, end.columns) for end in self.ends.values()), strict=True)
            moves = _displacements(rows), _displacements(columns)
        self.displaced = moves != ((0,), (0,))
        self.readers = {i: [j for j in needed if i in self._inputs(j)] for i in needed}
        self.place: dict[int, int] = {}
        self.free: list[int] = []
        self.buffers, self.border_planes, self.reach, self.circular = 0, 0, 1, False
        self.planes = plan.input_shape[-1] if spatial and self.begin is None else 0  # images are read as planes
        self.left = {i: len(self.readers[i]) + (i in self.taps) + (i == kept) for i in needed}
        for i in needed:
            op = plan.ops[i]
            if i == self.begin:
                self._add(i, LOAD, 0, self._take(i))
            elif op.kind == "input":
                self._add(i, INPUT, 0, self._take(i), plan.input_shape[-1])
            elif op.kind in ("conv", "dense"):
                self._weights(i, op)
            elif op.kind == "relu":
                if i not in self.place:
                    source = self.place[op.inputs[0]]
                    self._release(op.inputs[0])
                    self._add(i, RELU, source, self._take(i), 0, 0, 0, 1, 0, 0, self._plane(True), self._plane(True))
            elif op.kind == "sum":
                self._sum(i, op)
            else:
                self._add(i, TAP, self.place[self.ends[i].source], 0, self.taps.index(i))
                self._release(self.ends[i].source)
            if i in self.taps and not spatial:
                self._add(i, TAP, self.place[i], 0, self.taps.index(i), 0, 0, 0, 0, 0, self._plane(True))
                self._release(i)
        if kept is not None:
            self._add(kept, STORE, self.place[kept], 0, 0, 0, 0, 0, 0, 0, self._plane(True))
        self._chain()
        return Program(
            instructions=np.array(self.rows, np.int64),
            ops=tuple(self.ops),
            taps=tuple(self.taps),
            ends=tuple(self.ends.values()),
            rows=moves[0],
            columns=moves[1],
            size=flat_sizes(spatial),
            planes=self.planes,
            border_planes=self.border_planes,
            buffers=self.buffers,
            reach=self.reach,
            circular=self.circular,
        )

    def _weights(self, i: int, op: Op) -> None:
        """Add a convolution or a dense layer, with the ReLU that alone reads it."""
        kh, kw = _filter(op)
        if op.window is not None:
            self.reach, self.circular = max(self.reach, kw // 2), op.window.padding == "CIRCULAR"
        relu = self.left[i] == len(self.readers[i]) == 1 and self.plan.ops[self.readers[i][0]].kind == "relu"
        source = self.place[op.inputs[0]]
        # the window reads neighbours of a row that it would already have overwritten
        in_place = kw > 1 or kh == 1
        if in_place:
            self._release(op.inputs[0])
        target = self._take(self.readers[i][0] if relu else i)
        if not in_place:
            self._release(op.inputs[0])
        before = (0, 0)
        if self.displaced and not self.circular:
            before = (self.border_planes, self.border_planes + 1)
            self.border_planes += 2
        after = (self._plane(relu or op.trainable), self._plane(relu))
        self._add(i, CONV, source, target, kh, kw, op.trainable, relu, *before, *after)

    def _chain(self) -> None:
        """Mark 3 x 3 convolutions whose only reader is a 3-wide one that comes next."""
        for n, (row, after) in enumerate(zip(self.rows, self.rows[1:], strict=False)):
            if row[0] == after[0] == CONV and row[3] == row[4] == after[4] == 3 and row[5] and row[6]:
                result = self.readers[self.ops[n]][0]
                window = self.plan.ops[self.ops[n]].window
                assert window is not None
                if len(self.readers[result]) == 1 and after[1] == row[2] and window.padding == "SAME":
                    row[12] = after[11] = 1

    def _needed(self) -> list[int]:
        wanted = set(self.ends) if self.store is None else set(self.plan.ops[self.store].inputs)
        for i in sorted(range(len(self.plan.ops)), reverse=True):
            if i in wanted:
                wanted |= set(self._inputs(i))
        return sorted(wanted)

    def _inputs(self, i: int) -> tuple[int, ...]:
        """Return what an operation reads; the poolings of an end are part of it, one before is read from memory."""
        if i == self.begin:
            return ()
        spatial = self.plan.ops[0].spatial
        return (self.ends[i].source,) if spatial and i in self.ends else self.plan.ops[i].inputs

    def _sum(self, i: int, op: Op) -> None:
        """Add branches two by two; the unit of the result is that of the first."""
        first = self.place[op.inputs[0]]
        target = self._take(i)
        for n, other in enumerate(op.inputs[1:]):
            self._add(i, SUM, first if n == 0 else target, target, self.place[other])
        for j in op.inputs:
            self._release(j)

    def _add(self, op: int, *numbers: int) -> None:
        self.rows.append([int(n) for n in numbers] + [0] * (FIELDS - len(numbers)))
        self.ops.append(op)

    def _plane(self, wanted: bool) -> int:
        if not wanted:
            return 0
        self.planes += 1
        return self.planes - 1

    def _take(self, value: int) -> int:
        if not self.free:
            self.free.append(self.buffers)
            self.buffers += 1
        self.place[value] = self.free.pop()
        return self.place[value]

    def _release(self, value: int) -> None:
        self.left[value] -= 1
        if self.left[value] == 0:
            self.free.append(self.place[value])
