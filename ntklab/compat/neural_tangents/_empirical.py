"""Kernels of finite functions, at given parameters and in the mean over random ones."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import Partial

from ntklab import finite
from ntklab.compat.neural_tangents._fn import KernelFn, as_asked, canonical_get
from ntklab.compat.neural_tangents._trace import canonical
from ntklab.errors import InputError
from ntklab.kernel import GET


class NtkImplementation(enum.IntEnum):
    """Ways to an empirical tangent kernel: ``method`` of :func:`ntklab.finite.empirical_ntk`."""

    AUTO = 0
    JACOBIAN_CONTRACTION = 1
    NTK_VECTOR_PRODUCTS = 2
    STRUCTURED_DERIVATIVES = 3


_METHODS: dict[int, Any] = {0: "auto", 1: "jacobian", 2: "vector", 3: "structured"}
_DEFAULT = NtkImplementation.JACOBIAN_CONTRACTION


def empirical_ntk_fn(
    f: Callable[..., Any],
    trace_axes: Any = (-1,),
    diagonal_axes: Any = (),
    vmap_axes: Any = None,
    implementation: NtkImplementation | int = _DEFAULT,
    _j_rules: bool = True,
    _s_rules: bool = True,
    _fwd: bool | None = None,
) -> Callable[..., Any]:
    """Return ``ntk_fn(x1, x2, params)``: :func:`ntklab.finite.empirical_ntk`, of functions that treat rows apart."""
    _check_vmap(vmap_axes)
    method = _METHODS[NtkImplementation(implementation)]

    def ntk_fn(x1: Any, x2: Any, params: Any, **apply_fn_kwargs: Any) -> Any:
        """Return the tangent kernel of ``f`` at ``params``."""
        model, axes = _asked(f, apply_fn_kwargs, x1, x2, params, trace_axes, diagonal_axes)
        return axes.theirs(finite.empirical_ntk(model, params, x1, x2, outputs=axes.words, method=method))

    return ntk_fn


def empirical_nngp_fn(f: Callable[..., Any], trace_axes: Any = (-1,), diagonal_axes: Any = ()) -> Callable[..., Any]:
    """Return ``nngp_fn(x1, x2, params)``: :func:`ntklab.finite.empirical_nngp`."""

    def nngp_fn(x1: Any, x2: Any, params: Any, **apply_fn_kwargs: Any) -> Any:
        """Return products of outputs of ``f`` at ``params``."""
        model, axes = _asked(f, apply_fn_kwargs, x1, x2, params, trace_axes, diagonal_axes)
        return axes.theirs(finite.empirical_nngp(model, params, x1, x2, outputs=axes.words))

    return nngp_fn


def empirical_kernel_fn(
    f: Callable[..., Any],
    trace_axes: Any = (-1,),
    diagonal_axes: Any = (),
    vmap_axes: Any = None,
    implementation: NtkImplementation | int = _DEFAULT,
    _j_rules: bool = True,
    _s_rules: bool = True,
    _fwd: bool | None = None,
) -> Callable[..., Any]:
    """Return ``kernel_fn(x1, x2, get, params)`` of both empirical kernels."""
    made = {
        "nngp": empirical_nngp_fn(f, trace_axes, diagonal_axes),
        "ntk": empirical_ntk_fn(f, trace_axes, diagonal_axes, vmap_axes, implementation),
    }

    def kernel_fn(x1: Any, x2: Any, get: Any, params: Any, **apply_fn_kwargs: Any) -> Any:
        """Return the kernels asked for."""
        names = canonical_get(get or GET, GET)
        found = {name: made[name](x1, x2, params, **apply_fn_kwargs) for name in names}
        return as_asked(get or GET, found, "EmpiricalKernel")

    return kernel_fn


def empirical_ntk_vp_fn(
    f: Callable[..., Any], x1: Any, x2: Any, params: Any, **apply_fn_kwargs: Any
) -> Callable[[Any], Any]:
    """Return ``ntk_vp_fn(v)``, products of the tangent kernel with a vector: :func:`ntklab.finite.ntk_product`."""
    model = _with(f, apply_fn_kwargs)

    def ntk_vp_fn(cotangents: Any) -> Any:
        """Return the tangent kernel times a vector of the shape of the outputs at ``x2``."""
        _check_host(x1, x2, params, cotangents)
        return jnp.asarray(finite.ntk_product(model, params, x1, cotangents, x2))

    return ntk_vp_fn


def linearize(f: Callable[..., Any], params: Any) -> Callable[..., Any]:
    """Return ``f`` linear in its parameters: :func:`ntklab.finite.linearise`."""
    return taylor_expand(f, params, 1)


def taylor_expand(f: Callable[..., Any], params: Any, degree: int) -> Callable[..., Any]:
    """Return the Taylor polynomial of ``f`` in its parameters: :func:`ntklab.finite.taylor_expand`."""

    def f_tayl(p: Any, x: Any, **kwargs: Any) -> Any:
        """Return its value at other parameters."""
        return finite.taylor_expand(_with(f, kwargs), params, degree)(p, x)

    return f_tayl


def monte_carlo_kernel_fn(
    init_fn: Callable[..., Any],
    apply_fn: Callable[..., Any],
    key: Any,
    n_samples: int | Iterable[int],
    batch_size: int = 0,
    device_count: int = -1,
    store_on_device: bool = True,
    trace_axes: Any = (-1,),
    diagonal_axes: Any = (),
    vmap_axes: Any = None,
    implementation: NtkImplementation | int = _DEFAULT,
    _j_rules: bool = True,
    _s_rules: bool = True,
    _fwd: bool | None = None,
) -> Callable[..., Any]:
    """Return ``kernel_fn(x1, x2, get)``, the mean over draws of ``init_fn``: :func:`ntklab.finite.monte_carlo`.

    For several ``n_samples`` it makes a generator of means. Keys are split as in the original, so that an ``init_fn``
    of one's own draws the same.
    """
    _check_vmap(vmap_axes)
    method = _METHODS[NtkImplementation(implementation)]
    counts = {n_samples} if isinstance(n_samples, int) else set(n_samples)
    if not counts or not all(isinstance(n, int) and n > 0 for n in counts):
        raise InputError(f"n_samples is a positive integer or several of them, got {n_samples!r}.")

    def states(x1: Any, x2: Any, get: Any, kwargs: dict[str, Any]) -> Iterator[Any]:
        _check_host(x1, x2, key)
        names: Any = canonical_get(get or GET, GET)
        model, keys = _with(apply_fn, kwargs), _keys(key)
        params = jax.eval_shape(lambda k: init_fn(k, x1.shape)[1], key)
        axes = _Axes(jax.eval_shape(model, params, x1).shape, trace_axes, diagonal_axes)
        stream = finite.monte_carlo_stream(
            model,
            x1,
            x2,
            key=jax.random.key(0),  # unused: ``init`` has the keys of the original
            init=lambda _: init_fn(next(keys), x1.shape)[1],
            get=names,
            outputs=axes.words,
            method=method,
        )
        for _ in range(max(counts)):
            state = next(stream)
            if state.samples in counts:
                found = {name: axes.theirs(getattr(state, name).mean) for name in names}
                yield as_asked(get or GET, found, "MonteCarloKernel")

    def kernel_fn(x1: Any, x2: Any = None, get: Any = None, **apply_fn_kwargs: Any) -> Any:
        """Return the mean, or a generator of means."""
        found = states(x1, x2, get, apply_fn_kwargs)
        return next(found) if isinstance(n_samples, int) else found

    return kernel_fn


def batch(
    kernel_fn: Callable[..., Any], batch_size: int = 0, device_count: int = -1, store_on_device: bool = True
) -> Callable[..., Any]:
    """Return a kernel function for inputs of any number: the same, since all of ours work in blocks as they are.

    Block sizes are chosen by the engine. Matrices beyond memory: :func:`ntklab.gram` with ``store=``.
    """
    if not isinstance(batch_size, int) or batch_size < 0:
        raise InputError(f"batch_size is an integer >= 0, got {batch_size!r}.")
    if isinstance(kernel_fn, KernelFn):
        return kernel_fn
    return lambda x1, x2=None, *args, **kwargs: kernel_fn(x1, x2, *args, **kwargs)


class _Axes:
    """Which output axes are traced, kept once, or kept twice; the first is that of inputs."""

    def __init__(self, shape: tuple[int, ...], trace_axes: Any, diagonal_axes: Any) -> None:
        trace, diagonal = (
            {canonical(a, len(shape)) for a in ((axes,) if isinstance(axes, int) else axes)}
            for axes in (trace_axes, diagonal_axes)
        )
        if trace & diagonal:
            raise InputError(f"trace_axes {trace_axes} and diagonal_axes {diagonal_axes} have an axis in common.")
        words: list[Any] = [
            "mean" if i in trace else "diagonal" if i in diagonal else "full" for i in range(len(shape))
        ]
        self.inputs, self.words = words[0], tuple(words[1:])

    def theirs(self, kernel: np.ndarray) -> Any:
        """Return ``(n1, n2, once..., twice..., twice...)`` with the axes of each output together, as a JAX array."""
        once, twice = ([i for i, w in enumerate(self.words) if w == word] for word in ("diagonal", "full"))
        places = {i: [2 + k] for k, i in enumerate(once)}
        places |= {i: [2 + len(once) + k, 2 + len(once) + len(twice) + k] for k, i in enumerate(twice)}
        kernel = kernel.transpose((0, 1, *(p for i in sorted(places) for p in places[i])))
        if self.inputs != "full":
            if kernel.shape[0] != kernel.shape[1]:
                raise InputError(
                    f"A trace or diagonal over inputs needs as many on both sides, got {kernel.shape[:2]}."
                )
            kernel = np.einsum("ii...->i...", kernel)
        return jnp.asarray(kernel.mean(axis=0) if self.inputs == "mean" else kernel)


def _asked(
    f: Callable[..., Any], kwargs: dict[str, Any], x1: Any, x2: Any, params: Any, trace_axes: Any, diagonal_axes: Any
) -> tuple[Callable[..., Any], _Axes]:
    """Return the function with its arguments, and what is asked of its output axes."""
    _check_host(x1, x2, params)
    model = _with(f, kwargs)
    return model, _Axes(jax.eval_shape(model, params, x1).shape, trace_axes, diagonal_axes)


def _keys(key: Any) -> Iterator[Any]:
    """Yield the keys of initialisations as neural-tangents draws them."""
    while True:
        key, sample = jax.random.split(key)
        yield jax.random.split(sample, 2)[0]


def _with(f: Callable[..., Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    given = {name: value for name, value in kwargs.items() if value is not None}
    kwargs = {name: jnp.asarray(value) if isinstance(value, float | int) else value for name, value in given.items()}
    return Partial(f, **kwargs) if kwargs else f


def _check_host(*trees: Any) -> None:
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees)):
        raise InputError(
            "Empirical kernels compile their own blocks: call them outside jax.jit, jax.vmap and jax.grad."
        )


def _check_vmap(vmap_axes: Any) -> None:
    if vmap_axes not in (None, 0) and not (isinstance(vmap_axes, tuple) and tuple(vmap_axes[:2]) == (0, 0)):
        raise InputError(
            f"vmap_axes={vmap_axes!r}: inputs and outputs have their batch along axis 0 here; move it there, in f."
        )
