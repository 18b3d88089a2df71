r"""Activations: one rule for all of them, around the dual of each.

For :math:`(u, v) \sim N(0, [[v_x, \Sigma], [\Sigma, v_y]])` a dual knows :math:`E[\phi(u)\phi(v)]`,
:math:`E[\phi'(u)\phi'(v)]` and :math:`D' = E[(\phi(u) - \phi(v))^2]`, all from the distance :math:`D`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value
from ntklab.spec import Activation

Numbers = Mapping[str, Any]
"""The parameters of one activation by name: learnable numbers as arrays, everything else as the layer has it."""


class DualValue(NamedTuple):
    """What becomes of a pair in an activation."""

    distance: Float[Array, "..."]
    cov: Float[Array, "..."]
    tangent: Float[Array, "..."]
    z: Float[Array, "..."] | None = None  # 1 - c after, where it depends on that before alone


class Dual(ABC):
    """The dual of one activation; stateless."""

    of: ClassVar[type[Activation] | None] = None
    """The activation; None of duals that serve several."""
    work: ClassVar[int] = 40
    """Counted elementary steps of one pair, as a rule."""

    def steps(self, p: Numbers) -> int:
        """Return the counted elementary steps of one pair, of the options alone."""
        return self.work

    @abstractmethod
    def mean(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        r"""Return :math:`E[\phi(u)]`."""

    @abstractmethod
    def variance(self, variance: Float[Array, "..."], p: Numbers) -> Float[Array, "..."]:
        r"""Return :math:`E[\phi(u)^2]`."""

    @abstractmethod
    def pair(self, distance: Float[Array, "..."], sides: Sides, p: Numbers) -> DualValue:
        r"""Return :math:`D'`, exactly 0 where :math:`D` is, :math:`E[\phi(u)\phi(v)]` and :math:`E[\phi'(u)\phi'(v)]`.

        ``sides.spread("variance")`` and ``("std")`` are what is known of ``u`` and ``v`` alone, ``sides.z`` of their
        correlation beside the distance. What is not used is
        not computed.
        """


class ActivationRule(Rule):
    """The rule around a dual."""

    def __init__(self, kind: str, dual: Dual) -> None:
        self.kind = kind  # pyright: ignore[reportAttributeAccessIssue] - one class, many kinds
        self.dual = dual

    def needs(self, op: Op) -> Needs:
        """Ask for distances, and the variances on both sides."""
        return Needs(op.pair, op.image or Carry.EQUAL, True)

    def work(self, op: Op) -> int:
        """Return the dual's steps for each number."""
        return op.pair.positions(op.spatial) * (self.dual.steps(dict(op.options)) + op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the variance after, and distances where there are some."""
        (side,) = reads
        assert side.left is not None
        p = parameters(op, learned)
        distance = side.left.distance
        if distance is not None:
            distance = self.dual.pair(distance, side, p).distance
        return image_value(self.dual.variance(side.left.variance, p), distance)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return distance or covariance after, and the tangent kernel times the dual of the derivative."""
        ((value, sides),) = reads
        after = self.dual.pair(value.cov, sides._replace(z=value.z), parameters(op, learned))
        ntk = None if value.ntk is None else after.tangent * value.ntk
        known = op.distance and value.z is not None
        return PairValue(after.distance if op.distance else after.cov, ntk, after.z if known else None)


def parameters(op: Op, learned: Learned) -> Numbers:
    """Return the arguments of an activation, by name."""
    return {**dict(op.options), **(learned[op.hyper] if op.hyper is not None else {})}


def inside(p: Numbers, prefix: str, options: Sequence[tuple[str, Any]]) -> Numbers:
    """Return the arguments of an activation inside another, whose numbers begin with a prefix."""
    own = {name.removeprefix(prefix): value for name, value in p.items() if name.startswith(prefix)}
    return {**dict(options), **own}
