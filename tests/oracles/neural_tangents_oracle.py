"""neural-tangents as an independent source of truth, on a JAX that it was not written for.

Its top-level package imports its empirical part, which no longer works; its closed forms still do. So a bare
package takes the place of the top level, and only the submodules ``stax`` and ``predict`` are imported.
"""

import dataclasses
import functools
import importlib
import importlib.util
import os
import sys
import types
import warnings

import jax
import numpy as np
import pytest

from ntklab.spec import Activation


def careful() -> dict[str, int]:
    """Return what XLA is asked for: before JAX 0.12 its code reads in front of arrays on CPUs with AVX-512.

    It is that for convolutions of one channel in float64, and ends the process now and then.
    """
    older = jax.__version_info__ < (0, 12) and jax.default_backend() == "cpu"
    return {"xla_backend_optimization_level": 1} if older else {}


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


def kernels(network, x1, x2=None):
    """Return ``(nngp, ntk)`` of an ntklab network as neural-tangents computes them, in float64 NumPy arrays.

    It has no untrained layers. Between coinciding inputs it loses half the digits: it takes the square root of
    a rounded ``1 - c**2`` there.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it assumes branches to be independent, and says so
        both = compiled(network, ("nngp", "ntk"))
        nngp, ntk = both(jax.numpy.asarray(x1), None if x2 is None else jax.numpy.asarray(x2))
    return np.asarray(nngp), np.asarray(ntk)


def compiled(network, get):
    """Return its kernel function of ``(x1, x2)``, jitted; ``x2=None`` for the symmetric case."""
    stax, _ = load()
    kernel_fn = _to_stax(stax, network)[2]
    two = jax.jit(lambda a, b: kernel_fn(a, b, get=get), compiler_options=careful())
    one = jax.jit(lambda a: kernel_fn(a, None, get=get), compiler_options=careful())
    return lambda x1, x2=None: one(x1) if x2 is None else two(x1, x2)


def kernels_of_many(networks, x1, x2):
    """Return ``{name: (nngp, ntk)}`` of ntklab networks, or of stax layers, compiled together."""
    stax, _ = load()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {name: n[2] if isinstance(n, tuple) else _to_stax(stax, n)[2] for name, n in networks.items()}
        patterns = {name: _pattern(network, len(x1), len(x2)) for name, network in networks.items()}
        every = jax.jit(
            lambda a, b: {name: f(a, b, get=("nngp", "ntk"), **patterns[name]) for name, f in made.items()},
            compiler_options=careful(),
        )
        found = every(jax.numpy.asarray(x1), jax.numpy.asarray(x2))
    return {name: tuple(map(np.asarray, pair)) for name, pair in found.items()}


def _pattern(network, n1, n2):
    """Return the graphs of all inputs, which neural-tangents takes beside them."""
    graphs = [np.asarray(part.adjacency) for part in getattr(network, "layers", ()) if hasattr(part, "adjacency")]
    return {"pattern": tuple(np.stack([graphs[0]] * n) for n in (n1, n2))} if graphs else {}


def _to_stax(stax, layer):
    """Translate a spec, read as data by the names of its classes; output widths mean nothing to most kernels."""
    kind = type(layer).__name__
    if not getattr(layer, "trainable", True):
        raise TypeError("neural-tangents trains every layer")
    if kind in ("Dense", "Conv", "ConvTranspose", "ConvLocal"):
        names = ("W_std", "b_std", "parameterization", "s")
        options = {name: getattr(layer, name) for name in names}
        if kind == "Dense":
            return stax.Dense(layer.width or 1, **options)
        if kind == "Conv" and (layer.dilation is not None or layer.groups != 1 or not isinstance(layer.padding, str)):
            raise TypeError("neural-tangents has no dilation, groups or explicit padding")
        make = getattr(stax, kind)
        return make(layer.width or 1, layer.filter_shape, layer.strides, layer.padding, **options)
    if kind == "AvgPool":
        return stax.AvgPool(layer.window_shape, layer.strides, layer.padding, layer.normalize_edges)
    if kind == "SumPool":
        return stax.SumPool(layer.window_shape, layer.strides, layer.padding)
    if kind in ("Relu", "GlobalAvgPool", "GlobalSumPool", "Flatten", "Identity"):
        return getattr(stax, kind)()
    if kind == "LayerNorm":
        return stax.LayerNorm(tuple(a + 1 if a >= 0 else a for a in layer.axis), eps=layer.eps)
    if kind == "Dropout":
        return stax.Dropout(layer.rate, layer.mode)
    if kind == "ImageResize":
        return stax.ImageResize((-1, *layer.shape, -1), layer.method, layer.antialias)
    if kind == "Index":
        words = [... if w == "..." else slice(*w) if isinstance(w, tuple) else w for w in layer.index]
        return stax.Index((slice(None), *words, *[slice(None)] * (... in words)))  # its ellipsis counts channels, too
    if kind == "DotGeneral" and isinstance(layer.constant, float):
        return stax.DotGeneral(rhs=layer.constant)
    if kind == "Aggregate":
        return stax.Aggregate(None if layer.axis is None else tuple(1 + a for a in layer.axis))
    if kind == "Serial":
        return stax.serial(*(_to_stax(stax, part) for part in layer.layers))
    if kind in ("Parallel", "Residual"):
        parts = [_to_stax(stax, part) for part in layer.branches]
        return stax.serial(stax.FanOut(len(parts)), stax.parallel(*parts), stax.FanInSum())
    if isinstance(layer, Activation):  # the same names and arguments
        return getattr(stax, kind)(*(getattr(layer, field.name) for field in dataclasses.fields(layer)))
    if kind in ("Product", "Concat"):
        parts = [_to_stax(stax, part) for part in layer.branches]
        # its axes count the batch
        join = stax.FanInProd() if kind == "Product" else stax.FanInConcat(layer.axis + (layer.axis >= 0))
        return stax.serial(stax.FanOut(len(parts)), stax.parallel(*parts), join)
    if kind == "Repeat":
        return stax.repeat(_to_stax(stax, layer.body), layer.count)
    if kind == "GlobalSelfAttention":
        return _attention(stax, layer)
    raise TypeError(f"neural-tangents has no {kind}")


def _attention(stax, layer):
    def decay(d):
        scaled = layer.pos_emb_rate * d**layer.pos_emb_power
        return 1 / (1 + scaled) if layer.pos_emb_decay == "rational" else jax.numpy.exp(-scaled)

    share = layer.pos_emb_share
    return stax.GlobalSelfAttention(
        layer.width or 1,
        n_chan_key=1,
        n_chan_val=1,
        n_heads=1,
        linear_scaling=layer.linear_scaling,
        W_key_std=layer.W_key_std,
        W_value_std=layer.W_value_std,
        W_query_std=layer.W_query_std,
        W_out_std=layer.W_out_std,
        b_std=layer.b_std,
        attention_mechanism=layer.mechanism,
        pos_emb_type=layer.pos_emb,
        pos_emb_p_norm=layer.pos_emb_p_norm,
        pos_emb_decay_fn=decay if layer.pos_emb_decay else None,
        # a share of the channels of a layer before that has 64 of them
        n_chan_pos_emb=round(64 * share / (1 - share)) if layer.pos_emb == "CONCAT" else None,
        W_pos_emb_std=layer.W_pos_emb_std,
        val_pos_emb=layer.val_pos_emb,
    )
