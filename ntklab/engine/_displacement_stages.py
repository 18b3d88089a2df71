"""Stages: what lies between two poolings runs displacement by displacement; a pooling combines neighbouring ones.

A stage is all operations on one canvas. Displacements ``d`` count modulo the canvas, so a canvas that a pooling of
window ``w`` ends must be a multiple of ``w``: then the next canvas is ``w`` times smaller, and its displacement ``D``
rests on ``d = w D + (a' - a)`` for the positions ``a, a' = 0 .. w - 1`` inside the two windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Op, Plan


@dataclass(frozen=True)
class Slots:
    """Which displacements along one axis are kept, and whether they are all and wrap around; the rest is dropped."""

    first: int
    count: int
    around: bool


@dataclass(frozen=True)
class Stage:
    """Operations on one canvas and the displacements that those after them rest on, along rows and columns."""

    canvas: tuple[int, int]
    pools: tuple[int, ...]
    flattens: tuple[int, ...]
    first: tuple[int, int]  # the smallest displacement
    count: tuple[int, int]

    def slots(self, axis: int) -> Slots:
        """Return the displacements along an axis."""
        return Slots(self.first[axis], self.count[axis], self.count[axis] == self.canvas[axis])

    @property
    def slot_of_zero(self) -> tuple[int, int]:
        """Where the displacement zero is among those that are visited."""
        return -self.first[0], -self.first[1]


Layout = dict[tuple[int, int], Stage]
"""The stages of a plan by canvas, in order."""


def is_source(op: Op) -> bool:
    """Return whether a stage begins with this value."""
    return op.kind == "input" or is_inner(op)


def is_inner(op: Op) -> bool:
    """Return whether an operation pools windows, not everything."""
    return op.kind == "pool" and not op.squeeze


def factors(op: Op) -> tuple[int, int]:
    """Return the sizes of a pooling's window along rows and columns."""
    assert op.window is not None
    return flat_sizes(op.window.sizes)


def canvases(plan: Plan) -> list[tuple[int, int]]:
    """Return the canvas of every operation; of one without positions, what is left of it."""
    found = [flat_sizes(plan.ops[0].spatial)]
    for op in plan.ops[1:]:
        rows, columns = found[op.inputs[0]]
        down, across = factors(op) if is_inner(op) else (1, 1)
        found.append((rows // down, columns // across))
    return found


def stages(plan: Plan, alone: bool = False) -> Layout:
    """Return the stages of a plan; ``alone``: as far as images have distances to themselves to follow."""
    on = canvases(plan)
    ends = [i for i, op in enumerate(plan.ops) if op.kind == "pool" and (op.distance or not alone)]
    ends += [i for i, op in enumerate(plan.ops) if op.kind == "flatten" and not alone]
    reach: dict[tuple[int, int], list[int]] = {}
    for i in sorted(ends, key=lambda i: on[plan.ops[i].inputs[0]]):  # the last first: a pooling makes canvases smaller
        op = plan.ops[i]
        canvas = on[op.inputs[0]]
        here, after = reach.setdefault(canvas, [0, 0]), reach.setdefault(on[i], [0, 0])
        if op.kind == "pool":
            for axis, (n, w) in enumerate(zip(canvas, factors(op), strict=True)):
                here[axis] = max(here[axis], n if op.squeeze else w * after[axis] + w - 1)
    # where one stage visits all displacements, which wrap around, all do
    everywhere = [any(2 * r[axis] + 1 >= canvas[axis] for canvas, r in reach.items()) for axis in range(2)]
    found = {}
    for canvas in sorted(reach, reverse=True):
        sizes = list(zip(canvas, reach[canvas], everywhere, strict=True))
        first, count = (0 if w else -r for _, r, w in sizes), (n if w else 2 * r + 1 for n, r, w in sizes)
        here = [i for i in ends if on[plan.ops[i].inputs[0]] == canvas]
        pools = tuple(i for i in here if plan.ops[i].kind == "pool")
        flattens = tuple(i for i in here if plan.ops[i].kind == "flatten")
        found[canvas] = Stage(canvas, pools, flattens, _pair(first), _pair(count))
    return found


def _pair(numbers: Iterable[int]) -> tuple[int, int]:
    rows, columns = numbers
    return rows, columns


def needed(plan: Plan, targets: Iterable[int]) -> list[int]:
    """Return the operations of their stage that some poolings or Flattens rest on, in order, its sources included."""
    wanted = {j for i in targets for j in plan.ops[i].inputs}
    for i in reversed(range(len(plan.ops))):
        if i in wanted and not is_source(plan.ops[i]):
            wanted.update(plan.ops[i].inputs)
    return sorted(wanted)


def unfit(plan: Plan) -> str | None:
    """Return why displacements cannot follow a plan's poolings, or None."""
    on = canvases(plan)
    for op in plan.ops:
        if not is_inner(op):
            continue
        assert op.window is not None
        read = plan.ops[op.inputs[0]].spatial
        if op.window.strides != op.window.sizes:
            return f"the windows of {op.label} overlap or leave gaps, and it pools by windows side by side"
        if math.prod(op.window.sizes) == 1:
            return f"{op.label} leaves everything as it is"
        if op.window.padding != "VALID" and any(n % w for n, w in zip(read, op.window.sizes, strict=True)):
            return f"{op.label} pads an image of {'x'.join(map(str, read))}"
        whole = on[op.inputs[0]]
        if any(n % w for n, w in zip(whole, factors(op), strict=True)):
            return f"{op.label} does not divide the {'x'.join(map(str, whole))} displacements before it"
    return None
