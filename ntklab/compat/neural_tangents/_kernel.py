"""The Kernel object: what a kernel function knows of two sets of inputs, computed when it is read."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntklab.compat.neural_tangents._trace import OwnGraphs, Step, Value
from ntklab.engine import KernelFn as Compiled
from ntklab.engine import compile as compile_network
from ntklab.errors import InputError, SpecError
from ntklab.kernel import GET, Positions
from ntklab.spec import ConvLocal, Graph, Layer, Relu, Serial

_ARRAYS = ("nngp", "ntk", "cov1", "cov2", "x1_is_x2")
FIELDS = (
    *_ARRAYS,
    "is_gaussian",
    "is_reversed",
    "is_input",
    "diagonal_batch",
    "diagonal_spatial",
    "shape1",
    "shape2",
    "batch_axis",
    "channel_axis",
    "mask1",
    "mask2",
)


class Origin(NamedTuple):
    """Where a kernel comes from, all static: the value, the shape and axes of inputs, and how it was asked for."""

    value: Value
    start: Value
    ntk: bool = True
    diagonal_batch: bool = True
    diagonal_spatial: bool | None = None
    replaced: bool = False
    """Whether arrays are the user's: then nothing can be computed from the inputs any more."""


@jax.tree_util.register_pytree_node_class
class Kernel:
    """Kernels of two sets of inputs, as neural-tangents' class of this name: its fields, ``replace`` and ``asdict``.

    Arrays are computed when they are first read, so that a kernel function of the next layers, given a Kernel, costs
    what the whole network costs. A pytree of the arrays and the inputs.

    Attributes
    ----------
    nngp, ntk : array, (n1, n2, ...)
        Spatial axes of the outputs, if there are any, follow: each twice, or once with ``diagonal_spatial``.
    cov1, cov2 : array, (n, ...)
        Covariance of each input with itself; with ``diagonal_batch=False`` of all pairs. ``cov2`` is None for x2=None.
    x1_is_x2 : array
        Whether both sets are the same.
    shape1, shape2 : tuple of int
        Of the outputs.
    is_gaussian, is_reversed, is_input, diagonal_batch, diagonal_spatial : bool
    batch_axis, channel_axis : int
        Of the outputs.
    mask1, mask2
        None.
    """

    is_reversed, is_input, mask1, mask2 = False, False, None, None

    def __init__(self, origin: Origin, x1: Any, x2: Any, known: dict[str, Any] | None = None) -> None:
        self._origin, self._x1, self._x2, self._known = origin, x1, x2, dict(known or {})

    def go_on(self, step: Step, graph: Any) -> Kernel:
        """Return the kernel after further layers."""
        if self._origin.replaced:
            raise InputError(
                "The arrays of this Kernel were replaced, and kernel functions go on from inputs here, not from "
                "arrays: apply the layers to x1 and x2."
            )
        value = self._origin.value
        if isinstance(graph, OwnGraphs) and not (value.layers and isinstance(value.layers[0], Graph)):
            raise InputError(
                "One graph per input goes to the first layers: give pattern to their kernel function, too."
            )
        return Kernel(self._origin._replace(value=step.go_on(value, graph)), self._x1, self._x2)

    def asked_for(self, ntk: bool, diagonal_batch: bool | None, diagonal_spatial: bool | None) -> Kernel:
        """Return it with what is to be computed."""
        batch = self._origin.diagonal_batch if diagonal_batch is None else diagonal_batch
        spatial = self._origin.diagonal_spatial if diagonal_spatial is None else diagonal_spatial
        asked = self._origin._replace(ntk=ntk and self._origin.ntk, diagonal_batch=batch, diagonal_spatial=spatial)
        return Kernel(asked, self._x1, self._x2)

    def __getattr__(self, name: str) -> Any:
        if name not in _ARRAYS:
            raise AttributeError(f"Kernel has no attribute {name!r}.")
        if name not in self._known:
            if self._origin.replaced:
                raise InputError(f"{name} of a Kernel whose arrays were replaced was not read before.")
            self._known |= self._pairs() if name in ("nngp", "ntk") else {name: getattr(self, f"_{name}")()}
        return self._known[name]

    def _pairs(self) -> dict[str, Any]:
        get = GET if self._origin.ntk else ("nngp",)
        kernel = self._compiled(get)(self._ours(self._x1), None if self._x2 is None else self._ours(self._x2))
        return {"ntk": None} | {name: self._zipped(getattr(kernel, name), 2) for name in get}

    def _cov1(self) -> Any:
        return self._cov(self._x1)

    def _cov2(self) -> Any:
        return None if self._x2 is None else self._cov(self._x2)

    def _cov(self, x: Any) -> Any:
        kfn, inputs = self._compiled(("nngp",)), self._ours(x)
        if self.diagonal_batch:
            return self._zipped(kfn.diagonal(inputs).nngp, 1)
        return self._zipped(kfn(inputs).nngp, 2)

    def _x1_is_x2(self) -> Any:
        if self._x2 is None:
            return jnp.asarray(True)
        if self._x1.shape != self._x2.shape:
            return jnp.asarray(False)
        return jnp.all(jnp.abs(jnp.asarray(self._x1) - jnp.asarray(self._x2)) < 1e-12)

    def _compiled(self, get: tuple[str, ...]) -> Compiled:
        positions = ("equal" if self.diagonal_spatial else "all") if len(self._origin.value.shape) > 1 else None
        return _compiled(self._origin.value.layers, self._origin.start.shape, get, positions, default_dtype())

    def _ours(self, x: Any) -> Any:
        return x.transpose(self._origin.start.order)

    def _zipped(self, a: Any, lead: int) -> Any:
        """Return ``(..., H, W, H', W')`` as ``(..., H, H', W, W')``."""
        n = (a.ndim - lead) // 2
        if self.diagonal_spatial or not n:
            return a
        return a.transpose((*range(lead), *(lead + i + side * n for i in range(n) for side in (0, 1))))

    @property
    def diagonal_batch(self) -> bool:
        """Whether ``cov1`` and ``cov2`` are those of each input with itself alone."""
        return self._origin.diagonal_batch

    @property
    def diagonal_spatial(self) -> bool:
        """Whether spatial axes stand once, for equal positions."""
        if self._origin.diagonal_spatial is not None:
            return self._origin.diagonal_spatial
        layers = self._origin.value.layers
        return bool(layers) and isinstance(layers[-1], ConvLocal)

    @property
    def is_gaussian(self) -> bool:
        """Whether an activation may follow."""
        value, start = self._origin.value, self._origin.start
        try:
            _compiled((*value.layers, Relu()), start.shape, ("nngp",), "equal", "float32")
        except SpecError:
            return False
        return True

    @property
    def shape1(self) -> tuple[int, ...]:
        """Shape of the outputs at ``x1``."""
        return self._shape(self._x1)

    @property
    def shape2(self) -> tuple[int, ...]:
        """Shape of the outputs at ``x2``."""
        return self._shape(self._x1 if self._x2 is None else self._x2)

    def _shape(self, x: Any) -> tuple[int, ...]:
        return self._origin.value.batch_shape(x.shape[self._origin.start.batch_axis])

    @property
    def batch_axis(self) -> int:
        """Batch axis of the outputs."""
        return self._origin.value.batch_axis

    @property
    def channel_axis(self) -> int:
        """Channel axis of the outputs."""
        return self._origin.value.channel_axis

    def asdict(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {name: getattr(self, name) for name in FIELDS}

    def replace(self, **changes: Any) -> Kernel:
        """Return it with other arrays; such a Kernel can be read, and is none to go on from."""
        unknown = set(changes) - set(_ARRAYS)
        if unknown:
            raise InputError(f"replace takes the arrays {', '.join(_ARRAYS)}; got {', '.join(sorted(unknown))}.")
        known = {name: getattr(self, name) for name in _ARRAYS} | changes
        return Kernel(self._origin._replace(replaced=True), self._x1, self._x2, known)

    def slice(self, n1_slice: slice, n2_slice: slice) -> Kernel:
        """Return the kernel of some of the inputs."""
        if self._origin.replaced:
            raise InputError("The arrays of this Kernel were replaced; slice the inputs before.")
        axis = self._origin.start.batch_axis
        sides = ((self._x1, n1_slice), (self._x1 if self._x2 is None else self._x2, n2_slice))
        x1, x2 = (x[(slice(None),) * axis + (part,)] for x, part in sides)
        return Kernel(self._origin, x1, x2)

    def __getitem__(self, part: tuple[slice, slice]) -> Kernel:
        return self.slice(*part)

    def __repr__(self) -> str:
        sizes = "x".join(str(s[self.batch_axis]) for s in (self.shape1, self.shape2))
        return f"Kernel({sizes} inputs, outputs {math.prod(self._origin.value.shape)}, {self._origin.value.network!r})"

    def tree_flatten(self) -> tuple[tuple[Any, ...], Origin]:
        """Return arrays and inputs, and what is static; computes what was not read before."""
        return (*(getattr(self, name) for name in _ARRAYS), self._x1, self._x2), self._origin

    @classmethod
    def tree_unflatten(cls, origin: Origin, leaves: Any) -> Kernel:
        """Return the kernel of arrays and inputs."""
        *arrays, x1, x2 = leaves
        return cls(origin, x1, x2, dict(zip(_ARRAYS, arrays, strict=True)))


def default_dtype() -> Any:
    """Return the type of all results: "float64" where JAX has it."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64)).name


@lru_cache(maxsize=128)
def _compiled(
    layers: tuple[Layer, ...], shape: tuple[int, ...], get: tuple[str, ...], positions: Positions | None, dtype: Any
) -> Compiled:
    return compile_network(Serial(*layers), shape, get=get, positions=positions, dtype=dtype)
