"""Strict JAX for every test: 64-bit on, no implicit dtype or rank promotion, full-precision products."""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
