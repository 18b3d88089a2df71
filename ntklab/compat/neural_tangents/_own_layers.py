"""What neural-tangents offers for layers of one's own: refused, with the way to do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ntklab.errors import SpecError


def layer(layer_fn: Callable[..., Any]) -> NoReturn:
    """Raise SpecError: kernel functions of one's own are none that an engine can read."""
    _refuse("stax.layer")


def requires(**static_reqs: Any) -> NoReturn:
    """Raise SpecError: what each layer needs is settled by its rule."""
    _refuse("stax.requires")


def supports_masking(remask_kernel: bool) -> NoReturn:
    """Raise SpecError: what a layer does with masks is part of its rule."""
    _refuse("stax.supports_masking")


def unmask_fn(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself: outputs are arrays here, and zero where positions are absent."""
    return fn


def _refuse(name: str) -> NoReturn:
    raise SpecError(
        f"{name} decorates layers of one's own, which are functions there. Here a layer is a dataclass, a rule and a "
        f"finite function (docs/extending.md); an activation of one's own is stax.Elementwise(fn)."
    )
