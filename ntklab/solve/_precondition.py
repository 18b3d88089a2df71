"""Low-rank approximations F F^T of a kernel matrix, and the preconditioner made of one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ntklab.errors import InputError, SolveError
from ntklab.solve._operator import SymmetricOperator
from ntklab.solve._operator_blocks import as_operator


@dataclass(frozen=True, eq=False)
class LowRank:
    """K ~ F F^T with K - F F^T positive semidefinite; made by :func:`rpcholesky` or :func:`gaussian_nystrom`.

    Attributes
    ----------
    factor
        F, shape (N, r).
    trace
        tr K.
    pivots
        Indices of the training points that span the approximation, in the order drawn; empty for a sketch.
    name
        How it was made, with rank and seed; a checkpoint names it.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import rpcholesky
    >>> approximation = rpcholesky(np.eye(3) + 1, 2, seed=0)
    >>> approximation.rank, round(approximation.captured, 3)
    (2, 0.778)
    >>> print(approximation)
    rpcholesky(rank=2, seed=0): rank 2, 77.8 % of the trace
    """

    factor: Float[np.ndarray, "n r"] = field(repr=False)
    trace: float
    pivots: Int[np.ndarray, " p"] = field(repr=False)
    name: str

    def __str__(self) -> str:
        return f"{self.name}: rank {self.rank}, {100 * self.captured:.1f} % of the trace"

    @property
    def rank(self) -> int:
        """Columns of F; fewer than asked for where K has no more rank within rounding."""
        return self.factor.shape[1]

    @property
    def captured(self) -> float:
        """tr(F F^T) / tr K, at most 1."""
        return min(1.0, float(np.vdot(self.factor, self.factor)) / self.trace)

    @property
    def tail(self) -> float:
        """tr(K - F F^T) / N, the mean eigenvalue of what is left, in the units of K."""
        return (1 - self.captured) * self.trace / self.factor.shape[0]

    def inverse(self, ridge_absolute: float) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function R -> P^{-1} R with P = F F^T + max(lambda, tail) I.

        The textbook preconditioner has lambda alone, and degrades as lambda falls below the flat tail of a
        kernel's spectrum, for which the tail's mean stands here. The shift never falls below eps tr K, so that P
        stays positive definite in float64; it changes the number of iterations and not the solution.

        Parameters
        ----------
        ridge_absolute
            Lambda, in the units of K.

        Returns
        -------
        function of an (N, C) array
            Cost 2 N r C multiply-adds, after N r^2 / 2 + r^3 / 6 for the factorisation of F^T F.

        Examples
        --------
        >>> import numpy as np
        >>> from ntklab.solve import rpcholesky
        >>> K = np.diag([9.0, 1.0]) + 1
        >>> solve = rpcholesky(K, 2, seed=0).inverse(0.5)
        >>> np.allclose(solve((K + 0.5 * np.eye(2)) @ [[1.0], [2.0]]), [[1.0], [2.0]])
        True
        """
        shift = max(ridge_absolute, self.tail, float(np.finfo(np.float64).eps) * self.trace)
        inner = self.factor.T @ self.factor
        inner[np.diag_indices(self.rank)] += shift
        cholesky = scipy.linalg.cho_factor(inner, lower=True, overwrite_a=True)
        # Woodbury: (F F^T + s I)^{-1} = (I - F (F^T F + s I)^{-1} F^T) / s.
        return lambda r: (r - self.factor @ scipy.linalg.cho_solve(cholesky, self.factor.T @ r)) / shift


def rpcholesky(operator: SymmetricOperator | ArrayLike, rank: int, *, seed: int, block: int | None = None) -> LowRank:
    """Randomly pivoted partial Cholesky: F from `rank` rows of K, chosen in proportion to what is left of its diagonal.

    Needs (r + 1) N entries and a few that it rejects, so it suits kernels in memory or computed on the fly; rows of a
    matrix in files touch nearly all of it, and :func:`gaussian_nystrom` is cheaper there.

    Parameters
    ----------
    operator
        K, as for :func:`conjugate_gradients`.
    rank
        r, at most N. A few hundred for N up to 100,000: memory 8 N r bytes, and the time of 2 N r C multiply-adds
        per iteration.
    seed
        Of the random choice; the same seed gives the same pivots.
    block
        Pivots proposed at a time, by default rank / 10. Rejection makes the distribution of the pivots the one of
        one at a time.

    Returns
    -------
    LowRank
        With `pivots`. Its rank is lower than asked for when nothing is left beyond rounding.

    Raises
    ------
    InputError
        The rank is not between 1 and N.
    SolveError
        The diagonal of K is negative somewhere or all zero.

    Notes
    -----
    Cost r N entries and N r^2 / 2 multiply-adds. Chen, Epperly, Tropp and Webber (arXiv:2207.06503); the blocks with
    rejection are those of Epperly, Tropp and Webber (arXiv:2410.03969).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import rpcholesky
    >>> x = np.linspace(0, 1, 50)
    >>> K = np.exp(-((x[:, None] - x) ** 2))
    >>> F = rpcholesky(K, 8, seed=0).factor
    >>> bool(np.abs(K - F @ F.T).max() < 1e-6)
    True
    """
    operator = as_operator(operator)
    n = _checked_rank(operator, rank)
    name = f"rpcholesky(rank={rank}, seed={seed}{'' if block is None else f', block={block}'})"
    block = max(1, math.ceil(rank / 10)) if block is None else max(1, min(block, n))
    left, trace = _checked_diagonal(operator)
    factor, pivots = np.zeros((n, rank)), np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    (trsm,) = scipy.linalg.get_blas_funcs(("trsm",), dtype=np.float64)
    # What is left below the rounding of the entries, once for each pivot, is noise.
    noise = rank * trace * float(np.finfo(operator.dtype).eps)
    while len(pivots) < rank and left.sum() > noise:
        done = len(pivots)
        proposed = rng.choice(n, size=block, p=left / left.sum())
        distinct, where = np.unique(proposed, return_inverse=True)
        rows = operator.rows(distinct).astype(np.float64)
        rows -= factor[distinct, :done] @ factor[:, :done].T
        accepted = _accept(rows[np.ix_(where, proposed)], rng)[: rank - done]
        if not accepted:
            left[distinct] = 0.0  # their diagonal said more than their rows do: rounding
            continue
        new = proposed[accepted]
        cholesky = np.linalg.cholesky(rows[np.ix_(where[accepted], new)])
        columns = trsm(1.0, cholesky, rows[where[accepted]], lower=1).T
        factor[:, done : done + len(new)] = columns
        left = np.maximum(left - np.einsum("nk,nk->n", columns, columns), 0.0)
        left[new] = 0.0
        pivots = np.concatenate([pivots, new])
    return LowRank(factor[:, : len(pivots)], trace, pivots, name)


def _accept(left: Float[np.ndarray, "b b"], rng: np.random.Generator) -> list[int]:
    """Proposals to keep, by rejection: each with the share of its diagonal that those kept before it leave."""
    left, before, kept = left.copy(), left.diagonal().copy(), []
    for i, chance in enumerate(rng.random(len(left))):
        # Below this share of its own diagonal a pivot is rounding, as that of a point drawn twice.
        if left[i, i] > max(chance, 1e-10) * before[i]:
            kept.append(i)
            left -= np.outer(left[:, i], left[i]) / left[i, i]
    return kept


def gaussian_nystrom(operator: SymmetricOperator | ArrayLike, rank: int, *, seed: int) -> LowRank:
    """Nystrom approximation F F^T = (K W) (W^T K W)^+ (K W)^T of a random Gaussian W with `rank` columns.

    Needs one product with K, a single pass over files; better than :func:`rpcholesky` by a little at equal rank.

    Parameters
    ----------
    operator
        K, as for :func:`conjugate_gradients`.
    rank
        r, at most N. Memory 32 N r bytes while it runs.
    seed
        Of W.

    Returns
    -------
    LowRank
        Without pivots.

    Raises
    ------
    InputError
        The rank is not between 1 and N.
    SolveError
        W^T K W is not positive semidefinite within rounding, so K is not; or its diagonal is not.

    Notes
    -----
    Cost one product with r vectors and about 4 N r^2 operations. W is made orthonormal, and K is shifted by its
    rounding, eps ||K W||_F, before the inner Cholesky and shifted back after it: Tropp, Yurtsever, Udell and Cevher
    (arXiv:1706.05736), algorithm 3; as a preconditioner, Frangella, Tropp and Udell (arXiv:2110.02820).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import gaussian_nystrom
    >>> print(gaussian_nystrom(np.ones((5, 5)), 1, seed=0))
    gaussian_nystrom(rank=1, seed=0): rank 1, 100.0 % of the trace
    """
    operator = as_operator(operator)
    n = _checked_rank(operator, rank)
    _, trace = _checked_diagonal(operator)
    test, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, rank)))
    sketch = operator.matmat(test)
    shift = float(np.finfo(operator.dtype).eps) * float(np.linalg.norm(sketch))
    sketch += shift * test
    inner = test.T @ sketch
    try:
        cholesky = np.linalg.cholesky((inner + inner.T) / 2)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh((inner + inner.T) / 2)[0]) - shift
        raise SolveError(
            f"The kernel matrix is not positive semidefinite: a random projection of it has the eigenvalue "
            f"{smallest:.3g}, and the rounding of {operator.dtype} explains {-shift:.2g}. Check how it was computed."
        ) from None
    half = scipy.linalg.solve_triangular(cholesky, sketch.T, lower=True).T
    vectors, values, _ = np.linalg.svd(half, full_matrices=False)
    factor = vectors * np.sqrt(np.maximum(values**2 - shift, 0.0))
    return LowRank(factor, trace, np.empty(0, np.int64), f"gaussian_nystrom(rank={rank}, seed={seed})")


def _checked_rank(operator: SymmetricOperator, rank: int) -> int:
    n = operator.shape[0]
    if not isinstance(rank, int | np.integer) or isinstance(rank, bool) or not 1 <= rank <= n:
        raise InputError(f"The rank must be an integer between 1 and N = {n}, got {rank!r}.")
    return n


def _checked_diagonal(operator: SymmetricOperator) -> tuple[np.ndarray, float]:
    diagonal = np.array(operator.diagonal(), np.float64)
    worst = int(np.argmin(diagonal))
    if not np.isfinite(diagonal).all() or diagonal[worst] < 0 or diagonal.sum() == 0:
        raise SolveError(
            f"A kernel has k(x, x) >= 0, finite and not all zero; the smallest diagonal entry is {diagonal[worst]:.3g} "
            f"at {worst}: check the matrix."
        )
    return diagonal, float(diagonal.sum())
