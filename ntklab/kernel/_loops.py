"""Operations that a plan repeats, period by period, so that a pass compiles one of them and scans over the rest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from ntklab.kernel._plan import Plan
from ntklab.kernel._rule import Learned

FEWEST = 12
"""Repetitions that are worth a loop: fewer compile in a second or two, and run as fast unrolled."""
_LONGEST = 128
"""Operations of the longest period that is looked for."""


@dataclass(frozen=True)
class Loop:
    """``count`` times ``period`` operations, from ``start`` on, that differ in their learnable numbers alone.

    Each period reads itself, the one before and values from before all of them; what comes after reads the last one.
    The period in front of the first is equal, too, so that values of one period have the form of the next one's.

    Attributes
    ----------
    kept : tuple of int
        Which values of a period are read after it, by their place in it.
    """

    start: int
    period: int
    count: int
    kept: tuple[int, ...]

    @property
    def first(self) -> range:
        """Operations of the first period, which stand for those of all."""
        return range(self.start, self.start + self.period)

    @property
    def last(self) -> int:
        """The first operation of the last period."""
        return self.start + (self.count - 1) * self.period

    @property
    def stop(self) -> int:
        """The first operation after the loop."""
        return self.last + self.period


def find_loops(plan: Plan, learned: Learned, fewest: int = FEWEST) -> tuple[Loop, ...]:
    """Return the loops of a plan, in order: where its operations repeat at least so many times.

    Whether they were written as a ``Repeat`` makes no difference, nor how many operations a period has, up to 128.
    Given to both passes, they make the size of the compiled program, and the time to compile it, independent of depth.

    Parameters
    ----------
    plan : Plan
    learned : mapping
        Learnable numbers; their names decide what is equal, their values do not.
    fewest : int

    Examples
    --------
    >>> from ntklab.kernel import learned_numbers, lower
    >>> from ntklab.spec import Dense, Relu, Repeat, Serial
    >>> plan = lower(Serial(Repeat(Serial(Dense(), Relu()), 30), Dense()), (3,))
    >>> find_loops(plan, learned_numbers(plan, "float32"))  # the first and the last of the 30 stand alone
    (Loop(start=3, period=2, count=28, kept=(1,)),)
    """
    forms = [(replace(op, inputs=(), hyper=None), op.hyper and tuple(sorted(learned[op.hyper]))) for op in plan.ops]
    seen: dict[Hashable, int] = {}
    kinds = [seen.setdefault(form, len(seen)) for form in forms]
    reads = [op.inputs for op in plan.ops]
    end = len(plan.ops)
    readers: dict[int, list[int]] = {i: [] for i in range(end)}
    for i, inputs in enumerate(reads):
        for j in inputs:
            readers[j].append(i)
    for _, i in plan.outputs:
        readers[i].append(end)
    loops, i = [], 0
    while i < end:
        periods = range(1, min(_LONGEST, (end - i) // fewest) + 1)
        runs = [(_repeats(kinds, reads, readers, i, period), period) for period in periods]
        enough = [run for run in runs if run[0] >= fewest]
        if not enough:
            i += 1
            continue
        count, period = max(enough, key=lambda run: (run[0] * run[1], -run[1]))
        stop = i + count * period
        after = {j - (stop - period) for j in range(stop - period, stop) if any(r >= stop for r in readers[j])}
        before = {j - i for a in range(i + period, i + 2 * period) for j in reads[a] if i <= j < i + period}
        loops.append(Loop(i + period, period, count - 1, tuple(sorted(after | before))))
        i = stop
    return tuple(loops)


def _repeats(
    kinds: list[int], reads: list[tuple[int, ...]], readers: Mapping[int, list[int]], start: int, period: int
) -> int:
    """Return how often the operations from ``start`` on are repeated: 1 if not at all."""
    a = start
    while a + period < len(kinds) and _alike(kinds, reads, start, a, period):
        a += 1
    count = 1 + (a - start) // period
    for r in range(count - 1):
        own = range(start + r * period, start + (r + 1) * period)
        if any(reader >= start + count * period for j in own for reader in readers[j]):
            return r + 1
    return count


def _alike(kinds: list[int], reads: list[tuple[int, ...]], start: int, a: int, period: int) -> bool:
    """Return whether an operation and the one a period later do the same."""
    if kinds[a] != kinds[a + period] or len(reads[a]) != len(reads[a + period]):
        return False
    oldest = a - (a - start) % period - period
    return all(
        (v == u + period and u >= oldest) or v == u < start for u, v in zip(reads[a], reads[a + period], strict=True)
    )


def segments(plan: Plan, loops: tuple[Loop, ...]) -> list[int | Loop]:
    """Return a plan's operations in order, those of loops as one."""
    found: list[int | Loop] = []
    i = 0
    for loop in loops:
        found += [*range(i, loop.start), loop]
        i = loop.stop
    return [*found, *range(i, len(plan.ops))]


def stacked_numbers(plan: Plan, loop: Loop, learned: Learned) -> dict[str, Any]:
    """Return the learnable numbers of all periods, under the keys of the first, one after another along axis 0."""
    found = {}
    for i in loop.first:
        keys = [plan.ops[j].hyper for j in range(i, loop.stop, loop.period)]
        if keys[0] is not None:
            found[keys[0]] = jax.tree.map(lambda *a: jnp.stack(a), *(learned[key] for key in keys if key is not None))
    return found


def run_loop(
    loop: Loop,
    values: Mapping[int, Any],
    xs: Any,
    step: Callable[[Mapping[int, Any], int, Any], Any],
    each: Callable[[Any], Any] = lambda value: None,
) -> tuple[dict[int, Any], list[Any]]:
    """Return the kept values of the last period by number, and ``each`` of the values of all periods along axis 0.

    ``step(values, i, x)`` computes operation ``i`` of the first period, from values of that period and of the one
    before, and from what this repetition has of ``xs``.
    """

    def period(kept: list[Any], x: Any) -> tuple[list[Any], list[Any]]:
        before = {loop.start - loop.period + k: value for k, value in zip(loop.kept, kept, strict=True)}
        known = {**values, **before}
        for i in loop.first:
            known[i] = step(known, i, x)
        return [known[loop.start + k] for k in loop.kept], [each(known[i]) for i in loop.first]

    kept = [values[loop.start - loop.period + k] for k in loop.kept]
    after, _ = jax.eval_shape(period, kept, jax.tree.map(lambda a: a[0], xs))
    if jax.tree.map(_form, kept) == jax.tree.map(_form, after):
        kept, found = jax.lax.scan(period, kept, xs)
    else:  # values that carry more at first than later on
        periods = []
        for r in range(loop.count):
            kept, found = period(kept, jax.tree.map(lambda a, r=r: a[r], xs))
            periods.append(found)
        found = jax.tree.map(lambda *a: jnp.stack(a), *periods)
    return {loop.last + k: value for k, value in zip(loop.kept, kept, strict=True)}, found


def _form(a: Any) -> Any:
    return jax.ShapeDtypeStruct(a.shape, a.dtype)
