"""Where fused engines average positions for good: poolings that only a Flatten or a global pooling reads, and these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ntklab.engine._sizes import flat_sizes
from ntklab.kernel import Op, Plan
from ntklab.spec import window_padding


@dataclass(frozen=True, eq=False)
class End:
    r"""What a squeezing operation and the poolings before it make of a value, :math:`K`, in one step.

    .. math:: \text{scale} \sum_{i i' j j'} \text{rows}_{i i'} \, \text{columns}_{j j'} \, K_{(i, j), (i', j')}

    Global pooling weighs all pairs of positions equally, Flatten equal positions, local average pooling (LAP, Li et al.
    2019) those that share windows by how many they share.

    Attributes
    ----------
    source : int
        The operation whose value is averaged.
    rows, columns : float64 (height, height), (width, width)
        Symmetric; the smallest weight that is not zero is 1, so that windows give whole numbers.
    scale : float
    """

    source: int
    rows: Float[np.ndarray, "h h"]
    columns: Float[np.ndarray, "w w"]
    scale: float

    @property
    def displaced(self) -> bool:
        """Whether pairs of different positions count."""
        return any(np.count_nonzero(w) > len(w) for w in (self.rows, self.columns))

    @property
    def spread(self) -> float:
        """The largest sum of weights of a position with all others."""
        return float(self.rows.sum(axis=0).max() * self.columns.sum(axis=0).max())

    def shares(self) -> tuple[Float[np.ndarray, " h"], Float[np.ndarray, " w"]]:
        """Return the sums of weights of each row and each column with all others, as shares of the largest."""
        sums = self.rows.sum(axis=0), self.columns.sum(axis=0)
        return sums[0] / sums[0].max(), sums[1] / sums[1].max()


ONE_POSITION = End(-1, np.ones((1, 1)), np.ones((1, 1)), 1.0)
"""Of dense networks."""


def at_the_end(plan: Plan) -> frozenset[int]:
    """Return the poolings that nothing but other poolings and squeezing operations reads."""
    found = {i for i, op in enumerate(plan.ops) if op.kind == "pool" and not op.squeeze}
    for op in plan.ops:
        if op.kind not in ("pool", "flatten"):
            found -= set(op.inputs)
    for i in sorted(found, reverse=True):  # whoever leads to a pooling inside the network is inside it, too
        readers = {j for j, op in enumerate(plan.ops) if i in op.inputs}
        if not all(plan.ops[j].squeeze or j in found for j in readers):
            found.discard(i)
    return frozenset(found)


def end_at(plan: Plan, number: int) -> End:
    """Return the end at a squeezing operation."""
    last = plan.ops[number]
    (source,) = last.inputs
    chain: list[Op] = []
    while plan.ops[source].kind == "pool":
        chain.append(plan.ops[source])
        (source,) = plan.ops[source].inputs
    spatial = plan.ops[source].spatial
    weights, scale = [], 1.0
    for axis, size in enumerate(spatial):
        means = np.eye(size)
        for op in reversed(chain):
            means = _windows(op, axis, means.shape[0]) @ means
        if last.kind == "pool":
            means = np.mean(means, axis=0, keepdims=True)
        own = means.T @ means / len(means)
        least = own[own > 0.0].min()
        weights.append(np.round(own / least, 9))  # of windows, whole numbers but for rounding
        scale *= least
    rows, columns = (np.ones((1, 1)), *weights)[-2:]
    assert (len(rows), len(columns)) == flat_sizes(spatial)
    return End(source, rows, columns, scale)


def _windows(op: Op, axis: int, size: int) -> Float[np.ndarray, "out size"]:
    """Return the matrix of a pooling's means along an axis."""
    assert op.window is not None
    window, stride = op.window.sizes[axis], op.window.strides[axis]
    before, _ = window_padding(size, window, stride, op.window.padding)
    means = np.zeros((op.spatial[axis], size))
    for p in range(len(means)):
        for at in range(p * stride - before, p * stride - before + window):
            if op.window.padding == "CIRCULAR":
                means[p, at % size] += 1.0 / window
            elif 0 <= at < size:
                means[p, at] += 1.0 / window
    return means
