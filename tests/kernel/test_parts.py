"""Several inputs of each example: kernels of branches that read different ones."""

import jax
import numpy as np
import pytest

import ntklab
from ntklab.data import pack_inputs, pack_ragged
from ntklab.errors import InputError, SpecError
from ntklab.finite import monte_carlo, network
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Mask,
    Parallel,
    Part,
    Product,
    Relu,
    Serial,
)

DRAW = np.random.default_rng(0)
IMAGES, VECTORS = DRAW.normal(size=(4, 4, 4, 2)), DRAW.normal(size=(4, 3))
IMAGES[1] = IMAGES[0]  # one part coincides, the other does not
SEE = (Conv(2, b_std=0.2), Relu(), AvgPool(2), GlobalAvgPool(), Dense(8, b_std=0.1))
READ = (Dense(8, b_std=0.3), Relu(), Dense(8))
BOTH = Serial(Part((4, 4, 2)), *SEE), Serial(Part((3,), 32), *READ)


def kernel(layers, x):
    return ntklab.compile(Serial(*layers), x.shape[1:], dtype="float64")(x)


def test_branches_of_different_inputs_have_the_kernels_that_they_have_alone():
    image, vector, x = kernel(SEE, IMAGES), kernel(READ, VECTORS), pack_inputs(IMAGES, VECTORS)
    joined = {"total": Serial(Parallel(*BOTH)), "product": Serial(Product(*BOTH))}  # compiled together, once
    total, product = ntklab.compile(joined, x.shape[1:], dtype="float64")(x).values()
    np.testing.assert_allclose(total.nngp, image.nngp + vector.nngp, rtol=1e-12)
    np.testing.assert_allclose(total.ntk, image.ntk + vector.ntk, rtol=1e-12)
    np.testing.assert_allclose(product.ntk, image.ntk * vector.nngp + image.nngp * vector.ntk, rtol=1e-12)


def test_layers_behind_the_sum_follow_and_finite_networks_agree():
    x = pack_inputs(IMAGES, VECTORS)[:3]
    image = Serial(Part((4, 4, 2)), Flatten(), Dense(b_std=0.2))
    spec = Serial(Parallel(image, Serial(Part((3,), 32), Dense())), Relu(), Dense(b_std=0.1))
    net = network(spec, x.shape[1:], width=8, outputs=4, dtype="float64")
    found = monte_carlo(net, x, key=jax.random.key(0), samples=400, progress=False)
    exact = kernel((spec,), x)
    for name in ("nngp", "ntk"):
        estimate = getattr(found, name)
        assert (np.abs(estimate.mean - np.asarray(exact.values[name])) / estimate.standard_error).max() < 4


def test_a_mask_and_a_dropout_may_be_inside_a_branch():
    ragged = pack_ragged([DRAW.normal(size=(n, 2)) for n in (2, 3, 5, 1)])
    steps = (Mask(), Dense(b_std=0.2), Relu(), GlobalAvgPool(), Dense(8))
    dropped = (Dense(8), Relu(), Dropout(0.5), Dense(8))
    x = pack_inputs(VECTORS[[0, 0, 1, 2]], ragged)
    both = kernel((Parallel(Serial(Part((3,)), *dropped), Serial(Part((5, 2), 3), *steps)),), x)
    plain = kernel(dropped, VECTORS), kernel(steps, ragged)
    alone = [plain[0].nngp[i, i] + plain[1].nngp[j, j] for i, j in ((0, 0), (1, 2))]
    np.testing.assert_allclose(np.diag(both.nngp)[[0, 2]], alone, rtol=1e-12)
    # the same vector beside another sequence is another input, with a dropout of its own
    assert both.nngp[0, 1] - plain[1].nngp[0, 1] < 0.9 * plain[0].nngp[0, 0]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Serial(Dense(), Part((3,))), "stands before"),
        (Serial(Part((4, 4, 3)), Flatten()), "numbers 0 to 48"),
    ],
)
def test_parts_that_do_not_fit_are_refused(spec, words):
    with pytest.raises(SpecError, match=words):
        kernel((spec,), pack_inputs(IMAGES, VECTORS))


@pytest.mark.parametrize("wrong", [{"shape": ()}, {"shape": (0,)}, {"shape": (2,), "start": -1}])
def test_parts_check_their_arguments(wrong):
    with pytest.raises(SpecError, match="Part: s"):
        Part(**wrong)


def test_inputs_of_different_numbers_are_refused():
    with pytest.raises(InputError, match="same number"):
        pack_inputs(IMAGES, VECTORS[:3])
