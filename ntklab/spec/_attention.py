"""Self-attention over all positions. Notation: docs/notation.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ntklab.errors import SpecError
from ntklab.spec._layer import Misfit, Shape, Weighted, check_flag, check_number, check_width

Mechanism = Literal["SOFTMAX", "IDENTITY", "ABS", "RELU"]
PosEmb = Literal["NONE", "SUM", "CONCAT"]
Decay = Literal["rational", "exponential"]


@dataclass(frozen=True, repr=False)
class GlobalSelfAttention(Weighted):
    r"""Self-attention of every position to all positions, in the limit of many heads and wide keys and values.

    Head :math:`h` has queries :math:`Q^h = W_{query,std} / \sqrt n\, W_Q^h x`, and keys :math:`K^h` and values
    :math:`V^h` alike; the output at position :math:`p` is

    .. math:: y_p = \frac{W_{out,std}}{\sqrt{H d_V}} \sum_h W_O^h \sum_r
              \zeta(d_K^{-s} Q^h_p \cdot K^h_r)\, V^h_r + b_{std}\, b

    with :math:`\zeta` the ``mechanism``. With ``linear_scaling`` (the default), :math:`s = 1` and queries share the
    weights of keys, so that :math:`G_{pr} = \zeta(W_{query,std} W_{key,std} \Sigma_{pr}(x, x))` is not random:

    .. math:: \Sigma' = W_{out,std}^2 W_{value,std}^2\, G(x) \Sigma G(x')^T + b_{std}^2, \quad
              \Theta' = W_{out,std}^2 W_{value,std}^2\, G(x) \left(\Theta + [2 \Sigma]\right) G(x')^T + [b_{std}^2]

    Otherwise :math:`s = \tfrac12` and queries have weights of their own, so that scores stay random. With
    ``mechanism="IDENTITY"`` this has a closed form, with :math:`\sigma` the product of the four standard deviations:

    .. math:: \Sigma' = \sigma^2 \Sigma \sum_{rs} \Sigma_{rs} \Sigma_{rs} + b_{std}^2

    and :math:`\Theta'` by the product rule over queries, keys, values and the output. With any other mechanism exact
    engines refuse it, and ``ntklab.compile(..., engine="monte-carlo")`` samples it.

    Positional embeddings are Gaussian, with covariance :math:`R_{pr}` between positions. ``"SUM"`` adds them to what
    queries and keys are made of, :math:`\Sigma + W_{pos,std}^2 R`; ``"CONCAT"`` appends them as a share :math:`s` of
    the channels, :math:`(1 - s) \Sigma + s W_{pos,std}^2 R`. They are weights, trained with the rest. Values have
    them only with ``val_pos_emb``.

    Parameters
    ----------
    width : int, optional
        Output channels of a *finite* network.
    W_key_std, W_query_std, W_value_std, W_out_std : float
        Standard deviations of weights. Kernels depend on the product of the first two and that of the last two.
    b_std : float, optional
        Of the output's bias; ``None`` means no bias.
    trainable : bool
        Whether gradient flow moves this layer, positional embeddings included.
    linear_scaling : bool
        ``1 / d`` and shared weights, or ``1 / sqrt(d)``. The default is that of neural-tangents.
    mechanism : {"SOFTMAX", "IDENTITY", "ABS", "RELU"}
        Applied to scores; ``SOFTMAX`` along the positions attended to.
    pos_emb : {"NONE", "SUM", "CONCAT"}
        Positional embeddings; these need a wide input, so a weight layer before.
    pos_emb_decay : {None, "rational", "exponential"}
        :math:`R` as a function of :math:`d = \sum_{axes} |p - r|^k`, ``k = pos_emb_p_norm``: 1 where ``d`` is 0 and
        0 elsewhere (None), ``1 / (1 + rate * d**power)``, or ``exp(-rate * d**power)``.
    pos_emb_rate, pos_emb_power, pos_emb_p_norm : float
        Of the decay.
    pos_emb_share : float
        Of positional channels among all, for ``"CONCAT"``; strictly between 0 and 1.
    W_pos_emb_std : float
        Standard deviation of the embeddings.
    val_pos_emb : bool
        Whether values see them, too.
    heads, key_width, value_width : int, optional
        Of a *finite* network: by default the square root of the width for heads and values, the width for keys.

    Raises
    ------
    SpecError
        An argument out of range, a covariance of positions that is none (an eigenvalue below zero), or an input without
        positions; and when compiled for an exact engine, ``1 / sqrt(d)`` with another mechanism than ``"IDENTITY"``.

    Notes
    -----
    Cost: ``2 P^3`` additions per pair of inputs for ``P`` positions, and all pairs of positions in memory.

    References
    ----------
    Hron, Bahri, Sohl-Dickstein, Novak 2020, "Infinite attention: NNGP and NTK for deep attention networks".

    Examples
    --------
    >>> GlobalSelfAttention(W_key_std=2.0, pos_emb="SUM", pos_emb_decay="rational")
    GlobalSelfAttention(W_key_std=2.0, pos_emb='SUM', pos_emb_decay='rational')
    """

    width: int | None = None
    W_key_std: float = 1.0
    W_query_std: float = 1.0
    W_value_std: float = 1.0
    W_out_std: float = 1.0
    b_std: float | None = None
    trainable: bool = True
    linear_scaling: bool = True
    mechanism: Mechanism = "SOFTMAX"
    pos_emb: PosEmb = "NONE"
    pos_emb_decay: Decay | None = None
    pos_emb_rate: float = 1.0
    pos_emb_power: float = 1.0
    pos_emb_p_norm: float = 2.0
    pos_emb_share: float = 0.5
    W_pos_emb_std: float = 1.0
    val_pos_emb: bool = False
    heads: int | None = None
    key_width: int | None = None
    value_width: int | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name in ("heads", "key_width", "value_width", "width"):
            check_width(self, name)
        for name in ("W_key_std", "W_query_std", "W_value_std", "W_out_std", "W_pos_emb_std"):
            check_number(self, name, 0.0)
        for name in ("pos_emb_rate", "pos_emb_power", "pos_emb_p_norm", "pos_emb_share"):
            check_number(self, name, 0.0)
        if self.b_std is not None:
            check_number(self, "b_std", 0.0)
        for name in ("trainable", "linear_scaling", "val_pos_emb"):
            check_flag(self, name)
        for name, words in (("mechanism", Mechanism), ("pos_emb", PosEmb)):
            if getattr(self, name) not in get_args(words):
                raise SpecError(
                    f"GlobalSelfAttention: {name} is one of {', '.join(get_args(words))}, got {getattr(self, name)!r}."
                )
        if self.pos_emb_decay not in (None, *get_args(Decay)):
            raise SpecError(
                f"GlobalSelfAttention: pos_emb_decay is None or one of {', '.join(get_args(Decay))}, "
                f"got {self.pos_emb_decay!r}."
            )
        if not 0 < self.pos_emb_share < 1:
            raise SpecError(
                f"GlobalSelfAttention: pos_emb_share is strictly between 0 and 1, got {self.pos_emb_share!r}."
            )

    def output_shape(self, shape: Shape) -> Shape:
        """Return the same positions with its own channels."""
        if len(shape) < 2:
            raise Misfit("it needs positions to attend to, and there are none")
        return (*shape[:-1], self.width)

    def settled(self, width: int, hidden: int) -> GlobalSelfAttention:
        """Return it with every open width settled."""
        root = max(round(hidden**0.5), 1)
        return replace(
            self,
            width=self.width or width,
            heads=self.heads or root,
            key_width=self.key_width or hidden,
            value_width=self.value_width or root,
        )
