"""What follows the pooling of positions in fused engines: dense layers and sums, on one number per pair."""

from __future__ import annotations

from typing import Any

from ntklab.kernel import Plan


def head(plan: Plan, number: int, values: dict[int, tuple], learned: Any) -> tuple:
    """Return covariance and tangent kernel of a value, from those of the squeezing operations in ``values``."""
    if number in values:
        return values[number]
    op = plan.ops[number]
    reads = [head(plan, i, values, learned) for i in op.inputs]
    (cov, ntk), *others = reads
    for other in others:
        cov, ntk = cov + other[0], ntk + other[1]
    if op.kind == "dense":
        numbers = learned[op.hyper]
        cov = numbers["W_std"] * cov
        if "b_std" in numbers:
            cov = cov + numbers["b_std"]
        ntk = numbers["W_std"] * ntk
        if op.trainable:
            ntk = ntk + cov
    values[number] = (cov, ntk)
    return cov, ntk
