"""Lowering: what a plan carries, what networks share, what is refused, and how it prints."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import ntklab
from ntklab.errors import InputError, SpecError
from ntklab.kernel import GET, Carry, Plan, Window, lower
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    Parallel,
    Relu,
    Residual,
    Serial,
    zoo,
)
from ntklab.testing import assert_close, made_up_inputs, tolerance

IMAGE = (6, 6, 3)
conv = Conv(3, padding="SAME", W_std=1.5)


def kinds(plan):
    return [op.kind for op in plan.ops]


def carried(plan):
    return [op.pair.name for op in plan.ops]


def alone(plan):
    return [op.image and op.image.name for op in plan.ops]


def test_global_pooling_carries_all_position_pairs():
    plan = lower(Serial(conv, Relu(), conv, Relu(), GlobalAvgPool(), Dense()), IMAGE)
    assert kinds(plan) == ["input", "conv", "relu", "conv", "relu", "pool", "dense"]
    assert carried(plan) == ["ALL"] * 5 + ["NUMBER"] * 2
    assert alone(plan) == ["EQUAL"] * 4 + [None] * 3
    assert [op.distance for op in plan.ops] == [True] * 4 + [False] * 3


def test_flatten_carries_equal_positions_only():
    plan = lower(Serial(conv, Relu(), conv, Relu(), Flatten(), Dense()), IMAGE)
    assert carried(plan) == ["EQUAL"] * 5 + ["NUMBER"] * 2
    assert alone(plan) == ["EQUAL"] * 4 + [None] * 3


def test_pooling_inside_needs_all_pairs_only_before_it_and_of_each_input_alone_too():
    plan = lower(Serial(conv, Relu(), AvgPool(2, strides=2), conv, Relu(), Flatten()), IMAGE)
    assert kinds(plan) == ["input", "conv", "relu", "pool", "conv", "relu", "flatten"]
    assert carried(plan) == ["ALL", "ALL", "ALL", "EQUAL", "EQUAL", "EQUAL", "NUMBER"]
    assert alone(plan) == ["ALL", "ALL", "ALL", "EQUAL", "EQUAL", None, None]
    assert [op.spatial for op in plan.ops] == [(6, 6), (6, 6), (6, 6), (3, 3), (3, 3), (3, 3), ()]


def test_pooling_that_no_activation_follows_needs_nothing_of_each_input_alone():
    plan = lower(Serial(conv, AvgPool(2), GlobalAvgPool()), IMAGE)
    assert alone(plan) == [None] * 4
    assert not any(op.distance for op in plan.ops)


def test_dense_networks_carry_one_number():
    plan = lower(zoo.fc(3), (10,))
    assert kinds(plan) == ["input", "dense", "relu", "dense", "relu", "dense"]
    assert carried(plan) == ["NUMBER"] * 6
    assert alone(plan) == ["NUMBER"] * 4 + [None] * 2
    plan = lower(zoo.fc(2), IMAGE)
    assert kinds(plan)[:2] == ["input", "flatten"]
    assert carried(plan) == ["EQUAL", *["NUMBER"] * 4]


def test_layers_on_top_of_a_readout_carry_numbers():
    plan = lower(Serial(conv, GlobalAvgPool(), Relu(), Dense()), IMAGE)
    assert carried(plan) == ["ALL", "ALL", "NUMBER", "NUMBER", "NUMBER"]
    assert alone(plan) == ["ALL", "ALL", "NUMBER", None, None]


def test_branches_carry_what_each_needs_and_their_start_the_most():
    network = Parallel(
        Serial(conv, Relu(), GlobalAvgPool(), Dense()), Serial(conv, Relu(), Conv(1), Flatten(), Dense())
    )
    plan = lower(network, IMAGE)
    assert kinds(plan) == ["input", "conv", "relu", "pool", "dense", "conv", "flatten", "dense", "sum"]
    assert carried(plan) == ["ALL", "ALL", "ALL", "NUMBER", "NUMBER", "EQUAL", "NUMBER", "NUMBER", "NUMBER"]


def test_identity_and_flatten_without_positions_leave_no_trace():
    plan = lower(Serial(Identity(), Dense(), Flatten(), Identity()), (4,))
    assert kinds(plan) == ["input", "dense"]


def test_windows_strides_and_flags_arrive_in_the_plan():
    plan = lower(Serial(Conv((3, 2), strides=(1, 2), padding="CIRCULAR", trainable=False), Flatten()), IMAGE)
    assert plan.ops[1].window == Window((3, 2), (1, 2), "CIRCULAR")
    assert plan.ops[1].spatial == (6, 3)
    assert not plan.ops[1].trainable
    assert plan.ops[2].window == Window((6, 3), (1, 1), "VALID")
    assert plan.ops[2].squeeze


def test_the_tangent_kernel_is_carried_from_the_first_trained_layer_on():
    plan = lower(zoo.cntk(4, "gap"), IMAGE)
    assert [op.ntk for op in plan.ops] == [False, False, False, True, True, True, True, True, True]
    untrained = lower(Serial(Dense(trainable=False), Relu(), Dense(trainable=False)), (3,))
    assert not any(op.ntk for op in untrained.ops)


def test_get_leaves_out_the_tangent_kernel_and_half_of_the_numbers():
    both, one = lower(zoo.cntk(6, "none"), IMAGE), lower(zoo.cntk(6, "none"), IMAGE, ("nngp",))
    assert (both.get, one.get) == (GET, ("nngp",))
    assert not any(op.ntk for op in one.ops)
    assert one.widest * 2 == both.widest
    assert lower(zoo.fc(1), (3,), "ntk").get == ("ntk",)
    assert lower(zoo.fc(1), (3,), ["ntk", "nngp"]).get == ("nngp", "ntk")


@pytest.mark.parametrize("get", [(), ("cov",), "nngp,ntk", ("nngp", "NTK")])
def test_an_unknown_get_is_refused(get):
    with pytest.raises(InputError, match='get takes "nngp", "ntk" or both'):
        lower(zoo.fc(1), (3,), get)


def test_networks_that_start_alike_share_their_first_layers():
    family = {f"d{depth}": Serial(*zoo.cntk(depth, "none").layers) for depth in (3, 4, 6)}
    plan = lower(family, IMAGE)
    longest = lower(family["d6"], IMAGE)
    heads = 2 * 2  # Flatten and Dense of the two shorter ones
    assert len(plan.ops) == len(longest.ops) + heads
    assert [name for name, _ in plan.outputs] == ["d3", "d4", "d6"]
    assert len({number for _, number in plan.outputs}) == 3


def test_equal_networks_are_computed_once_and_different_ones_share_the_input_only():
    twice = lower({"a": zoo.fc(3), "b": zoo.fc(3)}, (5,))
    assert len(twice.ops) == len(lower(zoo.fc(3), (5,)).ops)
    assert twice.outputs[0][1] == twice.outputs[1][1]
    apart = lower({"a": Dense(W_std=1.5), "b": Dense(W_std=2.0), "c": Dense(trainable=False)}, (5,))
    assert len(apart.ops) == 4
    assert len(lower({"a": Dense(width=3), "b": Dense(width=4)}, (5,)).ops) == 2


def test_networks_computed_together_are_those_computed_alone():
    family = {
        "short": Serial(conv, Relu(), Flatten(), Dense()),
        "pooled": Serial(conv, Relu(), AvgPool(2, strides=2), conv, Relu(), GlobalAvgPool()),
    }
    x = made_up_inputs(3, IMAGE)
    together = ntklab.compile(family, IMAGE, dtype="float64")(x)
    assert list(together) == list(family)
    for name, network in family.items():
        single = ntklab.compile(network, IMAGE, dtype="float64")(x)
        assert_close(together[name].nngp, single.nngp, tolerance("float64"), what=name)
        assert_close(together[name].ntk, single.ntk, tolerance("float64"), what=name)


def test_learnable_numbers_are_listed_by_the_place_of_their_layer():
    network = Serial(conv, Residual(Relu(), Conv(1, b_std=0.5)), Flatten(), Dense())
    assert lower(network, IMAGE).hyper == (
        ("0", "W_std", 1.5),
        ("1.body.1", "W_std", 1.0),
        ("1.body.1", "b_std", 0.5),
        ("3", "W_std", 1.0),
    )
    named = lower({"a": zoo.fc(1), "b": zoo.fc(2)}, (3,))
    assert [key for key, _, _ in named.hyper] == ["a:1", "b:3"]


@dataclasses.dataclass(frozen=True, repr=False)
class Softmax(Layer):
    """A layer that no rule knows."""


@pytest.mark.parametrize(
    ("network", "input_shape", "words"),
    [
        (Serial(Relu(), Dense()), (4,), ["Relu() at 0", "Gaussian", "Dense() or Conv(...)"]),
        (Relu(), (4,), ["Relu() at the start", "Gaussian"]),
        (Serial(Dense(), Relu(), Relu()), (4,), ["Relu() at 2", "Gaussian"]),
        (Serial(conv, Flatten(), Relu(), Dense()), IMAGE, ["Relu() at 2", "Gaussian"]),
        (Serial(Dense(), Relu(), Residual(Dense()), Relu()), (4,), ["Relu() at 3", "Gaussian"]),
        (Serial(conv, Relu()), IMAGE, ["spatial axes (6, 6)", "Flatten() or GlobalAvgPool()"]),
        (Dense(), (4, 3), ["spatial axes (4,)", "Flatten() or GlobalAvgPool()"]),
        (
            Serial(Dense(), Relu(), Parallel(Identity(), Identity()), Dense()),
            (4,),
            ["Parallel at 2", "weights of their own", "Dense() or Conv(...)"],
        ),
        (Serial(Dense(), Parallel(Relu(), Relu())), (4,), ["Parallel at 1", "weights of their own"]),
        (Serial(Dense(), Softmax(), Dense()), (4,), ["Softmax has no kernel rule"]),
        ({}, (4,), ["No network was given"]),
        (Serial(conv, Conv((3,))), IMAGE, ["1 axes", "2 spatial"]),
    ],
)
def test_a_network_without_a_closed_form_is_refused_with_the_way_out(network, input_shape, words):
    with pytest.raises(SpecError) as caught:
        lower(network, input_shape)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "network",
    [
        Serial(Dense(), Residual(Identity()), Dense()),
        Serial(Dense(), Residual(Relu()), Dense()),
        Serial(Dense(), Parallel(Identity(), Serial(Relu())), Dense()),
        Serial(conv, Residual(AvgPool(3, padding="SAME")), Flatten()),
        Serial(conv, Parallel(GlobalAvgPool(), GlobalAvgPool())),
        Serial(Dense(), Parallel(Identity(), Residual(Relu(), Dense())), Dense()),
    ],
    ids=repr,
)
def test_branches_that_share_weights_before_the_sum_are_not_independent_and_refused(network):
    """Both branches hold the value that enters, so cross terms such as E[u relu(v)] do not vanish."""
    with pytest.raises(SpecError, match="weights of their own"):
        lower(network, (6, 6, 3) if "Conv" in repr(network) else (4,))


@pytest.mark.parametrize(
    "network",
    [
        Serial(Dense(), Residual(Relu(), Dense()), Dense()),
        Serial(Dense(), Relu(), Residual(Dense()), Dense()),
        Serial(Dense(), Relu(), Parallel(Dense(), Dense()), Dense()),
        Serial(Dense(), Residual(Relu(), Residual(Dense(), Relu(), Dense()), Dense()), Relu(), Dense()),
        Serial(conv, Relu(), Parallel(Serial(conv, AvgPool(3, padding="SAME")), Serial(conv, Relu())), Flatten()),
    ],
    ids=repr,
)
def test_branches_with_weights_of_their_own_are_accepted(network):
    assert kinds(lower(network, (6, 6, 3) if "Conv" in repr(network) else (4,))).count("sum") >= 1


def test_equal_branches_add_as_independent_ones_with_weights_each():
    x = made_up_inputs(3, (5,))
    one = ntklab.compile(Serial(Dense(), Relu(), Dense(W_std=1.5)), (5,), dtype="float64")(x)
    two = ntklab.compile(Serial(Dense(), Relu(), Parallel(Dense(W_std=1.5), Dense(W_std=1.5))), (5,), dtype="float64")(
        x
    )
    assert_close(two.nngp, 2 * np.asarray(one.nngp), tolerance("float64"))
    assert_close(two.ntk, 2 * np.asarray(one.ntk), tolerance("float64"))


def test_print_shows_a_table_of_operations_state_and_work():
    plan = lower(zoo.cntk(3, "gap"), (32, 32, 3))
    lines = str(plan).splitlines()
    assert lines[0] == "plan for inputs of shape (32, 32, 3), get = nngp, ntk"
    assert lines[1].split()[:3] == ["operation", "reads", "positions"]
    assert len(lines) == 2 + len(plan.ops) + 1
    for i, (op, line) in enumerate(zip(plan.ops, lines[2:-1], strict=True)):
        assert line.startswith(f"%{i} ")
        assert op.label in line
        assert op.pair.value in line
    row = lines[5]  # the second convolution
    for word in ("%3", "Conv 3x3 SAME", "%2", "32x32", "all position pairs (D, NTK)", "variances", "2,097,152"):
        assert word in row
    assert "outputs: %6" in lines[-1]
    assert f"{plan.work:,} counted steps" in lines[-1]
    assert "D = squared distance, K = covariance" in lines[-1]
    assert "a = %" in str(lower({"a": zoo.fc(2), "b": zoo.fc(3)}, (4,)))


def test_work_and_width_count_numbers_per_pair_of_inputs():
    plan = lower(zoo.cntk(2, "gap"), (4, 4, 3))
    positions = 16 * 16
    assert [op.numbers for op in plan.ops] == [positions, positions, positions, 1, 1]
    plan = lower(zoo.cntk(3, "gap"), (4, 4, 3))
    assert plan.ops[3].numbers == 2 * positions
    assert plan.widest == 4 * positions
    assert plan.work == sum(op.work for op in plan.ops)
    assert plan.ops[2].work == 40 * positions
    assert Carry.EQUAL.positions((4, 5)) == 20
    assert Carry.ALL.positions((4, 5)) == 400
    assert Carry.NUMBER.positions((4, 5)) == 1


def test_the_key_of_a_plan_is_the_same_on_every_machine():
    """It names stored Gram matrices: a change of this literal orphans them."""
    plan = lower(zoo.cntk(3, "gap"), (8, 8, 3))
    assert isinstance(plan, Plan)
    assert plan.key == "f84e6881b2515b5bf47fd8a467e3c7a8b7a537bfc94c43339f8f3faa36cec76d"
    code = (
        "from ntklab.kernel import lower; from ntklab.spec import zoo; print(lower(zoo.cntk(3, 'gap'), (8, 8, 3)).key)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == plan.key


def test_the_key_of_a_plan_tells_computations_apart():
    keys = {
        lower(zoo.cntk(3, "gap"), (8, 8, 3)).key,
        lower(zoo.cntk(3, "none"), (8, 8, 3)).key,
        lower(zoo.cntk(3, "gap"), (8, 9, 3)).key,
        lower(zoo.cntk(3, "gap"), (8, 8, 1)).key,
        lower(zoo.cntk(3, "gap"), (8, 8, 3), "nngp").key,
        lower(zoo.plain_cnn(2, "gap"), (8, 8, 3)).key,
        lower(zoo.fc(2, W_std=1.0), (8, 8, 3)).key,
        lower(zoo.fc(2, W_std=1.1), (8, 8, 3)).key,
        lower(zoo.fc(2, W_std=1.0, b_std=0.0), (8, 8, 3)).key,
    }
    assert len(keys) == 9
    assert lower(Dense(width=3), (5,)).key == lower(Dense(), (5,)).key
