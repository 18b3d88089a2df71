"""What this machine's cores can do at most: float32 steps per second, measured on multiply-adds in registers."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from ntklab.engine._simd_vectors import add, address, fma, load, store, zero

_LANES, _CHAINS = 8, 10


@njit(nogil=True, cache=True)
def _spin(witness, memory, rounds):
    nil = zero(witness)
    a, b = load(address(memory), nil), load(address(memory) + 32, nil)
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 = a, a, a, a, a, a, a, a, a, a
    for _ in range(rounds):
        s0, s1, s2, s3, s4 = fma(s0, a, b), fma(s1, a, b), fma(s2, a, b), fma(s3, a, b), fma(s4, a, b)
        s5, s6, s7, s8, s9 = fma(s5, a, b), fma(s6, a, b), fma(s7, a, b), fma(s8, a, b), fma(s9, a, b)
    total = add(add(add(s0, s1), add(s2, s3)), add(add(add(s4, s5), add(s6, s7)), add(s8, s9)))
    store(address(memory) + 64, total)


def steps_per_second() -> float:
    """Return steps of one lane per second, all cores together; a multiply-add is two steps."""
    cores, rounds = len(os.sched_getaffinity(0)), 20_000_000

    def one(_: int) -> None:
        memory = np.full(64, 0.5, np.float32)
        _spin((0,) * _LANES, memory, rounds)

    one(0)
    with ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        list(pool.map(one, range(cores)))
        seconds = time.perf_counter() - start
    return 2 * cores * rounds * _CHAINS * _LANES / seconds
