"""Kernel values known to 16 digits, for `ntklab verify` on a new machine, device or JAX version.

Provenance: computed by the NumPy recursion of Arora et al. 2019 in ``tests/oracles/cntk_numpy.py``, which shares no
code with the package, in 80-bit floating point, and rounded to float64. ``tests/engine/test_golden.py`` computes
them again. Inputs are :func:`ntklab.testing.made_up_inputs`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ntklab.spec import AvgPool, Conv, Dense, GlobalAvgPool, Layer, Relu, Serial, zoo
from ntklab.testing._cases import made_up_inputs


class GoldenCase(NamedTuple):
    """A network, inputs, and the exact kernels of the inputs with themselves, rounded to float64."""

    name: str
    spec: Layer
    inputs: Float[np.ndarray, "n *shape"]
    nngp: Float[np.ndarray, "n n"]
    ntk: Float[np.ndarray, "n n"]


_SHAPE = (8, 8, 3)
_COUNT = 3

# Upper triangles, row by row: nngp, then ntk.
_VALUES: tuple[tuple[str, Layer, tuple[float, ...], tuple[float, ...]], ...] = (
    (
        "three dense layers with biases",
        zoo.fc(3, W_std=1.2, b_std=0.4),
        (
            0.7277293652954101,
            0.5179294419883703,
            0.5329084741730453,
            0.6950348417510985,
            0.5083115621676678,
            0.7417045238494873,
        ),
        (
            1.7479880958862302,
            0.770659447746261,
            0.7982451432227953,
            1.6499045252532958,
            0.7304390101239296,
            1.7899135715484618,
        ),
    ),
    (
        "cntk(4, 'none')",
        zoo.cntk(4, "none"),
        (
            0.6506575502703932,
            0.38909128133805665,
            0.4130849040116925,
            0.6191903068204969,
            0.38880266492657345,
            0.6801978731515153,
        ),
        (
            2.6026302010815727,
            0.6990902463742606,
            0.7588220335253557,
            2.4767612272819877,
            0.6741926611311825,
            2.720791492606061,
        ),
    ),
    (
        "cntk(4, 'gap'), whose first and last layer are not trained",
        zoo.cntk(4, "gap"),
        (
            0.3493631883971504,
            0.33807564731787615,
            0.3529604988945036,
            0.3328769728645406,
            0.34358906516459514,
            0.36449780064549436,
        ),
        (
            0.23933603097030398,
            0.22321250471688556,
            0.229252354555523,
            0.23260088461538556,
            0.2236517899480639,
            0.2501807318793476,
        ),
    ),
    (
        "pooling inside, strides, circular padding, a layer that is not trained",
        Serial(
            Conv(3, padding="SAME", W_std=1.3, b_std=0.3),
            Relu(),
            AvgPool(2, strides=2),
            Conv((3, 2), strides=(1, 2), padding="CIRCULAR", W_std=1.3, trainable=False),
            Relu(),
            GlobalAvgPool(),
            Dense(b_std=0.1),
        ),
        (
            0.14907222888673136,
            0.14090376743278435,
            0.1460654552465701,
            0.14203261474371603,
            0.14148634702927068,
            0.15325452372800305,
        ),
        (
            0.17624967273252168,
            0.15945073443524485,
            0.16345398253562976,
            0.17031627604461524,
            0.15864952628249193,
            0.18109540899287385,
        ),
    ),
)


def golden_cases() -> tuple[GoldenCase, ...]:
    """Return four small networks on three 8 x 8 x 3 inputs with their exact kernels.

    Every float64 engine reaches them to :func:`ntklab.testing.tolerance` of float64, every float32 engine to that of
    float32.

    Examples
    --------
    >>> import ntklab
    >>> from ntklab.testing import assert_close, tolerance
    >>> name, spec, inputs, nngp, ntk = golden_cases()[0]
    >>> kernel = ntklab.compile(spec, inputs.shape[1:])(inputs)
    >>> assert_close(kernel.ntk, ntk, tolerance("float32"))
    """
    inputs = made_up_inputs(_COUNT, _SHAPE)
    return tuple(GoldenCase(name, spec, inputs, _symmetric(nngp), _symmetric(ntk)) for name, spec, nngp, ntk in _VALUES)


def _symmetric(triangle: tuple[float, ...]) -> Float[np.ndarray, "n n"]:
    matrix = np.zeros((_COUNT, _COUNT))
    rows, columns = np.triu_indices(_COUNT)
    matrix[rows, columns] = matrix[columns, rows] = triangle
    return matrix
