"""Strict JAX for every test: 64-bit on, no implicit dtype or rank promotion, full-precision products."""

from collections.abc import Iterator

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _compiled_code_lasts_as_long_as_its_module() -> Iterator[None]:
    """Give its memory back: a worker of the slow lane grew to 5 GB."""
    yield
    jax.clear_caches()
