"""CNN-V and CNN-GAP of Arora et al. 2019 beside CNTK-V and CNTK-GAP: the finite columns of the paper's table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from ntklab import finite
from ntklab._core import Record, progress_bar
from ntklab.data import ImageData, Standardiser, load_cifar10, subset
from ntklab.engine import compile
from ntklab.errors import InputError, SolveError
from ntklab.gram import gram
from ntklab.predict import accuracy, encode, fit, gradient_flow
from ntklab.spec import zoo
from ntklab.studies._kept import kept
from ntklab.studies._published import published_cifar10, published_cnn
from ntklab.studies._statistics import mean_and_spread

MATRICES = ("k_train", "k_test")
"""What a kernel's part has beside what the record shows."""
ROWS = 256
"""Images that go through a network at once where no gradient is taken."""


def cnn(
    data: str | os.PathLike[str],
    *,
    depths: Sequence[int] = (3,),
    poolings: Sequence[zoo.Pooling] = ("none", "gap"),
    channels: Sequence[int] = (8, 32),
    n_train: int = 100,
    n_test: int = 500,
    kappa: float = 0.2,
    rates: Sequence[float] = (0.4,),
    epochs: int = 100,
    batch: int = 25,
    trials: int = 2,
    seed: int = 0,
    engine: str = "auto",
    store: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Record:
    r"""Return the CIFAR-10 accuracy of trained CNN-V and CNN-GAP, and of CNTK-V and CNTK-GAP on the same images.

    The finite networks are those of :func:`ntklab.spec.zoo.cntk` (CNN-GAP trains neither its first nor its last layer,
    as its kernel), in NTK parameterisation, their outputs times :math:`\kappa`: weights start as unit Gaussians, and
    the function at the start is small. Images, labels (0.9 / -0.1) and kernel regression are those of
    :func:`ntklab.studies.cifar10`.

    Training: SGD without momentum on half the sum of squares over images and classes, whose flow the kernel describes.
    A rate is a share of the largest stable one of gradient descent, :math:`2 / (\kappa^2 \lambda_1)`, by the largest
    eigenvalue of the closed-form kernel. As in the paper, the rate with the best mean over trials stands for a network,
    chosen by test accuracy.

    Beside each network stands its kernel stopped at the same time: gradient flow from the network's own start to the
    learning rate times the number of steps, in closed form. CNTK-GAP has eigenvalues of very different size, so that
    most of what it can fit takes thousands of epochs: a network on its way is to be compared with its kernel there.

    Parameters
    ----------
    data : path
        What :func:`ntklab.data.load_cifar10` reads.
    depths, poolings, channels
        Rows and columns of the table: layers with weights, ``"none"`` (V) and ``"gap"``, channels of the convolutions.
    n_train, n_test : int
        Training images, a class-balanced draw, and test images from the first.
    kappa : float
        Scale of the outputs. At 1 the function at the start is as large as the labels, and adds its noise to the
        predictions; the smaller, the further narrow networks must move, away from their kernel.
    rates : sequence of float
        Between 0 and 1.
    epochs, batch, trials : int
        Passes through the training images, images per step, random networks (and orders of images) per rate.
    seed : int
        Of the draw of images and of the networks.
    store : path, optional
        A directory for each kernel and each trained network: a run that was stopped goes on from there.

    Returns
    -------
    Record
        A row per network: accuracies of trials by rate, training error left, the kernel's accuracy at the end of all
        time and, for each trained network, stopped where that is, published numbers;
        and ``differences``, what separates ours from the published ones.

    Raises
    ------
    InputError
        Settings that do not fit.
    DataError
        Files that are missing, or a ``store`` of other settings.
    SolveError
        At every rate, training left the finite numbers: take smaller ones.

    References
    ----------
    Arora, Du, Hu, Li, Salakhutdinov, Wang 2019, "On Exact Computation with an Infinitely Wide Neural Net", section 5.
    """
    if set(poolings) - {"none", "gap"}:
        raise InputError(f'poolings are some of "none" and "gap", got {", ".join(poolings)}.')
    _check(depths, poolings, channels, rates, kappa, epochs, trials)
    images = load_cifar10(data)
    standardiser, part = Standardiser.fit(images.x_train), subset(images, n_train, n_test, seed=seed)
    kinds: list[tuple[int, zoo.Pooling]] = [(depth, pooling) for depth in depths for pooling in poolings]
    shared = {"data": images.source, "n_train": n_train, "n_test": n_test, "seed": seed}
    kernels = {}
    for depth, pooling in progress_bar(kinds, desc="kernels", unit=" kernels", show=progress):
        run = partial(_kernel, depth, pooling, part, standardiser, engine, progress)
        settings = {**shared, "depth": depth, "pooling": pooling, "engine": engine}
        kernels[depth, pooling] = kept(store, f"cntk-{pooling}-{depth}", "cntk", settings, run)
    runs = [
        (*kind, width, rate, trial) for kind in kinds for width in channels for rate in rates for trial in range(trials)
    ]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for depth, pooling, width, rate, trial in progress_bar(runs, desc="networks", unit=" networks", show=progress):
        learning_rate = 2.0 * rate / (kappa**2 * kernels[depth, pooling]["largest_eigenvalue"])
        training = _Training(depth, pooling, width, learning_rate, trial, seed, kappa, epochs, batch)
        matrices = [kernels[depth, pooling][name] for name in MATRICES]
        run = partial(_train, training, part, standardiser, matrices)
        name = f"cnn-{pooling}-{depth}-{width}-{rate:g}-{trial}"
        found[depth, pooling, width, rate, trial] = kept(store, name, "cnn-training", shared | asdict(training), run)
    rows = []
    for depth, pooling in kinds:
        theirs = {"cnn": published_cnn(depth, pooling), "cntk": published_cifar10(depth, pooling, 50_000)}
        row = {
            "depth": depth,
            "pooling": pooling,
            "kernel": {name: value for name, value in kernels[depth, pooling].items() if name not in MATRICES},
            "published": {name: value._asdict() if value else None for name, value in theirs.items()},
            "networks": [],
        }
        for width in channels:
            by_rate = {r: [found[depth, pooling, width, r, trial] for trial in range(trials)] for r in rates}
            stable = {r: part for r, part in by_rate.items() if not any("diverged" in run for run in part)}
            if not stable:
                raise SolveError(
                    f"Every rate of {', '.join(f'{r:g}' for r in rates)} led a network of depth {depth}, pooling "
                    f'"{pooling}", {width} channels out of the finite numbers. Take smaller ones, or a larger kappa.'
                )
            found_by = {r: mean_and_spread([run["accuracy"] for run in part]) for r, part in stable.items()}
            best = max(found_by, key=lambda r: found_by[r]["mean"])
            chosen = {"channels": width, "rate": best, **found_by[best]}
            row["networks"].append({**chosen, "runs": [{"rate": r, "trials": by_rate[r]} for r in rates]})
        rows.append(row)
    settings = {**shared, "kappa": kappa, "epochs": epochs, "batch": batch, "depths": depths, "poolings": poolings}
    settings |= {"channels": channels, "rates": rates, "trials": trials}
    differences = [
        f"50,000 training and 10,000 test images there, {n_train:,} and {n_test:,} here",
        f"1,024 channels there, {', '.join(map(str, channels))} here",
        f"kappa is 0.05 there and {kappa:g} here, and there CNN-V sums over positions where we take means",
        "learning rates 0.1, 1 and 10 there, best mean of three trials; here shares of the largest stable rate, "
        f"{', '.join(f'{r:g}' for r in rates)}, best mean of {trials}",
        f"here {epochs} epochs of SGD in batches of {batch} on squares; the number of epochs there is not known to us",
    ]
    return Record.make("cnn", settings, {"rows": rows, "differences": differences})


def _check(
    depths: Sequence[int],
    poolings: Sequence[str],
    channels: Sequence[int],
    rates: Sequence[float],
    kappa: float,
    epochs: int,
    trials: int,
) -> None:
    if not (depths and poolings and channels and rates):
        raise InputError("depths, poolings, channels and rates each need one value at least.")
    if not all(0 < rate < 1 for rate in rates) or not 0 < kappa < np.inf:
        raise InputError(f"Rates are between 0 and 1 and kappa is positive, got {tuple(rates)} and {kappa}.")
    if epochs < 1 or trials < 1:
        raise InputError(f"epochs and trials are at least 1, got {epochs} and {trials}.")


def _kernel(
    depth: int, pooling: zoo.Pooling, part: ImageData, standardiser: Standardiser, engine: str, progress: bool
) -> dict[str, Any]:
    """Return the closed-form kernel with its largest eigenvalue, and its accuracy by regression without ridge."""
    kfn = compile(zoo.cntk(depth, pooling), part.image_shape, engine=engine, get=("ntk",))
    x_train, x_test = (standardiser.apply(x, dtype=kfn.dtype) for x in (part.x_train, part.x_test))
    k_train = gram(kfn, x_train, progress=progress).ntk
    k_test = gram(kfn, x_test, x_train, progress=progress).ntk
    scores = fit(k_train, encode(part.y_train, "arora", len(part.class_names))).predict(k_test)
    found = {
        "accuracy": 100.0 * accuracy(scores, part.y_test),
        "largest_eigenvalue": np.linalg.eigvalsh(np.asarray(k_train, np.float64))[-1],
        "engine": kfn.engine.name,
    }
    return {**found, **dict(zip(MATRICES, (k_train, k_test), strict=True))}


@dataclass(frozen=True)
class _Training:
    """One network and how it is trained."""

    depth: int
    pooling: zoo.Pooling
    channels: int
    learning_rate: float
    trial: int
    seed: int
    kappa: float
    epochs: int
    batch: int


def _train(
    training: _Training, part: ImageData, standardiser: Standardiser, kernels: Sequence[ArrayLike]
) -> dict[str, Any]:
    """Return what one network learned, and what its kernel learns from the same start to the same time."""
    classes = len(part.class_names)
    net = finite.network(
        zoo.cntk(training.depth, training.pooling), part.image_shape, width=training.channels, outputs=classes
    )
    x_train, x_test = (standardiser.apply(x, dtype=np.dtype("float32")) for x in (part.x_train, part.x_test))
    targets = encode(part.y_train, "arora", classes)
    weights, order = jax.random.split(jax.random.fold_in(jax.random.key(training.seed), training.trial))
    params = net.init(weights)
    model = Partial(_Scaled(net), params.frozen, np.float32(training.kappa))
    size = min(training.batch, len(x_train))
    steps = training.epochs * (len(x_train) // size)
    try:
        path = finite.train_sgd(
            model,
            params.trainable,
            x_train,
            targets,
            training.learning_rate,
            steps,
            batch=size,
            key=order,
            x_test=x_test,
            record_every=steps,
        )
    except SolveError:
        return {"diverged": True}
    assert path.test is not None
    k_train, k_test = (training.kappa**2 * np.asarray(kernel) for kernel in kernels)
    closed = gradient_flow(k_train, k_test, targets, path.end, path.train[0], path.test[0])
    return {
        **_learned(path.train[-1], path.test[-1], part, targets),
        "kernel": _learned(closed.train, closed.test, part, targets),
        "steps": steps,
        "learning_rate": training.learning_rate,
        "learning_rate_of_mean": training.learning_rate * len(x_train),
    }


def _learned(
    train: Float[np.ndarray, "n C"], test: Float[np.ndarray, "m C"], part: ImageData, targets: Float[np.ndarray, "n C"]
) -> dict[str, float]:
    """Return accuracies and the share of the targets that is left."""
    return {
        "accuracy": 100.0 * accuracy(test, part.y_test),
        "train_accuracy": 100.0 * accuracy(train, part.y_train),
        "residual": float(np.linalg.norm(train - targets) / np.linalg.norm(targets)),
    }


@dataclass(frozen=True)
class _Scaled:
    """A network times kappa, in portions of images; equal ones are equal functions."""

    net: finite.Network

    def __call__(
        self, frozen: Any, kappa: Float[Array, ""], trainable: Any, x: Float[Array, "n ..."]
    ) -> Float[Array, "n outputs"]:
        def one(image: Float[Array, "..."]) -> Float[Array, "outputs"]:
            return self.net.apply(finite.Params(trainable, frozen), image[None])[0]

        if len(x) > ROWS:  # only where no gradient is taken: batches are smaller
            return kappa * jax.lax.map(one, x, batch_size=ROWS)
        return kappa * self.net.apply(finite.Params(trainable, frozen), x)
