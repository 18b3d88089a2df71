"""Which width each weight layer of a finite network gets where its spec leaves that open."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ntklab.spec import Activation, Branching, Chain, Layer, Weighted, join


def settle_widths(spec: Layer, width: int, outputs: int) -> Layer:
    """Return the spec with every ``width=None`` replaced, ``outputs`` at the end and ``width`` elsewhere.

    The last weight layers are those from which a path leads to the output through no other weight
    layer; a sum can have several. They get ``outputs`` if nothing but the output sees their channels.
    If an activation or a further weight layer does, they are hidden layers too, and as wide as those:
    with few channels there the network would not approach its kernel, however large ``width`` is.

    Examples
    --------
    >>> from ntklab.spec import Dense, Relu, Residual, Serial
    >>> settle_widths(Serial(Dense(), Relu(), Dense()), 512, 1)
    Serial(Dense(width=512), Relu(), Dense(width=1))
    >>> settle_widths(Serial(Dense(), Residual(Relu(), Dense())), 512, 1)
    Serial(Dense(width=512), Residual(Relu(), Dense(width=512)))
    """
    consumed: set[str] = set()
    last = _sources(spec, "", frozenset(), consumed)
    heads = last if not last & consumed else frozenset()
    return _with_widths(spec, "", heads, width, outputs)


def _sources(layer: Layer, path: str, entering: AbstractSet[str], consumed: set[str]) -> frozenset[str]:
    """Return the weight layers whose channels leave ``layer``, given those whose channels enter it."""
    if isinstance(layer, Chain):
        leaving = frozenset(entering)
        for name, part in layer.parts:
            leaving = _sources(part, join(path, name), leaving, consumed)
        return leaving
    if isinstance(layer, Branching):
        parts = (_sources(part, join(path, name), entering, consumed) for name, part in layer.parts)
        return frozenset().union(*parts)
    if isinstance(layer, Weighted):
        consumed |= entering
        if layer.hidden:
            consumed.add(path)
        return frozenset({path})
    if isinstance(layer, Activation):
        consumed |= entering
    return frozenset(entering)


def _with_widths(layer: Layer, path: str, heads: AbstractSet[str], width: int, outputs: int) -> Layer:
    parts = [_with_widths(part, join(path, name), heads, width, outputs) for name, part in layer.parts]
    if isinstance(layer, Weighted):
        return layer.settled(outputs if path in heads else width, width)
    return layer.with_parts(parts)
