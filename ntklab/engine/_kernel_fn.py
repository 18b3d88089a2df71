"""`ntklab.compile`: from a network to a function of two sets of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ntklab.engine._interface import Engine
from ntklab.engine._select import EngineChoice, select
from ntklab.errors import InputError
from ntklab.kernel import (
    GET,
    Learned,
    PairValue,
    Plan,
    Positions,
    learned_number,
    learned_numbers,
    lower,
    warn_of_coarse_quadrature,
)
from ntklab.spec import Layer

Hyper = Mapping[str, Mapping[str, Any]]
"""Learnable numbers: ``hyper[key]["W_std"]``, for layers with a bias ``["b_std"]``, for activations their own."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kernel:
    """The kernels of two sets of inputs, JAX or NumPy arrays of shape ``(n1, n2, ...)``; a JAX pytree.

    Attributes
    ----------
    values : dict of str to array
        What was asked for by ``get``. ``kernel.nngp`` and ``kernel.ntk`` read it.
    """

    values: dict[str, Any]

    @property
    def nngp(self) -> Any:
        """Covariance of the outputs of the random network."""
        return self._read("nngp")

    @property
    def ntk(self) -> Any:
        """Neural tangent kernel: the sum over trained weights of the product of output gradients."""
        return self._read("ntk")

    def _read(self, name: str) -> Any:
        if name not in self.values:
            raise InputError(f'{name} was not computed; compile with get=("nngp", "ntk").')
        return self.values[name]


@dataclass(frozen=True)
class KernelFn:
    """A compiled kernel: call it with one or two sets of inputs.

    Made by :func:`compile`. Traceable by ``jax.jit``, ``vmap`` and ``grad``.

    Attributes
    ----------
    networks : dict of str to Layer
        The networks, by name; a single one has the name ``""``.
    plan : Plan
        What is computed; ``print(kfn.plan)`` shows it.
    engine : EngineChoice
        Who computes it, and why.
    dtype : numpy.dtype
        Of inputs (cast), arithmetic and outputs.
    """

    networks: dict[str, Layer]
    plan: Plan
    engine: EngineChoice
    dtype: np.dtype
    _engine: Engine = field(repr=False)

    @property
    def hyper(self) -> dict[str, dict[str, Array]]:
        """The learnable numbers as the networks gave them, a pytree of scalars: ``W_std``, ``b_std``, and parameters of
        activations.

        Change a copy and pass it back, ``kfn(x1, x2, hyper=...)``: nothing is compiled anew, and the kernel is
        differentiable in it. Keys are the layers' places, as in ``kfn.plan``; layers that several networks
        share are listed once.
        """
        numbers: dict[str, dict[str, Array]] = {}
        for key, name, value in self.plan.hyper:
            numbers.setdefault(key, {})[name] = jnp.asarray(value, self.dtype)
        return numbers

    def __call__(self, x1: Any, x2: Any = None, *, hyper: Hyper | None = None) -> Any:
        """Return the kernels of all pairs of inputs.

        Parameters
        ----------
        x1 : array of shape (n1, *input_shape)
            NumPy, JAX or anything with ``__array__``; any real dtype (``uint8`` images are welcome).
        x2 : array of shape (n2, *input_shape), optional
            Left out: the symmetric case ``x2 = x1`` at half the work, equal to its transpose bit for bit.
        hyper : pytree, optional
            Replaces :attr:`hyper`.

        Returns
        -------
        Kernel, or dict of name to Kernel if several networks were compiled
            JAX arrays ``(n1, n2)`` of ``kfn.dtype``.

        Raises
        ------
        InputError
            A wrong shape, complex or non-finite values, an empty set, or keys unlike :attr:`hyper`.
        """
        x1 = self._admit(x1, "x1")
        x2 = None if x2 is None else self._admit(x2, "x2")
        return self._name(self._engine.run(self.plan, x1, x2, self._learned(hyper)))

    def diagonal(self, x: Any, *, hyper: Hyper | None = None) -> Any:
        """Return the kernels of every input with itself, arrays of shape ``(n,)``."""
        return self._name(self._engine.diagonal(self.plan, self._admit(x, "x"), self._learned(hyper)))

    def _name(self, values: list[PairValue]) -> Any:
        kernels = {}
        for (name, _), value in zip(self.plan.outputs, values, strict=True):
            ntk = jnp.zeros_like(value.cov) if value.ntk is None else value.ntk
            both = {"nngp": value.cov, "ntk": ntk}
            kernels[name] = Kernel({word: both[word] for word in self.plan.get})
        return kernels[""] if set(kernels) == {""} else kernels

    def check(self, x: Any, name: str = "x") -> Any:
        """Return ``x`` as a NumPy or JAX array if this kernel can take it, else raise InputError."""
        _check_dtype(self.dtype)
        if not isinstance(x, jax.Array):
            try:
                x = np.asarray(x)
            except ValueError as error:
                raise InputError(f"{name} is no array: {error} Give rows of equal lengths.") from None
        shape = self.plan.input_shape
        if x.ndim != len(shape) + 1 or x.shape[1:] != shape or x.shape[0] == 0:
            wanted = "(n, " + ", ".join(map(str, shape)) + ")"
            hint = "; add the batch axis with x[None]" if x.shape == shape else ""
            raise InputError(f"{name} needs the shape {wanted} with n >= 1, got {tuple(x.shape)}{hint}.")
        if not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool) or jnp.iscomplexobj(x):
            raise InputError(f"{name} needs real numbers, got dtype {x.dtype}.")
        if not isinstance(x, Tracer):
            with np.errstate(over="ignore"):
                host = np.asarray(x).astype(self.dtype)
            finite = np.isfinite(host).reshape((x.shape[0], -1)).all(axis=1)
            if not finite.all():
                row = int(np.argmin(finite))
                raise InputError(
                    f"{name} has NaN or infinite values as {self.dtype}, the first in row {row}; clean or drop it."
                )
        return x

    def _admit(self, x: Any, name: str) -> Float[Array, "n *shape"]:
        return jnp.asarray(self.check(x, name), self.dtype)

    def _learned(self, hyper: Hyper | None) -> Learned:
        if hyper is None:
            return learned_numbers(self.plan, self.dtype)
        own = self.hyper
        if jax.tree.structure(hyper) != jax.tree.structure(own) or any(map(np.ndim, jax.tree.leaves(hyper))):
            wanted = {key: sorted(numbers) for key, numbers in own.items()}
            raise InputError(f"hyper needs one number for each of {wanted}, as kfn.hyper has; got {hyper!r}.")
        return {
            key: {name: learned_number(name, jnp.asarray(value, self.dtype)) for name, value in numbers.items()}
            for key, numbers in hyper.items()
        }


def compile(
    network: Layer | Mapping[str, Layer],
    input_shape: Sequence[int],
    *,
    engine: str = "auto",
    dtype: Literal["float32", "float64"] | np.dtype = "float32",
    get: Sequence[str] = GET,
    positions: Positions | None = None,
) -> KernelFn:
    r"""Return the kernel function of a network whose width goes to infinity.

    .. math:: K(x, x') = E[f(x) f(x')], \quad
        \Theta(x, x') = E\Big[\sum_{\theta\ \text{trained}} \partial_\theta f(x)\, \partial_\theta f(x')\Big]

    Parameters
    ----------
    network : Layer or mapping of name to Layer
        A network, such as ``Serial(...)`` or ``zoo.cntk(11, "gap")``. Several networks under names are computed
        in one pass over what they share.
    input_shape : sequence of int
        Shape of one input, channels last: ``(d,)`` or ``(H, W, C)``.
    engine : str
        ``"auto"`` takes the fastest engine that supports the plan and records the choice in ``kfn.engine``; a
        named one runs or raises.
    dtype : {"float32", "float64"}
        float32 is exact to about 1e-6, also where inputs coincide, and enough for images without a tiny ridge. The
        NTK of parallel inputs of different length is exact to about 1e-4 per ReLU (docs/maths.md), in float64 to
        1e-8, which needs JAX's 64-bit mode.
    get : sequence of {"nngp", "ntk"}
        ``("nngp",)`` alone is about half the work of both.
    positions : {"equal", "all"}, optional
        For a network that ends with spatial axes ``P``, which has one output at every position: ``"equal"`` gives
        kernels ``(n1, n2, *P)``, ``"all"`` those of all pairs of positions, ``(n1, n2, *P, *P)``. For ``kfn(...)``
        and ``kfn.diagonal``; :func:`ntklab.gram` takes one number per pair of inputs.

    Returns
    -------
    KernelFn
        ``kfn(x1, x2)`` has ``.nngp`` and ``.ntk`` of shape ``(n1, n2)``; ``kfn(x1)`` is the symmetric case.

    Raises
    ------
    SpecError
        The network has no closed form for such inputs, or its shapes do not fit.
    EngineError
        The named engine cannot run it here.
    InputError
        An unknown engine, dtype, ``get`` or ``positions``, or float64 without JAX's 64-bit mode.

    Warns
    -----
    PrecisionWarning
        A function of the user, ``Elementwise(fn)``, is too rough for the quadrature.

    Notes
    -----
    Cost: ``kfn.plan.work`` counted steps per pair of inputs; linear in depth and in the number of pairs, and
    quadratic in the number of pixels once pooling is involved. Sources: Jacot et al. 2018 and Lee et al. 2018
    (dense), Arora et al. 2019, section 4 and appendix G (convolutional), Novak et al. 2019 (pooling).

    Examples
    --------
    >>> import numpy as np, ntklab
    >>> from ntklab.spec import zoo
    >>> kfn = ntklab.compile(zoo.fc(3), input_shape=(2,))
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> np.asarray(kfn(x).ntk).round(4)
    array([[3.    , 0.6857],
           [0.6857, 3.    ]], dtype=float32)
    """
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise InputError(f'dtype is "float32" or "float64", got {dtype!r}.') from None
    _check_dtype(dtype)
    plan = lower(network, input_shape, get, positions)
    chosen, choice = select(engine, plan, jax.devices()[0], dtype)
    warn_of_coarse_quadrature(plan, dtype)
    networks = dict(network) if isinstance(network, Mapping) else {"": network}
    return KernelFn(networks, plan, choice, dtype, chosen)


def _check_dtype(dtype: np.dtype) -> None:
    if dtype not in (np.dtype("float32"), np.dtype("float64")):
        raise InputError(f'dtype is "float32" or "float64", got {dtype}.')
    if dtype == np.dtype("float64") and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise InputError(
            'dtype="float64" needs JAX\'s 64-bit mode, which is off: call jax.config.update("jax_enable_x64", True) '
            "when the program starts, set JAX_ENABLE_X64=1, or work inside `with jax.enable_x64(True):`."
        )
