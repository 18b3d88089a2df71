r"""What a rule is: how one kind of operation takes part in the plan and in the two passes.

The *image pass* follows each input alone (variances, where activations need them); the *pair pass* follows pairs. A
pair carries either the covariance :math:`\Sigma` or, wherever an activation follows, the squared distance
:math:`D_{pq} = v_p + v_q - 2\Sigma_{pq}`, with which duals are exact at coinciding inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op, Plan
from ntklab.kernel._values import ImageValue, PairValue, Sides

Learned = Mapping[str, Mapping[str, Float[Array, ""]]]
"""The learnable numbers as rules read them: each went through :func:`learned_number`."""


def learned_number(name: str, value: Any) -> Any:
    """Return a learnable number as rules read it: ``W_std`` and every other ``..._std`` squared, the rest as it is.

    Squared by the caller, who has more digits: 2**0.5 in float32 squares to 2 - 1.2e-7, once a layer.
    """
    return value * value if name.endswith("_std") else value


def learned_numbers(plan: Plan, dtype: Any) -> dict[str, dict[str, Array]]:
    """Return the networks' own numbers as rules read them, squared in double precision and rounded once."""
    learned: dict[str, dict[str, Array]] = {}
    for key, name, value in plan.hyper:
        learned.setdefault(key, {})[name] = jnp.asarray(learned_number(name, value), dtype)
    return learned


class Needs(NamedTuple):
    """What an operation must find in the values that it reads, given what its own value carries.

    Attributes
    ----------
    pair : Carry
        Positions of pairs; of values without positions, the one number.
    image : Carry or None
        What of each input alone: variances (``EQUAL``), distances between its own positions too (``ALL``), nothing.
    distance : bool
        Whether distances, or covariances. A value that another reader wants as distances is one here, too; the pair
        pass turns it into covariances for a rule that says False.
    """

    pair: Carry
    image: Carry | None
    distance: bool


class Rule(ABC):
    """How one kind of operation acts. Holds no state: everything static is in the ``Op``."""

    kind: ClassVar[str]
    """Name of the kind, unique among rules."""

    own: ClassVar[Carry | None] = None
    """What its pair pass reads of its own value for each input alone, even where nobody else does."""

    aside: ClassVar[bool] = False
    """Whether it is no value of a network, but belongs to each input alone, as a mask does: it has no pair pass."""

    def needs(self, op: Op) -> Needs:
        """Return what the values that it reads must carry; by default what its own does."""
        return Needs(op.pair, op.image, op.distance)

    @abstractmethod
    def work(self, op: Op) -> int:
        """Return counted elementary steps per pair of inputs."""

    @abstractmethod
    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return the value for each input alone; asked only where ``op.image`` is not None.

        Each of ``reads`` has the same :class:`ImageValue` on both sides, lined up with the input's own distances
        where these are needed. ``within`` is what a pooling needs of distances, from an engine that follows them.
        """

    @abstractmethod
    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return the value for pairs: covariance, or distance if ``op.distance``, and tangent kernel if ``op.ntk``.

        ``out`` is the operation's own value for the inputs alone, on the positions of ``op.pair``; ``same`` tells
        which pairs are of equal inputs.
        """


class Read(NamedTuple):
    """One value that an operation reads, on the positions that it needs, and what is known of its two sides."""

    value: PairValue
    sides: Sides
