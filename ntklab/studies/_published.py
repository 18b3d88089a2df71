"""Published accuracies to stand beside ours: figures with their source, nothing else."""

from __future__ import annotations

from typing import NamedTuple

from ntklab.spec.zoo import Pooling


class Published(NamedTuple):
    """A number of the literature, in percent, with the name it has there, its source, and its spread if it has one."""

    accuracy: float
    name: str
    source: str
    spread: float | None = None


_CNTK_NAMES = {"none": "CNTK-V", "gap": "CNTK-GAP"}
_TABLE_1 = "Arora et al. 2019 (arXiv 1904.11955), Table 1"
_FULL = {
    "none": {3: 64.47, 4: 65.52, 6: 66.03, 11: 65.90, 21: 64.09},
    "gap": {3: 70.47, 4: 75.93, 6: 76.73, 11: 77.43, 21: 77.08},
}
_2K = {
    "none": {3: 40.94, 4: 42.54, 6: 43.43, 11: 43.42, 21: 42.53},
    "gap": {3: 49.71, 4: 51.06, 6: 51.73, 11: 51.92, 21: 52.22},
}
_CNN = {
    "none": {3: 59.97, 4: 60.20, 6: 64.11, 11: 69.48, 21: 75.57},
    "gap": {3: 63.81, 4: 80.93, 6: 83.75, 11: 82.92, 21: 83.30},
}
_TABLE_2 = "Arora et al. 2019 (arXiv 1904.11955), Table 2"
# CNTK-GAP of depth 3 is left out: 71.05 there does not fit its column.
_CIFAR2 = {
    "none": {3: 92.15, 4: 92.80, 6: 93.10, 11: 93.05, 21: 91.95},
    "gap": {4: 94.50, 6: 95.25, 11: 95.40, 21: 95.70},
}
_SMALL = "Arora et al. 2019b (arXiv 1910.01663), small-data CIFAR-10, mean over random class-balanced subsets"
_CNTK = {
    5: {10: 15.08, 20: 18.03, 40: 20.83, 80: 24.82, 160: 29.63, 320: 35.26, 640: 41.24},
    8: {10: 15.24, 20: 18.50, 40: 21.07, 80: 25.18, 160: 30.17, 320: 36.05, 640: 42.10},
    11: {10: 15.31, 20: 18.69, 40: 21.23, 80: 25.40, 160: 30.46, 320: 36.44, 640: 42.44},
    14: {10: 15.33, 20: 18.79, 40: 21.34, 80: 25.48, 160: 30.48, 320: 36.57, 640: 42.63, 1280: 48.86},
}
_SPREAD_14 = {10: 2.43, 20: 2.13, 40: 1.91, 80: 1.91, 160: 1.17, 320: 0.88, 640: 0.68, 1280: 0.68}

UCI = Published(81.95, "NTK with support vectors, mean of 90 sets", "Arora et al. 2019b (arXiv 1910.01663)")
LAP = Published(
    89.0,
    "CNN-GP with local pooling, mirror images and random patches, 50,000 training images",
    "Li et al. 2019 (arXiv 1911.00809)",
)


def published_cifar10(depth: int, pooling: Pooling, n_train: int) -> Published | None:
    """Return the published accuracy for this kernel and training size, or None.

    The ``-2K`` columns do not say which 2,000 images; the small-data rows are CNTK-GAP with 5 to 14 layers.
    """
    name = _CNTK_NAMES[pooling]
    if n_train == 50_000 and depth in _FULL[pooling]:
        return Published(_FULL[pooling][depth], name, _TABLE_1)
    if n_train == 2_000 and depth in _2K[pooling]:
        return Published(_2K[pooling][depth], f"{name}-2K", _TABLE_1)
    if pooling == "gap" and n_train in _CNTK.get(depth, {}):
        spread = _SPREAD_14[n_train] if depth == 14 else None
        return Published(_CNTK[depth][n_train], f"CNTK, {depth} layers", _SMALL, spread)
    return None


def published_cifar2(depth: int, pooling: Pooling, n_train: int) -> Published | None:
    """Return the published accuracy on the first two classes, all 10,000 training images of them, or None."""
    if n_train != 10_000 or depth not in _CIFAR2[pooling]:
        return None
    return Published(_CIFAR2[pooling][depth], _CNTK_NAMES[pooling], _TABLE_2)


def published_cnn(depth: int, pooling: Pooling) -> Published | None:
    """Return the published accuracy of the finite network, 1,024 channels and all 50,000 images, or None."""
    if depth not in _CNN[pooling]:
        return None
    return Published(_CNN[pooling][depth], "CNN-GAP" if pooling == "gap" else "CNN-V", _TABLE_1)
