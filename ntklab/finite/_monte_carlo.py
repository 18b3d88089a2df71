"""Kernels in the mean over random parameters, with standard errors, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntklab._core import progress_bar
from ntklab.errors import InputError
from ntklab.finite._axes import Outputs
from ntklab.finite._costs import MethodName
from ntklab.finite._empirical import prepare
from ntklab.finite._model import Function
from ntklab.finite._network import Network
from ntklab.finite._nngp import empirical_nngp

FEWEST = 8
"""Samples before a standard error is believed."""


@dataclass(frozen=True)
class KernelMean:
    """A mean over samples, and how well it is known.

    Attributes
    ----------
    mean : numpy array, (n1, n2, ...)
        float64.
    standard_error : numpy array, (n1, n2, ...)
        Of the mean: the standard deviation of one sample over the root of their number; infinite for one sample.
    squares : numpy array, (n1, n2, ...)
        Sum of squared distances from the mean: what the next sample needs.
    """

    mean: Float[np.ndarray, "n1 n2 ..."]
    standard_error: Float[np.ndarray, "n1 n2 ..."] = field(repr=False)
    squares: Float[np.ndarray, "n1 n2 ..."] = field(repr=False)

    @property
    def relative_error(self) -> float:
        """Return the largest standard error over the largest absolute entry of the mean."""
        return float(self.standard_error.max() / np.abs(self.mean).max())


@dataclass(frozen=True)
class MonteCarlo:
    """Kernels after some samples; sample ``i`` is that of ``jax.random.fold_in(key, i)``.

    Attributes
    ----------
    samples : int
    nngp, ntk : KernelMean or None
        None if it was not asked for.
    """

    samples: int
    nngp: KernelMean | None = None
    ntk: KernelMean | None = None

    @property
    def relative_error(self) -> float:
        """Return the largest of both kernels'; infinite before enough samples to tell."""
        kernels = [kernel for kernel in (self.nngp, self.ntk) if kernel is not None]
        return max(kernel.relative_error for kernel in kernels) if self.samples >= FEWEST else float("inf")


def monte_carlo(
    f: Network | Function,
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    key: PRNGKeyArray,
    samples: int,
    error: float | None = None,
    init: Callable[[PRNGKeyArray], Any] | None = None,
    get: tuple[Literal["nngp", "ntk"], ...] = ("nngp", "ntk"),
    outputs: Outputs = "mean",
    method: Literal["auto"] | MethodName = "auto",
    batch: int | None = None,
    start: MonteCarlo | None = None,
    progress: bool = True,
) -> MonteCarlo:
    r"""Estimate the kernels of a random function as means over draws of its parameters.

    .. math:: \hat K = \frac1S \sum_{i=1}^{S} K_{\theta_i}, \qquad \theta_i \sim \mathrm{init}

    For a network of finite width this differs from the infinite one's kernel by about ``1 / width``.

    Parameters
    ----------
    f : Network or function
        As for :func:`empirical_ntk`.
    x1, x2 : array, (n, ...)
        ``x2=None`` stands for ``x1``.
    key : jax.random.key
        Sample ``i`` uses ``jax.random.fold_in(key, i)``.
    samples : int
        How many in all, at most.
    error : float, optional
        Stop, after at least 8 samples, as soon as the largest standard error is below this share of the kernel's
        largest entry. A run that was stopped by it looks slightly better than it is.
    init : function of a key, optional
        Makes the parameters; of a Network, its own.
    get : tuple of {"nngp", "ntk"}
    outputs, method, batch
        As for :func:`empirical_ntk`.
    start : MonteCarlo, optional
        What an earlier call with the same arguments returned: its samples count, and the next index goes on.
    progress : bool
        Show a bar with the error so far.

    Returns
    -------
    MonteCarlo

    Raises
    ------
    InputError
        Arrays, function or options that do not fit.

    Notes
    -----
    One sample is one :func:`empirical_ntk` and one forward pass. Memory is theirs, and three kernels of each kind in
    float64, however many samples (Welford's recurrence). :func:`monte_carlo_stream` gives every intermediate state,
    so that a run can be watched, stored or stopped.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import monte_carlo, network
    >>> from ntklab.spec import Dense
    >>> net = network(Dense(W_std=2.0), (2,), outputs=50)
    >>> found = monte_carlo(net, jax.numpy.ones((1, 2)), key=jax.random.key(0), samples=400, error=0.02, progress=False)
    >>> abs(found.nngp.mean - 4) < 4 * found.nngp.standard_error  # 2^2 * 2 / 2
    array([[ True]])
    >>> found.ntk.mean.round(5), found.samples < 400
    (array([[4.]]), True)
    """
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise InputError(f"samples is a positive integer, got {samples!r}.")
    if error is not None and not 0 < error < float("inf"):
        raise InputError(f"error is a finite number > 0 or None, got {error!r}.")
    state = start or MonteCarlo(0)
    stream = monte_carlo_stream(
        f, x1, x2, key=key, init=init, get=get, outputs=outputs, method=method, batch=batch, start=start
    )
    with progress_bar(unit="sample", total=samples, initial=state.samples, show=progress) as bar:
        while state.samples < samples and not (error is not None and state.relative_error <= error):
            state = next(stream)
            bar.update()
            bar.set_postfix_str(f"error {state.relative_error:.1e}", refresh=False)
    return state


def monte_carlo_stream(
    f: Network | Function,
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None = None,
    *,
    key: PRNGKeyArray,
    init: Callable[[PRNGKeyArray], Any] | None = None,
    get: tuple[Literal["nngp", "ntk"], ...] = ("nngp", "ntk"),
    outputs: Outputs = "mean",
    method: Literal["auto"] | MethodName = "auto",
    batch: int | None = None,
    start: MonteCarlo | None = None,
) -> Iterator[MonteCarlo]:
    """Yield the state of :func:`monte_carlo` after each sample, without end.

    Parameters
    ----------
    f, x1, x2, key, init, get, outputs, method, batch, start
        As for :func:`monte_carlo`.

    Yields
    ------
    MonteCarlo

    Raises
    ------
    InputError
        As :func:`monte_carlo`, at the call and not at the first sample.

    Examples
    --------
    >>> import jax
    >>> from ntklab.finite import monte_carlo_stream, network
    >>> from ntklab.spec import Dense
    >>> states = monte_carlo_stream(network(Dense(), (2,)), jax.numpy.ones((1, 2)), key=jax.random.key(0))
    >>> next(states).samples, next(states).samples
    (1, 2)
    """
    if not get or any(name not in ("nngp", "ntk") for name in get):
        raise InputError(f'get names "nngp", "ntk" or both, got {get!r}.')
    make = f.init if isinstance(f, Network) and init is None else init
    if make is None:
        raise InputError("A function that is no Network needs init, a function of a key that returns parameters.")
    state = start or MonteCarlo(0)
    for name in get:
        if start is not None and getattr(start, name) is None:
            raise InputError(f"start has no {name}: it was computed with another get.")
    return _samples(f, make, x1, x2, key, get, outputs, method, batch, state)


def _samples(
    f: Network | Function,
    init: Callable[[PRNGKeyArray], Any],
    x1: Shaped[Array | np.ndarray, "n1 ..."],
    x2: Shaped[Array | np.ndarray, "n2 ..."] | None,
    key: PRNGKeyArray,
    get: tuple[str, ...],
    outputs: Outputs,
    method: Any,
    batch: int | None,
    state: MonteCarlo,
) -> Iterator[MonteCarlo]:
    ntk = None
    while True:
        params = init(jax.random.fold_in(key, state.samples))
        found = {}
        if "nngp" in get:
            found["nngp"] = empirical_nngp(f, params, x1, x2, outputs=outputs, batch=batch)
        if "ntk" in get:
            ntk = ntk or prepare(f, params, x1, x2, outputs, method, batch=batch)
            found["ntk"] = ntk(params)
        count = state.samples + 1
        state = MonteCarlo(count, **{k: _add(getattr(state, k), kernel, count) for k, kernel in found.items()})
        yield state


def _add(before: KernelMean | None, kernel: Float[np.ndarray, "n1 n2 ..."], count: int) -> KernelMean:
    """Return the mean with one more sample, by Welford's recurrence."""
    sample = kernel.astype(np.float64)
    mean = np.zeros_like(sample) if before is None else before.mean
    squares = np.zeros_like(sample) if before is None else before.squares
    moved = mean + (sample - mean) / count
    squares = squares + (sample - mean) * (sample - moved)
    error = np.sqrt(squares / ((count - 1) * count)) if count > 1 else np.full_like(sample, np.inf)
    return KernelMean(moved, error, squares)
