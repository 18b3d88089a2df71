"""What this machine and its JAX must get right before any other test means something."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab._core import canaries

ROOT = Path(__file__).parents[1]


def in_a_fresh_process(code: str, *options: str) -> str:
    """Run code with warnings as errors, without the settings of tests/conftest.py; return what it prints."""
    command = [sys.executable, "-W", "error", *options, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- JAX itself: written out again, not taken from ntklab._core ---------------------------------------------


@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 32_769), (np.float64, 16_385)])
def test_jit_of_a_vmapped_matvec_and_sum_has_the_right_last_element(dtype, n):
    """Jax 0.10.2 on CPU is 0.78 % off in the last element (jax issue 39103)."""
    i = jnp.arange(n, dtype=dtype)
    x = jnp.stack((i, 0 * i, 0 * i), 1)
    matrix = jnp.eye(3, dtype=dtype)
    result = jax.jit(lambda x: jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(x))(x)
    np.testing.assert_allclose(result, np.arange(n, dtype=np.float64) ** 2, rtol=8 * np.finfo(dtype).eps)


def test_a_broadcast_multiply_and_reduce_of_rank_8_neither_crashes_nor_errs():
    """Jax 0.10.2 on CPU may segfault (jax issue 39257), so a process of its own runs it."""
    code = """
import jax, jax.numpy as jnp, numpy as np
a = np.cos(np.arange(3 * 4 * 3 * 4, dtype=np.float32)).reshape(3, 4, 3, 4)
b = np.sin(np.arange(4 * 3 * 3 * 4, dtype=np.float32)).reshape(4, 3, 3, 4)
f = jax.jit(lambda a, b: jnp.sum(a[:, None, :, None, :, None, :, None] * b[None, :, None, :, None, :, None, :], (4, 7)))
want = np.einsum("acei,bdfj->abcdfi", a.astype(np.float64), b.astype(np.float64))
print(np.abs(np.asarray(f(a, b)) - want).max() < 1e-5)
"""
    assert in_a_fresh_process(code).strip() == "True"


def test_matrix_products_asked_for_in_full_precision_are_in_full_precision():
    """TF32 would be 3e-4 off."""
    a = np.cos(np.arange(256 * 256, dtype=np.float64)).reshape(256, 256)
    product = jnp.matmul(jnp.asarray(a, jnp.float32), jnp.asarray(a, jnp.float32), precision="highest")
    np.testing.assert_allclose(product, a @ a, atol=2e-5 * np.abs(a @ a).max())


def test_the_canaries_of_the_package_all_pass_here():
    assert [check for check in canaries() if not check.ok] == []
    assert len(canaries()) >= 4


def test_a_canary_falls_when_jit_returns_a_wrong_last_element(monkeypatch):
    def spoiled(function, **options):
        return lambda x: function(x).at[-1].multiply(1.0078)

    monkeypatch.setattr(jax, "jit", spoiled)
    fallen = [check for check in canaries() if not check.ok]
    assert [check.name.split(",")[1].strip() for check in fallen] == ["float32", "float64"]
    assert all("7.8e-03" in check.detail for check in fallen)


def test_a_canary_falls_when_the_process_of_its_own_crashes(monkeypatch):
    monkeypatch.setattr("ntklab._core._canaries._BROADCAST_REDUCE", "import os; os.abort()")
    (fallen,) = [check for check in canaries() if not check.ok]
    assert "rank-8" in fallen.name
    assert "exit status" in fallen.detail


# --- settings ----------------------------------------------------------------------------------------------


def test_tests_run_in_64_bits_and_without_implicit_promotion():
    assert jax.config.read("jax_enable_x64")
    assert jnp.zeros(1).dtype == np.float64
    with pytest.raises(ValueError, match="promotion"):
        jnp.zeros(1, jnp.float32) + jnp.zeros(1, jnp.float64)
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.zeros((2, 2)) + jnp.zeros(2)


def test_the_installed_jax_is_one_that_pyproject_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bounds,) = [need[3:].split(",") for need in project["dependencies"] if re.match(r"jax\W", need)]
    here = numbers(version("jax"))
    assert [b for b in bounds if not re.match(r"(>=|!=)[\d.]+$", b)] == [], "teach this test the new kind of bound"
    assert all(here >= numbers(b[2:]) for b in bounds if b.startswith(">="))
    assert all(here != numbers(b[2:]) for b in bounds if b.startswith("!="))


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0]))


def test_importing_every_room_changes_no_setting_of_jax():
    code = """
import jax
before = dict(jax.config.values)
import ntklab, ntklab.data, ntklab.finite, ntklab.predict, ntklab.solve
after = dict(jax.config.values)
print({name: (before[name], after[name]) for name in before if before[name] != after[name]})
"""
    assert in_a_fresh_process(code).strip() == "{}"


def test_a_kernel_is_right_in_the_users_default_mode_without_warnings():
    code = """
import jax, numpy as np, ntklab
from ntklab.spec import zoo
assert not jax.config.read("jax_enable_x64")
kernel = ntklab.compile(zoo.fc(3), input_shape=(2,))(np.eye(2))
print(kernel.ntk.dtype, *np.asarray(kernel.ntk, np.float64).ravel())
"""
    dtype, *entries = in_a_fresh_process(code).split()
    # Depth 3, W_std**2 = 2, orthonormal inputs. Off the diagonal the first layer has Sigma = Theta = 0, the second
    # Sigma = Theta = kappa_1(0) = 1 / pi, the third Theta = kappa_1(1 / pi) + kappa_0(1 / pi) / pi.
    theta = np.arccos(1 / np.pi)
    off = (np.sin(theta) + (np.pi - theta) / np.pi) / np.pi + (np.pi - theta) / np.pi**2
    assert round(off, 4) == 0.6857
    assert dtype == "float32"
    np.testing.assert_allclose([float(entry) for entry in entries], [3.0, off, off, 3.0], rtol=1e-6)


def test_float64_without_jax_64_bit_mode_is_refused_with_what_to_do():
    code = """
import ntklab
from ntklab.spec import zoo
try:
    ntklab.compile(zoo.fc(3), input_shape=(2,), dtype="float64")
except ntklab.errors.InputError as error:
    print(error)
"""
    assert "JAX_ENABLE_X64=1" in in_a_fresh_process(code)


# --- packaging ---------------------------------------------------------------------------------------------


KINDS = (".py", ".typed", ".cu", ".cuh")


@pytest.mark.slow
def test_the_wheel_builds_and_holds_the_package_its_types_and_no_tests(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "ntklab").rglob("*") if path.suffix in KINDS}
    assert "ntklab/py.typed" in sources
    assert sources <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ntklab"}
    assert not any(Path(name).name.startswith(("test_", "conftest")) for name in names)
    assert "License-Expression: MIT" in metadata
