"""One block of pairs in displacement form: stage after stage, then the numbers after the last pooling."""

from __future__ import annotations

import jax.numpy as jnp

from ntklab.engine._displacement_images import Images, line_up
from ntklab.engine._displacement_loop import run_stage
from ntklab.engine._displacement_stages import stages
from ntklab.engine._displacement_walk import Sides, walk_numbers
from ntklab.kernel import Learned, PairValue, Plan


def run_block(
    plan: Plan, first: Images, second: Images, learned: Learned, *, across: bool, side_by_side: bool
) -> list[PairValue]:
    """Return the plan's outputs for all of ``first`` with all of ``second`` (``across``), or for one with one.

    For a few pairs, ``side_by_side`` fills vectors with all displacements along columns; else these are a loop.
    """
    layout = stages(plan)
    ends: dict[int, PairValue] = {}
    same = None
    for number, stage in enumerate(layout.values()):
        sides = line_up(plan, stage.canvas, first, second, across)
        if number == 0:
            left, right = sides.both(0, "pixels")
            same = jnp.all(left == right, axis=(0, 1, 2))
        assert same is not None
        ends |= run_stage(plan, layout, stage, sides, ends, same, learned, side_by_side=side_by_side)
    spread = (-1, -2) if across else (-2, -2)
    numbers = (
        {k: jnp.expand_dims(a, axis) for k, a in images.items() if not plan.ops[k[0]].spatial}
        for images, axis in zip((first, second), spread, strict=True)
    )
    assert same is not None
    return walk_numbers(plan, ends, Sides(*numbers), same, learned)
