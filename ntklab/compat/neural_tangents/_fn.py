"""The three functions of a stax layer: weights, outputs, kernels."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ntklab.compat.neural_tangents._kernel import FIELDS, Kernel, Origin, default_dtype
from ntklab.compat.neural_tangents._prepare import packed_shape, prepare, shared_graph
from ntklab.compat.neural_tangents._trace import Step, Value, leaf_of, leaves
from ntklab.errors import InputError, SpecError
from ntklab.finite import Network, network
from ntklab.spec import Layer


@dataclass(frozen=True, eq=False)
class InitFn:
    """``init_fn(rng, input_shape) -> (output_shape, params)``: a network's :meth:`ntklab.finite.Network.init`."""

    step: Step

    def __call__(self, rng: Any, input_shape: Any) -> tuple[tuple[int, ...], Any]:
        """Return the shape of the outputs, whose batch axis is that of the inputs, and weights."""
        shape = tuple(input_shape)
        axes = self.step.axes or (0, -1)
        end, first = self.step.trace(shape), leaves(shape)[0]
        n = first[leaf_of(first, axes).batch_axis]
        return end.batch_shape(n), finite_network(end, packed_shape(shape, axes)).init(rng)


@dataclass(frozen=True, eq=False)
class ApplyFn:
    """``apply_fn(params, inputs) -> outputs``: a network's :meth:`ntklab.finite.Network.apply`."""

    step: Step

    def __call__(self, params: Any, inputs: Any, *, pattern: Any = None, mask_constant: Any = None, **_: Any) -> Any:
        """Return the outputs, in the user's axes."""
        ready = prepare(self.step, [_array(inputs, "inputs")], pattern, mask_constant)
        net, (x,) = finite_network(ready.end, ready.start.shape), ready.arrays
        outputs = net.apply(ready.weights(params), x.transpose(ready.start.order))
        return outputs.transpose(tuple(np.argsort(ready.end.order)))


@dataclass(frozen=True, eq=False)
class KernelFn:
    """``kernel_fn(x1, x2, get)``: kernels of the network by :func:`ntklab.compile`, in float64 where JAX has it.

    ``get`` is a name, several of them (a namedtuple comes back), or None for a :class:`Kernel`. Instead of ``x1`` and
    ``x2`` it takes the Kernel of what comes before.
    """

    step: Step

    def __call__(
        self,
        x1_or_kernel: Any,
        x2: Any = None,
        get: Any = None,
        *,
        pattern: Any = None,
        mask_constant: Any = None,
        diagonal_batch: bool | None = None,
        diagonal_spatial: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the kernels of all pairs of inputs."""
        names = canonical_get(get, FIELDS)
        if isinstance(x1_or_kernel, Kernel):
            if x2 is not None:
                raise InputError("kernel_fn takes a Kernel, or x1 and x2.")
            sides = pattern if isinstance(pattern, tuple | list) else (pattern,)
            kernel = x1_or_kernel.go_on(self.step, shared_graph(sides))
        else:
            arrays = [_array(x, name) for x, name in ((x1_or_kernel, "x1"), (x2, "x2"))]
            ready = prepare(self.step, arrays, pattern, mask_constant)
            kernel = Kernel(Origin(ready.end, ready.start), *ready.arrays)
        kernel = kernel.asked_for(get is None or "ntk" in names, diagonal_batch, diagonal_spatial)
        if get is None:
            return kernel
        return as_asked(get, {name: getattr(kernel, name) for name in names}, "AnalyticKernel")

    def network(self, input_shape: Any) -> Layer:
        """Return the network of ours that this is, for batches of a shape: ``ntklab.compile`` takes it as it is."""
        return self.step.trace(tuple(input_shape)).network


Triple = tuple[InitFn, ApplyFn, KernelFn]


def triple(step: Step) -> Triple:
    """Return the three functions of a layer."""
    return InitFn(step), ApplyFn(step), KernelFn(step)


def step_of(layer: Any) -> Step:
    """Return what is behind the three functions of a layer, or raise SpecError."""
    if isinstance(layer, tuple | list) and len(layer) == 3:
        init, apply, kernel = layer
        ours = isinstance(kernel, KernelFn) and isinstance(init, InitFn) and isinstance(apply, ApplyFn)
        if ours and init.step is apply.step is kernel.step:
            return kernel.step
    raise SpecError(
        f"Layers are made by the functions of stax, such as stax.Dense(512); got {layer!r}. Functions of one's own are "
        f"not data that an engine can read: a layer of one's own is a dataclass, a rule and a finite function "
        f"(docs/extending.md), an activation of one's own stax.Elementwise(fn)."
    )


@lru_cache(maxsize=128)
def _network(end: Value, shape: tuple[int, ...], dtype: Any) -> Network:
    return network(end.network, shape, dtype=dtype, positions=True)


def finite_network(end: Value, shape: tuple[int, ...]) -> Network:
    """Return the network of finite width that ends in a value, for inputs of a shape without the batch."""
    return _network(replace(end, batch_axis=0, channel_axis=end.ndim - 1), shape, default_dtype())


def canonical_get(get: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that ``get`` asks for, or raise InputError."""
    names = (get,) if isinstance(get, str) else tuple(get or ())
    names = tuple(str(name).lower() for name in names)
    if set(names) - set(known) or len(set(names)) < len(names):
        raise InputError(f"get is None, one of {', '.join(known)}, or a tuple of different ones; got {get!r}.")
    return names


def as_asked(get: Any, found: dict[str, Any], name: str) -> Any:
    """Return what was asked for: the thing itself for a string, else a namedtuple."""
    if isinstance(get, str):
        (value,) = found.values()
        return value
    return namedtuple(name, tuple(found))(**found)


def _array(x: Any, name: str) -> Any:
    if x is None or isinstance(x, jax.Array | np.ndarray):
        return x
    if isinstance(x, tuple | list) and x:
        return tuple(_array(part, name) for part in x)
    raise InputError(f"{name} needs an array or a tuple of arrays, got {type(x).__name__}.")
