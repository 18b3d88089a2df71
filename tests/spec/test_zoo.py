"""Networks of the literature, counted and flagged as their papers do."""

import numpy as np
import pytest

import ntklab
from ntklab.errors import SpecError
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Recurrent,
    Relu,
    infer_shapes,
    output_shape,
    zoo,
)
from ntklab.testing import made_up_inputs


def count(network, *kinds):
    return sum(isinstance(layer, kinds) for layer in network.layers)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_fc_has_depth_dense_layers_and_a_relu_between_them(depth):
    network = zoo.fc(depth, W_std=1.5, b_std=0.1)
    assert [type(layer) for layer in network.layers] == [Flatten, Dense, *[Relu, Dense] * (depth - 1)]
    assert all(layer == Dense(W_std=1.5, b_std=0.1) for layer in network.layers if isinstance(layer, Dense))


def test_the_width_of_fc_is_that_of_hidden_layers():
    assert [layer.width for layer in zoo.fc(3, width=64).layers if isinstance(layer, Dense)] == [64, 64, None]
    assert output_shape(zoo.fc(3, width=64), (4, 4, 3)) == (None,)


def test_cntk_lap_pools_windows_in_front_of_flatten_and_without_reach_is_cntk_v():
    assert [type(layer) for layer in zoo.cntk_lap(3, 2).layers] == [Conv, Relu, Conv, Relu, AvgPool, Flatten, Dense]
    assert output_shape(zoo.cntk_lap(3, 2), (9, 8, 3)) == (None,)
    x = made_up_inputs(3, (5, 4, 2))
    kernels = [ntklab.compile(n, (5, 4, 2), engine="reference")(x) for n in (zoo.cntk_lap(3, 0), zoo.cntk(3, "none"))]
    for word in ("nngp", "ntk"):
        np.testing.assert_allclose(*(getattr(kernel, word) for kernel in kernels), rtol=1e-6)


@pytest.mark.parametrize("depth", [2, 3, 6, 11, 21])
def test_the_depth_of_cntk_counts_convolutions_and_the_dense_layer(depth):
    for pooling, head in (("none", Flatten), ("gap", GlobalAvgPool)):
        network = zoo.cntk(depth, pooling)
        assert count(network, Conv) == depth - 1
        assert count(network, Conv, Dense) == depth
        assert [type(layer) for layer in network.layers] == [*[Conv, Relu] * (depth - 1), head, Dense]
        for layer in network.layers:
            if isinstance(layer, Conv):
                assert (layer.filter_shape, layer.strides, layer.padding) == ((3, 3), (1, 1), "SAME")
            if isinstance(layer, Conv | Dense):
                assert layer.W_std**2 == pytest.approx(2.0, rel=1e-15)
                assert layer.b_std is None


@pytest.mark.parametrize("depth", [2, 3, 11])
def test_cntk_gap_does_not_train_the_first_and_the_last_layer_and_cntk_v_trains_all(depth):
    flags = [layer.trainable for layer in zoo.cntk(depth, "gap").layers if isinstance(layer, Conv | Dense)]
    assert flags == [False, *[True] * (depth - 2), False]
    assert all(layer.trainable for layer in zoo.cntk(depth, "none").layers if isinstance(layer, Conv | Dense))


@pytest.mark.parametrize(("pooling", "head"), [("none", Flatten), ("gap", GlobalAvgPool)])
def test_plain_cnn_ends_with_its_readout_and_trains_every_layer(pooling, head):
    network = zoo.plain_cnn(4, pooling)
    assert [type(layer) for layer in network.layers] == [*[Conv, Relu] * 4, head]
    assert all(layer.trainable for layer in network.layers if isinstance(layer, Conv))


@pytest.mark.parametrize(
    ("depth", "sizes"),
    [
        (5, [32, 32, 16, 16, 8, 8, 4, 2, 1]),
        (7, [32, 32, 16, 16, 16, 8, 8, 8, 4, 2, 1]),
        (10, [32, 32, 32, 16, 16, 16, 16, 8, 8, 8, 8, 4, 2, 1]),
    ],
)
def test_myrtle_halves_the_image_after_each_stage_and_ends_at_one_position(depth, sizes):
    network = zoo.myrtle(depth)
    assert count(network, Conv, Dense) == depth
    assert count(network, AvgPool) == 5
    steps = [step for step in infer_shapes(network, (32, 32, 3)) if isinstance(step.layer, Conv | AvgPool)]
    assert [step.output_shape[0] for step in steps] == sizes
    assert all(step.output_shape[0] == step.output_shape[1] for step in steps)
    assert [type(layer) for layer in network.layers[-5:]] == [AvgPool, AvgPool, AvgPool, Flatten, Dense]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: zoo.fc(0), ["fc", "depth", ">= 1", "0"]),
        (lambda: zoo.fc(2.0), ["fc", "depth", "2.0"]),
        (lambda: zoo.fc(True), ["fc", "depth", "True"]),
        (lambda: zoo.cntk(1, "gap"), ["cntk", "depth", ">= 2", "1"]),
        (lambda: zoo.cntk_lap(1, 2), ["cntk_lap", "depth", ">= 2", "1"]),
        (lambda: zoo.cntk_lap(3, -1), ["cntk_lap", "reach", ">= 0", "-1"]),
        (lambda: zoo.cntk(3, "max"), ["cntk", "pooling", '"none"', '"gap"', "'max'"]),
        (lambda: zoo.plain_cnn(0, "gap"), ["plain_cnn", "convs", ">= 1"]),
        (lambda: zoo.plain_cnn(2, None), ["plain_cnn", "pooling", "None"]),
        (lambda: zoo.myrtle(6), ["myrtle", "5, 7 or 10", "6"]),
    ],
)
def test_a_network_that_does_not_exist_is_refused(build, words):
    with pytest.raises(SpecError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


def test_recurrent_networks_end_in_the_last_state_or_the_mean_of_all():
    assert zoo.rntk(2).layers == (
        Recurrent(Relu(), W_std=zoo.HE),
        Recurrent(Relu(), W_std=zoo.HE, output="last"),
        Dense(),
    )
    assert zoo.rntk(readout="mean").layers == (Recurrent(Relu(), W_std=zoo.HE), GlobalAvgPool(), Dense())
    for wrong in ({"depth": 0}, {"readout": "first"}):
        with pytest.raises(SpecError, match=next(iter(wrong))):
            zoo.rntk(**wrong)


def test_a_transformer_is_its_block_repeated_and_takes_sequences_and_images():
    network = zoo.transformer(3, width=16)
    assert network.layers[1].count == 3
    assert output_shape(network, (5, 2)) == output_shape(network, (2, 3, 4)) == (None,)
    with pytest.raises(SpecError, match="blocks"):
        zoo.transformer(0)


@pytest.mark.parametrize(("norm", "count"), [("pre", 2 * 3 + 1), ("post", 2 * 3), ("none", 0)])
def test_a_transformer_is_normalised_where_it_says(norm, count):
    steps = infer_shapes(zoo.transformer(3, norm=norm), (5, 2))
    assert sum(isinstance(step.layer, LayerNorm) for step in steps) == count
    with pytest.raises(SpecError, match="norm is"):
        zoo.transformer(3, norm="batch")


def test_jumping_knowledge_puts_features_and_every_block_side_by_side():
    network = zoo.gntk(3, blocks=4, width=8, jumping=True)
    assert output_shape(network, (5, 3 + 5)) == (5 * 8,)
