"""Kernels and targets with many axes as the matrices that solvers take, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ntklab.compat.neural_tangents._trace import canonical
from ntklab.errors import InputError
from ntklab.solve import Ridge


def on_host(x: Any) -> np.ndarray:
    """Return an array as NumPy, or raise InputError inside ``jax.jit`` and its like."""
    if isinstance(x, Tracer):
        raise InputError("Predictions are solved on the host here: call them outside jax.jit, jax.vmap and jax.grad.")
    return np.asarray(x)


def matrix(kernel: Any) -> np.ndarray:
    """Return a kernel ``(n, m, p, q, ...)`` as a matrix ``(n p ..., m q ...)``."""
    k = on_host(kernel)
    if k.ndim < 2 or k.ndim % 2:
        raise InputError(
            f"A kernel has an even number of axes, each axis of one side before that of the other: {k.shape}."
        )
    rows, columns = range(0, k.ndim, 2), range(1, k.ndim, 2)
    size = int(np.prod([k.shape[i] for i in rows]))
    return k.transpose((*rows, *columns)).reshape(size, -1)


def zipped(covariance: np.ndarray, sizes: Sequence[int], lead: Sequence[int] = ()) -> np.ndarray:
    """Return ``(*lead, M, M)`` with its axes written out, ``(*lead, n, n, p, p, ...)``."""
    n, start = len(sizes), len(lead)
    whole = covariance.reshape((*lead, *sizes, *sizes))
    return whole.transpose((*range(start), *(start + i + side * n for i in range(n) for side in (0, 1))))


def ridge(diag_reg: float, absolute: bool) -> Ridge:
    """Return what is added to the diagonal."""
    return Ridge(float(diag_reg), "nothing" if absolute else "mean_diagonal") if diag_reg else Ridge.none()


@dataclass(frozen=True)
class Targets:
    """Targets of any shape: outputs along the traced axes, points along the others.

    Attributes
    ----------
    y : array
    trace : tuple of int
        Traced axes, counted from the end.
    dtype : dtype
        Of the results: that of the kernel.
    """

    y: np.ndarray
    trace: tuple[int, ...]
    dtype: Any

    @staticmethod
    def of(y: Any, trace_axes: Any, dtype: Any) -> Targets:
        """Return targets with their traced axes checked."""
        y = on_host(y)
        axes = (trace_axes,) if isinstance(trace_axes, int) else tuple(trace_axes)
        return Targets(y, tuple(canonical(a, y.ndim) - y.ndim for a in axes), dtype)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Sizes of the traced axes."""
        return tuple(self.y.shape[a] for a in self.trace)

    @property
    def points(self) -> tuple[int, ...]:
        """Sizes of the other axes."""
        return tuple(n for i, n in enumerate(self.y.shape) if i - self.y.ndim not in self.trace)

    @property
    def flat(self) -> np.ndarray:
        """The targets as a matrix (points, outputs)."""
        return self.flatten(self.y, self.points)

    def flatten(self, f: Any, points: Sequence[int]) -> np.ndarray:
        """Return functions at points, or one number for all of them, as a matrix (points, outputs)."""
        shape: list[int] = list(points)
        places = sorted((a % self.y.ndim, n) for a, n in zip(self.trace, self.outputs, strict=True))
        for place, n in places:
            shape.insert(place, n)
        whole = np.broadcast_to(on_host(f), shape)
        last = np.moveaxis(whole, self.trace, range(-len(self.trace), 0))
        return last.reshape(int(np.prod(points)), -1).astype(np.float64)

    def unflatten(self, f: Any, points: Sequence[int], lead: Sequence[int] = ()) -> Any:
        """Return ``(*lead, points, outputs)`` with the axes of the targets, as a JAX array."""
        whole = f.reshape((*lead, *points, *self.outputs))
        return jnp.asarray(jnp.moveaxis(whole, range(-len(self.trace), 0), self.trace), self.dtype)
