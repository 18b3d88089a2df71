"""From lazy to rich training: how far the tangent kernel moves, against the scale of the output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from ntklab import finite
from ntklab._core import Record, progress_bar
from ntklab.errors import InputError, SolveError
from ntklab.predict import gradient_flow
from ntklab.spec import Dense, Flatten, Gelu, Serial
from ntklab.studies._equivalence import odd_digits
from ntklab.studies._kept import kept

ALPHAS = tuple(2.0**k for k in range(-3, 5))
NETWORK = Serial(Flatten(), Dense(W_std=1.5), Gelu(), Dense(W_std=1.5), Gelu(), Dense(W_std=1.5))
"""Smooth, as the theory has it: paths of ReLU networks run along the jumps of its derivative, in ever smaller steps."""
LEFT = 1e-3
"""Training ends where this share of the targets is left."""


def lazy(
    *,
    alphas: Sequence[float] = ALPHAS,
    width: int = 256,
    seeds: int = 4,
    n_train: int = 10,
    n_test: int = 50,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    r"""Return how far training moves the tangent kernel of one network, against the scale of its output.

    The model of Chizat, Oyallon and Bach 2019, :math:`\alpha\,(f_\theta(x) - f_{\theta_0}(x))` with three dense layers
    and GELU, learns whether a digit is odd (+-1) by gradient flow. Its kernel is :math:`\alpha^2 \Theta`, so time runs
    :math:`\alpha^2` times as fast, and parameters need to move by :math:`1/\alpha` only. For large :math:`\alpha`
    training is lazy, the distances fall like :math:`1/\alpha`, and the network becomes its linearisation; for small
    :math:`\alpha` it learns features.

    Recorded for each :math:`\alpha` and seed, where the root mean square distance from the targets has fallen to 0.1 %:

    - *kernel moved*: :math:`\lVert\Theta_t - \Theta_0\rVert_F / \lVert\Theta_0\rVert_F` on training and test inputs;
    - *from linear*: root mean square distance of the outputs at test points from those of the linearised network at
      infinite time;
    - *residual*: root mean square distance of the outputs at training points from the targets;
    - *accuracy* at the test points, and *steps* of the integrator.

    Parameters
    ----------
    alphas : sequence of float
        At least two; by default from 1/8 to 16.
    width, seeds : int
        Of the hidden layers; random networks per scale.
    store : path, optional
        A directory for each trained network: a run that was stopped goes on from there.

    Returns
    -------
    Record
        ``slope`` is that of kernel moved against :math:`\alpha` over the upper half of the scales; theory: -1.

    Raises
    ------
    InputError
        Fewer than two scales, or a scale that is not positive.
    DataError
        ``store`` has results of other settings.
    SolveError
        A network did not get there in four times the time that its linearisation takes, or 200,000 steps.

    References
    ----------
    Chizat, Oyallon, Bach 2019, "On Lazy Training in Differentiable Programming".
    """
    if len(alphas) < 2 or not all(0 < alpha < np.inf for alpha in alphas) or sorted(set(alphas)) != list(alphas):
        raise InputError(f"alphas are at least two positive numbers, increasing, got {tuple(alphas)}.")
    if seeds < 1:
        raise InputError(f"seeds is at least 1, got {seeds}.")
    x, y = odd_digits(n_train + n_test)
    net = finite.network(NETWORK, x.shape[1:], width=width)
    keys = jax.random.split(jax.random.key(seed), seeds)

    def training(alpha: float, number: int) -> dict[str, Any]:
        start = net.init(keys[number])
        before = finite.empirical_ntk(net, start, x).astype(np.float64)
        k_train, k_test = before[:n_train, :n_train], before[n_train:, :n_train]
        latest = 4.0 * np.log(1.0 / LEFT) / np.linalg.eigvalsh(k_train)[0] / alpha**2
        model = Partial(_Scaled(net), start.frozen, start.trainable, np.float32(alpha))
        path = finite.train_flow(
            model,
            start.trainable,
            x[:n_train],
            y[:n_train],
            [latest],
            x_test=x[n_train:],
            until=0.5 * np.sum(np.square(LEFT * y[:n_train])),
            max_steps=200_000,
        )
        if path.end >= latest:
            raise SolveError(
                f"At alpha = {alpha:g}, network {number} had not learnt its labels by time {latest:g}: its kernel has "
                "become smaller. Take larger scales, a larger width or another seed."
            )
        after = finite.empirical_ntk(net, finite.Params(path.params, start.frozen), x)
        zeros = np.zeros_like(y)
        linear = gradient_flow(k_train, k_test, y[:n_train], np.inf, zeros[:n_train], zeros[n_train:])
        assert path.test is not None
        return {
            "kernel_moved": np.linalg.norm(after - before) / np.linalg.norm(before),
            "from_linear": _rms(path.test[-1] - linear.test),
            "residual": _rms(path.train[-1] - y[:n_train]),
            "accuracy": 100.0 * np.mean((path.test[-1] > 0) == (y[n_train:] > 0)),
            "steps": path.steps,
        }

    # The stiffest last: a run that is stopped has most of the curve.
    runs = [(alpha, number) for alpha in reversed(alphas) for number in range(seeds)]
    shared = {"width": width, "n_train": n_train, "n_test": n_test, "seed": seed, "seeds": seeds}
    found: dict[tuple[float, int], dict[str, Any]] = {}
    for alpha, number in progress_bar(runs, desc="lazy to rich", unit=" networks", show=progress):
        part = {**shared, "alpha": float(alpha), "number": number}
        run = partial(training, alpha, number)
        found[alpha, number] = kept(store, f"lazy-{alpha:g}-{number}", "lazy-training", part, run)
    names = ("kernel_moved", "from_linear", "residual", "accuracy", "steps")
    table = {name: np.array([[found[a, i][name] for i in range(seeds)] for a in alphas]) for name in names}
    half = len(alphas) // 2
    moved = np.log(np.sqrt(np.mean(np.square(table["kernel_moved"]), axis=1)))
    slope = float(np.polyfit(np.log(alphas[-max(half, 2) :]), moved[-max(half, 2) :], 1)[0])
    settings = {**shared, "network": repr(NETWORK), "data": "scikit-learn digits, odd against even"}
    return Record.make("lazy", settings, {"alphas": alphas, "slope": slope, **table})


@dataclass(frozen=True)
class _Scaled:
    """alpha times how far the outputs are from those at the start; equal ones are equal functions."""

    net: finite.Network

    def __call__(
        self, frozen: Any, start: Any, alpha: Float[Array, ""], trainable: Any, x: Float[Array, "n ..."]
    ) -> Float[Array, "n outputs"]:
        moved = self.net.apply(finite.Params(trainable, frozen), x)
        return alpha * (moved - self.net.apply(finite.Params(start, frozen), x))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
