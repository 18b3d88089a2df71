"""The simd engine: fused CPU code, all layers of a tile of pairs in cache."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ntklab.engine._by_reference import values_of
from ntklab.engine._interface import Engine, Support
from ntklab.engine._simd_program import decline
from ntklab.kernel import Learned, PairValue, Plan


class Simd(Engine):
    """Explicit SIMD through numba, on all cores; float32, values only.

    Derivatives are those of the reference engine, which then computes the values, too.
    """

    name = "simd"

    def declines(self, plan: Plan) -> str | None:
        """Know dense networks; stride-1 convolutions, ReLUs and sums with average poolings or Flatten at the end."""
        return decline(plan)

    def supports(self, plan: Plan, device: Any, dtype: np.dtype) -> Support:
        """Accept what it knows in float32 on CPUs."""
        if device.platform != "cpu":
            return Support(False, f"runs on CPUs, this device is {device.platform}")
        if dtype != np.float32:
            return Support(False, f"computes in float32, asked for {dtype}")
        reason = self.declines(plan)
        if reason is not None:
            return Support(False, reason)
        if importlib.util.find_spec("numba") is None:
            return Support(False, 'needs numba: pip install "ntklab[simd]"')
        return Support(True, "fused SIMD code for CPUs; derivatives by the reference engine")

    def run(
        self, plan: Plan, x1: Float[Array, "n1 *shape"], x2: Float[Array, "n2 *shape"] | None, learned: Learned
    ) -> list[PairValue]:
        """Compute all pairs."""
        return values_of(_outputs, replace(plan, hyper=()), False, x1, x2, learned)

    def diagonal(self, plan: Plan, x: Float[Array, "n *shape"], learned: Learned) -> list[PairValue]:
        """Compute each input with itself."""
        return values_of(_outputs, replace(plan, hyper=()), True, x, None, learned)


def _outputs(plan: Plan, diagonal: bool, x1: Array, x2: Array | None, learned: Learned) -> list[PairValue]:
    n1, n2 = x1.shape[0], x1.shape[0] if x2 is None else x2.shape[0]
    shape = (n1,) if diagonal else (n1, n2)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((x1, x2, learned))):
        out = jax.ShapeDtypeStruct(shape, jnp.float32)
        shapes = [[out] * (1 + plan.ops[i].ntk) for _, i in plan.outputs]
        host = functools.partial(_on_host, plan, diagonal)
        return _named(jax.pure_callback(host, shapes, x1, x2, learned, vmap_method="sequential"))
    return _named(jax.tree.map(jax.device_put, _on_host(plan, diagonal, x1, x2, learned)))


def _named(values: list[list[Array]]) -> list[PairValue]:
    return [PairValue(value[0], value[1] if len(value) > 1 else None) for value in values]


def _on_host(plan: Plan, diagonal: bool, x1: Any, x2: Any, learned: Any) -> list[list[np.ndarray]]:
    from ntklab.engine._simd_compute import compute

    x1, x2, learned = jax.tree.map(np.asarray, (x1, x2, learned))
    return compute(plan, x1, x2, learned, diagonal, in_parallel)


@functools.cache
def _workers() -> ThreadPoolExecutor:
    """One pool of threads for the process: concurrent calls share the cores instead of fighting for them."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="ntklab-simd")


def in_parallel(task: Callable[[Any], None], items: Iterator[Any]) -> None:
    """Run a task on all items; the first exception, Ctrl-C among them, leaves the rest undone."""
    futures = [_workers().submit(task, item) for item in items]
    try:
        for future in futures:
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
