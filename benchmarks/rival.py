"""neural-tangents in a process of its own, for benchmarks: reads one request per line, answers with one line.

Started by ``engines_cpu.py``. A request names a workload and how many images stand on each side; the answer is the
seconds of one call, and the NTK where it is asked for.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from agreement import load  # the script beside this one
from workloads import WORKLOADS, trained


def main() -> None:
    """Answer until the input ends."""
    oracle = load("neural_tangents_oracle")
    images = np.load(sys.argv[1])
    compiled: dict[str, Any] = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for line in sys.stdin:
            ask = json.loads(line)
            workload = WORKLOADS[ask["workload"]]
            if ask["workload"] not in compiled:
                compiled[ask["workload"]] = oracle.compiled(trained(workload.network), "ntk")
            x = jnp.asarray(images.reshape((len(images), *workload.shape)), jnp.float32)
            x1, x2 = x[: ask["n1"]], x[ask["n1"] : ask["n1"] + ask["n2"]]
            start = time.perf_counter()
            ntk = np.asarray(compiled[ask["workload"]](x1, None if ask["symmetric"] else x2))
            seconds = time.perf_counter() - start
            if ask.get("save"):
                np.save(Path(ask["save"]), ntk)
            print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
