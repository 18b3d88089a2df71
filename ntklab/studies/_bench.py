"""How fast and how exact every engine is on this machine's GPU, in one run of minutes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntklab._core import Record
from ntklab.engine import ENGINES, Engine, compile
from ntklab.errors import EngineError
from ntklab.kernel import Plan, learned_numbers
from ntklab.spec import Layer, zoo
from ntklab.testing import made_up_inputs

_ENTRIES = 50_000 * 50_001 // 2 + 50_000 * 10_000
"""Entries of a kernel on all of CIFAR-10: training images with each other, and with test images."""
_SECONDS_OF_A_CALL = 0.3
_MOST_IMAGES = 1024
_FOR_ERRORS = 3


class Workload(NamedTuple):
    """A network and the shape of its inputs."""

    network: Layer
    input_shape: tuple[int, ...]


def gpu_workloads(size: int = 32) -> dict[str, Workload]:
    """Return the networks of ``ntklab bench gpu``, on ``size x size x 3`` images.

    Examples
    --------
    >>> list(gpu_workloads())[:3]
    ['plain_cnn(21, gap)', 'plain_cnn(21, none)', 'cntk(11, gap)']
    """
    image = (size, size, 3)
    networks = {
        "plain_cnn(21, gap)": zoo.plain_cnn(21, "gap"),
        "plain_cnn(21, none)": zoo.plain_cnn(21, "none"),
        "cntk(11, gap)": zoo.cntk(11, "gap"),
        **{f"myrtle({depth})": zoo.myrtle(depth) for depth in (5, 7, 10)},
    }
    made = {name: Workload(network, image) for name, network in networks.items()}
    return made | {"fc(5)": Workload(zoo.fc(5), (3 * size * size,))}


Rival = Callable[[Layer], Callable[[Any, Any], Any]]
"""From a network to a function of two sets of inputs that returns the NTK; all of its layers may be trained."""


def bench_gpu(
    *,
    device: str = "gpu",
    workloads: Mapping[str, Workload] | None = None,
    minutes: float = 7.5,
    repeats: int = 5,
    rivals: Mapping[str, Rival] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Record:
    """Time engines on a device and compare them with ``reference`` in float64.

    Each runs once to compile, then as many pairs a call as take some tenths of a second; times are medians of calls
    that wait for the device. Errors are the largest over pairs of three inputs, relative to ``sqrt(K_ii K_jj)``.

    Parameters
    ----------
    device : str
        The platform that JAX must be using.
    workloads : mapping of name to Workload, optional
        Default: :func:`gpu_workloads`.
    minutes : float
        What is not begun by then is left out, and named in the record.
    repeats : int
        Calls that are timed.
    rivals : mapping of name to Rival, optional
        Other implementations, timed beside the engines; their errors are not measured, as not all of them have
        layers that are not trained.
    limits : mapping of str to float, optional
        Counted limits of the cuda engine, in milliseconds per entry, by workload.

    Returns
    -------
    Record
        Of the kind ``bench-gpu``: for each workload and engine milliseconds per entry, all calls, errors, hours for
        all of CIFAR-10, and the share of the limit.

    Raises
    ------
    EngineError
        JAX uses another platform.
    """
    found = jax.default_backend()
    if found != device:
        raise EngineError(
            f"The benchmark needs a {device} that JAX uses, and JAX uses {jax.devices()[0].device_kind} ({found}). "
            'For NVIDIA GPUs: pip install "jax[cuda13]", or "jax[cuda12]".'
        )
    workloads = gpu_workloads() if workloads is None else workloads
    deadline = time.monotonic() + 60.0 * minutes
    results: dict[str, dict[str, Any]] = {}
    left_out: list[str] = []
    for name, workload in workloads.items():
        own = _engines(workload)
        others = {who: rival(workload.network) for who, rival in (rivals or {}).items()}
        expected = None
        for who, run in {**own, **others}.items():
            if time.monotonic() > deadline:
                left_out.append(f"{name}, {who}")
                continue
            row = _timed(run, workload, repeats)
            if who in own:
                expected = _exact(workload) if expected is None else expected
                row |= _errors(run, workload, expected)
            row["hours_for_cifar10"] = row["milliseconds_per_entry"] * _ENTRIES / 3.6e6
            if who == "cuda" and limits and name in limits:
                row["share_of_limit"] = limits[name] / row["milliseconds_per_entry"]
            results.setdefault(name, {})[who] = row
    settings = {
        "device": device,
        "minutes": minutes,
        "repeats": repeats,
        "inputs": {name: list(workload.input_shape) for name, workload in workloads.items()},
    }
    return Record.make("bench-gpu", settings, {"workloads": results, "left_out": left_out})


@dataclass(frozen=True)
class _OfEngine:
    """An engine as a function of two sets of inputs, whether or not ``auto`` would take it here."""

    engine: Engine
    plan: Plan
    learned: dict[str, dict[str, jax.Array]]

    def __call__(self, x1: jax.Array, x2: jax.Array) -> Any:
        (value,) = self.engine.run(self.plan, x1, x2, self.learned)
        return value.ntk


def _engines(workload: Workload) -> dict[str, Callable[[Any, Any], Any]]:
    """Return the engines that can compute a workload here; displacement too, which declines GPUs as not measured."""
    kfn = compile(workload.network, workload.input_shape, engine="reference")
    learned = learned_numbers(kfn.plan, jnp.float32)
    runs: dict[str, Callable[[Any, Any], Any]] = {}
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    for engine in ENGINES:
        places = (device, cpu) if engine.name == "displacement" else (device,)
        if any(engine.supports(kfn.plan, place, np.dtype("float32")).ok for place in places):
            runs[engine.name] = _OfEngine(engine, kfn.plan, learned)
    return runs


def _exact(workload: Workload) -> np.ndarray:
    with jax.enable_x64(True):
        kfn = compile(workload.network, workload.input_shape, engine="reference", dtype="float64")
        return np.asarray(kfn(made_up_inputs(_FOR_ERRORS, workload.input_shape)).ntk)


def _seconds(run: Callable[[Any, Any], Any], x1: jax.Array, x2: jax.Array) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run(x1, x2))
    return time.perf_counter() - start


def _timed(run: Callable[[Any, Any], Any], workload: Workload, repeats: int) -> dict[str, Any]:
    few = jnp.asarray(made_up_inputs(2, workload.input_shape), jnp.float32)
    _seconds(run, few, few)  # compiles
    per_entry = _seconds(run, few, few) / 4
    side = int(min(_MOST_IMAGES, max(2.0, (_SECONDS_OF_A_CALL / per_entry) ** 0.5)))
    x = jnp.asarray(made_up_inputs(2 * side, workload.input_shape), jnp.float32)
    x1, x2 = x[:side], x[side:]
    _seconds(run, x1, x2)
    times = [1e3 * _seconds(run, x1, x2) / side**2 for _ in range(repeats)]
    return {"milliseconds_per_entry": statistics.median(times), "all": times, "block": [side, side]}


def _errors(run: Callable[[Any, Any], Any], workload: Workload, expected: np.ndarray) -> dict[str, float]:
    x = jnp.asarray(made_up_inputs(_FOR_ERRORS, workload.input_shape), jnp.float32)
    diagonal = np.diag(expected)
    error = np.abs(np.asarray(run(x, x), np.float64) - expected) / np.sqrt(np.outer(diagonal, diagonal))
    return {
        "error_different": float(error[~np.eye(_FOR_ERRORS, dtype=bool)].max()),
        "error_diagonal": float(np.diag(error).max()),
    }
