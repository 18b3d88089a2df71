"""Empirical kernels against neural-tangents' own code, recorded by benchmarks/empirical_golden.py."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.finite import Params, empirical_nngp, empirical_ntk, network
from ntklab.spec import Conv, Dense, GlobalAvgPool, Relu, Serial

NETWORKS = {
    "dense": (
        Serial(Dense(6, W_std=1.4, b_std=0.5), Relu(), Dense(5), Relu(), Dense(3)),
        (4,),
    ),
    "convolutional": (
        Serial(
            Conv((3, 2), 4, strides=(2, 1), W_std=1.2, b_std=0.3, padding="SAME"),
            Relu(),
            Conv(2, 3, W_std=1.1, padding="CIRCULAR"),
            Relu(),
            GlobalAvgPool(),
            Dense(2, W_std=0.9, b_std=0.1),
        ),
        (5, 4, 2),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_kernels_are_those_of_neural_tangents_for_every_treatment_of_outputs(name):
    with np.load(Path(__file__).parent / "empirical_golden.npz") as file:
        golden = {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}
    weights: dict[str, dict] = {}
    for key, value in golden.items():
        if key[0].isdigit():
            layer, word = key.split("/")
            weights.setdefault(layer, {})[word] = jnp.asarray(value)
    net = network(*NETWORKS[name], dtype="float64")
    arguments = net, Params(weights, {}), golden["x1"], golden["x2"]
    for outputs in ("full", "mean", "diagonal"):
        found = {
            "nngp": empirical_nngp(*arguments, outputs=outputs),
            "ntk": empirical_ntk(*arguments, outputs=outputs),  # that the methods agree is shown elsewhere
        }
        for kernel, ours in found.items():
            theirs = golden[f"{kernel}/{outputs}"]
            # in float64, next to the largest entry: two orders of the same sums
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * np.abs(theirs).max())
