"""What records say of repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def mean_and_spread(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Return the mean and the standard deviation, None of a single value."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "spread": spread}
