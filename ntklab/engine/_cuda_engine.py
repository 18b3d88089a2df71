"""The cuda engine: all layers of a displacement tile in the registers of one warp, on NVIDIA GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._by_reference import values_of
from ntklab.engine._cuda_compute import compute
from ntklab.engine._cuda_launch import Launch, OnGpu
from ntklab.engine._cuda_nvrtc import unavailable
from ntklab.engine._cuda_source import LARGEST
from ntklab.engine._interface import Engine, Support
from ntklab.engine._simd_program import decline
from ntklab.kernel import Learned, PairValue, Plan

_JAX = (0, 11)
"""The oldest JAX for which the launch is checked, as far as that goes without a GPU."""
_CAPABILITY = (7, 5)
"""The oldest GPUs that current CUDA compiles for."""


@dataclass(frozen=True)
class Cuda(Engine):
    """One kernel for all layers, specialised to the plan and compiled when it is first used; float32, values only.

    Derivatives are those of the reference engine, which then computes the values, too.

    Attributes
    ----------
    elsewhere : Launch, optional
        Runs the kernels instead of a GPU; for tests.
    """

    elsewhere: Launch | None = None
    name = "cuda"
    untried = 'no GPU was at hand yet to try it on; engine="cuda" asks for it by name'

    def declines(self, plan: Plan) -> str | None:
        """Know stride-1 convolutions, ReLUs, sums and average poolings up to 64 x 64; Flatten or pooling at the end."""
        return decline(plan, stages=True) or _too_much(plan)

    def supports(self, plan: Plan, device: Any, dtype: np.dtype) -> Support:
        """Accept what it knows in float32 on NVIDIA GPUs."""
        reason = self.declines(plan)
        if reason is None and dtype != np.float32:
            reason = f"computes in float32, asked for {dtype}"
        if reason is None and self.elsewhere is None:
            reason = _unfit(device)
        if reason is not None:
            return Support(False, reason)
        return Support(True, "one fused kernel, not yet tried on a GPU; derivatives by the reference engine")

    def run(
        self, plan: Plan, x1: Float[Array, "n1 *shape"], x2: Float[Array, "n2 *shape"] | None, learned: Learned
    ) -> list[PairValue]:
        """Compute all pairs."""
        return values_of(partial(compute, self._launch()), replace(plan, hyper=()), False, x1, x2, learned)

    def diagonal(self, plan: Plan, x: Float[Array, "n *shape"], learned: Learned) -> list[PairValue]:
        """Compute each input with itself."""
        return values_of(partial(compute, self._launch()), replace(plan, hyper=()), True, x, None, learned)

    def _launch(self) -> Launch:
        return self.elsewhere or OnGpu(jax.devices()[0].compute_capability)


def _too_much(plan: Plan) -> str | None:
    spatial = plan.ops[0].spatial
    if not spatial:
        return "a dense network is one matrix product and little more, which XLA does as well"
    if max(spatial) > LARGEST:
        return f"images up to {LARGEST} x {LARGEST}, these are {'x'.join(map(str, spatial))}"
    return None


def _unfit(device: Any) -> str | None:
    """Return why kernels cannot run on a device, or None."""
    if device.platform not in ("gpu", "cuda"):
        return f"runs on NVIDIA GPUs, this device is {device.platform}"
    capability = str(getattr(device, "compute_capability", ""))
    if not re.fullmatch(r"\d+\.\d+", capability):
        return f"runs on NVIDIA GPUs, this one is {device.device_kind}"
    if tuple(map(int, capability.split("."))) < _CAPABILITY:
        return f"needs compute capability {'.'.join(map(str, _CAPABILITY))}, {device.device_kind} has {capability}"
    if jax.__version_info__[:2] < _JAX:
        return f"needs JAX {'.'.join(map(str, _JAX))} or newer"
    return unavailable()
