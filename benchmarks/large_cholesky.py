"""Cholesky beyond LAPACK's 32-bit integers, at full size: factorise in place, solve, and measure the residual.

    python benchmarks/large_cholesky.py --n 46848

Needs 8 N^2 bytes (17.6 GB) and about N^3 / 3 operations. The kernel is the one of solvers.py, and its rows are made
again for the residual, since the factor has overwritten them. Writes benchmarks/results/large-cholesky.json.
"""

from __future__ import annotations

import time

import click
import numpy as np
from solvers import ROOT, VALUE, problem, rbf  # the script beside this one

from ntklab._core import Record
from ntklab.solve import Ridge, factorise


@click.command()
@click.option("--n", default=46_848, show_default=True, help="Training points; 46,340 is the last with N^2 < 2^31.")
def main(n: int) -> None:
    """Factorise, solve, check, store."""
    p = problem(n)
    begin = time.perf_counter()
    factor = factorise(p.gram, Ridge(VALUE), overwrite=True, progress=True)
    middle = time.perf_counter()
    alpha = factor.solve(p.targets)
    end = time.perf_counter()
    assert np.shares_memory(factor._cholesky, p.gram)
    worst, norm = 0.0, 0.0
    for start in range(0, n, 256):
        rows = slice(start, min(start + 256, n))
        block = rbf(p.points[rows], p.points)
        residual = block @ alpha + VALUE * alpha[rows] - p.targets[rows]
        worst, norm = max(worst, float(np.abs(residual).max())), max(norm, float(np.abs(block).sum(axis=1).max()))
    results = {
        "factor_seconds": middle - begin,
        "solve_seconds": end - middle,
        "backward_error": worst / ((norm + VALUE) * float(np.abs(alpha).max()) + float(np.abs(p.targets).max())),
        "smallest_pivot": factor.smallest_pivot,
        "logdet": factor.logdet,
    }
    Record.make("large-cholesky", {"n": n, "outputs": p.targets.shape[1], "ridge": VALUE}, results).save(
        ROOT / "benchmarks" / "results" / "large-cholesky.json"
    )
    print(*(f"{name}: {value:.3g}" for name, value in results.items()), sep="\n")


if __name__ == "__main__":
    main()
