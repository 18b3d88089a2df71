"""Networks and inputs on which engines and oracles are compared, and the comparison."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from ntklab.engine import KernelFn
from ntklab.spec import Conv, Flatten, GlobalAvgPool, Layer, Padding, Relu, Serial, zoo
from ntklab.testing._compare import Difference, largest_difference


def made_up_inputs(count: int, input_shape: Sequence[int]) -> Float[np.ndarray, "count *input_shape"]:
    """Return inputs that look random and are the same everywhere: ``cos(0.37 k^2 + 1.1 k)`` of a running index.

    Rounded to multiples of 1/1024, so that float32 holds them exactly and no mathematics library matters.

    Examples
    --------
    >>> made_up_inputs(2, (3,))
    array([[ 1.        ,  0.10058594, -0.85839844],
           [ 0.94042969, -0.625     , -0.57519531]])
    """
    k = np.arange(count * math.prod(input_shape), dtype=np.float64)
    return (np.round(1024.0 * np.cos(0.37 * k * k + 1.1 * k)) / 1024.0).reshape((count, *input_shape))


@dataclass(frozen=True)
class Case:
    """A network and how many inputs of which shape it is compared on."""

    name: str
    network: Layer
    input_shape: tuple[int, ...]
    count: int

    @property
    def inputs(self) -> Float[np.ndarray, "count *input_shape"]:
        """The inputs, float64 and exact in float32."""
        return made_up_inputs(self.count, self.input_shape)


def cntk_cases(size: int, count: int) -> tuple[Case, ...]:
    """Return the CNTKs of Arora et al. 2019 with 3, 6 and 11 layers, both poolings, on ``size x size x 3``."""
    return tuple(
        Case(f"cntk({depth}, {pooling!r}) on {size}x{size}x3", zoo.cntk(depth, pooling), (size, size, 3), count)
        for depth, pooling in itertools.product((3, 6, 11), ("none", "gap"))
    )


def window_cases(input_shape: tuple[int, int, int] = (6, 7, 2), count: int = 3) -> tuple[Case, ...]:
    """Return networks of two convolutions with biases: all paddings x strides x odd and even filters x readouts."""
    cases = []
    for padding, strides, filters, readout in itertools.product(
        get_args(Padding), ((1, 1), (1, 2), (2, 2)), ((3, 3), (3, 2), (2, 1)), (Flatten(), GlobalAvgPool())
    ):
        conv = Conv(filters, strides=strides, padding=padding, W_std=1.3, b_std=0.3)
        second = Conv(filters, padding=padding, W_std=1.3, b_std=0.3)
        if padding == "VALID" and strides == (2, 2):
            second = Conv((2, 1), padding=padding, W_std=1.3, b_std=0.3)
        name = f"{padding} filters {filters} strides {strides} {type(readout).__name__}"
        cases.append(Case(name, Serial(conv, Relu(), second, Relu(), readout), input_shape, count))
    return tuple(cases)


@dataclass(frozen=True)
class Agreement:
    """How far a kernel is from what an oracle says, worst entry first."""

    case: Case
    engine: str
    dtype: str
    nngp: Difference
    ntk: Difference

    @property
    def error(self) -> float:
        """The larger of both errors."""
        return max(self.nngp.error, self.ntk.error)

    def __str__(self) -> str:
        """Return three lines: who, NNGP, NTK."""
        return f"{self.case.name}, {self.engine}, {self.dtype}\n  nngp: {self.nngp}\n  ntk:  {self.ntk}"


def agreement(case: Case, kernel_fn: KernelFn, expected: tuple[Any, Any]) -> Agreement:
    """Compute the case's symmetric kernels and compare every entry, diagonal included.

    Parameters
    ----------
    case : Case
    kernel_fn : KernelFn
        Compiled from ``case.network`` with both kernels.
    expected : pair of array
        NNGP and NTK of ``case.inputs`` as an oracle sees them.
    """
    kernel = kernel_fn(case.inputs)
    return Agreement(
        case,
        kernel_fn.engine.name,
        kernel_fn.dtype.name,
        largest_difference(kernel.nngp, expected[0]),
        largest_difference(kernel.ntk, expected[1]),
    )
