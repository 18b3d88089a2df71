"""Lowering: from networks to a Plan. Two walks: forward to settle values, backward to settle their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ntklab.errors import InputError, SpecError
from ntklab.kernel._plan import Carry, Op, Plan, Window
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Parallel,
    Relu,
    Residual,
    Serial,
    children,
    infer_shapes,
    join,
    window_output_size,
)

GET = ("nngp", "ntk")


def lower(networks: Layer | Mapping[str, Layer], input_shape: Sequence[int], get: Sequence[str] = GET) -> Plan:
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

    Raises
    ------
    SpecError
        Shapes that do not fit, spatial axes left at the output, an activation whose input is not Gaussian,
        or a sum of branches whose covariance has no closed form.
    InputError
        An unknown word in ``get``.

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
    for network in named.values():
        infer_shapes(network, input_shape)
    builder = _Builder(input_shape=tuple(input_shape), tangents="ntk" in wanted)
    outputs = []
    for name, network in named.items():
        at = _Place(network, f"{name}:" if name else "")
        number = builder.add_layer(network, builder.input(), "", at)
        if builder.values[number].spatial:
            raise SpecError(
                f"The network ends with spatial axes {builder.values[number].spatial}; a kernel is one number "
                f"per pair of inputs. End it with Flatten() or GlobalAvgPool(). Network: {network!r}"
            )
        outputs.append((name, number))
    ops = _settle_state(builder.values, [number for _, number in outputs])
    return Plan(
        ops=tuple(ops),
        outputs=tuple(outputs),
        input_shape=tuple(input_shape),
        get=tuple(word for word in GET if word in wanted),
        hyper=tuple(builder.hyper),
    )


class _Place(NamedTuple):
    """Which network a layer belongs to, for error messages and keys."""

    network: Layer
    prefix: str


def _has_own_weights(layer: Layer, entering: bool) -> bool:
    """Return whether what leaves a layer has zero mean and is independent of what entered a branch.

    So it is once it passes weights inside the branch (``entering`` tells of the layers before), until a Relu.
    """
    if isinstance(layer, Serial):
        for part in layer.layers:
            entering = _has_own_weights(part, entering)
        return entering
    if isinstance(layer, Parallel | Residual):
        return all(_has_own_weights(part, entering) for part in layer.branches)
    return isinstance(layer, Dense | Conv) or (entering and not isinstance(layer, Relu))


@dataclass
class _Builder:
    """Values in order of computation; the same operation on the same values is added once."""

    input_shape: tuple[int, ...]
    tangents: bool

    def __post_init__(self) -> None:
        self.values: list[Op] = []
        self.gaussian: list[bool] = []  # as random functions: only Gaussian values may enter an activation
        self.hyper: list[tuple[str, str, float]] = []
        self.seen: dict[tuple, int] = {}

    def input(self) -> int:
        return self._add(("input",), False, kind="input", label="input", spatial=self.input_shape[:-1])

    def add_layer(self, layer: Layer, x: int, path: str, at: _Place) -> int:
        if isinstance(layer, Serial):
            for name, part in children(layer):
                x = self.add_layer(part, x, join(path, name), at)
            return x
        if isinstance(layer, Parallel | Residual):
            parts = [self.add_layer(part, x, join(path, name), at) for name, part in children(layer)]
            return self._sum(layer, parts, path, at)
        if isinstance(layer, Identity):
            return x
        spatial, gaussian = self.values[x].spatial, self.gaussian[x]
        if isinstance(layer, Dense):
            return self._weights(layer, x, path, at, kind="dense", label="Dense", spatial=spatial)
        if isinstance(layer, Conv):
            window = _window(layer)
            return self._weights(
                layer,
                x,
                path,
                at,
                kind="conv",
                label=_label(layer),
                spatial=_windows(spatial, window),
                window=window,
            )
        if isinstance(layer, Relu):
            if not gaussian:
                raise SpecError(
                    f"Relu() at {path or 'the start'} needs a Gaussian input, and what reaches it is not one even "
                    f"in infinitely wide networks; put a Dense() or Conv(...) before it. Network: {at.network!r}"
                )
            return self._add(("relu", x), False, kind="relu", inputs=(x,), label="Relu", spatial=spatial)
        if isinstance(layer, AvgPool):
            window = _window(layer)
            return self._add(
                ("pool", x, window),
                gaussian,
                kind="pool",
                inputs=(x,),
                label=_label(layer),
                spatial=_windows(spatial, window),
                window=window,
            )
        if isinstance(layer, GlobalAvgPool):
            return self._add(("gap", x), gaussian, kind="pool", label="GlobalAvgPool", **_whole(x, spatial))
        if isinstance(layer, Flatten):
            if not spatial:
                return x
            # Positions differ in variance: the flattened vector is not Gaussian with one covariance.
            return self._add(("flatten", x), False, kind="flatten", label="Flatten", **_whole(x, spatial))
        raise SpecError(f"{type(layer).__name__} has no kernel rule. Network: {at.network!r}")

    def _weights(self, layer: Dense | Conv, x: int, path: str, at: _Place, **op) -> int:
        key = (replace(layer, width=None), x)
        if key not in self.seen:
            op["hyper"] = at.prefix + path
            self.hyper.append((op["hyper"], "W_std", layer.W_std))
            if layer.b_std is not None:
                self.hyper.append((op["hyper"], "b_std", layer.b_std))
        return self._add(key, True, inputs=(x,), trainable=layer.trainable, **op)

    def _sum(self, layer: Layer, parts: list[int], path: str, at: _Place) -> int:
        if sum(not _has_own_weights(branch, entering=False) for _, branch in children(layer)) > 1:
            raise SpecError(
                f"{type(layer).__name__} at {path or 'the start'} adds branches that do not end in weights of their "
                f"own, so that their covariance has no closed form; let all but one end in a Dense() or "
                f"Conv(...). Network: {at.network!r}"
            )
        gaussian = all(self.gaussian[i] for i in parts)
        return self._add(
            ("sum", *parts),
            gaussian,
            kind="sum",
            inputs=tuple(parts),
            label="sum",
            spatial=self.values[parts[0]].spatial,
        )

    def _add(
        self, key: tuple, gaussian: bool, *, kind: str, spatial: tuple[int, ...], inputs=(), trainable=False, **op
    ) -> int:
        if key in self.seen:
            return self.seen[key]
        ntk = self.tangents and (trainable or any(self.values[i].ntk for i in inputs))
        self.values.append(
            Op(
                kind=kind,
                inputs=inputs,
                spatial=spatial,
                pair=Carry.NUMBER,
                distance=False,
                image=None,
                ntk=ntk,
                trainable=trainable,
                **op,
            )
        )
        self.gaussian.append(gaussian)
        self.seen[key] = len(self.values) - 1
        return self.seen[key]


_ORDER = (None, Carry.NUMBER, Carry.EQUAL, Carry.ALL)


def _more(a: Carry | None, b: Carry | None) -> Carry | None:
    return max(a, b, key=_ORDER.index)


def _settle_state(values: list[Op], outputs: list[int]) -> list[Op]:
    """Walk backward: each value carries what its readers need, and no more."""
    pair: list[Carry | None] = [None] * len(values)
    image: list[Carry | None] = [None] * len(values)
    distance = [False] * len(values)
    for i in outputs:
        pair[i] = Carry.NUMBER
    for i in reversed(range(len(values))):
        op = values[i]
        for j in op.inputs:
            distance[j] = distance[j] or distance[i] or op.kind == "relu"
            pair[j] = _more(pair[j], _need(op, pair[i]))
            if op.kind == "relu":
                image[j] = _more(image[j], Carry.EQUAL)
            if image[i] is not None:
                image[j] = _more(image[j], _need(op, image[i]))
    settled = []
    for op, p, m, d in zip(values, pair, image, distance, strict=True):
        assert p is not None
        if not op.spatial:
            p, m = Carry.NUMBER, m and Carry.NUMBER
        settled.append(replace(op, pair=p, image=m, distance=d))
    return settled


def _need(op: Op, out: Carry | None) -> Carry | None:
    if op.kind == "pool":
        return Carry.ALL
    if op.kind == "flatten":
        return Carry.EQUAL
    return out


def _whole(x: int, spatial: tuple[int, ...]) -> dict[str, Any]:
    window = Window(spatial, (1,) * len(spatial), "VALID")
    return {"inputs": (x,), "spatial": (), "window": window, "squeeze": True}


def _window(layer: Conv | AvgPool) -> Window:
    assert isinstance(layer.strides, tuple)
    return Window(layer.window, layer.strides, layer.padding)


def _windows(spatial: tuple[int, ...], window: Window) -> tuple[int, ...]:
    sizes = zip(spatial, window.sizes, window.strides, strict=True)
    return tuple(window_output_size(n, k, s, window.padding) for n, k, s in sizes)


def _label(layer: Conv | AvgPool) -> str:
    assert isinstance(layer.strides, tuple)
    strides = "" if set(layer.strides) == {1} else "/" + "x".join(map(str, layer.strides))
    return f"{type(layer).__name__} {'x'.join(map(str, layer.window))}{strides} {layer.padding}"
