r"""Recurrence: step ``t`` of one input and step ``s`` of the other come from steps ``t - 1`` and ``s - 1``.

One scan over the steps of the first input carries a row over all steps of the second, or only the equal step. Before
the first step the state is zero, so the distance to it is the other state's variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklab.kernel._plan import Carry, Op
from ntklab.kernel._rule import Learned, Needs, Read, Rule
from ntklab.kernel._rule_activation import Dual, parameters
from ntklab.kernel._values import ImageValue, PairValue, Sides, image_value


class Recurrent(Rule):
    """A state with the same weights at every step; its activation is part of the operation."""

    kind = "recurrent"
    own = Carry.EQUAL

    def __init__(self, duals: Mapping[str, Dual]) -> None:
        self.duals = duals

    def needs(self, op: Op) -> Needs:
        """Ask for distances and variances, as the activation inside does."""
        image = Carry.ALL if op.image is Carry.ALL else Carry.EQUAL
        return Needs(op.pair if op.spatial else Carry.EQUAL, image, True)

    def work(self, op: Op) -> int:
        """Return one dual per pair of steps that it goes through."""
        options = dict(op.options)
        steps = op.pair.positions(op.spatial) if op.spatial else options["length"]
        return steps * (self.duals[options["activation"]].steps(options) + 3 * (1 + op.ntk))

    def image(
        self, op: Op, reads: Sequence[Sides], learned: Learned, within: Float[Array, "b *P"] | None
    ) -> ImageValue:
        """Return variances of states, and of what enters the activation (``own``); distances where there are some."""
        (side,) = reads
        assert side.left is not None
        p, dual = parameters(op, learned), self.duals[dict(op.options)["activation"]]
        inputs = jnp.moveaxis(side.left.variance, 1, 0)

        def step(state: Float[Array, "b"], x: Float[Array, "b"]) -> tuple[Float[Array, "b"], Float[Array, "b"]]:
            variance = p["U_std"] * x + p["W_std"] * state + p.get("b_std", 0.0)
            return dual.variance(variance, p), variance

        _, variances = jax.lax.scan(step, jnp.zeros_like(inputs[0]), inputs)
        own = jnp.moveaxis(variances, 0, 1)
        states = dual.variance(own, p)
        distance = None
        if op.image is Carry.ALL:
            assert side.left.distance is not None
            sides = Sides(image_value(own), image_value(own), Carry.ALL, block=False)
            distance = self._rows(op, p, side.left.distance, None, sides)[0]
        return image_value(states if op.spatial else states[:, -1], distance)._replace(own=own)

    def pair(self, op: Op, reads: Sequence[Read], out: Sides, same: Array, learned: Learned) -> PairValue:
        """Return distances or covariances of states, and their tangent kernel."""
        ((value, read),) = reads
        left, right = (value.own for value in out.ends)
        assert left is not None
        assert right is not None
        sides = Sides(image_value(left), image_value(right), read.carry, block=True)
        ntk = value.ntk
        if op.ntk and ntk is None:
            ntk = jnp.zeros_like(value.cov)
        distance, cov, ntk = self._rows(op, parameters(op, learned), value.cov, ntk, sides)
        result = PairValue(distance if op.distance else cov, ntk)
        return result if op.spatial else jax.tree.map(lambda a: a[..., -1], result)

    def _rows(
        self, op: Op, p: Mapping[str, Any], distance: Float[Array, "..."], ntk: Float[Array, "..."] | None, sides: Sides
    ) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."] | None]:
        """Return distance, covariance and tangent kernel of states, from those of inputs and variances in ``sides``."""
        dual = self.duals[dict(op.options)["activation"]]
        whole = sides.carry is Carry.ALL
        lead = 2 if sides.block else 1
        left, right = (side.variance for side in sides.ends)

        def at(variance: Float[Array, "b L"]) -> Any:
            return jnp.moveaxis(variance, 1, 0)

        def across(variance: Float[Array, "..."], side: int) -> Float[Array, "..."]:
            return jnp.expand_dims(variance, 1 - side) if sides.block else variance

        def step(before: Any, now: Any) -> Any:
            d, t, x, theta, (v_left, state_left), v_right = *before, *now
            if whole:
                first = jnp.broadcast_to(across(state_left, 0)[..., None], (*d.shape[:-1], 1))
                d = jnp.concatenate([first, d[..., :-1]], axis=-1)
                t = t if t is None else jnp.pad(t[..., :-1], [(0, 0)] * (t.ndim - 1) + [(1, 0)])
                v_left, v_right = v_left[:, None], right
            d = p["U_std"] * x + p["W_std"] * d
            line = Sides(image_value(v_left), image_value(v_right), Carry.EQUAL, sides.block)
            after = dual.pair(d, line, p)
            if t is not None:
                t = p["U_std"] * theta + p["W_std"] * t
                t = after.tangent * (t + line.covariance(d) if op.trainable else t)
            return (after.distance, t), (after.distance, after.cov, t)

        def rows(a: Float[Array, "..."] | None) -> Float[Array, "..."] | None:
            return a if a is None else jnp.moveaxis(a, lead, 0)

        states = dual.variance(left, p)
        previous = jnp.pad(states[:, :-1], ((0, 0), (1, 0)))
        xs = rows(distance)
        assert xs is not None
        start = jnp.zeros_like(xs[0])
        if whole:
            start = start + across(dual.variance(right, p), 1)
        zero = None if ntk is None else jnp.zeros_like(xs[0])
        _, outs = jax.lax.scan(step, (start, zero), (xs, rows(ntk), (at(left), at(previous)), at(right)))
        return jax.tree.map(lambda a: jnp.moveaxis(a, 0, lead), outs)
