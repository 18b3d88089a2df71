"""What branches, attention and recurrence become in a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ntklab.errors import SpecError
from ntklab.kernel._build import OR_SAMPLE, Builder, Lowering, Place, Sort, sort_after
from ntklab.kernel._rule_activation import Dual
from ntklab.kernel._rule_attention import positions_by_decay
from ntklab.spec import (
    Branching,
    Concat,
    GlobalSelfAttention,
    Layer,
    Product,
    Recurrent,
    Weighted,
    infer_shapes,
    output_shape,
)


def add_branches(builder: Builder, layer: Branching, inputs: tuple[int, ...], at: Place) -> int:
    """Add the sum of branches that are independent, all but one of mean zero."""
    _check_independent(builder, layer, inputs, at, "adds")
    gaussian, spatial = all(builder.gaussian[i] for i in inputs), builder.values[inputs[0]].spatial
    key = ("sum", *inputs)
    return builder.add(key, at, kind="sum", label="sum", inputs=inputs, spatial=spatial, gaussian=gaussian)


def product(builder: Builder, layer: Product, inputs: tuple[int, ...], at: Place) -> int:
    """Add the product of independent branches."""
    sorts = [sort_after(part, Sort(False, False)) for _, part in layer.parts]
    if sum(not s.independent for s in sorts) > 1:
        raise SpecError(
            f"Product at {at.name} multiplies branches that depend on each other, so that their covariance has no "
            f"closed form; let all but one pass weights of their own, a Dense() or Conv(...). {OR_SAMPLE} "
            f"Network: {at.network!r}"
        )
    spatial = builder.values[inputs[0]].spatial
    key = ("product", *inputs)
    return builder.add(key, at, kind="product", label="product", inputs=inputs, spatial=spatial, gaussian=False)


def concat(builder: Builder, layer: Concat, inputs: tuple[int, ...], at: Place) -> int:
    """Add the mean of branches weighted by their channels, or their positions one after another."""
    spatials = [builder.values[i].spatial for i in inputs]
    axis, n = layer.axis % (len(spatials[0]) + 1), len(spatials[0])
    if axis == n:
        scaled = [
            _scale(builder, i, share, at) for i, share in zip(inputs, _channel_shares(builder, layer, at), strict=True)
        ]
        key = ("concat", *scaled)
        return builder.add(
            key, at, kind="sum", label="concat", inputs=tuple(scaled), spatial=spatials[0], gaussian=False, alike=False
        )
    _check_independent(builder, layer, inputs, at, "concatenates along positions")
    spatial = (*spatials[0][:axis], sum(s[axis] for s in spatials), *spatials[0][axis + 1 :])
    return builder.add(
        ("concat", axis, *inputs),
        at,
        kind="concat",
        label="concat",
        inputs=inputs,
        spatial=spatial,
        gaussian=all(builder.gaussian[i] for i in inputs),
        options=(("axis", axis),),
    )


def attention(builder: Builder, layer: GlobalSelfAttention, inputs: tuple[int, ...], at: Place) -> int:
    """Add an attention."""
    if not layer.linear_scaling and layer.mechanism != "IDENTITY":
        raise SpecError(
            f"GlobalSelfAttention at {at.name}: scores over sqrt(d) stay random, and have a closed form for "
            f"mechanism='IDENTITY' only, got {layer.mechanism!r}; use linear_scaling=True for one. {OR_SAMPLE} "
            f"Network: {at.network!r}"
        )
    spatial = builder.values[inputs[0]].spatial
    decay = (layer.pos_emb_decay, layer.pos_emb_rate, layer.pos_emb_power, layer.pos_emb_p_norm)
    names = ["W_key_std", "W_query_std", "W_value_std", "W_out_std"]
    if layer.pos_emb != "NONE":
        names.append("W_pos_emb_std")
        _check_embeddings(builder, inputs[0], decay, at)
    if layer.b_std is not None:
        names.append("b_std")
    if inputs[0] in builder.masks:
        inputs = (inputs[0], builder.masks[inputs[0]])
    options = {
        "mechanism": layer.mechanism,
        "pos_emb": layer.pos_emb,
        "decay": decay,
        "share": layer.pos_emb_share,
        "val_pos_emb": layer.val_pos_emb,
    }
    return builder.add(
        (replace(layer, width=None, heads=None, key_width=None, value_width=None), *inputs),
        at,
        kind="attention" if layer.linear_scaling else "attention product",
        label="GlobalSelfAttention",
        inputs=inputs,
        spatial=spatial,
        gaussian=True,
        alike=True,
        numbers=[(name, getattr(layer, name)) for name in names],
        trainable=layer.trainable,
        options=tuple(options.items()),
    )


def recurrent(duals: Mapping[str, Dual]) -> Lowering:
    """Return the lowering of recurrent layers around these activations."""

    def lowering(builder: Builder, layer: Recurrent, inputs: tuple[int, ...], at: Place) -> int:
        (length,) = builder.values[inputs[0]].spatial
        phi = layer.activation
        if phi.kind() not in duals:
            raise SpecError(f"{phi!r} has no kernel rule. Network: {at.network!r}")
        names = ["W_std", "U_std"] + (["b_std"] if layer.b_std is not None else [])
        return builder.add(
            (replace(layer, width=None), *inputs),
            at,
            kind="recurrent",
            label=f"Recurrent {type(phi).__name__}",
            inputs=inputs,
            spatial=(length,) if layer.output == "sequence" else (),
            gaussian=False,
            alike=True,
            numbers=[*((name, getattr(layer, name)) for name in names), *phi.numbers],
            trainable=layer.trainable,
            options=(*phi.options, ("activation", phi.kind()), ("length", length)),
        )

    return lowering


def _check_independent(builder: Builder, layer: Branching, inputs: tuple[int, ...], at: Place, does: str) -> None:
    dependent = sum(not sort_after(part, Sort(False, False)).independent for _, part in layer.parts)
    if dependent > 1 or sum(not builder.centred[i] for i in inputs) > 1:
        raise SpecError(
            f"{type(layer).__name__} at {at.name} {does} branches whose covariance has no closed form, as they depend "
            f"on each other or have means other than zero; let all but one end in weights of their own, a Dense() or "
            f"Conv(...). {OR_SAMPLE} Network: {at.network!r}"
        )


def _scale(builder: Builder, x: int, factor: float, at: Place) -> int:
    return builder.add(
        ("scale", x, factor),
        at,
        kind="scale",
        label=f"share {factor:.4g}",
        inputs=(x,),
        spatial=builder.values[x].spatial,
        gaussian=builder.gaussian[x],
        options=(("factor", factor),),
    )


def _entering(builder: Builder, at: Place) -> tuple[int | None, ...]:
    steps = infer_shapes(at.network, builder.input_shape)
    return next(step.input_shape for step in steps if step.path == at.path)


def _channel_shares(builder: Builder, layer: Concat, at: Place) -> list[float]:
    """Return the share of each branch in all channels, open widths being equal."""
    entering = tuple(1 if n is None else n for n in _entering(builder, at))
    counts = [output_shape(_of_width_one(part), entering)[-1] for _, part in layer.parts]
    known = [n for n in counts if n is not None]
    return [n / math.fsum(known) for n in known]


def _of_width_one(layer: Layer) -> Layer:
    if isinstance(layer, Weighted):
        return layer.settled(1, 1)
    return layer.with_parts([_of_width_one(part) for _, part in layer.parts])


def _check_embeddings(builder: Builder, x: int, decay: tuple[Any, ...], at: Place) -> None:
    if not _passed_weights(builder, x):
        raise SpecError(
            f"GlobalSelfAttention at {at.name} embeds positions into the channels of the input, which are too few for "
            f"a limit; put a Dense() before it. Network: {at.network!r}"
        )
    spatial = builder.values[x].spatial
    least = np.linalg.eigvalsh(positions_by_decay(spatial, *decay).reshape((math.prod(spatial),) * 2))[0]
    if least < -1e-9:
        raise SpecError(
            f"GlobalSelfAttention at {at.name}: {decay} is no covariance between positions {spatial}, its least "
            f"eigenvalue is {least:.2g}; take a smaller pos_emb_power. Network: {at.network!r}"
        )


def _passed_weights(builder: Builder, x: int) -> bool:
    op = builder.values[x]
    return op.hyper is not None or any(_passed_weights(builder, i) for i in op.inputs)
