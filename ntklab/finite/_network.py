"""A finite network: widths settled, weights drawn from a key, and a forward pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntklab.errors import InputError, SpecError
from ntklab.finite._forward import LAYERS, Weights, forward
from ntklab.finite._positions import tell_inputs
from ntklab.finite._widths import settle_widths
from ntklab.spec import BatchNorm, Layer, Serial, Weighted, infer_shapes

DType = Literal["float32", "float64"]
Shapes = Mapping[str, Mapping[str, Any]]
"""Like Weights, with shapes and dtypes in place of arrays."""


class Params(NamedTuple):
    """The weights of a network, a pytree; both parts map the path of a layer to its ``W`` and ``b``.

    Attributes
    ----------
    trainable : dict
        Of the layers with ``trainable=True``: what Jacobians run over and gradient flow moves.
    frozen : dict
        Of the others.
    """

    trainable: Weights
    frozen: Weights


@dataclass(frozen=True)
class Network:
    """A network of finite width; made by :func:`network`, not directly.

    Hashable, so it can be a static argument of ``jax.jit``.

    Attributes
    ----------
    spec : Serial
        The spec with every width settled.
    input_shape : tuple of int
        Shape of one input, channels last.
    dtype : {"float32", "float64"}
        Of weights, inputs and outputs.
    batch : int or None
        If a number, one input of the network is a batch of so many, and so is one output.
    """

    spec: Serial
    input_shape: tuple[int, ...]
    dtype: DType
    batch: int | None = None

    @property
    def output_width(self) -> int:
        """Number of outputs: ``outputs`` of :func:`network`, unless the spec settles it otherwise."""
        return math.prod(n for n in infer_shapes(self.spec, self.input_shape)[-1].output_shape if n)

    @property
    def num_trainable(self) -> int:
        """Number of parameters in ``Params.trainable``."""
        return _count(self._template.trainable)

    @property
    def num_frozen(self) -> int:
        """Number of parameters in ``Params.frozen``."""
        return _count(self._template.frozen)

    def init(self, key: PRNGKeyArray) -> Params:
        """Return weights and biases drawn independently from the unit Gaussian.

        The scales ``W_std / sqrt(fan_in)`` and ``b_std`` belong to the forward pass (NTK parameterisation); under
        the standard parameterisation they are the weights' own.

        Parameters
        ----------
        key : jax.random.key

        Raises
        ------
        InputError
            The dtype is float64 and JAX is in 32-bit mode.
        """
        _check_dtype(self.dtype)
        leaves, tree = jax.tree.flatten(self._template)
        if not leaves:
            return self._template
        keys = jax.random.split(key, len(leaves))
        drawn = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
        stds = jax.tree.leaves(self._stds)
        scaled = [std * leaf if std != 1.0 else leaf for std, leaf in zip(stds, drawn, strict=True)]
        return jax.tree.unflatten(tree, scaled)

    def apply(self, params: Params, x: Shaped[Array | np.ndarray, "n ..."]) -> Float[Array, "n outputs"]:
        """Return the network's outputs; a pure function, ready for ``jit``, ``grad`` and ``vmap``.

        Parameters
        ----------
        params : Params
            From :meth:`init`, or trained.
        x : array, (n, *input_shape)
            Real numbers of any dtype; computed in the network's. Of a network of batches, ``(n, batch, *input_shape)``.

        Raises
        ------
        InputError
            ``x`` or ``params`` do not fit the network.
        """
        weights = {**params.trainable, **params.frozen}
        _check_weights(weights, {**self._template.trainable, **self._template.frozen})
        inputs = as_inputs(self, x, "x")

        def of_batch(rows: Float[Array, "n ..."]) -> Float[Array, "n outputs"]:
            return forward(self.spec, "", tell_inputs(weights, rows), rows)

        return of_batch(inputs) if self.batch is None else jax.vmap(of_batch)(inputs)

    @cached_property
    def _template(self) -> Params:
        """Shapes and dtypes of the weights, without values."""
        trainable: dict[str, Mapping[str, Any]] = {}
        frozen: dict[str, Mapping[str, Any]] = {}
        for step in infer_shapes(self.spec, self.input_shape):
            layer = step.layer
            shapes = LAYERS[type(layer)].weights(layer, step.input_shape) if type(layer) in LAYERS else {}
            if shapes:
                part = trainable if isinstance(layer, Weighted) and layer.trainable else frozen
                part[step.path] = {
                    name: jax.ShapeDtypeStruct(shape, np.dtype(self.dtype)) for name, shape in shapes.items()
                }
        return Params(trainable, frozen)

    @cached_property
    def _stds(self) -> Params:
        """Standard deviations at the start, laid out like the weights."""
        layers = {step.path: step.layer for step in infer_shapes(self.spec, self.input_shape)}

        def stds(path: str, leaves: Mapping[str, Any]) -> dict[str, Any]:
            found = LAYERS[type(layers[path])].stds(layers[path], {name: leaf.shape for name, leaf in leaves.items()})
            return {name: found.get(name, 1.0) for name in leaves}

        return Params(*({path: stds(path, leaves) for path, leaves in part.items()} for part in self._template))


def network(
    spec: Layer,
    input_shape: Sequence[int],
    *,
    width: int = 512,
    outputs: int = 1,
    dtype: DType = "float32",
    positions: bool = False,
    batch: int | None = None,
) -> Network:
    r"""Return the network of finite width that a spec describes.

    Weights and biases start as independent unit Gaussians and a layer with ``n`` channels in computes
    :math:`y = W_{std} / \sqrt{k n}\, W x + b_{std}\, b`, with ``k`` the number of positions in a
    convolution's window (1 for Dense). For ``width`` to infinity, the covariance of the outputs at
    initialisation tends to the NNGP kernel of the same spec and their tangent kernel to its NTK; both
    by ``1 / sqrt(width)`` for one network, and in the mean over networks by ``1 / width``.

    Parameters
    ----------
    spec : Layer
    input_shape : sequence of int
        Shape of one input, channels last: ``(d,)``, ``(L, C)``, ``(H, W, C)``, ...
    width : int
        Channels of hidden layers whose own width is ``None``. Costs grow as its square.
    outputs : int
        Channels of the last weight layer on each path to the output, where its own width is ``None``.
        Channels that a ReLU or another weight layer also sees are hidden: a network that ends in
        ``Relu(), GlobalAvgPool()`` without a Dense has ``width`` outputs, and so has one that ends in
        a Residual around the identity. Conv followed by Flatten has ``outputs`` per position.
        :attr:`Network.output_width` is the number that results.
    dtype : {"float32", "float64"}
        float64 for kernels to more than about five digits.
    positions : bool
        Whether the network may end with spatial axes, with outputs at every position.
    batch : int, optional
        At least 2, and needed for a spec with BatchNorm: inputs that it takes together. One input of this network is
        then a batch, ``(batch, *input_shape)``, and one output ``(batch, outputs)``; so its kernel of a single batch by
        ``outputs=("full", "mean")`` has entries between all inputs of it.

    Raises
    ------
    SpecError
        The spec cannot take such inputs, leaves spatial axes at its end that were not asked for, or has a BatchNorm and
        no ``batch`` is given.
    InputError
        A width is not a positive integer, the dtype is another, or it is float64 and JAX is in
        32-bit mode.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, "Neural Tangent Kernel", section 2, for the parameterisation.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import network
    >>> from ntklab.spec import Dense, Relu, Serial
    >>> net = network(Serial(Dense(), Relu(), Dense()), (3,), width=64, outputs=2)
    >>> params = net.init(jax.random.key(0))
    >>> net.apply(params, jax.numpy.ones((5, 3))).shape
    (5, 2)
    >>> net.num_trainable == 3 * 64 + 64 * 2
    True
    """
    for name, value in (("width", width), ("outputs", outputs)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is a positive integer, got {value!r}.")
    if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 2):
        raise InputError(f"batch is an integer >= 2 or None, got {batch!r}.")
    _check_dtype(dtype)
    infer_shapes(spec, input_shape)  # the user's own spec first, so that errors show it as it was written
    if batch is None and couples_inputs(spec, input_shape):
        raise SpecError(
            "BatchNorm couples the inputs of a batch, so its networks take whole batches as inputs: say of how many, "
            "network(spec, input_shape, batch=n), and give x of shape (m, n, *input_shape)."
        )
    settled = settle_widths(spec if isinstance(spec, Serial) else Serial(spec), width, outputs)
    assert isinstance(settled, Serial)
    shape = infer_shapes(settled, input_shape)[-1].output_shape
    if len(shape) != 1 and not positions:
        raise SpecError(
            f"A finite network ends in a vector of outputs; this one ends in shape {shape}. "
            f"Add Flatten() or GlobalAvgPool(), or allow it with positions=True."
        )
    return Network(settled, tuple(input_shape), dtype, batch)


def couples_inputs(spec: Layer, input_shape: Sequence[int]) -> bool:
    """Return whether what a network makes of one input depends on the others of its batch: one with BatchNorm.

    Such a network is made with ``network(..., batch=n)``.

    Examples
    --------
    >>> from ntklab.spec import BatchNorm, Dense, Serial
    >>> couples_inputs(Serial(Dense(), BatchNorm()), (3,))
    True
    """
    return any(isinstance(step.layer, BatchNorm) for step in infer_shapes(spec, input_shape))


def as_inputs(net: Network, x: Shaped[Array | np.ndarray, "..."], name: str) -> Float[Array, "n ..."]:
    """Return ``x`` as a JAX array in the network's dtype, or raise InputError if it is no batch of inputs."""
    array = x if isinstance(x, jax.Array) else np.asarray(x)
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"{name} holds real numbers, got dtype {array.dtype}.")
    one = net.input_shape if net.batch is None else (net.batch, *net.input_shape)
    if array.ndim == 0 or array.shape[1:] != one:
        wanted = ", ".join(map(str, one))
        raise InputError(f"{name} has shape (n, {wanted}) for this network, got {array.shape}.")
    return jnp.asarray(array, net.dtype)


def _count(template: Shapes) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(template))


def _check_dtype(dtype: str) -> None:
    if dtype not in get_args(DType):
        raise InputError(f"dtype is one of {', '.join(get_args(DType))}, got {dtype!r}.")
    if dtype == "float64" and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise InputError(
            "float64 networks need JAX's 64-bit mode: set the environment variable JAX_ENABLE_X64=1, or call "
            'jax.config.update("jax_enable_x64", True) before the first array is made.'
        )


def _check_weights(given: Weights, needed: Shapes) -> None:
    if jax.tree.structure(given) != jax.tree.structure(needed):
        raise InputError(
            f"params are of another network: this one has weights at {sorted(needed)}, got {sorted(given)}."
        )
    for path, layer in needed.items():
        for name, want in layer.items():
            got = given[path][name]
            if got.shape != want.shape or got.dtype != want.dtype:
                raise InputError(
                    f"params are of another network: {name} of layer {path} is "
                    f"{want.dtype}{list(want.shape)} here, got {got.dtype}{list(got.shape)}."
                )
