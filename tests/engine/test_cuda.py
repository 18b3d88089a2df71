"""The cuda engine without a GPU: its source built for this machine, what is handed to XLA, what it declines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.engine import _cuda_launch, _cuda_steps, _select
from ntklab.engine._cuda_compute import _place_in_triangle, _triangle, compute
from ntklab.engine._cuda_engine import Cuda
from ntklab.engine._cuda_launch import TARGET, OnGpu
from ntklab.engine._cuda_source import sources
from ntklab.kernel import learned_numbers, lower
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Relu, Residual, Serial, zoo
from ntklab.testing import Case, assert_close, made_up_inputs
from tests.engine.cuda_on_host import ENGINES
from tests.engine.fused_cases import CASES, exact, hard_inputs, values

TOLERANCE = 4e-7
"""Largest relative error in float32; 1.7e-7 measured over these cases."""
QUICK = ("one lane too many", "filters of all shapes", "filters larger than the image", "poolings inside, then Flatten")
MORE = (
    Case("two columns a lane", zoo.plain_cnn(2, "gap"), (3, 35, 2), 4),
    Case("two columns a lane, circular", Serial(Conv(5, padding="CIRCULAR"), Relu(), GlobalAvgPool()), (6, 33, 1), 4),
)
side_by_side = AvgPool(2, strides=2)
relu_conv = (Conv(3, padding="SAME", b_std=0.1), Relu())
pooled_before_relu = Serial(*relu_conv, Conv(3, padding="SAME"), side_by_side, Relu(), *relu_conv, GlobalAvgPool())
narrow = (Conv((3,), padding="SAME"), Relu())
long = Serial(*narrow, AvgPool((2,), strides=(2,)), *narrow, AvgPool((4,), strides=(4,)), *narrow, GlobalAvgPool())
STAGES = (
    Case("pooling inside", Serial(*relu_conv, side_by_side, *relu_conv, GlobalAvgPool(), Dense()), (6, 8, 2), 5),
    Case(
        "poolings inside, then Flatten",
        Serial(*relu_conv, side_by_side, *relu_conv * 2, AvgPool((1, 2), strides=(1, 2)), *relu_conv, Flatten()),
        (6, 8, 2),
        5,
    ),
    Case(
        "windows of three, circular",
        Serial(
            Conv(3, padding="CIRCULAR"), Relu(), AvgPool(3, strides=3), Conv(3, padding="CIRCULAR"), Relu(), Flatten()
        ),
        (9, 6, 1),
        5,
    ),
    Case("a pooling between a convolution and its ReLU", pooled_before_relu, (8, 4, 2), 5),
    Case("1-D, pooled twice inside", long, (16, 2), 5),
    Case(
        "no layer between two poolings",
        Serial(*relu_conv, side_by_side, side_by_side, *relu_conv, Flatten()),
        (8, 4, 1),
        4,
    ),
    Case(
        "two columns a lane, pooled inside",
        Serial(*relu_conv, side_by_side, *relu_conv, GlobalAvgPool()),
        (2, 36, 1),
        4,
    ),
)
"""Networks with poolings inside, which tiles leave and enter again."""
ALL = [
    pytest.param(
        case, id=case.name, marks=[] if case.name in QUICK or case in (*MORE, STAGES[1]) else [pytest.mark.slow]
    )
    for case in (*CASES, *MORE, *STAGES)
]


@pytest.fixture(autouse=True)
def _on_host(monkeypatch):
    monkeypatch.setattr(_select, "ENGINES", ENGINES)


def scale(expected):
    diagonal = np.diag(expected)
    return np.sqrt(np.outer(diagonal, diagonal))


@pytest.mark.parametrize("case", ALL)
def test_its_source_built_by_gcc_agrees_with_numpy_in_double_precision(case):
    near = case not in STAGES
    x, expected = hard_inputs(case, near), exact(case, near)
    actual = values(ntklab.compile(case.network, case.input_shape, engine="cuda")(x))
    for name, matrix in actual.items():
        assert_close(matrix, expected[name], TOLERANCE, scale=scale(expected[name]), what=name)
        np.testing.assert_array_equal(matrix, matrix.T)
        assert matrix[0, -2] == matrix[0, 0]  # a copy is the input itself, to the last bit


@pytest.mark.parametrize(
    ("network", "shape", "count"),
    [
        pytest.param(
            Serial(relu_conv[0], Residual(Relu(), relu_conv[0]), Relu(), side_by_side, *relu_conv, GlobalAvgPool()),
            (6, 6, 2),
            4,
            id="residual",
        ),
        pytest.param(zoo.myrtle(5), (32, 32, 3), 2, id="myrtle", marks=pytest.mark.slow),
    ],
)
def test_poolings_inside_agree_with_the_reference_in_double_precision(network, shape, count):
    x = made_up_inputs(count, shape)
    ours = values(ntklab.compile(network, shape, engine="cuda")(x))
    theirs = values(ntklab.compile(network, shape, engine="reference", dtype="float64")(x))
    for name, expected in theirs.items():
        assert_close(ours[name], expected, TOLERANCE, scale=scale(expected), what=name)


def test_blocks_of_images_and_pairs_with_poolings_inside_do_not_depend_on_each_other(monkeypatch):
    monkeypatch.setattr(_cuda_steps, "_FLOATS", 1)  # 64 at once, the fewest
    network, shape = Serial(*relu_conv, side_by_side, *relu_conv, GlobalAvgPool()), (2, 4, 1)
    kfn = ntklab.compile(network, shape, engine="cuda")
    x = made_up_inputs(70, shape)
    whole = values(kfn(x))
    for name, part in values(kfn(x[60:])).items():
        np.testing.assert_array_equal(part, whole[name][60:, 60:])
    for name, part in values(kfn(x[:2], x[2:])).items():
        np.testing.assert_array_equal(part, whole[name][:2, 2:])
    alone = ntklab.compile(network, shape, engine="cuda", get=("nngp",))
    np.testing.assert_allclose(alone(x[:5]).nngp, whole["nngp"][:5, :5], rtol=1e-6)


def test_a_branch_around_a_pooling_is_declined():
    body = Serial(*relu_conv, side_by_side, *relu_conv, GlobalAvgPool(), Dense())
    aside = Serial(*relu_conv, GlobalAvgPool(), Dense())
    assert "a branch goes around AvgPool" in Cuda().declines(lower({"deep": body, "flat": aside}, (6, 6, 1)))


@pytest.fixture(scope="module")
def small():
    return zoo.cntk(3, "gap"), (4, 5, 2)


def test_an_entry_does_not_depend_on_what_else_is_computed(small):
    network, shape = small
    kfn = ntklab.compile(network, shape, engine="cuda")
    x = made_up_inputs(12, shape)
    whole = values(kfn(x))
    for name, block in values(kfn(x[:3], x[5:8])).items():
        np.testing.assert_array_equal(block, whole[name][:3, 5:8])
    for name, diagonal in values(kfn.diagonal(x)).items():
        np.testing.assert_array_equal(diagonal, np.diag(whole[name]))


def test_it_runs_in_jit_and_vmap_with_traced_numbers_and_has_the_derivatives_of_the_reference():
    network, shape = zoo.cntk(2, "none"), (3, 3, 1)
    x = made_up_inputs(2, shape).astype("float32")
    kfn = ntklab.compile(network, shape, engine="cuda")
    reference = ntklab.compile(network, shape, engine="reference")
    hyper = jax.tree.map(lambda value: 1.1 * value, kfn.hyper)
    traced = jax.jit(lambda x, hyper: kfn(x, hyper=hyper).ntk)(x, hyper)
    np.testing.assert_array_equal(traced, kfn(x, hyper=hyper).ntk)
    rows = jax.vmap(lambda one: kfn(one[None], x).ntk[0])(x)
    np.testing.assert_array_equal(rows, kfn(x, x).ntk)
    ours, theirs = (jax.grad(lambda h, k=k: k(x, hyper=h).ntk.sum())(hyper) for k in (kfn, reference))
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_flatten_and_pooling_of_one_family_are_one_call():
    family, shape = {"V": zoo.cntk(3, "none"), "GAP": zoo.cntk(3, "gap")}, (4, 5, 2)
    assert [source.displaced for (source,) in sources(lower(family, shape))] == [True, False]
    x = made_up_inputs(3, shape)
    together = ntklab.compile(family, shape, engine="cuda")(x)
    for name, network in family.items():
        expected = values(ntklab.compile(network, shape, engine="reference", dtype="float64")(x))
        for word, matrix in values(together[name]).items():
            assert_close(matrix, expected[word], TOLERANCE, scale=scale(expected[word]), what=f"{name} {word}")


@pytest.mark.parametrize("n", range(1, 8))
def test_every_pair_of_a_triangle_has_a_number(n):
    i, j = np.triu_indices(n)
    place = jax.jit(_place_in_triangle, static_argnums=0)
    number = np.asarray(place(n, jnp.asarray(i, jnp.uint32), jnp.asarray(j, jnp.uint32)))
    assert len(set(number.tolist())) == len(i)
    left, right = _triangle(n, jnp.asarray(number, jnp.uint32))
    np.testing.assert_array_equal(left, i)
    np.testing.assert_array_equal(right, j)
    every = jnp.arange((n + 1) // 2 * (n + 1), dtype=jnp.uint32)
    left, right = _triangle(n, every)
    assert (np.asarray(left) <= np.asarray(right)).all()
    assert np.asarray(right).max() == n - 1


def test_what_is_lowered_for_a_gpu_is_three_kernels_of_one_source(small, monkeypatch):
    """The text that XLA gets on a machine with a GPU, lowered here."""
    network, shape = small
    asked = []
    monkeypatch.setattr(_cuda_launch, "ptx", lambda text, capability: asked.append((text, capability)) or "the text")
    plan = lower(network, shape)
    learned = {key: {name: jnp.float32(value)} for key, name, value in plan.hyper}
    x = jnp.zeros((3, *shape), jnp.float32)
    traced = jax.jit(lambda x: compute(OnGpu("9.0"), plan, False, x, None, learned)).trace(x)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    calls = [line for line in text.splitlines() if TARGET in line]
    for kernel, blocks in {"images": 3, "pairs": 4 * 64, "finish": 1}.items():
        (call,) = [line for line in calls if f'name = "{kernel}"' in line]
        assert f"grid_x = {blocks} : i32" in call
        assert 'kernel_data = "the text"' in call
    assert len(calls) == 3
    assert set(asked) == {(sources(plan)[0][0].text, "9.0")}


def test_what_is_lowered_for_a_pooling_inside_are_the_kernels_of_two_sources(monkeypatch):
    asked = []
    monkeypatch.setattr(_cuda_launch, "ptx", lambda text, capability: asked.append(text) or f"text {len(set(asked))}")
    plan = lower(Serial(*relu_conv, side_by_side, *relu_conv, GlobalAvgPool()), (4, 6, 1))
    learned = learned_numbers(plan, np.dtype("float32"))
    x = jnp.zeros((3, 4, 6, 1), jnp.float32)
    traced = jax.jit(lambda x: compute(OnGpu("9.0"), plan, False, x, None, learned)).trace(x)
    calls = [line for line in traced.lower(lowering_platforms=("cuda",)).as_text().splitlines() if TARGET in line]
    names = [name for line in calls for name in ("images", "pairs", "finish") if f'name = "{name}"' in line]
    # images alone, with themselves up to the pooling, and behind it; then pairs up to it, behind it, and sums
    assert sorted(names) == ["finish", "images", "images", "pairs", "pairs", "pairs"]
    assert set(asked) == {source.text for (chain,) in [sources(plan)] for source in chain}
    assert len(set(asked)) == 2


class Device:
    platform = "gpu"
    device_kind = "NVIDIA H100"
    compute_capability = "9.0"


def test_it_accepts_a_gpu_where_nvrtc_is_and_auto_leaves_it_to_those_who_ask(small, monkeypatch):
    plan = lower(*small)
    monkeypatch.setattr(jax, "__version_info__", (0, 10, 1))
    assert "needs JAX 0.11" in Cuda().supports(plan, Device(), np.dtype("float32")).reason
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 2))
    monkeypatch.setattr("ntklab.engine._cuda_engine.unavailable", lambda: "no compiler")
    assert Cuda().supports(plan, Device(), np.dtype("float32")) == (False, "no compiler")
    monkeypatch.setattr("ntklab.engine._cuda_engine.unavailable", lambda: None)
    monkeypatch.setattr(_select, "ENGINES", ntklab.engine.ENGINES)
    assert isinstance(_select.select("cuda", plan, Device(), np.dtype("float32"))[0], Cuda)
    _, choice = _select.select("auto", plan, Device(), np.dtype("float32"))
    assert ("cuda", Cuda.untried) in choice.passed_over


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"platform": "cpu"}, "this device is cpu"),
        ({"compute_capability": "gfx90a", "device_kind": "MI250"}, "this one is MI250"),
        ({"compute_capability": "6.0"}, "needs compute capability 7.5"),
    ],
)
def test_it_says_which_devices_it_declines(small, changes, reason):
    device = type("Other", (Device,), changes)()
    ok, said = Cuda().supports(lower(*small), device, np.dtype("float32"))
    assert not ok
    assert reason in said


@pytest.mark.parametrize(
    ("network", "shape", "reason"),
    [
        (zoo.fc(3), (5,), "one matrix product"),
        (zoo.plain_cnn(2, "gap"), (65, 3, 1), "up to 64 x 64"),
        (Serial(*relu_conv, AvgPool(3, strides=2), *relu_conv, Flatten()), (6, 6, 1), "do not lie side by side on 6x6"),
        (Serial(*relu_conv, AvgPool(2, strides=2), *relu_conv, Flatten()), (6, 5, 1), "do not lie side by side on 6x5"),
        (
            Serial(Conv(3, padding="SAME"), side_by_side, *relu_conv, GlobalAvgPool()),
            (6, 6, 1),
            "pooled before any activation",
        ),
        (Serial(Conv(3, padding="SAME"), Relu(), GlobalAvgPool(), Dense(), Relu(), Dense()), (6, 6, 1), "follows"),
    ],
)
def test_it_says_which_plans_it_declines(network, shape, reason):
    ok, said = Cuda().supports(lower(network, shape), Device(), np.dtype("float32"))
    assert not ok
    assert reason in said


def test_it_declines_double_precision(small):
    assert "float32" in Cuda().supports(lower(*small), Device(), np.dtype("float64")).reason
