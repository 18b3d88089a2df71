"""Preconditioned conjugate gradients for all labels at once, with the true residual, checkpoints and progress."""

import time
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from ntklab._core import progress_bar
from ntklab.errors import DataError, InputError, SolveError
from ntklab.solve._operator import ReplicatedOperator, SymmetricOperator, checked_targets
from ntklab.solve._operator_blocks import as_operator
from ntklab.solve._pcg_state import State, load, save, sha256
from ntklab.solve._pcg_step import System, advance, relative_residual, start
from ntklab.solve._precondition import LowRank
from ntklab.solve._ridge import Ridge, require_ridge

_NO_RIDGE = Ridge.none()
# Rounding, of float32 products or of a kernel on another machine, moves a residual by less, another kernel by more.
_SAME_PROBLEM = 1e-2

Precision = Literal["float64", "float32"]


@dataclass(frozen=True, eq=False)
class IterativeSolution:
    """X of (K + lambda I) X = Y with its residuals; made by :func:`conjugate_gradients`.

    Attributes
    ----------
    alpha
        X in float64, shape (N,) or (N, C) as the targets.
    residuals
        ||y - (K + lambda I) x|| / ||y|| of each column in the 2-norm, shape (C,), recomputed from X in float64; 0
        for a column of zeros.
    iterations
        Iterations of each column, shape (C,).
    products
        Products of K with a block of columns, those that recomputed residuals and those of resumed runs included.
    history
        Relative residuals that the recurrence had after each iteration, shape (iterations + 1, C); NaN once a column
        had stopped.
    ridge, ridge_absolute
        The ridge, and lambda in the units of K.

    Examples
    --------
    >>> from ntklab.solve import conjugate_gradients
    >>> solution = conjugate_gradients([[2.0, 1.0], [1.0, 2.0]], [1.0, 5.0], progress=False)
    >>> solution.alpha.round(9)
    array([-1.,  3.])
    >>> solution.iterations, bool(solution.residuals.max() < 1e-14)
    (array([2]), True)
    """

    alpha: Float[np.ndarray, "n *c"] = field(repr=False)
    residuals: Float[np.ndarray, " c"]
    iterations: Int[np.ndarray, " c"]
    products: int
    history: Float[np.ndarray, "k c"] = field(repr=False)
    ridge: Ridge
    ridge_absolute: float


def conjugate_gradients(
    operator: SymmetricOperator | ArrayLike,
    targets: ArrayLike,
    ridge: Ridge = _NO_RIDGE,
    *,
    preconditioner: LowRank | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    products: Precision = "float64",
    checkpoint: str | PathLike[str] | None = None,
    save_every: float = 60.0,
    progress: bool = True,
) -> IterativeSolution:
    """Solve (K + lambda I) X = Y by preconditioned conjugate gradients, all columns of Y in one product with K.

    Each column has its own step lengths and stops by itself. When all have, residuals are recomputed from X; a column
    that does not hold what its recurrence promised goes on from its true residual.

    Parameters
    ----------
    operator
        K: a :class:`SymmetricOperator`; a matrix of a Gram store, read as by :meth:`BlockOperator.of_stored`; or an
        array.
    targets
        Y, shape (N,) or (N, C).
    ridge
        What is added to the diagonal of K. The default is none, as for :func:`factorise`.
    preconditioner
        From :func:`rpcholesky` or :func:`gaussian_nystrom`, for any ridge. None, the default, is plain CG, which
        takes several times as many products.
    tolerance
        Largest accepted ||y - (K + lambda I) x|| / ||y|| of a column. The default, 1e-6, is for the coefficients;
        for labels alone 1e-4 is enough.
    max_iterations
        Of all runs that one checkpoint links.
    products
        Arithmetic of the products of iterations; "float32" is faster where K is float32 and in memory. Residuals are
        then recomputed in float64 each time they have fallen by 100, so the answer is as accurate.
    checkpoint
        File (npz) that keeps the run: written at most every `save_every` seconds, when it ends, and when it is
        interrupted or fails. If it is there, the run goes on where it stopped, to the same answer bit for bit on
        the same machine, at the cost of one product that checks that K is still the same.
    save_every
        Seconds; 0 writes after every iteration.
    progress
        Show iterations, columns still running and the worst residual.

    Returns
    -------
    IterativeSolution
        Only if every column holds the tolerance.

    Raises
    ------
    InputError
        Shapes do not fit, an option has no meaning, or `ridge` is a bare number.
    DataError
        The checkpoint is damaged, or of another problem (targets, ridge, kernel, preconditioner).
    SolveError
        K + lambda I is not positive definite, a product is not finite, `max_iterations` passed, or rounding
        keeps the true residual above the tolerance. The message has the numbers and what to try.

    Notes
    -----
    Cost per iteration: one product with K, 2 N r C multiply-adds for a preconditioner of rank r. Memory: about
    9 arrays of the size of Y. Iterations grow with the square root of the condition number without a preconditioner.
    Hestenes and Stiefel (1952); residual replacement, van der Vorst and Ye (2000).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import BlockOperator, Ridge, conjugate_gradients, rpcholesky
    >>> x = np.linspace(0, 1, 60)
    >>> K = BlockOperator.of_kernel(lambda a, b: np.exp(-10 * (a[:, None] - b) ** 2), x)
    >>> options = {"ridge": Ridge(1e-4), "progress": False}
    >>> plain = conjugate_gradients(K, np.sin(9 * x), **options)
    >>> fast = conjugate_gradients(K, np.sin(9 * x), preconditioner=rpcholesky(K, 12, seed=0), **options)
    >>> bool(np.abs(plain.alpha - fast.alpha).max() < 1e-2), bool(plain.iterations[0] > 3 * fast.iterations[0])
    (True, True)
    """
    require_ridge(ridge)
    _check_options(tolerance, max_iterations, products)
    k = as_operator(operator)
    n = k.shape[0]
    y = checked_targets(targets, n)
    b = y.reshape(n, -1)
    # The scale of a ridge is the mean diagonal, which a 1 x 1 matrix carries as well.
    shift = ridge.absolute([[float(np.mean(k.diagonal()))]])
    if preconditioner is not None and preconditioner.factor.shape[0] != n:
        raise InputError(
            f"The preconditioner is of {preconditioner.factor.shape[0]} points, the operator of {n}: make it anew."
        )
    inverse = np.copy if preconditioner is None else preconditioner.inverse(shift)
    system = System(k, shift, b, np.linalg.norm(b, axis=0), inverse, tolerance, np.dtype(products))
    manifest = {
        "points": n,
        "columns": b.shape[1],
        "targets": sha256(b),
        "ridge": repr(ridge),
        "dtype": str(k.dtype),
        "preconditioner": "none" if preconditioner is None else preconditioner.name,
        "products": products,
    }
    path = None if checkpoint is None else Path(checkpoint)
    state = _run(system, path, manifest, max_iterations, save_every, progress)
    return IterativeSolution(
        state.x.reshape(y.shape), state.checked, state.iterations, int(state.products), state.history, ridge, shift
    )


def _run(
    system: System, path: Path | None, manifest: dict[str, Any], limit: int, save_every: float, progress: bool
) -> State:
    replicated = system.operator if isinstance(system.operator, ReplicatedOperator) else None
    leader = replicated is None or replicated.leader
    state, resumed = _first_state(system, path, manifest, replicated)
    saved = time.monotonic()
    with progress_bar(initial=len(state.history) - 1, unit=" iterations", show=progress and leader) as bar:
        try:
            while not (state.checked <= system.tolerance).all():
                if len(state.history) > limit:
                    raise SolveError(_too_long(state, system, limit, path))
                # A new state takes the place of the old one whole, so an interrupt finds one that is consistent.
                state = advance(system, state)
                if replicated is not None:
                    state = State.of(replicated.agree(state.arrays()))
                left = relative_residual(system, state.r)
                bar.set_postfix(residual=f"{left.max():.1e}", columns=int((left > system.tolerance).sum()))
                bar.update()
                if path is not None and leader and time.monotonic() - saved >= save_every:
                    save(path, state, manifest)
                    saved = time.monotonic()
        finally:
            if path is not None and leader and (len(state.history) > 1 or resumed):
                save(path, state, manifest)
    return state


def _first_state(
    system: System, path: Path | None, manifest: dict[str, Any], replicated: ReplicatedOperator | None
) -> tuple[State, bool]:
    """The state of the checkpoint if there is one, checked against K, or a new one; in every process the same."""
    leader = replicated is None or replicated.leader
    state = load(path, manifest) if path is not None and leader else None
    rows = np.array(0 if state is None else len(state.history))
    if replicated is not None:
        (rows,) = replicated.agree([rows])
    if rows == 0:
        if path is not None and leader:
            _check_writable(path)
        return start(system), False
    if state is None:
        fresh = start(system)
        state = replace(fresh, history=np.empty((int(rows), system.b.shape[1])))
    if replicated is not None:
        state = State.of(replicated.agree(state.arrays()))
    drift = relative_residual(system, system.residual(state.x) - state.r)
    if not (drift <= _SAME_PROBLEM).all():
        raise DataError(
            f"{path} is a checkpoint of another problem: its solution leaves a residual that differs from the stored "
            f"one by {drift.max():.2g} of the targets, so the kernel matrix is not the one of that run. Give this run "
            "a file of its own, or delete that."
        )
    return replace(state, products=state.products + 1), True


def _check_options(tolerance: float, max_iterations: int, products: str) -> None:
    if not isinstance(tolerance, float | int) or not 0 < tolerance < 1:
        raise InputError(f"tolerance must be a number between 0 and 1, got {tolerance!r}.")
    if not isinstance(max_iterations, int | np.integer) or max_iterations < 1:
        raise InputError(f"max_iterations must be an integer of at least 1, got {max_iterations!r}.")
    if products not in get_args(Precision):
        raise InputError(f"products must be 'float64' or 'float32', got {products!r}.")


def _check_writable(path: Path) -> None:
    """Refuse now a place where nothing can be written, rather than after the first hour."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".tmp")
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise InputError(f"The checkpoint {path} cannot be written: {error}. Name another place.") from None


def _too_long(state: State, system: System, limit: int, path: Path | None) -> str:
    left = relative_residual(system, state.r)
    worst = int(np.argmax(left))
    kept = "" if path is None else f" {path} keeps the run: call again with a larger max_iterations to go on."
    return (
        f"{limit} iterations did not reach the tolerance {system.tolerance:g}: column {worst} has the relative "
        f"residual {left[worst]:.2g}. Use a preconditioner (of higher rank), a larger ridge, or more iterations.{kept}"
    )
