"""The canaries as a list of findings; what they look for is tested, written anew, in tests/test_environment.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab._core import Check, canaries, safe_sqrt


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    return canaries()


def test_every_canary_has_a_name_of_its_own_and_the_figures_behind_its_finding(checks):
    assert len({check.name for check in checks}) == len(checks)
    assert all(isinstance(check.ok, bool) and check.detail for check in checks)


def test_the_canaries_look_at_both_precisions(checks):
    names = " ".join(check.name for check in checks)
    assert "float32, n = 32,769" in names
    assert "float64, n = 16,385" in names


def test_the_canaries_leave_the_mode_of_jax_as_they_found_it(checks):
    assert jax.config.read("jax_enable_x64")
    with jax.enable_x64(False):
        assert all(check.ok for check in canaries())
        assert not jax.config.read("jax_enable_x64")


def test_a_canary_falls_when_the_derivative_of_the_safe_root_is_not_zero(monkeypatch):
    monkeypatch.setattr("ntklab._core._canaries.safe_sqrt", jnp.sqrt)
    (fallen,) = [check for check in canaries() if not check.ok]
    assert fallen.name == "derivative of sqrt at zero"
    assert "inf" in fallen.detail
    assert np.isfinite(jax.grad(safe_sqrt)(0.0))
