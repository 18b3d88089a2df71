"""One iteration of preconditioned conjugate gradients on several columns: a pure function of the state."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ntklab.errors import SolveError
from ntklab.solve._operator import SymmetricOperator
from ntklab.solve._pcg_state import State

# In float32 a residual is recomputed when it has fallen by this, before its rounding has grown to its size.
_RECOMPUTE = {np.dtype(np.float64): 0.0, np.dtype(np.float32): 1e-2}
_DRIFT = 0.1
# A recomputed residual must be at most this share of the last recomputed one, or nothing is gained any more.
_GAIN = 0.5


@dataclass(frozen=True, eq=False)
class System:
    """(K + lambda I) X = B, the preconditioner P, and when to stop."""

    operator: SymmetricOperator
    shift: float
    b: Float[np.ndarray, "n c"]
    norms: Float[np.ndarray, " c"]
    inverse: Callable[[np.ndarray], np.ndarray]
    tolerance: float
    dtype: np.dtype

    def product(self, v: Float[np.ndarray, "n c"], dtype: np.dtype) -> Float[np.ndarray, "n c"]:
        """(K + lambda I) V, with K V in this precision."""
        return np.asarray(self.operator.matmat(v.astype(dtype, copy=False)), np.float64) + self.shift * v

    def residual(self, x: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """B - (K + lambda I) X in float64."""
        return self.b - self.product(x, np.dtype(np.float64))


def relative_residual(system: System, r: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " c"]:
    """||r|| / ||b|| by column, 0 where b is 0."""
    norms = np.linalg.norm(r, axis=0)
    return np.divide(norms, system.norms, out=np.zeros_like(norms), where=system.norms > 0)


def start(system: System) -> State:
    """X = 0."""
    columns = system.b.shape[1]
    first = relative_residual(system, system.b)
    return State(
        x=np.zeros_like(system.b),
        r=system.b,
        p=np.zeros_like(system.b),
        rho=np.ones(columns),
        checked=first,
        iterations=np.zeros(columns, np.int64),
        products=np.array(0),
        history=first[None],
    )


def advance(system: System, state: State) -> State:
    """The state after one more iteration of the columns that have not stopped."""
    x, r, p, rho = state.x.copy(), state.r.copy(), state.p.copy(), state.rho.copy()
    active = np.flatnonzero(~(relative_residual(system, r) <= system.tolerance))
    if active.size:
        _step(system, active, x, r, p, rho)
    left = relative_residual(system, r)
    history = np.full((1, len(left)), np.nan)
    history[0, active] = left[active]
    products, checked = state.products + np.array(min(active.size, 1)), state.checked
    # Columns wait for each other: a product costs nearly the same for one column as for all.
    if (left <= np.maximum(system.tolerance, _RECOMPUTE[system.dtype] * checked)).all():
        due = np.flatnonzero(~(checked <= system.tolerance))
        true = system.b[:, due] - system.product(x[:, due], np.dtype(np.float64))
        # A direction that is conjugate to residuals far from the true one misleads: such columns start over.
        drifted = np.linalg.norm(true - r[:, due], axis=0) > _DRIFT * np.linalg.norm(r[:, due], axis=0)
        p[:, due[drifted]] = 0.0
        r[:, due] = true
        checked, products = relative_residual(system, r), products + np.array(1)
        _require_gain(checked, state.checked, system.tolerance)
    iterations = state.iterations.copy()
    iterations[active] += 1
    return State(x, r, p, rho, checked, iterations, products, np.concatenate([state.history, history]))


def _step(system: System, active: np.ndarray, x: np.ndarray, r: np.ndarray, p: np.ndarray, rho: np.ndarray) -> None:
    """Take the next direction of the active columns, and move x and r along it, in place."""
    z = system.inverse(r[:, active])
    new = _inner(r[:, active], z)
    direction = z + new / rho[active] * p[:, active]
    image = system.product(direction, system.dtype)
    curvature = _inner(direction, image)
    bad = ~((curvature > 0) & (new > 0) & np.isfinite(curvature))
    if bad.any():
        column = int(np.flatnonzero(bad)[0])
        quotient = curvature[column] / np.linalg.norm(direction[:, column]) ** 2
        raise SolveError(
            f"K + lambda I is not positive definite within rounding (lambda = {system.shift:.3g}): column "
            f"{active[column]} met a direction p with p' (K + lambda I) p / p' p = {quotient:.3g} and r' P^-1 r = "
            f"{new[column]:.3g}. Use a larger ridge, or check the kernel matrix."
        )
    step = new / curvature
    x[:, active] += step * direction
    r[:, active] -= step * image
    p[:, active], rho[active] = direction, new


def _inner(r: Float[np.ndarray, "n c"], z: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " c"]:
    return np.einsum("nc,nc->c", r, z)


def _require_gain(checked: np.ndarray, before: np.ndarray, tolerance: float) -> None:
    stuck = np.flatnonzero((checked > tolerance) & (checked > _GAIN * before))
    if stuck.size:
        raise SolveError(
            f"Rounding keeps the residual of column {stuck[0]} at {checked[stuck[0]]:.2g} of its targets, above the "
            f"tolerance {tolerance:g}: the last recomputed residual was {before[stuck[0]]:.2g}. Use a larger tolerance "
            "or ridge, or products='float64'."
        )
