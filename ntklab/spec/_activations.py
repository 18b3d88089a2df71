"""Activations: functions applied to each channel alone. Names, arguments and defaults follow neural-tangents' stax."""

from __future__ import annotations

from dataclasses import dataclass

from ntklab.spec._layer import Activation


@dataclass(frozen=True, repr=False)
class Relu(Activation):
    """``max(x, 0)``, elementwise. Needs a weight layer before it: only then is its input Gaussian."""
