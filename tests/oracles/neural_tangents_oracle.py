"""neural-tangents as an independent source of truth, on a JAX that it was not written for.

Its top-level package imports its empirical part, which no longer works; its closed forms still do. So a bare
package takes the place of the top level, and only the submodules ``stax`` and ``predict`` are imported.
"""

import functools
import importlib
import importlib.util
import os
import sys
import types
import warnings

import pytest


@functools.cache
def _import() -> tuple[types.ModuleType, types.ModuleType] | str:
    found = importlib.util.find_spec("neural_tangents")
    if found is None or found.origin is None:
        return "neural-tangents is not installed; see tests/README.md"
    before = sys.modules.get("neural_tangents")
    package = types.ModuleType("neural_tangents")
    package.__path__ = [os.path.dirname(found.origin)]
    sys.modules["neural_tangents"] = package
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own use of deprecated JAX names
            stax = importlib.import_module("neural_tangents.stax")
            predict = importlib.import_module("neural_tangents.predict")
    except Exception as error:
        if before is None:
            del sys.modules["neural_tangents"]
        else:
            sys.modules["neural_tangents"] = before
        return f"neural-tangents does not import on this JAX: {error!r}"
    return stax, predict


def load() -> tuple[types.ModuleType, types.ModuleType]:
    """The modules ``(stax, predict)`` of neural-tangents; skips the test, with the reason, without them.

    neural-tangents mixes dtypes and ranks, so call it inside
    ``with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):``.
    """
    modules = _import()
    if isinstance(modules, str):
        pytest.skip(modules)
    return modules
