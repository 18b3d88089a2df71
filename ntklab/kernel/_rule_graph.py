"""Graphs of the inputs' own: what is kept of them, and sums over neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._values import ImageValue, PairValue, Sides, equal_positions, image_value
from ntklab.kernel._weighted import distance_of_sums, variance_of_sums, weigh
from ntklab.kernel._windows import diagonal


class Graph(Rule):
    """The adjacency matrix of each input."""

    kind = "graph"
    own = Carry.EQUAL
    aside = True

    def work(self, op: Op) -> int:
        """Return nothing: it belongs to inputs, not to pairs."""
        return 0

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Never asked: it is read from the input."""
        raise NotImplementedError

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Never asked: graphs are aside."""
        raise NotImplementedError


class Neighbours(Rule):
    r"""Sums over neighbours, :math:`\Sigma' = A \Sigma A'^T`; it reads a value and the graph."""

    kind = "neighbours"

    def needs(self, op: Op) -> Needs:
        """Ask for all pairs of nodes."""
        return Needs(Carry.ALL, op.image and Carry.ALL, op.distance)

    def work(self, op: Op) -> int:
        """Return the additions of two products by matrices."""
        return 2 * math.prod(op.spatial) ** 3 * (1 + op.ntk)

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances of the sums, what they lose to distances (``within``), and distances."""
        (value, _), (graph, _) = (side.ends for side in reads)
        assert value.distance is not None
        before = _weighted(op, value, graph)
        assert before.own is not None
        mean = weigh(before.own, value.distance, before.own, op, block=False)
        before = before._replace(within=0.5 * diagonal(mean, 1))
        distance = None
        if op.image is Carry.ALL:
            lines = Sides(before, before, Carry.ALL, block=False)
            distance = distance_of_sums(op, mean, lines, jnp.ones((), bool))
        return image_value(variance_of_sums(before), distance, before.within)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return covariances or distances between sums."""
        (value, sides), (_, graphs) = reads
        left, right = (_graph(op, graph) for graph in graphs.ends)
        cov = weigh(left, value.cov, right, op, block=True)
        ntk = None if value.ntk is None else weigh(left, value.ntk, right, op, block=True)
        if op.distance:
            ends = zip(sides.ends, graphs.ends, out.ends, strict=True)
            first, second = (_weighted(op, x, graph)._replace(within=after.within) for x, graph, after in ends)
            cov = distance_of_sums(op, cov, Sides(first, second, Carry.ALL, block=True), same)
        result = PairValue(cov, ntk)
        return result if op.pair is Carry.ALL else equal_positions(result, 1)


def _weighted(op: Op, value: ImageValue, graph: ImageValue) -> ImageValue:
    return ImageValue(value.variance, value.std, None, None, _graph(op, graph))


def _graph(op: Op, graph: ImageValue) -> Float[Array, "b N N"]:
    A = graph.variance
    if not dict(op.options)["mean"]:
        return A
    total = jnp.sum(A, axis=-1, keepdims=True)
    return A / jnp.where(total > 0.0, total, 1.0)
