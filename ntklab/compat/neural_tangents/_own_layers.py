"""What neural-tangents offers for layers of one's own: refused, with the way to do it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn, final

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


def Diagonal(*, input: Any = None, output: Any = None) -> NoReturn:
    """Raise SpecError: it is an argument of ``requires``."""
    _refuse("stax.Diagonal")


class Bool(Enum):
    """Arguments of ``Diagonal``."""

    NO = 0
    MAYBE = 1
    YES = 2


@final
class MaskedArray:
    """No array here is one: where positions are absent, networks return zero."""

    def __init__(self, masked_value: Any, mask: Any) -> None:
        raise SpecError(
            "stax.MaskedArray is made by no program here: give arrays, and mask_constant to say which entries of them "
            "are absent."
        )


def unmask_fn(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself: outputs are arrays here, and zero where positions are absent."""
    return fn


def _refuse(name: str) -> NoReturn:
    raise SpecError(
        f"{name} decorates layers of one's own, which are functions there. Here a layer is a dataclass, a rule and a "
        f"finite function (docs/extending.md); an activation of one's own is stax.Elementwise(fn)."
    )
