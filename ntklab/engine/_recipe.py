"""A kernel function as plain JSON values, and back: how a store on disk names its kernel."""

from __future__ import annotations

import json
from typing import Any

import jax

from ntklab.engine._compile import compile
from ntklab.engine._kernel_fn import KernelFn
from ntklab.spec import from_json, to_json


def recipe(kfn: KernelFn) -> dict[str, Any]:
    """Return all that :func:`from_recipe` needs, with the plan's key and the platform, as JSON values.

    Examples
    --------
    >>> import ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(2), input_shape=(3,))
    >>> from_recipe(recipe(kfn)).plan == kfn.plan
    True
    """
    return {
        "networks": {name: json.loads(to_json(network)) for name, network in kfn.networks.items()},
        "input_shape": list(kfn.plan.input_shape),
        "get": list(kfn.plan.get),
        "dtype": kfn.dtype.name,
        "engine": kfn.engine.name,
        "plan": kfn.plan.key,
        "platform": jax.default_backend(),
    }


def from_recipe(made: dict[str, Any]) -> KernelFn:
    """Return the kernel function of a :func:`recipe`, by the same engine; errors as those of ``compile``.

    Its plan and platform may be others than those of the recipe, under another version or on another machine:
    compare ``recipe(from_recipe(made))`` with ``made`` where that matters.
    """
    networks = {name: from_json(json.dumps(document)) for name, document in made["networks"].items()}
    return compile(
        networks[""] if set(networks) == {""} else networks,
        made["input_shape"],
        engine=made["engine"],
        dtype=made["dtype"],
        get=made["get"],
    )
