"""From a plan to the program of the simd engine: a list of integers, settled without any input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ntklab.engine._ends import ONE_POSITION, End, at_the_end, end_at
from ntklab.engine._known import unknown
from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Op, Plan

INPUT, CONV, RELU, SUM, TAP = range(5)
"""Kinds of instruction; a dense layer is a CONV of one position."""
FIELDS = 13
"""Numbers of an instruction: kind, buffer read, buffer written; channels (INPUT), rows of the filter (CONV), second
buffer (SUM) or number of the tap (TAP); columns of the filter; trainable; a ReLU follows; variance and its row sums
before (border planes, CONV); standard deviation or, without a ReLU, variance after, and inverse deviation (planes);
whether the instruction before has begun this one; whether this one begins the next (``step`` in ``_simd_tile.py``)."""
REACH = 8
"""How far from its centre a filter may reach."""


@dataclass(frozen=True)
class Program:
    """What is done to a tile.

    Attributes
    ----------
    instructions : int64 (instructions, FIELDS)
    ops : tuple of int
        The plan's operation behind each instruction; a fused ReLU counts to its convolution.
    taps : tuple of int
        What comes out: sums over positions at the squeezing operations of the plan; outputs of dense networks.
    ends : tuple of End
        How positions are weighed at each tap.
    rows, columns : tuple of int
        The displacements that are walked: all for global pooling, zero for Flatten.
    size : (int, int)
        Height and width; 1-D inputs have height 1.
    planes, border_planes, buffers, reach : int
    circular : bool
    """

    instructions: np.ndarray
    ops: tuple[int, ...]
    taps: tuple[int, ...]
    ends: tuple[End, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    size: tuple[int, int]
    planes: int
    border_planes: int
    buffers: int
    reach: int
    circular: bool

    @property
    def displaced(self) -> bool:
        """Whether other displacements than zero are walked."""
        return (self.rows, self.columns) != ((0,), (0,))


def decline(plan: Plan) -> str | None:
    """Return why no program exists for a plan, or None if one does."""
    reason = unknown(plan)
    if reason is not None:
        return reason
    before_relu = _without_relu(plan)
    spatial = plan.ops[0].spatial
    if not spatial:
        if any(before_relu[i] for _, i in plan.outputs):
            return "an output without any activation, where distances lose digits of covariances"
        return None
    if len(spatial) > 2:
        return f"needs inputs with at most two spatial axes, this plan has {len(spatial)}"
    paddings, ends = set(), at_the_end(plan)
    for i, op in enumerate(plan.ops):
        if not op.spatial:
            if op.distance or op.kind == "relu":
                return "an activation follows the pooling of positions"
            continue
        if op.kind == "pool" and i not in ends:
            return f"more than the mean over positions follows {op.label}"
        if op.kind == "conv":
            assert op.window is not None
            if set(op.window.strides) != {1}:
                return f"{op.label} has strides"
            if op.window.padding == "VALID" or any(k % 2 == 0 for k in op.window.sizes):
                return f"{op.label}: needs SAME or CIRCULAR padding and odd filters"
            if max(op.window.sizes) > 2 * REACH + 1:
                return f"{op.label}: filters up to {2 * REACH + 1} wide"
            paddings.add(op.window.padding)
    if len(paddings) > 1:
        return "SAME and CIRCULAR padding in one network"
    for op in plan.ops:
        if op.squeeze and before_relu[op.inputs[0]]:
            return "positions are pooled before any activation, where distances lose digits of covariances"
    return None


def programs(plan: Plan) -> tuple[Program, ...]:
    """Return the programs of a plan that :func:`decline` accepts: one for all displacements, one for zero only."""
    if not plan.ops[0].spatial:
        return (_Builder(plan, dict.fromkeys(sorted({i for _, i in plan.outputs}), ONE_POSITION)).build(),)
    ends = {i: end_at(plan, i) for i, op in enumerate(plan.ops) if op.squeeze}
    made = []
    for displaced in (True, False):
        some = {i: end for i, end in ends.items() if end.displaced == displaced}
        if some:
            made.append(_Builder(plan, some).build())
    return tuple(made)


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


def _without_relu(plan: Plan) -> list[bool]:
    flags: list[bool] = []
    for op in plan.ops:
        flags.append(op.kind != "relu" and (not op.inputs or all(flags[i] for i in op.inputs)))
    return flags


@dataclass
class _Builder:
    plan: Plan
    ends: dict[int, End]
    rows: list[list[int]] = field(default_factory=list)
    ops: list[int] = field(default_factory=list)

    def build(self) -> Program:
        plan = self.plan
        needed = self._needed()
        spatial = plan.ops[0].spatial
        self.taps = list(self.ends)
        moves = [
            _displacements(weights)
            for weights in zip(*((end.rows, end.columns) for end in self.ends.values()), strict=True)
        ]
        self.displaced = moves != [(0,), (0,)]
        self.readers = {i: [j for j in needed if i in self._inputs(j)] for i in needed}
        self.place: dict[int, int] = {}
        self.free: list[int] = []
        self.buffers, self.border_planes, self.reach, self.circular = 0, 0, 1, False
        self.planes = plan.input_shape[-1] if spatial else 0  # images are read as planes
        self.left = {i: len(self.readers[i]) + (i in self.taps) for i in needed}
        for i in needed:
            op = plan.ops[i]
            if op.kind == "input":
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
        relu = self.left[i] == 1 and i not in self.taps and self.plan.ops[self.readers[i][0]].kind == "relu"
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
        wanted = set(self.ends)
        for i in sorted(range(len(self.plan.ops)), reverse=True):
            if i in wanted:
                wanted |= set(self._inputs(i))
        return sorted(wanted)

    def _inputs(self, i: int) -> tuple[int, ...]:
        """Return what an operation reads; the poolings of an end are part of it."""
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
