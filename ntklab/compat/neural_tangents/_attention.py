"""Self-attention: names, arguments and defaults of neural-tangents' stax."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntklab import spec
from ntklab.compat.neural_tangents._fn import Triple, triple
from ntklab.compat.neural_tangents._trace import Value, on_value
from ntklab.errors import SpecError

_PROBES = np.array([0.0, 1.0, 2.0, 3.0, 5.0])


class AttentionMechanism(enum.Enum):
    """Names of what is applied to scores."""

    SOFTMAX = "SOFTMAX"
    IDENTITY = "IDENTITY"
    ABS = "ABS"
    RELU = "RELU"


class PositionalEmbedding(enum.Enum):
    """Names of what is done with positional embeddings."""

    NONE = "NONE"
    SUM = "SUM"
    CONCAT = "CONCAT"


def GlobalSelfAttention(
    n_chan_out: int,
    n_chan_key: int,
    n_chan_val: int,
    n_heads: int,
    linear_scaling: bool = True,
    W_key_std: float = 1.0,
    W_value_std: float = 1.0,
    W_query_std: float = 1.0,
    W_out_std: float = 1.0,
    b_std: float | None = None,
    attention_mechanism: str = "SOFTMAX",
    pos_emb_type: str = "NONE",
    pos_emb_p_norm: float = 2,
    pos_emb_decay_fn: Callable[[Any], Any] | None = None,
    n_chan_pos_emb: int | None = None,
    W_pos_emb_std: float = 1.0,
    val_pos_emb: bool = False,
    batch_axis: int = 0,
    channel_axis: int = -1,
) -> Triple:
    """Self-attention of every position to all: :class:`ntklab.spec.GlobalSelfAttention`.

    ``pos_emb_decay_fn`` is recognised where it is ``1 / (1 + rate * d**power)`` or ``exp(-rate * d**power)``.
    """
    decay = _recognise(pos_emb_decay_fn)

    def run(value: Value) -> Value:
        value.check_axes("GlobalSelfAttention", batch_axis, channel_axis)
        channels = value.shape[-1]
        appended = channels if n_chan_pos_emb is None else n_chan_pos_emb
        layer = spec.GlobalSelfAttention(
            n_chan_out,
            W_key_std=W_key_std,
            W_query_std=W_query_std,
            W_value_std=W_value_std,
            W_out_std=W_out_std,
            b_std=b_std,
            linear_scaling=linear_scaling,
            mechanism=_word(attention_mechanism),
            pos_emb=_word(pos_emb_type),
            pos_emb_decay=decay.family,
            pos_emb_rate=decay.rate,
            pos_emb_power=decay.power,
            pos_emb_p_norm=pos_emb_p_norm,
            pos_emb_share=appended / (channels + appended),
            W_pos_emb_std=W_pos_emb_std,
            val_pos_emb=val_pos_emb,
            heads=n_heads,
            key_width=n_chan_key,
            value_width=n_chan_val,
        )
        return value.then(layer)

    return triple(on_value("GlobalSelfAttention", run, (batch_axis, channel_axis)))


class _Decay(NamedTuple):
    family: Any = None
    rate: float = 1.0
    power: float = 1.0


def _recognise(decay: Callable[[Any], Any] | None) -> _Decay:
    """Return the family of a decay function and its numbers, from its values at a few distances."""
    if decay is None:
        return _Decay()
    with jax.enable_x64(True):  # so that the numbers come out as they were written
        values = np.asarray(decay(jnp.asarray(_PROBES)), np.float64)
    for family, inverse in (("rational", lambda f: 1 / f - 1), ("exponential", lambda f: -np.log(f))):
        with np.errstate(all="ignore"):
            scaled = inverse(values)
            rate, power = float(scaled[1]), float(np.log2(scaled[2] / scaled[1]))
        if rate > 0 and power >= 0 and np.allclose(scaled, rate * _PROBES**power, rtol=1e-9, atol=1e-12):
            return _Decay(family, round(rate, 12), round(power, 12))
    raise SpecError(
        "GlobalSelfAttention: pos_emb_decay_fn is 1 / (1 + rate * d**power) or exp(-rate * d**power) of a distance d; "
        f"this one has the values {values.tolist()} at {_PROBES.tolist()}."
    )


def _word(word: Any) -> Any:
    return getattr(word, "name", word)
