"""The forward pass of a network on a batch ``(n, *spatial, channels)``, for the weights it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.finite._activations import PHI
from ntklab.finite._linear import LINEAR, Finite
from ntklab.finite._positions import POSITIONS
from ntklab.finite._sequences import SEQUENCES
from ntklab.spec import Branching, Chain, Concat, Layer, Parallel, Product, Residual, join

Weights = Mapping[str, Mapping[str, Array]]
"""Path of a weight layer in the network -> its ``"W"`` and, if it has a bias, ``"b"``."""


def _phi(phi: Any, layer: Layer, weights: Mapping[str, Array], x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    return phi(layer, x)


def _sum(_: Layer, weights: Mapping[str, Array], outs: list[Float[Array, "n ..."]]) -> Float[Array, "n ..."]:
    return sum(outs[1:], start=outs[0])


def _product(_: Layer, weights: Mapping[str, Array], outs: list[Float[Array, "n ..."]]) -> Float[Array, "n ..."]:
    return math.prod(outs[1:], start=outs[0])


def _concat(layer: Concat, weights: Mapping[str, Array], outs: list[Float[Array, "n ..."]]) -> Float[Array, "n ..."]:
    return jnp.concatenate(outs, axis=layer.axis % (outs[0].ndim - 1) + 1)


LAYERS: dict[type[Layer], Finite] = {
    **LINEAR,
    **POSITIONS,
    **SEQUENCES,
    **{layer: Finite(partial(_phi, phi)) for layer, phi in PHI.items()},
    Concat: Finite(_concat),
    Parallel: Finite(_sum),
    Product: Finite(_product),
    Residual: Finite(_sum),
}
"""Every layer but Serial, by its type."""


def forward(layer: Layer, path: str, weights: Weights, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Return what ``layer``, standing at ``path``, makes of a batch ``x``.

    Parameters
    ----------
    layer : Layer
        A layer or a whole network.
    path : str
        Where it stands in the network, as in :func:`ntklab.spec.infer_shapes`; ``""`` for the whole.
    weights : mapping
        The weights of all weight layers of the network, by path.
    x : array, (n, *spatial, channels)

    Returns
    -------
    array, (n, *spatial', channels')
    """
    if isinstance(layer, Chain):
        for name, part in layer.parts:
            x = forward(part, join(path, name), weights, x)
        return x
    if type(layer) not in LAYERS:
        raise NotImplementedError(f"finite networks have no forward pass for {layer!r} yet")
    own = weights.get(path, {})
    if isinstance(layer, Branching):
        outs = [forward(part, join(path, name), weights, x) for name, part in layer.parts]
        return LAYERS[type(layer)].apply(layer, own, outs)
    return LAYERS[type(layer)].apply(layer, own, x)
