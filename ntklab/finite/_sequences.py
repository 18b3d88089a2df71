"""Attention and recurrence on a batch ``(n, *spatial, channels)``: their weights and what they do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntklab.errors import SpecError
from ntklab.finite._activations import PHI
from ntklab.finite._linear import PRECISION, Finite, Shapes
from ntklab.spec import GlobalSelfAttention, Layer, Recurrent, Shape


def attention_weights(layer: GlobalSelfAttention, shape: Shape) -> Shapes:
    """Return ``K``, ``V``, the output's ``O`` and ``b``, and where it has them queries ``Q`` and embeddings ``E``."""
    *spatial, channels = shape
    assert channels is not None
    assert layer.heads is not None and layer.key_width is not None and layer.value_width is not None  # noqa: PT018
    assert layer.width is not None
    keys = values = channels
    shapes: Shapes = {}
    if layer.pos_emb != "NONE":
        embedded = channels
        if layer.pos_emb == "CONCAT":
            embedded = max(round(channels * layer.pos_emb_share / (1 - layer.pos_emb_share)), 1)
            keys += embedded
            values += embedded * layer.val_pos_emb
        shapes["E"] = (*(n for n in spatial if n is not None), embedded)
    shapes["K"] = (keys, layer.heads, layer.key_width)
    if not layer.linear_scaling:
        shapes["Q"] = shapes["K"]
    shapes["V"] = (values, layer.heads, layer.value_width)
    shapes["O"] = (layer.heads, layer.value_width, layer.width)
    return shapes if layer.b_std is None else {**shapes, "b": (layer.width,)}


def attend(
    layer: GlobalSelfAttention,
    weights: Mapping[str, Array],
    x: Float[Array, "n ..."],
    mask: Bool[Array, "n *P"] | None = None,
) -> Float[Array, "n ..."]:
    """Return what every position gathers from all, or from those that are present."""
    spatial = x.shape[1:-1]
    keyed = valued = x.reshape((x.shape[0], math.prod(spatial), x.shape[-1]))
    if layer.pos_emb != "NONE":
        keyed = _embed(layer, weights["E"], valued, spatial)
        valued = keyed if layer.val_pos_emb else valued
    K, V, out = weights["K"], weights["V"], weights["O"]
    Q = K if layer.linear_scaling else weights["Q"]
    keys = layer.W_key_std / math.sqrt(K.shape[0]) * _heads(keyed, K)
    queries = layer.W_query_std / math.sqrt(K.shape[0]) * _heads(keyed, Q)
    values = layer.W_value_std / math.sqrt(V.shape[0]) * _heads(valued, V)
    scores = jnp.einsum("nphd,nrhd->nhpr", queries, keys, precision=PRECISION)
    scores = scores / K.shape[-1] ** (1.0 if layer.linear_scaling else 0.5)
    if mask is not None:
        there = mask.reshape((x.shape[0], 1, 1, -1))
        scores = jnp.where(there, scores, -1e20 if layer.mechanism == "SOFTMAX" else 0.0)
    if layer.mechanism == "SOFTMAX":
        scores = jax.nn.softmax(scores, axis=-1)
    elif layer.mechanism != "IDENTITY":
        scores = jnp.abs(scores) if layer.mechanism == "ABS" else jax.nn.relu(scores)
    gathered = jnp.einsum("nhpr,nrhd->nphd", scores, values, precision=PRECISION)
    y = (
        layer.W_out_std
        / math.sqrt(out.shape[0] * out.shape[1])
        * jnp.einsum("nphd,hdo->npo", gathered, out, precision=PRECISION)
    )
    if layer.b_std is not None:
        y = y + layer.b_std * jnp.broadcast_to(weights["b"], y.shape)
    return y.reshape((*x.shape[:-1], y.shape[-1]))


def _heads(x: Float[Array, "n p c"], W: Float[Array, "c h d"]) -> Float[Array, "n p h d"]:
    return jnp.einsum("npc,chd->nphd", x, W, precision=PRECISION)


def _embed(
    layer: GlobalSelfAttention, E: Array, x: Float[Array, "n p c"], spatial: tuple[int, ...]
) -> Float[Array, "n p k"]:
    E = E.reshape((math.prod(spatial), E.shape[-1]))
    if layer.pos_emb_decay is not None:
        R = _position_covariance(layer, spatial)
        try:
            root = np.linalg.cholesky(R)
        except np.linalg.LinAlgError:
            raise SpecError(
                f"{layer!r}: its covariance between positions {spatial} has a negative eigenvalue."
            ) from None
        E = jnp.dot(jnp.asarray(root, E.dtype), E, precision=PRECISION)
    E = jnp.broadcast_to(layer.W_pos_emb_std * E, (x.shape[0], *E.shape))
    return x + E if layer.pos_emb == "SUM" else jnp.concatenate([x, E], axis=-1)


def _position_covariance(layer: GlobalSelfAttention, spatial: tuple[int, ...]) -> Float[np.ndarray, "P P"]:
    where = list(itertools.product(*map(range, spatial)))
    R = np.empty((len(where), len(where)))
    for (i, p), (j, q) in itertools.product(enumerate(where), repeat=2):
        d = sum(abs(a - b) ** layer.pos_emb_p_norm for a, b in zip(p, q, strict=True))
        scaled = layer.pos_emb_rate * d**layer.pos_emb_power
        R[i, j] = 1 / (1 + scaled) if layer.pos_emb_decay == "rational" else math.exp(-scaled)
    return R


def recurrent_weights(layer: Recurrent, shape: Shape) -> Shapes:
    """Return ``W`` on the state, ``U`` on the input, and ``b``."""
    assert layer.width is not None
    assert shape[-1] is not None
    shapes: Shapes = {"W": (layer.width, layer.width), "U": (shape[-1], layer.width)}
    return shapes if layer.b_std is None else {**shapes, "b": (layer.width,)}


def recur(layer: Recurrent, weights: Mapping[str, Array], x: Float[Array, "n L c"]) -> Float[Array, "n ..."]:
    """Return the states after every step, or after the last."""
    W, U = weights["W"], weights["U"]
    inputs = layer.U_std / math.sqrt(U.shape[0]) * jnp.dot(x, U, precision=PRECISION)
    if layer.b_std is not None:
        inputs = inputs + layer.b_std * jnp.broadcast_to(weights["b"], inputs.shape)
    state, states = jnp.zeros_like(inputs[:, 0]), []
    for t in range(x.shape[1]):
        entering = inputs[:, t] + layer.W_std / math.sqrt(W.shape[0]) * jnp.dot(state, W, precision=PRECISION)
        state = PHI[type(layer.activation)](layer.activation, entering)
        states.append(state)
    return state if layer.output == "last" else jnp.stack(states, axis=1)


SEQUENCES: dict[type[Layer], Finite] = {
    GlobalSelfAttention: Finite(attend, attention_weights),
    Recurrent: Finite(recur, recurrent_weights),
}
"""What these layers are at finite width."""
