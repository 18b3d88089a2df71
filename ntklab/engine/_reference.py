"""The reference engine: the rules of :mod:`ntklab.kernel` as written, on any device, differentiable."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._interface import Engine, Support
from ntklab.kernel import RULES, Carry, Learned, Loop, PairValue, Plan, find_loops, image_pass, pair_pass

_BLOCK_BYTES = 4 << 20
"""What a block of pairs may take: measured best on CPU at the size of a core's share of cache."""
_LARGEST_BLOCK = 512


class Reference(Engine):
    """Blocks of pairs one after another, each by :func:`ntklab.kernel.pair_pass`; the definition of the rest."""

    name = "reference"

    def supports(self, plan: Plan, device: Any, dtype: np.dtype) -> Support:
        """Accept every plan that has rules."""
        unruled = [op for op in plan.ops if op.kind not in {"input", *RULES}]
        if unruled:
            return Support(False, f"{unruled[0].label} ({unruled[0].kind}) has no rule")
        return Support(True, "runs every plan on every device")

    def run(
        self, plan: Plan, x1: Float[Array, "n1 *shape"], x2: Float[Array, "n2 *shape"] | None, learned: Learned
    ) -> list[PairValue]:
        """Compute all pairs; the learnable numbers are arguments, so that new values compile nothing."""
        return _run(x1, x2, learned, plan=replace(plan, hyper=()))

    def diagonal(self, plan: Plan, x: Float[Array, "n *shape"], learned: Learned) -> list[PairValue]:
        """Compute each input with itself."""
        return _diagonal(x, learned, plan=replace(plan, hyper=()))


@partial(jax.jit, static_argnames=("plan",))
def _run(x1: Array, x2: Array | None, learned: Learned, *, plan: Plan) -> list[PairValue]:
    n1, n2 = x1.shape[0], x1.shape[0] if x2 is None else x2.shape[0]
    side = _block_side(plan, x1.dtype)
    b1, b2 = min(side, n1), min(side, n2)
    rows, columns = -(-n1 // b1), -(-n2 // b2)
    loops = find_loops(plan, learned)
    left = _blocks(plan, x1, learned, loops, b1, rows)
    right = left if x2 is None else _blocks(plan, x2, learned, loops, b2, columns)
    if x2 is None:
        i, j = np.triu_indices(rows)
    else:
        i, j = (index.ravel() for index in np.indices((rows, columns)))

    @jax.checkpoint  # derivatives recompute a block instead of keeping all of its layers for all blocks
    def block(index: tuple[Array, Array]) -> list[PairValue]:
        (xi, li), (xj, rj) = (_take(side, k) for side, k in zip((left, right), index, strict=True))
        return pair_pass(plan, xi, xj, li, rj, learned, loops)

    tiles = jax.lax.map(block, (jnp.asarray(i), jnp.asarray(j)))
    ndim = len(plan.ops[plan.outputs[0][1]].spatial)

    def assemble(tile: Array) -> Array:
        positions = tile.shape[3:]
        whole = jnp.zeros((rows, columns, b1, b2, *positions), tile.dtype).at[i, j].set(tile)
        whole = whole.swapaxes(1, 2).reshape((rows * b1, columns * b2, *positions))[:n1, :n2]
        if x2 is not None:
            return whole
        upper = np.triu(np.ones((n1, n1), bool)).reshape((n1, n1, *(1 for _ in positions)))
        mirrored = whole.swapaxes(0, 1)
        if len(positions) > ndim:  # all pairs of positions
            mirrored = jnp.moveaxis(mirrored, range(2, 2 + ndim), range(2 + ndim, 2 + 2 * ndim))
            mine = np.triu(np.ones((math.prod(positions[:ndim]),) * 2, bool)).reshape(positions)
            upper = np.where(np.eye(n1, dtype=bool).reshape(upper.shape), mine, upper)
        return jnp.where(upper, whole, mirrored)

    return jax.tree.map(assemble, tiles)


@partial(jax.jit, static_argnames=("plan",))
def _diagonal(x: Array, learned: Learned, *, plan: Plan) -> list[PairValue]:
    loops = find_loops(plan, learned)

    def one(xi: Array) -> list[PairValue]:
        own = image_pass(plan, xi[None], learned, loops=loops)
        return pair_pass(plan, xi[None], xi[None], own, own, learned, loops)

    return jax.tree.map(lambda a: a[:, 0, 0], jax.lax.map(one, x))


def _blocks(
    plan: Plan, x: Array, learned: Learned, loops: tuple[Loop, ...], size: int, count: int
) -> tuple[Array, list]:
    """Return inputs and their image pass, cut into blocks; the last one repeats the last input."""
    if any(op.image is Carry.ALL for op in plan.ops):
        own = jax.lax.map(lambda xi: jax.tree.map(lambda a: a[0], image_pass(plan, xi[None], learned, None, loops)), x)
    else:
        own = image_pass(plan, x, learned, None, loops)
    index = np.minimum(np.arange(size * count), x.shape[0] - 1).reshape((count, size))
    return _take((x, own), index)


def _take(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda a: a[index], tree)


def _block_side(plan: Plan, dtype: np.dtype) -> int:
    pairs = _BLOCK_BYTES // (plan.widest * dtype.itemsize)
    return max(1, min(_LARGEST_BLOCK, math.isqrt(pairs)))
