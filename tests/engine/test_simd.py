"""The fused CPU engine beyond the contract of all engines: sizes, filters, threads, derivatives, what it declines."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine._simd import Simd
from ntklab.engine._simd_build import programs
from ntklab.engine._simd_numbers import neighbours
from ntklab.kernel import lower
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Parallel, Relu, Residual, Serial, zoo
from ntklab.testing import Case, assert_close, made_up_inputs
from tests.engine.fused_cases import CASES as IMAGES
from tests.engine.fused_cases import exact, hard_inputs, values

TOLERANCE = 4e-7
"""Largest relative error in float32; 1.4e-7 measured over these cases."""

conv = Conv(3, padding="SAME", W_std=1.3, b_std=0.3)
wide, narrow = Dense(W_std=1.3, b_std=0.4), Dense(W_std=0.6, trainable=False)
CASES = (
    *IMAGES,
    Case("dense", zoo.fc(5), (700,), 9),
    Case("dense, more than a strip and a tile", zoo.fc(3, b_std=0.2), (2,), 150),
    Case("dense, residual", Serial(Dense(b_std=0.1), Residual(Relu(), wide, Relu(), Dense()), Relu(), wide), (7,), 9),
    Case("dense, three branches", Serial(wide, Relu(), Parallel(wide, Dense(), narrow), Relu(), narrow), (7,), 9),
    Case("dense, linear layers in a row", Serial(wide, narrow, wide, Relu(), narrow, wide), (7,), 9),
    Case("dense, an activation at the end", Serial(wide, Relu()), (7,), 9),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sizes_filters_and_branches_agree_with_numpy_in_double_precision(case):
    x, expected = hard_inputs(case), exact(case)
    actual = values(ntklab.compile(case.network, case.input_shape, engine="simd")(x))
    for name, matrix in actual.items():
        diagonal = np.diag(expected[name])
        assert_close(matrix, expected[name], TOLERANCE, scale=np.sqrt(np.outer(diagonal, diagonal)), what=name)
        assert matrix[0, -2] == matrix[0, 0]  # a copy is the input itself, to the last bit


def test_an_entry_does_not_depend_on_what_else_is_computed():
    network, shape = zoo.cntk(4, "gap"), (6, 9, 2)
    kfn = ntklab.compile(network, shape, engine="simd")
    x = made_up_inputs(12, shape)
    whole = values(kfn(x))
    for name, block in values(kfn(x[:3], x[5:8])).items():  # few pairs are cut by displacements, many by pairs
        np.testing.assert_array_equal(block, whole[name][:3, 5:8])
    for name, diagonal in values(kfn.diagonal(x)).items():
        np.testing.assert_array_equal(diagonal, np.diag(whole[name]))


def test_an_entry_of_a_dense_network_does_not_depend_on_what_else_is_computed():
    kfn = ntklab.compile(zoo.fc(3), (300,), engine="simd")
    x = made_up_inputs(140, (300,))
    whole = values(kfn(x))
    for name, block in values(kfn(x[5:50], x[130:])).items():
        np.testing.assert_array_equal(block, whole[name][5:50, 130:])
    for name, diagonal in values(kfn.diagonal(x)).items():
        np.testing.assert_array_equal(diagonal, np.diag(whole[name]))


def test_one_kernel_of_a_dense_network_alone_is_the_same():
    x = made_up_inputs(20, (30,))
    both = ntklab.compile(zoo.fc(3), (30,), engine="simd")(x)
    for word in ("nngp", "ntk"):
        alone = ntklab.compile(zoo.fc(3), (30,), engine="simd", get=(word,))(x)
        np.testing.assert_array_equal(alone.values[word], both.values[word])


def test_calls_from_several_threads_give_the_same_numbers():
    network, shape = zoo.plain_cnn(3, "gap"), (8, 8, 3)
    kfn = ntklab.compile(network, shape, engine="simd")
    x = made_up_inputs(8, shape)
    alone = np.asarray(kfn(x).ntk)
    with ThreadPoolExecutor(4) as pool:
        for ntk in pool.map(lambda _: np.asarray(kfn(x).ntk), range(8)):
            np.testing.assert_array_equal(ntk, alone)


def test_it_runs_inside_jit_and_vmap():
    network, shape = zoo.plain_cnn(2, "none"), (5, 6, 2)
    kfn = ntklab.compile(network, shape, engine="simd")
    x = made_up_inputs(6, shape).astype("float32")
    plain = np.asarray(kfn(x).ntk)
    np.testing.assert_array_equal(jax.jit(lambda x: kfn(x).ntk)(x), plain)
    rows = jax.vmap(lambda one: kfn(one[None], x).ntk[0])(x)
    np.testing.assert_array_equal(rows, plain)


def test_derivatives_are_those_of_the_reference():
    network, shape = Serial(conv, Relu(), GlobalAvgPool(), Dense()), (4, 5, 2)
    x = made_up_inputs(3, shape).astype("float32")
    gradients = []
    for engine in ("simd", "reference"):
        kfn = ntklab.compile(network, shape, engine=engine)
        gradients.append(jax.jit(jax.grad(lambda x, h, kfn=kfn: kfn(x, hyper=h).ntk.sum(), (0, 1)))(x, kfn.hyper))
    for ours, theirs in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_families_come_from_one_walk():
    shape = (8, 8, 3)
    family = {str(d): zoo.cntk(d, "gap") for d in (2, 3, 5)}
    (program,) = programs(lower(family, shape))
    assert len(program.taps) == 3
    assert (program.instructions[:, 0] == 1).sum() == 4  # the convolutions of the deepest alone
    x = made_up_inputs(4, shape)
    together = ntklab.compile(family, shape, engine="simd")(x)
    for name, network in family.items():
        alone = values(ntklab.compile(network, shape, engine="simd")(x))
        for word, matrix in values(together[name]).items():
            np.testing.assert_array_equal(matrix, alone[word])


def test_ends_of_a_family_come_from_one_walk():
    shape = (8, 9, 3)
    body = [Conv(3, padding="SAME"), Relu()] * 2
    family = {
        "local": Serial(*body, AvgPool(3, padding="SAME"), Flatten(), Dense()),
        "global": Serial(*body, GlobalAvgPool(), Dense()),
        "both": Serial(*body, AvgPool((3, 2)), GlobalAvgPool(), Dense()),
    }
    (program,) = programs(lower(family, shape))
    assert (program.instructions[:, 0] == 1).sum() == 2
    x = made_up_inputs(4, shape)
    together = ntklab.compile(family, shape, engine="simd")(x)
    for name, network in family.items():
        alone = values(ntklab.compile(network, shape, engine="simd")(x))
        for word, matrix in values(together[name]).items():
            np.testing.assert_allclose(matrix, alone[word], rtol=1e-6)


def test_local_pooling_walks_the_displacements_within_its_windows_alone():
    (program,) = programs(
        lower(Serial(*[Conv(3, padding="SAME"), Relu()], AvgPool(5, padding="SAME"), Flatten()), (32, 30, 3))
    )
    assert program.rows == (0, 1, 2, 3, 4, 28, 29, 30, 31)
    assert program.columns == (0, 1, 2, 3, 4, 26, 27, 28, 29)
    assert program.ends[0].rows[10, 10:16].tolist() == [5, 4, 3, 2, 1, 0]  # windows that two rows share


def test_flatten_and_pooling_in_one_plan_walk_all_displacements_only_where_pooling_needs_them():
    shape = (8, 8, 3)
    made = programs(lower({"V": zoo.cntk(4, "none"), "GAP": zoo.cntk(4, "gap")}, shape))
    assert [program.displaced for program in made] == [True, False]


def test_neighbours_count_every_position_of_a_window_once():
    (program,) = programs(lower(Serial(Conv(5, padding="SAME"), Relu(), GlobalAvgPool()), (4, 6, 1)))
    masks, borders, counts = neighbours(program, 8)
    inside = masks.view(np.uint32) > 0
    for dj in range(6):
        # sums of 1 over both images: p and q each have so many neighbours inside their own image
        own = sum(6 - abs(o) for o in (-2, -1, 1, 2))
        for image in (0, 1):
            entries = borders[dj, : counts[dj, 2]]
            assert inside[dj].sum() + (entries[:, 0] == image).sum() == own


@pytest.mark.parametrize(
    ("network", "shape", "reason"),
    [
        (Serial(Dense(), Dense()), (5,), "without any activation"),
        (Serial(Conv((2, 2, 2)), Relu(), Flatten(), Dense()), (3, 3, 3, 1), "3"),
        (zoo.myrtle(5), (32, 32, 3), "follows AvgPool 2x2/2x2"),
        (Serial(Conv(3, strides=2, padding="SAME"), Relu(), GlobalAvgPool()), (6, 6, 1), "strides"),
        (Serial(Conv(3), Relu(), GlobalAvgPool()), (6, 6, 1), "SAME or CIRCULAR padding and odd filters"),
        (Serial(Conv(2, padding="SAME"), Relu(), GlobalAvgPool()), (6, 6, 1), "odd filters"),
        (Serial(Conv(19, padding="SAME"), Relu(), GlobalAvgPool()), (6, 6, 1), "up to 17"),
        (Serial(conv, Relu(), Conv(3, padding="CIRCULAR"), Relu(), GlobalAvgPool()), (6, 6, 1), "SAME and CIRCULAR"),
        (Serial(conv, Relu(), GlobalAvgPool(), Dense(), Relu(), Dense()), (6, 6, 1), "follows the pooling"),
        (Serial(conv, AvgPool(2), Flatten(), Dense()), (6, 6, 1), "before any activation"),
        (Serial(conv, GlobalAvgPool(), Dense()), (6, 6, 1), "before any activation"),
    ],
)
def test_it_says_what_it_declines(network, shape, reason):
    ok, said = Simd().supports(lower(network, shape), jax.devices("cpu")[0], np.dtype("float32"))
    assert not ok
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(said)


def test_it_declines_double_precision_and_machines_without_numba(monkeypatch):
    plan = lower(zoo.cntk(3, "gap"), (6, 6, 3))
    device = jax.devices("cpu")[0]
    assert "float32" in Simd().supports(plan, device, np.dtype("float64")).reason
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install" in Simd().supports(plan, device, np.dtype("float32")).reason
