"""How a kernel of the cuda engine is put on the device's stream: XLA's own custom call for PTX."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array

from ntklab.engine._cuda_nvrtc import ptx
from ntklab.engine._cuda_source import Source

TARGET = "__gpu$xla.gpu.ptx"
"""XLA's custom call that loads PTX and launches it: inputs, then outputs, are the kernel's arguments. It is reached
through the public ``jax.ffi.ffi_call``, but XLA promises nothing about it; it is there from 0.10.2 to 0.12."""


class Launch(ABC):
    """Runs one kernel of a source on JAX arrays."""

    @abstractmethod
    def __call__(
        self,
        source: Source,
        kernel: str,
        inputs: Sequence[Array],
        outputs: Sequence[jax.ShapeDtypeStruct],
        grid: int,
        block: int,
    ) -> list[Array]:
        """Return the outputs of ``grid`` blocks of ``block`` threads."""


@dataclass(frozen=True)
class OnGpu(Launch):
    """On the GPU that JAX runs on.

    Attributes
    ----------
    capability : str
        The GPU's compute capability, such as ``"9.0"``.
    """

    capability: str

    def __call__(
        self,
        source: Source,
        kernel: str,
        inputs: Sequence[Array],
        outputs: Sequence[jax.ShapeDtypeStruct],
        grid: int,
        block: int,
    ) -> list[Array]:
        """Add the launch to what JAX traces or runs; compiles the source for this GPU, or finds it on disk."""
        call = jax.ffi.ffi_call(TARGET, tuple(outputs), vmap_method="sequential")
        one = np.int32(1)
        return list(
            call(
                *inputs,
                name=kernel,
                kernel_type="ptx",
                kernel_data=ptx(source.text, self.capability),
                grid_x=np.int32(grid),
                grid_y=one,
                grid_z=one,
                block_x=np.int32(block),
                block_y=one,
                block_z=one,
                shared_mem_bytes=np.int32(0),
            )
        )
