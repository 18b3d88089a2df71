"""Do wide finite networks do what the closed form says? Kernel at initialisation, predictions through training."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from ntklab import finite
from ntklab._core import Record, progress_bar
from ntklab.data import Standardiser, load_digits
from ntklab.engine import compile
from ntklab.errors import InputError
from ntklab.predict import gradient_flow
from ntklab.spec import Dense, Flatten, Layer, Relu, Residual, Serial, zoo
from ntklab.studies._kept import kept

Case = Literal["fc", "cnn", "gap", "residual"]
KERNEL_INPUTS = 30
TIMES = ("1", "10", "100", "inf")


class _Setup(NamedTuple):
    """A network, and the widths at which it is compared; training is dearer than one Jacobian."""

    spec: Layer
    kernel_widths: tuple[int, ...]
    training_widths: tuple[int, ...]


_BLOCKS = (Residual(Relu(), Dense(W_std=zoo.HE)),) * 2
_SETUPS: dict[Case, _Setup] = {
    "fc": _Setup(zoo.fc(3), (64, 128, 256, 512, 1024, 2048), (64, 128, 256, 512, 1024)),
    "cnn": _Setup(zoo.cntk(3, "none"), (16, 32, 64, 128, 256, 512), (4, 8, 16, 32)),
    # Its kernel is so ill-conditioned that a network of 32 channels takes many minutes to its end.
    "gap": _Setup(zoo.cntk(3, "gap"), (16, 32, 64, 128, 256, 512), (4, 8, 16)),
    "residual": _Setup(
        Serial(Flatten(), Dense(), *_BLOCKS, Relu(), Dense(W_std=zoo.HE)),
        (64, 128, 256, 512, 1024, 2048),
        (64, 128, 256, 512, 1024),
    ),
}


def equivalence(
    case: Case = "fc",
    *,
    widths: tuple[int, ...] | None = None,
    training_widths: tuple[int, ...] | None = None,
    seeds: int = 32,
    training_seeds: int = 8,
    n_train: int = 10,
    n_test: int = 100,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    r"""Return how far finite networks are from the closed form, against their width.

    Three comparisons on a few of scikit-learn's digits, the label being whether the digit is odd (+-1):

    - *kernel*: relative Frobenius distance of the empirical NTK of a random network from the closed form, on the
      first 30 digits at most.
    - *predictions*: networks trained by gradient flow to times t, against
      :math:`f_t = f_0 + \Theta_* \Theta^{-1} (1 - e^{-\Theta t}) (y - f_0)` with the closed-form kernel and the
      network's own :math:`f_0`; root mean square over test points (targets +-1).
    - *accuracy* on the test points, of the same networks and of :math:`f_t`.

    Distances fall like ``width**-0.5``. Slopes of log-log lines through the root mean squares over seeds are
    reported with standard errors and 95 % intervals from a bootstrap over the seeds. The finite networks
    share nothing with the closed form but the spec.

    Parameters
    ----------
    case : {"fc", "cnn", "gap", "residual"}
        Three dense layers; CNTK-V and CNTK-GAP of two convolutions and a dense layer; a dense layer, two residual
        blocks and a dense layer.
    widths, training_widths : tuple of int, optional
        Default: five doublings for the kernel, two to four for training.
    seeds, training_seeds : int
        Random networks per width.
    store : path, optional
        A directory for each width's kernels and each trained network: a run that was stopped goes on from there.

    Returns
    -------
    Record
        ``times`` are 1, 10 and 100 over the largest eigenvalue of the closed form, and one at which 0.1 % of the
        slowest direction is left: there networks are compared with the closed form at infinity.

    Raises
    ------
    InputError
        Fewer than two widths or seeds, or more digits than there are.
    DataError
        ``store`` has results of other settings.
    """
    if case not in _SETUPS:
        raise InputError(f"case is one of {', '.join(get_args(Case))}, got {case!r}.")
    setup = _SETUPS[case]
    widths, training_widths = widths or setup.kernel_widths, training_widths or setup.training_widths
    if len(widths) < 2 or len(training_widths) < 2:
        raise InputError(f"A slope needs two widths, got widths {widths} and training_widths {training_widths}.")
    if seeds < 2 or training_seeds < 2:
        raise InputError(f"An interval needs two seeds, got {seeds} seeds and {training_seeds} training_seeds.")
    x, y = odd_digits(n_train + n_test)
    few, train, test = slice(0, min(KERNEL_INPUTS, len(x))), slice(0, n_train), slice(n_train, None)
    kfn = compile(setup.spec, x.shape[1:], get=("ntk",))
    theta = np.asarray(kfn(x[few]).ntk, np.float64)
    k_train = np.asarray(kfn(x[train]).ntk, np.float64)
    k_test = np.asarray(kfn(x[test], x[train]).ntk, np.float64)
    rates = np.linalg.eigvalsh(k_train)
    # exp(-7) is 0.1 %; never before the time that comes first in the list.
    times = np.array([1.0, 10.0, 100.0, max(7.0 * rates[-1] / rates[0], 200.0)]) / rates[-1]
    limits = np.array([*times[:-1], np.inf])
    keys = jax.random.split(jax.random.key(seed), max(seeds, training_seeds))

    def kernels(width: int) -> dict[str, Any]:
        net = finite.network(setup.spec, x.shape[1:], width=width)
        empirical = (finite.empirical_ntk(net, net.init(key), x[few]) for key in keys[:seeds])
        return {"distance": [np.linalg.norm(found - theta) / np.linalg.norm(theta) for found in empirical]}

    def training(width: int, number: int) -> dict[str, Any]:
        net = finite.network(setup.spec, x.shape[1:], width=width)
        params = net.init(keys[number])
        f0 = np.asarray(net.apply(params, x), np.float64)
        trained = finite.train_flow(net, params, x[train], y[train], list(times), x_test=x[test], max_steps=200_000)
        closed = gradient_flow(k_train, k_test, y[train], limits, f0[train], f0[test]).test
        assert trained.test is not None
        distance = np.sqrt(np.mean(np.square(trained.test - closed), axis=(1, 2)))
        accuracies = (100.0 * np.mean((f > 0) == (y[test] > 0), axis=(1, 2)) for f in (trained.test, closed))
        return dict(zip(("distance", "accuracy", "predicted_accuracy"), (distance, *accuracies), strict=True))

    shared = {"case": case, "n_train": n_train, "n_test": n_test, "seed": seed}
    distances = []
    for width in progress_bar(widths, desc="kernel", unit=" widths", show=progress):
        part = {**shared, "width": width, "seeds": seeds}
        distances.append(kept(store, f"{case}-kernel-{width}", "kernels", part, partial(kernels, width))["distance"])
    runs = [(width, number) for width in training_widths for number in range(training_seeds)]
    found: dict[str, list[Any]] = {"distance": [], "accuracy": [], "predicted_accuracy": []}
    for width, number in progress_bar(runs, desc="training", unit=" networks", show=progress):
        # The keys of n networks are not the first n keys of more.
        part = {**shared, "width": width, "number": number, "keys": len(keys)}
        name = f"{case}-training-{width}-{number}"
        run = kept(store, name, "training", part, partial(training, width, number))
        for word, column in found.items():
            column.append(run[word])
    shaped = {word: np.reshape(column, (len(training_widths), training_seeds, -1)) for word, column in found.items()}

    rng = np.random.default_rng(seed)
    lines = [_slope(training_widths, shaped["distance"][:, :, t], rng) for t in range(len(times))]
    settings = {
        **shared,
        "network": repr(setup.spec),
        "data": "scikit-learn digits, odd against even",
        "seeds": seeds,
        "training_seeds": training_seeds,
        "engine": kfn.engine.name,
    }
    results = {
        "widths": widths,
        "kernel_distance": distances,
        **_slope(widths, np.asarray(distances), rng),
        "times": times,
        "time_names": TIMES,
        "training_widths": training_widths,
        "training_distance": shaped["distance"],
        "training_slopes": lines,
        "accuracy": shaped["accuracy"],
        "predicted_accuracy": shaped["predicted_accuracy"],
    }
    return Record.make("equivalence", settings, results)


def odd_digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n digits (n, 8, 8, 1), standardised, and labels (n, 1): +1 if odd, else -1."""
    images = load_digits()
    if n > len(images.x_train):
        raise InputError(f"There are {len(images.x_train)} digits; pass sizes that add up to fewer than {n}.")
    x = Standardiser.fit(images.x_train, scale=16.0).apply(images.x_train[:n], dtype=np.dtype("float32"))
    return x, np.where(images.y_train[:n] % 2 == 1, 1.0, -1.0).astype(np.float32)[:, None]


def _slope(widths: tuple[int, ...], distances: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Return the slope of the root mean squares over seeds, (width, seed), with its bootstrap error and interval."""

    def fit(columns: np.ndarray) -> float:
        rms = np.sqrt(np.mean(np.square(distances[:, columns]), axis=1))
        return float(np.polyfit(np.log2(widths), np.log2(rms), 1)[0])

    n = distances.shape[1]
    draws = [fit(rng.integers(0, n, n)) for _ in range(1000)]
    return {
        "slope": fit(np.arange(n)),
        "slope_standard_error": np.std(draws, ddof=1),
        "slope_interval": np.percentile(draws, [2.5, 97.5]),
    }
