"""The forward pass of a network on a batch ``(n, *spatial, channels)``, for the weights it is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.errors import SpecError
from ntklab.finite._activations import PHI
from ntklab.finite._linear import LINEAR, Finite
from ntklab.finite._masks import OF_PRESENT, Aside, mask_after, read_mask, sum_of_neighbours, zeroed
from ntklab.finite._positions import POSITIONS
from ntklab.finite._sequences import SEQUENCES
from ntklab.spec import (
    Branching,
    Chain,
    Concat,
    Graph,
    Layer,
    Mask,
    Neighbours,
    Parallel,
    Part,
    Product,
    Residual,
    join,
)

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
"""Every layer but those that read the input and those with parts one after another, by its type."""


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
    return _forward(layer, path, weights, x, Aside())[0]


def _forward(
    layer: Layer, path: str, weights: Weights, x: Float[Array, "n ..."], aside: Aside
) -> tuple[Float[Array, "n ..."], Aside]:
    """Return the batch after a layer, and what goes along with it."""
    if isinstance(layer, Chain):
        for name, part in layer.parts:
            x, aside = _forward(part, join(path, name), weights, x, aside)
        return x, aside
    if isinstance(layer, Mask):
        x, mask = read_mask(layer, x)
        return x, aside._replace(mask=mask)
    if isinstance(layer, Part):
        return x[:, layer.start : layer.stop].reshape((x.shape[0], *layer.shape)), aside
    if isinstance(layer, Graph):
        return x[..., : layer.features], aside._replace(graph=x[..., layer.features :])
    if type(layer) not in LAYERS and not isinstance(layer, Neighbours):
        raise NotImplementedError(f"finite networks have no forward pass for {layer!r} yet")
    own = weights.get(path, {})
    if isinstance(layer, Branching):
        ends = [_forward(part, join(path, name), weights, x, aside) for name, part in layer.parts]
        y, masks = LAYERS[type(layer)].apply(layer, own, [out for out, _ in ends]), [after.mask for _, after in ends]
        aside = aside._replace(graph=next((after.graph for _, after in ends if after.graph is not None), None))
    elif isinstance(layer, Neighbours):
        y, masks = sum_of_neighbours(layer, x, aside.graph), [aside.mask]
    elif aside.mask is not None and type(layer) in OF_PRESENT:
        y, masks = OF_PRESENT[type(layer)](layer, own, x, aside.mask), [aside.mask]
    else:
        y, masks = LAYERS[type(layer)].apply(layer, own, x), [aside.mask]
    present = [mask for mask in masks if mask is not None]
    if not present:
        return y, aside
    if len(present) < len(masks) and y.shape[:-1] == present[0].shape:
        return y, aside._replace(mask=None)  # a branch of another input, without absent positions
    if len(present) < len(masks):
        raise SpecError(
            f"{type(layer).__name__} joins a branch that begins with a Mask and one that does not; put it "
            f"in front of both."
        )
    mask = mask_after(layer, present, y)
    return zeroed(y, mask), aside._replace(mask=mask)
