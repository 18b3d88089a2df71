"""Images, pairs and blocks of the cuda engine, as JAX sees them: three kernels a program, in one compiled function."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from ntklab.engine._cuda_launch import Launch
from ntklab.engine._cuda_source import sources
from ntklab.engine._cuda_steps import THREADS, WORDS, Step, images, pairs, pairs_at_once
from ntklab.engine._head import head
from ntklab.engine._simd_numbers import factors
from ntklab.kernel import Learned, PairValue, Plan


def compute(
    launch: Launch, plan: Plan, diagonal: bool, x1: Array, x2: Array | None, learned: Learned
) -> list[PairValue]:
    """Return all outputs of a plan that ``_simd_program.decline`` accepts, ``(n1, n2)``, or ``(n1,)`` if diagonal."""
    return _compute(x1, x2, learned, _numbers(plan, learned), launch=launch, plan=plan, diagonal=diagonal)


def _numbers(plan: Plan, learned: Learned) -> list[list[Array]]:
    """Return factors and bias of each instruction and the unit of each tap, as kernels read them, by program."""

    def on_host(learned: Any) -> list[list[np.ndarray]]:
        made = []
        for chain in sources(plan):
            begin = 1.0
            for source in chain:
                scale, bias, units = factors(source.program, plan, learned, begin)
                made.append([np.concatenate((_words(scale), _words(bias)), axis=1), _words(units)])
                begin = units[0]
        return made

    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(learned)):
        return jax.tree.map(jnp.asarray, on_host(jax.tree.map(np.asarray, learned)))
    shapes = [
        [
            jax.ShapeDtypeStruct((len(s.program.ops), 2 * WORDS), jnp.uint32),
            jax.ShapeDtypeStruct((max(1, len(s.program.taps)), WORDS), jnp.uint32),
        ]
        for chain in sources(plan)
        for s in chain
    ]
    return jax.pure_callback(on_host, shapes, learned, vmap_method="sequential")


def _words(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.reshape((len(a), -1))).view(np.uint32)


@partial(jax.jit, static_argnames=("launch", "plan", "diagonal"))
def _compute(
    x1: Array, x2: Array | None, learned: Learned, numbers: Any, *, launch: Launch, plan: Plan, diagonal: bool
) -> list[PairValue]:
    values: dict[int, tuple] = {}
    rest = iter(numbers)
    for chain in sources(plan):
        steps = [Step(launch, source, *next(rest)) for source in chain]
        means = _means(steps, x1, x2, diagonal)
        values |= {tap: (means[..., n, 0], means[..., n, 1]) for n, tap in enumerate(chain[-1].program.taps)}
    outputs = []
    for _, i in plan.outputs:
        cov, ntk = head(plan, i, values, learned)
        outputs.append(PairValue(cov, ntk if plan.ops[i].ntk else None))
    return outputs


def _means(steps: list[Step], x1: Array, x2: Array | None, diagonal: bool) -> Float[Array, "... taps 2"]:
    """Return covariances and tangent kernels between the means over positions that the taps take."""
    first = images(steps, x1)
    second = first if x2 is None else images(steps, x2)
    n1, n2 = x1.shape[0], x1.shape[0] if x2 is None else x2.shape[0]
    if diagonal:
        total = n1
    elif x2 is None:
        total = (n1 + 1) // 2 * (n1 + 1)
    else:
        total = n1 * n2
    size = min(pairs_at_once(steps), -(-total // THREADS) * THREADS)

    def block(at: Array) -> Array:
        k = jnp.minimum(at * jnp.uint32(size) + jnp.arange(size, dtype=jnp.uint32), jnp.uint32(total - 1))
        if diagonal:
            left, right = k, k
        elif x2 is None:
            left, right = _triangle(n1, k)
        else:
            left, right = k // jnp.uint32(n2), k % jnp.uint32(n2)
        return pairs(steps, first, second, left.astype(jnp.int32), right.astype(jnp.int32))

    blocks = jax.lax.map(block, jnp.arange(-(-total // size), dtype=jnp.uint32))
    means = blocks.reshape((-1, *blocks.shape[2:]))
    if diagonal:
        return means[:n1]
    if x2 is None:
        i = jnp.arange(n1, dtype=jnp.uint32)
        low, high = jnp.minimum(i[:, None], i[None, :]), jnp.maximum(i[:, None], i[None, :])
        return means[_place_in_triangle(n1, low, high)]
    return means[: n1 * n2].reshape((n1, n2, *means.shape[1:]))


def _triangle(n: int, k: Int[Array, " k"]) -> tuple[Array, Array]:
    """Return the pairs ``i <= j`` by number: rows ``r`` and ``n - 1 - r`` of the triangle have ``n + 1`` together."""
    size, one = jnp.uint32(n), jnp.uint32(1)
    r, c = k // (size + one), k % (size + one)
    upper = c < size - r
    i = jnp.where(upper, r, size - one - r)
    return i, i + jnp.where(upper, c, c - (size - r))


def _place_in_triangle(n: int, i: Array, j: Array) -> Array:
    """Return the number of a pair ``i <= j``, the inverse of ``_triangle``."""
    size, one = jnp.uint32(n), jnp.uint32(1)
    upper = i < (size + one) // jnp.uint32(2)
    r = jnp.where(upper, i, size - one - i)
    return r * (size + one) + (j - i) + jnp.where(upper, jnp.uint32(0), size - r)
