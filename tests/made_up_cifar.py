"""A file in the layout of the exact CIFAR-10 subset, of images that are made up."""

import numpy as np


def write(folder, train, test, names):
    """Write images and labels, ``train`` and ``test`` being pairs of them; return the folder."""
    arrays = {}
    for part, (x, y) in {"train": train, "test": test}.items():
        arrays |= {f"x_{part}": x, f"y_{part}": y.astype(np.uint8), f"index_{part}": np.arange(len(x))}
    np.savez(folder / "cifar10-exact-subset.npz", **arrays, class_names=np.array(names))
    return folder


def noisy_classes(folder, n_train, n_test, noise, faint=1):
    """Write ten classes in turn, each a pattern, divided by ``faint``, with noise on top; return the folder."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (10, 32, 32, 3)) // faint

    def images(count):
        labels = np.arange(count) % 10
        return (patterns[labels] + rng.integers(0, noise, (count, 32, 32, 3))).astype(np.uint8), labels

    return write(folder, images(n_train), images(n_test), [f"class{i}" for i in range(10)])
