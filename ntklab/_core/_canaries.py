"""Canaries: small programs that a broken JAX gets wrong, and that no test of our own numbers would explain."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntklab._core._numerics import safe_sqrt


class Check(NamedTuple):
    """One finding: what was looked at, whether it is right, and the figures behind it."""

    name: str
    ok: bool
    detail: str


_BROADCAST_REDUCE = """
import jax, jax.numpy as jnp, numpy as np
a = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5) / 120
b = np.arange(3 * 2 * 4 * 5, dtype=np.float32).reshape(3, 2, 4, 5) / 120
f = lambda a, b: jnp.sum(a[:, :, :, :, None, None, None, None] * b[None, None, None, None], axis=(3, 7))
got = np.asarray(jax.jit(f)(a, b))
want = np.einsum("ijkl,mnop->ijkmno", a.astype(np.float64), b.astype(np.float64))
assert np.abs(got - want).max() < 1e-5 * np.abs(want).max(), "wrong value"
"""


def canaries() -> list[Check]:
    """Return the findings of all canaries on this machine.

    - jit of a vmapped matrix-vector product and a sum: on CPU, jax 0.10.2 returns a last element that is 0.78 %
      off (jax issue 39103), at n = 32,769 in float32 and n = 16,385 in float64;
    - a rank-8 broadcast, multiply and reduce in a process of its own: jax 0.10.2 may crash (jax issue 39257);
    - the derivative of a square root at zero is finite where the package makes it so.
    """
    findings = [_matvec(np.float32, 32_769)]
    with jax.enable_x64(True):
        findings.append(_matvec(np.float64, 16_385))
    findings.append(_broadcast_reduce())
    slope = float(jax.grad(safe_sqrt)(jnp.zeros((), jnp.float32)))
    findings.append(Check("derivative of sqrt at zero", slope == 0.0, f"{slope}, expected 0.0"))
    return findings


def _matvec(dtype: type, n: int) -> Check:
    i = np.arange(n, dtype=dtype)
    x = np.stack((i, 0 * i, 0 * i), axis=1)
    matrix = jnp.eye(3, dtype=dtype)
    got = np.asarray(jax.jit(lambda x: jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(x))(x))
    error = float(np.max(np.abs(got - i**2) / np.maximum(i**2, 1)))
    limit = 8 * float(np.finfo(dtype).eps)
    name = f"jit of vmapped matvec and sum, {np.dtype(dtype).name}, n = {n:,}"
    return Check(name, error <= limit, f"largest relative error {error:.1e}, allowed {limit:.1e}")


def _broadcast_reduce() -> Check:
    done = subprocess.run([sys.executable, "-c", _BROADCAST_REDUCE], capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    detail = "as numpy" if done.returncode == 0 else f"exit status {done.returncode}: {last}"
    return Check("rank-8 broadcast, multiply and reduce", done.returncode == 0, detail)
