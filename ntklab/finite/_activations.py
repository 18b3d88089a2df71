"""The activations themselves, as definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from ntklab.spec import Activation, Relu

PHI: dict[type[Activation], Callable[[Any, Float[Array, "..."]], Float[Array, "..."]]] = {
    Relu: lambda _, x: jax.nn.relu(x),
}
"""Layer type -> ``phi(layer, x)``."""
