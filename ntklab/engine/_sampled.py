"""Kernels of finite networks in the mean over their weights, for what has no closed form; only when asked by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ntklab.engine._inputs import check_inputs
from ntklab.engine._select import SAMPLED, EngineChoice
from ntklab.errors import InputError
from ntklab.kernel import GET
from ntklab.spec import Layer

if TYPE_CHECKING:
    from ntklab.finite import MonteCarlo, Network


@dataclass(frozen=True, eq=False)
class Sampling:
    """How ``engine="monte-carlo"`` samples.

    Attributes
    ----------
    key : jax.random.key
        Network ``i`` is drawn from ``jax.random.fold_in(key, i)``: the same key gives the same numbers.
    width : int
        Channels of hidden layers whose own width is open. What is left of finite width in the mean falls as
        ``1 / width``, and no standard error shows it: compare two widths.
    outputs : int
        Of each network, averaged over. The error of the NNGP kernel falls as ``1 / sqrt(samples * outputs)``; the cost
        of the NTK grows with them.
    samples : int
        Networks, at most.
    error : float, optional
        Stop, after at least 8 networks, as soon as the largest standard error is below this share of the kernel's
        largest entry.
    """

    key: PRNGKeyArray
    width: int = 512
    outputs: int = 16
    samples: int = 100
    error: float | None = None

    def __post_init__(self) -> None:
        """Check the key; the numbers are checked where they are used."""
        dtype = getattr(self.key, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or np.shape(self.key) != ():
            raise InputError(f"Sampling: key is one made by jax.random.key(seed), got {self.key!r}.")


@dataclass(frozen=True)
class SampledKernel:
    """Means over networks, NumPy arrays ``(n1, n2)``, and how well they are known.

    Attributes
    ----------
    values : dict of str to numpy array
        What was asked for by ``get``. ``kernel.nngp`` and ``kernel.ntk`` read it.
    standard_errors : dict of str to numpy array
        Of each entry: the standard deviation over networks divided by the root of their number.
    samples : int
        Networks in the mean.
    relative_error : float
        The largest standard error over its kernel's largest entry; infinite for fewer than 8 networks.
    state : MonteCarlo
        What further samples need, for ``start``.
    """

    values: dict[str, Float[np.ndarray, "n1 n2"]]
    standard_errors: dict[str, Float[np.ndarray, "n1 n2"]] = field(repr=False)
    samples: int
    relative_error: float
    state: MonteCarlo = field(repr=False)

    @property
    def nngp(self) -> Float[np.ndarray, "n1 n2"]:
        """Covariance of the outputs of the random network."""
        return self._read("nngp")

    @property
    def ntk(self) -> Float[np.ndarray, "n1 n2"]:
        """Neural tangent kernel: the sum over trained weights of the product of output gradients."""
        return self._read("ntk")

    def _read(self, name: str) -> Float[np.ndarray, "n1 n2"]:
        if name not in self.values:
            raise InputError(f'{name} was not computed; compile with get=("nngp", "ntk").')
        return self.values[name]


class _Job(NamedTuple):
    """What :func:`ntklab.finite.monte_carlo` is called with, and where the kernel stands in what it returns."""

    arguments: tuple[Network, Array, Array | None]
    outputs: Any
    shape: tuple[int, ...]
    block: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class SampledKernelFn:
    """A kernel that is sampled: call it with one or two sets of inputs. Made by :func:`ntklab.compile`.

    Not for ``jit`` or ``grad``, nor for :func:`ntklab.gram`.

    Attributes
    ----------
    network : Layer
    input_shape : tuple of int
    engine : EngineChoice
    dtype : numpy.dtype
        Of networks and results; means are taken in float64.
    get : tuple of str
    sampling : Sampling

    Examples
    --------
    >>> import jax, numpy as np, ntklab
    >>> from ntklab.spec import Conv, Dense, Flatten, MaxPool, Relu, Serial
    >>> network = Serial(Conv(2), MaxPool(2), Relu(), Flatten(), Dense())
    >>> sampling = ntklab.Sampling(jax.random.key(0), width=16, outputs=4, samples=20)
    >>> kfn = ntklab.compile(network, (3, 3, 2), engine="monte-carlo", sampling=sampling, get="ntk")
    >>> kernel = kfn(np.ones((2, 3, 3, 2)), progress=False)
    >>> kernel.ntk.shape, kernel.samples, bool(kernel.standard_errors["ntk"].max() < 0.3)
    ((2, 2), 20, True)
    """

    network: Layer
    input_shape: tuple[int, ...]
    engine: EngineChoice
    dtype: np.dtype
    get: tuple[str, ...]
    sampling: Sampling

    def __call__(
        self, x1: Any, x2: Any = None, *, start: SampledKernel | None = None, progress: bool = True
    ) -> SampledKernel:
        """Return the kernels of all pairs of inputs.

        Parameters
        ----------
        x1, x2 : array of shape (n, *input_shape)
            ``x2`` left out stands for ``x1``. A network with BatchNorm takes both together as one batch.
        start : SampledKernel, optional
            What an earlier call with the same inputs returned, or :meth:`stream` yielded: its networks count.
        progress : bool
            Show a bar with the error so far.

        Raises
        ------
        InputError
            Inputs, ``sampling`` or ``start`` that do not fit.
        """
        from ntklab.finite import monte_carlo

        job = self._job(x1, x2)
        limits = {"samples": self.sampling.samples, "error": self.sampling.error, "progress": progress}
        return self._kernel(job, monte_carlo(*job.arguments, **self._options(job, start), **limits))

    def stream(self, x1: Any, x2: Any = None, *, start: SampledKernel | None = None) -> Iterator[SampledKernel]:
        """Yield the kernels after each network, without end: to watch, store or stop a run.

        Parameters
        ----------
        x1, x2, start
            As for a call.
        """
        from ntklab.finite import monte_carlo_stream

        job = self._job(x1, x2)
        states = monte_carlo_stream(*job.arguments, **self._options(job, start))
        return (self._kernel(job, state) for state in states)

    def _job(self, x1: Any, x2: Any) -> _Job:
        from ntklab.finite import couples_inputs

        a = jnp.asarray(check_inputs(x1, self.input_shape, self.dtype, "x1"), self.dtype)
        b = None if x2 is None else jnp.asarray(check_inputs(x2, self.input_shape, self.dtype, "x2"), self.dtype)
        if not couples_inputs(self.network, self.input_shape):
            return _Job((_finite(self, None), a, b), "mean", (len(a), len(a if b is None else b)), ())
        whole = a if b is None else jnp.concatenate([a, b])
        n = len(whole)
        if n < 2:
            raise InputError("BatchNorm needs a batch of at least two inputs, got one.")
        block = (0, 0, slice(len(a)), slice(None) if b is None else slice(len(a), None))
        return _Job((_finite(self, n), whole[None], None), ("full", "mean"), (1, 1, n, n), block)

    def _options(self, job: _Job, start: SampledKernel | None) -> dict[str, Any]:
        if start is not None:
            given = {name: getattr(start.state, name) for name in self.get}
            if any(kernel is None or kernel.mean.shape != job.shape for kernel in given.values()):
                raise InputError(f"start must be a kernel of the same inputs and get={self.get}, got {start!r}.")
        known = {"key": self.sampling.key, "get": self.get, "outputs": job.outputs}
        return {**known, "start": None if start is None else start.state}

    def _kernel(self, job: _Job, state: MonteCarlo) -> SampledKernel:
        found = {name: getattr(state, name) for name in self.get}
        return SampledKernel(
            {name: kernel.mean[job.block].astype(self.dtype) for name, kernel in found.items()},
            {name: kernel.standard_error[job.block].astype(self.dtype) for name, kernel in found.items()},
            state.samples,
            state.relative_error,
            state,
        )


def sampled(
    network: Layer, input_shape: Sequence[int], dtype: np.dtype, get: Sequence[str], sampling: Sampling
) -> SampledKernelFn:
    """Return the kernel function of sampled networks; what :func:`ntklab.compile` calls.

    Raises
    ------
    SpecError
        The spec cannot take such inputs, or leaves spatial axes at its end.
    InputError
        ``get`` or numbers of ``sampling`` out of range.
    """
    wanted = (get,) if isinstance(get, str) else tuple(get)
    if not wanted or not set(wanted) <= set(GET):
        raise InputError(f'get takes "nngp", "ntk" or both, got {get!r}.')
    reason = f"asked for by name; means over networks of width {sampling.width}, with standard errors"
    ordered = tuple(name for name in GET if name in wanted)
    kfn = SampledKernelFn(network, tuple(input_shape), EngineChoice(SAMPLED, reason), dtype, ordered, sampling)
    _finite(kfn, 2)  # so that a network that cannot be is refused before anything is computed
    return kfn


def _finite(kfn: SampledKernelFn, batch: int | None) -> Network:
    from ntklab.finite import network

    sizes: Any = {"width": kfn.sampling.width, "outputs": kfn.sampling.outputs, "dtype": kfn.dtype.name}
    return network(kfn.network, kfn.input_shape, **sizes, batch=batch)
