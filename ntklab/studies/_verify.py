"""Does this machine compute right? Canaries, duals against quadrature, engines against golden values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from scipy.integrate import quad

from ntklab._core import Check, Record, canaries, progress_bar
from ntklab.engine import ENGINES, Engine, compile
from ntklab.kernel import lower, relu_dual
from ntklab.testing import golden_cases

_DUAL_LIMIT = {"float32": 2e-6, "float64": 1e-12}
_ENGINE_LIMIT = {"float32": 2e-6, "float64": 1e-11}


def verify(*, progress: bool = True) -> Record:
    """Return the findings of every check on this machine; ``results["ok"]`` says whether all passed.

    - canaries: small programs that known JAX versions get wrong (:mod:`ntklab._core`);
    - the ReLU dual against adaptive quadrature of its defining integral;
    - every engine, in both precisions, against golden values from an independent long-double recursion.

    Half a minute on one core, nearly all of it compilation; ``progress`` shows how far it is.
    """
    findings = list(canaries())
    dtypes = ("float32", "float64")
    checks: list[Callable[[str], Check]] = [_dual_against_quadrature]
    checks += [partial(_engine_against_golden, engine) for engine in ENGINES]
    runs = [(check, dtype) for dtype in dtypes for check in checks]
    for check, dtype in progress_bar(runs, desc="verify", unit=" checks", show=progress):
        with jax.enable_x64(dtype == "float64"):
            findings.append(check(dtype))
    results = {"ok": all(check.ok for check in findings), "checks": [check._asdict() for check in findings]}
    return Record.make("verify", {}, results)


def _dual_against_quadrature(dtype: str) -> Check:
    worst = 0.0
    for correlation in (-0.99, -0.5, 0.0, 0.3, 0.9, 0.999):
        z = np.asarray(1.0 - correlation, dtype)
        _, kappa_1, kappa_0 = (float(term) for term in relu_dual(jax.numpy.asarray(z)))
        angle = float(np.arccos(1.0 - np.float64(z)))
        # E[phi(u) phi(v)] over the plane, in polar coordinates: the radial part is 2, u = r cos t, v = r cos(t - angle)
        low, high = angle - np.pi / 2, np.pi / 2
        product = quad(lambda t, a=angle: np.cos(t) * np.cos(t - a), low, high, epsabs=0, epsrel=1e-13)[0] / np.pi
        both_positive = quad(lambda t: 1.0, low, high)[0] / (2 * np.pi)
        worst = max(worst, abs(kappa_1 / 2 / product - 1), abs(kappa_0 / 2 / both_positive - 1))
    limit = _DUAL_LIMIT[dtype]
    return Check(f"ReLU dual against quadrature, {dtype}", worst <= limit, _against(worst, limit))


def _engine_against_golden(engine: Engine, dtype: str) -> Check:
    worst, ran, limit, reason = 0.0, 0, _ENGINE_LIMIT[dtype], ""
    for case in golden_cases():
        plan = lower(case.spec, case.inputs.shape[1:])
        ok, reason = engine.supports(plan, jax.devices()[0], np.dtype(dtype))
        if not ok:
            continue
        kfn = compile(case.spec, case.inputs.shape[1:], engine=engine.name, dtype=np.dtype(dtype))
        found = kfn(case.inputs)
        for values, expected in ((found.nngp, case.nngp), (found.ntk, case.ntk)):
            worst = max(worst, float(np.max(np.abs(np.asarray(values, np.float64) / expected - 1))))
        ran += 1
    name = f"engine {engine.name} against golden values, {dtype}"
    if ran == 0 and engine is not ENGINES[-1]:  # the last one, the reference, has to run everything
        return Check(name, True, f"not run: {reason}")
    return Check(name, ran > 0 and worst <= limit, f"{_against(worst, limit)}, {ran} networks")


def _against(error: float, limit: float) -> str:
    return f"largest relative error {error:.1e}, allowed {limit:.0e}"
