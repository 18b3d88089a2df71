"""The Plan: the short, static list of operations that every engine interprets."""

from __future__ import annotations

import enum
import hashlib
import math
from dataclasses import dataclass, field, fields
from typing import Any

from ntklab.spec import Padding


def later(default: Any) -> Any:
    """Return a field that joined after keys of plans were stored: part of the key only where it is not its default."""
    return field(default=default, metadata={"later": True})


class Described:
    """A dataclass whose ``repr`` goes into keys of plans."""

    def __repr__(self) -> str:
        """Return the constructor call, without fields that joined later and have their default."""
        shown = [f for f in fields(self) if f.repr]  # pyright: ignore[reportArgumentType]
        shown = [f for f in shown if "later" not in f.metadata or getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"


class Carry(enum.Enum):
    """Which position pairs of a value are carried; the value is the sentence that ``print(plan)`` shows."""

    NUMBER = "one number per pair"
    EQUAL = "equal positions"
    ALL = "all position pairs"

    def positions(self, spatial: tuple[int, ...]) -> int:
        """Return how many numbers this is for one pair of inputs."""
        return {Carry.NUMBER: 1, Carry.EQUAL: math.prod(spatial), Carry.ALL: math.prod(spatial) ** 2}[self]


@dataclass(frozen=True, repr=False)
class Window(Described):
    """A sliding window: sizes and strides, one per spatial axis, and the padding rule.

    ``dilation`` is the step between its taps, ``spread`` puts zeros between positions first (a transposed
    convolution); empty where 1. ``amounts`` stand where those of the padding rule do not apply: pairs per axis.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...] = later(())
    spread: tuple[int, ...] = later(())
    amounts: tuple[tuple[int, int], ...] = later(())


@dataclass(frozen=True, repr=False)
class Op(Described):
    """One operation; its number in the plan names the value that it computes.

    Attributes
    ----------
    kind : str
        Which rule it follows: ``input``, or a key of :data:`ntklab.kernel.RULES`. Global pooling is a ``pool``
        whose window is everything (``squeeze``), Flatten the same over equal positions.
    inputs : tuple of int
        Numbers of the operations whose values it reads.
    spatial : tuple of int
        Spatial sizes of its value.
    pair : Carry
        What is carried for a pair of inputs.
    distance : bool
        Whether the pair carries the squared distance ``D`` (some activation follows) or the covariance.
    image : Carry or None
        What is carried for each input alone: variances (``EQUAL``), everything (``ALL``) or nothing.
    ntk : bool
        Whether a tangent kernel that is not identically zero is carried.
    trainable : bool
        Whether this operation has weights that gradient flow moves.
    hyper : str or None
        Key of its learnable numbers in ``kfn.hyper``.
    options : tuple of (name, value)
        Further static parameters that its rule reads, such as a degree; hashable.
    work : int
        Counted elementary steps per pair of inputs.
    """

    kind: str
    inputs: tuple[int, ...]
    label: str
    spatial: tuple[int, ...]
    pair: Carry
    distance: bool
    image: Carry | None
    ntk: bool
    window: Window | None = None
    squeeze: bool = False
    trainable: bool = False
    hyper: str | None = None
    options: tuple[tuple[str, Any], ...] = later(())
    work: int = field(default=0, repr=False, compare=False)

    @property
    def numbers(self) -> int:
        """Numbers carried per pair of inputs."""
        return self.pair.positions(self.spatial) * (2 if self.ntk else 1)


@dataclass(frozen=True)
class Plan:
    """What is computed for one pair of inputs: operations in order, and which values come out.

    Made by :func:`ntklab.kernel.lower`. A plan holds no arrays and no learnable numbers; equal plans mean
    equal computations, and :attr:`key` names one on every machine.

    Attributes
    ----------
    ops : tuple of Op
    outputs : tuple of (name, int)
        The values that come out, by the name of their network.
    input_shape : tuple of int
    get : tuple of str
        ``"nngp"``, ``"ntk"`` or both.
    hyper : tuple of (key, name, float)
        The learnable numbers as the spec gave them.
    """

    ops: tuple[Op, ...]
    outputs: tuple[tuple[str, int], ...]
    input_shape: tuple[int, ...]
    get: tuple[str, ...]
    hyper: tuple[tuple[str, str, float], ...]

    @property
    def key(self) -> str:
        """64 hexadecimal digits that name this computation, learnable numbers included."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    @property
    def work(self) -> int:
        """Counted elementary steps per pair of inputs."""
        return sum(op.work for op in self.ops)

    @property
    def positions(self) -> bool:
        """Whether an output has positions, rather than one number per pair of inputs."""
        return any(self.ops[i].spatial for _, i in self.outputs)

    @property
    def widest(self) -> int:
        """Most numbers alive at once for one pair: an operation's value with what it reads."""
        return max(op.numbers + sum(self.ops[i].numbers for i in op.inputs) for op in self.ops)

    def __str__(self) -> str:
        """Return a table: one line per operation, with state, numbers and counted work per pair."""
        rows = [("", "operation", "reads", "positions", "carried per pair", "per input", "numbers", "work")]
        for i, op in enumerate(self.ops):
            form = ("D" if op.distance else "K") + (", NTK" if op.ntk else "")
            rows.append(
                (
                    f"%{i}",
                    op.label,
                    " ".join(f"%{j}" for j in op.inputs),
                    "x".join(map(str, op.spatial)) or "-",
                    f"{op.pair.value} ({form})",
                    {None: "-", Carry.NUMBER: "variance", Carry.EQUAL: "variances", Carry.ALL: "all pairs"}[op.image],
                    f"{op.numbers:,}",
                    f"{op.work:,}",
                )
            )
        widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        outs = ", ".join(f"{name} = %{i}" if name else f"%{i}" for name, i in self.outputs)
        head = f"plan for inputs of shape {self.input_shape}, get = {', '.join(self.get)}"
        tail = (
            f"outputs: {outs}; per pair of inputs {self.work:,} counted steps, "
            f"at most {self.widest:,} numbers alive at once; D = squared distance, K = covariance"
        )
        return "\n".join([head, *lines, tail])
