"""From a plan to the program of the simd engine: a list of integers, settled without any input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ntklab.engine._ends import End, at_the_end
from ntklab.engine._known import unknown
from ntklab.kernel import Plan

INPUT, CONV, RELU, SUM, TAP, LOAD, STORE = range(7)
"""Kinds of instruction; a dense layer is a CONV of one position. LOAD and STORE stand at both sides of a pooling."""
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
    window : (int, int) or None
        Of the pooling that follows, where the program is not the last of its chain.
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
    window: tuple[int, int] | None = None

    @property
    def displaced(self) -> bool:
        """Whether other displacements than zero are walked."""
        return (self.rows, self.columns) != ((0,), (0,))


def decline(plan: Plan, stages: bool = False) -> str | None:
    """Return why no program exists for a plan, or with ``stages`` no chain of them, or None if there is one."""
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
    inner = cuts(plan)
    if inner and not stages:
        return f"more than the mean over positions follows {plan.ops[inner[0]].label}"
    paddings = set()
    for i, op in enumerate(plan.ops):
        if not op.spatial:
            if op.distance or op.kind == "relu":
                return "an activation follows the pooling of positions"
            continue
        if i in inner:
            reason = _around(plan, i)
            if reason is not None:
                return reason
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
        if (op.squeeze or op.kind == "pool") and before_relu[op.inputs[0]]:
            return "positions are pooled before any activation, where distances lose digits of covariances"
    return None


def cuts(plan: Plan) -> list[int]:
    """Return the poolings inside a network, in order: those that more follows than the mean over positions."""
    ends = at_the_end(plan)
    return [i for i, op in enumerate(plan.ops) if op.kind == "pool" and not op.squeeze and i not in ends]


def _around(plan: Plan, i: int) -> str | None:
    """Return why a pooling does not cut a plan in two, or None."""
    op = plan.ops[i]
    assert op.window is not None
    spatial = plan.ops[op.inputs[0]].spatial
    if op.window.sizes != op.window.strides or any(n % k for n, k in zip(spatial, op.window.sizes, strict=True)):
        return f"the windows of {op.label} do not lie side by side on {'x'.join(map(str, spatial))} positions"
    before = {i}
    for j in range(i, -1, -1):
        if j in before:
            before |= set(plan.ops[j].inputs)
    if any(set(other.inputs) & (before - {i}) for j, other in enumerate(plan.ops) if j not in before):
        return f"a branch goes around {op.label}"
    return None


def _without_relu(plan: Plan) -> list[bool]:
    flags: list[bool] = []
    for op in plan.ops:
        flags.append(op.kind != "relu" and (not op.inputs or all(flags[i] for i in op.inputs)))
    return flags
