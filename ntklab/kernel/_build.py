"""Values of a plan under construction: the same operation on the same values is added once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ntklab.errors import SpecError
from ntklab.kernel._plan import Carry, Op
from ntklab.spec import Activation, Branching, Chain, Layer, Product, Shape, Weighted, join


class Place(NamedTuple):
    """Where a layer stands, for error messages and the keys of learnable numbers."""

    network: Layer
    prefix: str
    path: str
    shapes: Mapping[str, Shape]

    @property
    def input_shape(self) -> Shape:
        """Shape of what enters the layer."""
        return self.shapes[self.path]

    @property
    def name(self) -> str:
        """The path as messages write it."""
        return self.path or "the start"


OR_SAMPLE = 'To sample finite networks, ask by name: compile(..., engine="monte-carlo", sampling=Sampling(key)).'
"""What remains where there is no closed form."""

Lowering = Callable[["Builder", Any, tuple[int, ...], Place], int]
"""Adds what a layer does to values (one; of a Branching layer those of its parts), returns the result's number."""


@dataclass
class Builder:
    """Values in order of computation."""

    input_shape: tuple[int, ...]
    tangents: bool
    lowerings: Mapping[type[Layer], Lowering]
    mask_after: Callable[[Builder, Layer, tuple[int, ...], int, Place], int]

    def __post_init__(self) -> None:
        self.values: list[Op] = []
        self.centred: dict[int, bool] = {0: False}  # as random functions: of mean zero
        self.gaussian: list[bool] = []  # as random functions: only Gaussian values may enter an activation
        self.alike: list[bool] = []  # infinitely many channels of one distribution: not those of the input itself
        self.hyper: list[tuple[str, str, float]] = []
        self.seen: dict[tuple, int] = {}
        self.graphs: dict[int, int] = {}  # the graph that goes along with a value
        self.masks: dict[int, int] = {}  # which positions of a value are present, where some may be absent

    def input(self) -> int:
        """Return the number of the input."""
        return self._append(("input",), False, False, Op(**_unsettled("input", "input", (), self.input_shape[:-1])))

    def add_layer(self, layer: Layer, x: int, at: Place) -> int:
        """Return the number of what a layer makes of a value."""
        if isinstance(layer, Chain):
            for name, part in layer.parts:
                x = self.add_layer(part, x, at._replace(path=join(at.path, name)))
            return x
        inputs = (x,)
        if isinstance(layer, Branching):
            inputs = tuple(self.add_layer(part, x, at._replace(path=join(at.path, name))) for name, part in layer.parts)
        if type(layer) not in self.lowerings:
            raise SpecError(f"{type(layer).__name__} has no kernel rule. {OR_SAMPLE} Network: {at.network!r}")
        number = self.lowerings[type(layer)](self, layer, inputs, at)
        if any(i in self.masks for i in inputs) and number not in inputs:
            number = self.mask_after(self, layer, inputs, number, at)
        graphs = {self.graphs[i] for i in inputs if i in self.graphs}
        if len(graphs) == 1:
            self.graphs.setdefault(number, graphs.pop())
        self.centred.setdefault(number, sort_after(layer, Sort(False, self.centred[x])).centred)
        return number

    def add(
        self,
        key: tuple,
        at: Place,
        *,
        kind: str,
        label: str,
        inputs: tuple[int, ...],
        spatial: tuple[int, ...],
        gaussian: bool,
        alike: bool | None = None,
        numbers: Iterable[tuple[str, float]] = (),
        trainable: bool = False,
        **op: Any,
    ) -> int:
        """Add an operation, or return the one with the same key.

        Parameters
        ----------
        key : tuple
            Everything that the result depends on: the layer and the values read.
        gaussian : bool
            Whether the result is Gaussian, so that an activation may follow.
        alike : bool, optional
            Whether its channels are infinitely many of one distribution; default: if those of all values read are.
        numbers : iterable of (name, value)
            Learnable numbers; those named ``..._std`` reach the rule squared.
        **op
            Static parameters: further fields of :class:`Op`.
        """
        if key in self.seen:
            return self.seen[key]
        given = [(at.prefix + at.path, name, value) for name, value in numbers]
        self.hyper += given
        if given:
            op["hyper"] = at.prefix + at.path
        ntk = self.tangents and (trainable or any(self.values[i].ntk for i in inputs))
        settled = {**_unsettled(kind, label, inputs, spatial), "ntk": ntk, "trainable": trainable, **op}
        alike = all(self.alike[i] for i in inputs) if alike is None else alike
        return self._append(key, gaussian, alike, Op(**settled))

    def _append(self, key: tuple, gaussian: bool, alike: bool, op: Op) -> int:
        if key not in self.seen:
            self.values.append(op)
            self.gaussian.append(gaussian)
            self.alike.append(alike)
            self.seen[key] = len(self.values) - 1
        return self.seen[key]


def _unsettled(kind: str, label: str, inputs: tuple[int, ...], spatial: tuple[int, ...]) -> dict[str, Any]:
    state = {"pair": Carry.NUMBER, "distance": False, "image": None, "ntk": False}
    return {"kind": kind, "label": label, "inputs": inputs, "spatial": spatial, **state}


class Sort(NamedTuple):
    """What is known of a random function."""

    independent: bool
    """Of what entered the branch that it is in, channel by channel: weights of the branch stand between."""
    centred: bool
    """It has mean zero."""


def sort_after(layer: Layer, entering: Sort) -> Sort:
    """Return of which sort what leaves a layer is."""
    if isinstance(layer, Chain):
        for _, part in layer.parts:
            entering = sort_after(part, entering)
        return entering
    if isinstance(layer, Branching):
        sorts = [sort_after(part, entering) for _, part in layer.parts]
        centred = any if isinstance(layer, Product) else all
        return Sort(all(s.independent for s in sorts), centred(s.centred for s in sorts))
    if isinstance(layer, Weighted):
        return Sort(True, layer.centred)
    return entering._replace(centred=entering.centred and not isinstance(layer, Activation))
