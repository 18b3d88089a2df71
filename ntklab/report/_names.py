"""Names that records give in parts."""

from __future__ import annotations


def with_pooling(kind: str, pooling: str) -> str:
    """Return the paper's name of a network or kernel: CNN-V, CNTK-GAP."""
    return f"{kind}-{'GAP' if pooling == 'gap' else 'V'}"
