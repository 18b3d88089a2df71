"""The networks that the engine benchmarks time, on CIFAR-10's images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ntklab.spec import Conv, Dense, Layer, Serial, zoo


@dataclass(frozen=True)
class Workload:
    """A network, the shape in which it reads an image, and how many images its error is measured on."""

    network: Layer
    shape: tuple[int, ...]
    images: int
    rival_images: int = 0
    """As many as neural-tangents has time for, where it is slow; 0: all."""
    whole: int = 0
    """Images of one symmetric Gram matrix, timed as a whole; 0: blocks of pairs, as large as they need to be."""


IMAGE = (32, 32, 3)
WORKLOADS = {
    "plain_cnn(21, gap)": Workload(zoo.plain_cnn(21, "gap"), IMAGE, 6, 2),
    "cntk(11, gap)": Workload(zoo.cntk(11, "gap"), IMAGE, 8, 2),
    "plain_cnn(21, none)": Workload(zoo.plain_cnn(21, "none"), IMAGE, 40),
    "cntk(6, none)": Workload(zoo.cntk(6, "none"), IMAGE, 60),
    "myrtle(5)": Workload(zoo.myrtle(5), IMAGE, 8, 3),
    "myrtle(7)": Workload(zoo.myrtle(7), IMAGE, 8, 3),
    "myrtle(10)": Workload(zoo.myrtle(10), IMAGE, 6, 3),
    "fc(5)": Workload(zoo.fc(5), (3072,), 200, whole=4000),
}


def trained(network: Any) -> Any:
    """Return the network with every layer trained: neural-tangents has no untrained ones."""
    if isinstance(network, Serial):
        return Serial(*map(trained, network.layers))
    return replace(network, trainable=True) if isinstance(network, Conv | Dense) else network
