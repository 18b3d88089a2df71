"""What `ntklab.compile` returns: a kernel as a function of two sets of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklab.engine._inputs import check_inputs
from ntklab.engine._interface import Engine
from ntklab.engine._select import EngineChoice
from ntklab.errors import InputError
from ntklab.kernel import Learned, PairValue, Plan, learned_number, learned_numbers
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
        return check_inputs(x, self.plan.input_shape, self.dtype, name)

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
