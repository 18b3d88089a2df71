"""Lowering: from networks to a Plan. Two walks: forward to settle values, backward to settle their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Literal, get_args

from ntklab.errors import InputError, SpecError
from ntklab.kernel._build import Builder, Place
from ntklab.kernel._lower_masks import mask_after
from ntklab.kernel._plan import Carry, Op, Plan
from ntklab.kernel._table import LOWERINGS, RULES
from ntklab.spec import Layer, infer_shapes

GET = ("nngp", "ntk")
Positions = Literal["equal", "all"]
"""Which positions of outputs that have some are returned."""


def lower(
    networks: Layer | Mapping[str, Layer],
    input_shape: Sequence[int],
    get: Sequence[str] = GET,
    positions: Positions | None = None,
) -> Plan:
    """Return the Plan of one network, or of several that share their first layers.

    Equal operations on equal values are computed once, so networks that start alike (depths 3, 4, 6, 11 and
    21 of one family) cost little more than the largest alone.

    Parameters
    ----------
    networks : Layer or mapping of name to Layer
    input_shape : sequence of int
        Shape of one input, channels last, no batch axis.
    get : sequence of {"nngp", "ntk"}
        What to compute; ``("nngp",)`` alone is about half the work.
    positions : {"equal", "all"}, optional
        Of one network that ends with spatial axes: kernels between equal positions, or between all.

    Raises
    ------
    SpecError
        Shapes that do not fit, spatial axes left at the output, an activation whose input is not Gaussian,
        or a sum of branches whose covariance has no closed form.
    InputError
        An unknown word in ``get`` or ``positions``, or ``positions`` for several networks.

    Examples
    --------
    >>> from ntklab.spec import zoo
    >>> [op.pair.name for op in lower(zoo.cntk(3, "gap"), (8, 8, 3)).ops]
    ['ALL', 'ALL', 'ALL', 'ALL', 'ALL', 'NUMBER', 'NUMBER']
    """
    named = dict(networks) if isinstance(networks, Mapping) else {"": networks}
    if not named:
        raise SpecError("No network was given.")
    wanted = (get,) if isinstance(get, str) else tuple(get)
    if not wanted or not set(wanted) <= set(GET):
        raise InputError(f'get takes "nngp", "ntk" or both, got {get!r}.')
    if positions is not None and (positions not in get_args(Positions) or len(named) > 1):
        raise InputError(f'positions is "equal" or "all", for one network at a time; got {positions!r}.')
    shapes = {
        name: {step.path: step.input_shape for step in infer_shapes(network, input_shape)}
        for name, network in named.items()
    }
    builder = Builder(tuple(input_shape), "ntk" in wanted, LOWERINGS, mask_after)
    outputs = []
    for name, network in named.items():
        at = Place(network, f"{name}:" if name else "", "", shapes[name])
        number = builder.add_layer(network, builder.input(), at)
        if builder.values[number].spatial and positions is None:
            raise SpecError(
                f"The network ends with spatial axes {builder.values[number].spatial}; a kernel is one number "
                f"per pair of inputs. End it with Flatten() or GlobalAvgPool(), or ask for a kernel of positions with "
                f'positions="all". Network: {network!r}'
            )
        outputs.append((name, number))
    values, outputs = _without_unread_input(builder.values, outputs)
    ops = _settle_state(values, _CARRIED[positions], {number for _, number in outputs})
    return Plan(
        ops=tuple(ops),
        outputs=tuple(outputs),
        input_shape=tuple(input_shape),
        get=tuple(word for word in GET if word in wanted),
        hyper=tuple(builder.hyper),
    )


_CARRIED = {None: Carry.NUMBER, "equal": Carry.EQUAL, "all": Carry.ALL}
_ORDER = (None, Carry.NUMBER, Carry.EQUAL, Carry.ALL)


def _without_unread_input(values: list[Op], outputs: list[tuple[str, int]]) -> tuple[list[Op], list[tuple[str, int]]]:
    """Return values and outputs without the input as a whole, where all that reads it tells its parts."""
    if any(i == 0 for op in values for i in op.inputs) or any(i == 0 for _, i in outputs):
        return values, outputs
    moved = [replace(op, inputs=tuple(i - 1 for i in op.inputs)) for op in values[1:]]
    return moved, [(name, i - 1) for name, i in outputs]


def _settle_state(values: list[Op], wanted: Carry, outputs: Set[int]) -> list[Op]:
    """Walk backward: each value carries what its readers need, outputs what is wanted of them, and no more."""
    settled = list(values)
    readers: dict[int, list[Op]] = {i: [] for i in range(len(values))}
    for i in reversed(range(len(values))):
        op = values[i]
        needs = [RULES[reader.kind].needs(reader) for reader in readers[i]]
        own = wanted if i in outputs else Carry.NUMBER
        pair = max([own, *(n.pair for n in needs)], key=_ORDER.index)
        rule = RULES.get(op.kind)  # none for the input
        image = max([rule and rule.own, *(n.image for n in needs)], key=_ORDER.index)
        distance = any(n.distance for n in needs)
        if rule is not None and rule.aside:
            pair, image, distance = Carry.NUMBER, rule.own, False
        if not op.spatial:
            pair, image = Carry.NUMBER, image and Carry.NUMBER
        op = replace(op, pair=pair, image=image, distance=distance)
        settled[i] = op = replace(op, work=RULES[op.kind].work(op)) if op.inputs else op
        for j in op.inputs:
            readers[j].append(op)
    return settled
