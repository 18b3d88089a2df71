"""Do wide finite networks do what the closed form says? Kernel at initialisation, and training to time t."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ntklab import finite
from ntklab._core import Record, progress_bar
from ntklab.data import Standardiser, load_digits
from ntklab.engine import compile
from ntklab.errors import InputError
from ntklab.predict import gradient_flow
from ntklab.spec import Layer, zoo

Case = Literal["fc", "cnn"]


class _Setup(NamedTuple):
    """A network, and the widths at which it is compared; training is dearer than one Jacobian."""

    spec: Layer
    kernel_widths: tuple[int, ...]
    training_widths: tuple[int, ...]


_SETUPS: dict[str, _Setup] = {
    "fc": _Setup(zoo.fc(3), (64, 128, 256, 512, 1024, 2048), (64, 128, 256, 512, 1024)),
    "cnn": _Setup(zoo.cntk(3, "none"), (16, 32, 64, 128, 256, 512), (4, 8, 16, 32, 64)),
}


def equivalence(
    case: Case = "fc",
    *,
    widths: tuple[int, ...] | None = None,
    training_widths: tuple[int, ...] | None = None,
    seeds: int = 32,
    training_seeds: int = 4,
    n_train: int = 10,
    n_test: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> Record:
    r"""Return how far finite networks are from the closed form, against their width.

    Two comparisons on a few of scikit-learn's digits, the label being whether the digit is odd (+-1):

    - *kernel*: relative Frobenius distance of the empirical NTK of a random network from the closed form. For one
      random network it falls like ``width**-0.5``; the slope of a log-log line through the root mean squares
      is reported with its standard error over draws of the seeds (bootstrap).
    - *training*: networks trained by gradient flow to times t, against
      :math:`f_t = f_0 + \Theta_* \Theta^{-1} (1 - e^{-\Theta t}) (y - f_0)` with the closed-form kernel and the
      network's own :math:`f_0`; root mean square over test points, times and seeds, relative to the targets.

    The finite networks share nothing with the closed form but the spec.

    Parameters
    ----------
    case : {"fc", "cnn"}
        Three dense layers on pixels, or two convolutions, Flatten and a dense layer on images.
    widths, training_widths : tuple of int, optional
        Default: five doublings for the kernel, four for training.
    seeds, training_seeds : int
        Random networks per width.
    """
    if case not in _SETUPS:
        raise InputError(f"case is one of {', '.join(_SETUPS)}, got {case!r}.")
    setup = _SETUPS[case]
    widths, training_widths = widths or setup.kernel_widths, training_widths or setup.training_widths
    if len(widths) < 2 or seeds < 2:
        raise InputError(f"A slope needs two widths and two seeds, got widths {widths} and {seeds} seeds.")
    x, y = _inputs(n_train + n_test)
    kfn = compile(setup.spec, x.shape[1:], get=("ntk",))
    theta = np.asarray(kfn(x).ntk, np.float64)
    rng = np.random.default_rng(seed)
    keys = jax.random.split(jax.random.key(seed), seeds)

    distances = []
    for width in progress_bar(widths, desc="kernel", unit=" widths", show=progress):
        net = finite.network(setup.spec, x.shape[1:], width=width)
        empirical = [finite.empirical_ntk(net, net.init(key), x) for key in keys]
        distances.append([np.linalg.norm(found - theta) / np.linalg.norm(theta) for found in empirical])
    slope, standard_error = _slope(np.asarray(widths), np.asarray(distances), rng)

    train, test = slice(0, n_train), slice(n_train, None)
    times = np.array([0.1, 1.0, 10.0, 100.0]) / np.linalg.eigvalsh(theta[train, train])[-1]
    gaps = []
    for width in progress_bar(training_widths, desc="training", unit=" widths", show=progress):
        net = finite.network(setup.spec, x.shape[1:], width=width)
        gaps.append([_gap(net, net.init(key), x, y, theta, train, test, times) for key in keys[:training_seeds]])

    settings = {
        "case": case,
        "network": repr(setup.spec),
        "data": "scikit-learn digits, odd against even",
        "n_train": n_train,
        "n_test": n_test,
        "seed": seed,
        "seeds": seeds,
        "training_seeds": training_seeds,
        "engine": kfn.engine.name,
    }
    results = {
        "widths": widths,
        "kernel_distance": distances,
        "slope": slope,
        "slope_standard_error": standard_error,
        "times": times,
        "training_widths": training_widths,
        "training_distance": gaps,
    }
    return Record.make("equivalence", settings, results)


def _inputs(n: int) -> tuple[np.ndarray, np.ndarray]:
    images = load_digits()
    x = Standardiser.fit(images.x_train, scale=16.0).apply(images.x_train[:n], dtype=np.dtype("float32"))
    return x, np.where(images.y_train[:n] % 2 == 1, 1.0, -1.0).astype(np.float32)[:, None]


def _slope(widths: np.ndarray, distances: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    def fit(columns: np.ndarray) -> float:
        rms = np.sqrt(np.mean(np.square(distances[:, columns]), axis=1))
        return float(np.polyfit(np.log2(widths), np.log2(rms), 1)[0])

    n = distances.shape[1]
    draws = [fit(rng.integers(0, n, n)) for _ in range(500)]
    return fit(np.arange(n)), float(np.std(draws, ddof=1))


def _gap(
    net: finite.Network,
    params: finite.Params,
    x: np.ndarray,
    y: np.ndarray,
    theta: np.ndarray,
    train: slice,
    test: slice,
    times: np.ndarray,
) -> list[float]:
    """Return, for each time, the root mean square distance of trained network and closed form at test points."""
    f0: Any = np.asarray(net.apply(params, x), np.float64)
    trained = finite.train_flow(net, params, x[train], y[train], list(times), x_test=x[test])
    predicted = gradient_flow(theta[train, train], theta[test, train], y[train], times, f0[train], f0[test])
    assert trained.test is not None
    return np.sqrt(np.mean(np.square(trained.test - predicted.test), axis=(1, 2))).tolist()
