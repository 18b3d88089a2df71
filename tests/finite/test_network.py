"""Building a network: widths, parameters, the trainable split, dtypes, and errors that say what is needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError, SpecError
from ntklab.finite import Params, network
from ntklab.spec import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    Parallel,
    Relu,
    Residual,
    Serial,
    zoo,
)

SHAPE = (4, 4, 3)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Dense(), Serial(Dense(2))),
        (Serial(Dense(), Relu(), Dense()), Serial(Dense(8), Relu(), Dense(2))),
        (Serial(Dense(5), Relu(), Dense(7)), Serial(Dense(5), Relu(), Dense(7))),
        (Serial(Dense(), Dense(), Identity()), Serial(Dense(8), Dense(2), Identity())),
        (
            Parallel(Dense(), Serial(Dense(), Relu(), Dense())),
            Serial(Parallel(Dense(2), Serial(Dense(8), Relu(), Dense(2)))),
        ),
        (
            Serial(Dense(), Residual(Relu(), Dense(), shortcut=Dense())),
            Serial(Dense(8), Residual(Relu(), Dense(2), shortcut=Dense(2))),
        ),
        (
            Serial(Residual(Dense(), Dense(), shortcut=Dense()), Relu(), Dense()),
            Serial(Residual(Dense(8), Dense(8), shortcut=Dense(8)), Relu(), Dense(2)),
        ),
    ],
)
def test_the_last_weight_layers_take_outputs_and_the_others_width(spec, expected):
    net = network(spec, (3,), width=8, outputs=2)
    assert net.spec == expected
    params = jax.eval_shape(net.init, jax.random.key(0))
    assert jax.eval_shape(net.apply, params, jnp.ones((1, 3))).shape == (1, net.output_width)


@pytest.mark.parametrize(
    ("spec", "output_width"),
    [
        (Serial(Dense(), Residual(Relu(), Dense())), 8),
        (Serial(Dense(), Residual(Dense())), 8),
        (Serial(Dense(), Residual(Dense()), Identity(), Residual(Relu(), Dense())), 8),
        (Parallel(Dense(), Serial(Dense(), Relu())), 8),
        (Serial(Dense(), Relu()), 8),
        (Relu(), 3),
    ],
)
def test_a_last_layer_that_is_hidden_as_well_stays_wide(spec, output_width):
    net = network(spec, (3,), width=8, outputs=2)
    params = jax.eval_shape(net.init, jax.random.key(0))
    assert net.output_width == output_width
    assert jax.eval_shape(net.apply, params, jnp.ones((1, 3))).shape == (1, output_width)


@pytest.mark.parametrize(
    ("spec", "output_width"),
    [
        (zoo.plain_cnn(2, "gap"), 8),
        (zoo.plain_cnn(2, "none"), 8 * 16),
        (zoo.cntk(3, "gap"), 2),
        (Serial(Conv(3), Relu(), Conv(1), GlobalAvgPool()), 2),
        (Serial(Conv(1), AvgPool(2, strides=2), Flatten()), 2 * 4),
        (zoo.fc(3), 2),
    ],
)
def test_images_end_in_as_many_outputs_as_announced(spec, output_width):
    net = network(spec, SHAPE, width=8, outputs=2)
    params = jax.eval_shape(net.init, jax.random.key(0))
    assert net.output_width == output_width
    assert jax.eval_shape(net.apply, params, jnp.ones((1, *SHAPE))).shape == (1, output_width)


def test_parameters_are_counted_and_split_by_trainable():
    spec = Serial(Conv((3, 2), 5, b_std=0.1, trainable=False), Relu(), Conv(1, 7, b_std=0.1), Flatten(), Dense())
    net = network(spec, SHAPE, outputs=2)
    params = jax.eval_shape(net.init, jax.random.key(0))
    assert net.num_frozen == 3 * 2 * 3 * 5 + 5
    assert net.num_trainable == 5 * 7 + 7 + 2 * 3 * 7 * 2
    for part, number in ((params.trainable, net.num_trainable), (params.frozen, net.num_frozen)):
        assert sum(leaf.size for leaf in jax.tree.leaves(part)) == number
    assert set(params.trainable) == {"2", "4"}
    assert set(params.frozen) == {"0"}


def test_the_zoo_keeps_first_and_last_layer_of_pooled_cntks_frozen():
    params = jax.eval_shape(network(zoo.cntk(3, "gap"), SHAPE).init, jax.random.key(0))
    assert sorted(params.frozen) == ["0", "5"]
    assert sorted(params.trainable) == ["2"]


def test_weights_start_as_independent_unit_gaussians():
    net = network(Serial(Dense(1000, W_std=3.0, b_std=2.0), Dense(1000, W_std=0.1)), (1000,))
    params = net.init(jax.random.key(0)).trainable
    one, two = (np.asarray(params[path]["W"]).ravel() for path in "01")
    for draws in (one, two, np.asarray(params["0"]["b"])):
        assert abs(draws.mean()) < 4 / np.sqrt(draws.size)
        assert abs(draws.var() - 1) < 4 * np.sqrt(2 / draws.size)
    assert abs((one * two).mean()) < 4 / np.sqrt(one.size)


def test_one_key_gives_the_same_weights_and_another_key_others():
    net = network(zoo.fc(3, width=4), (3,))
    same = [net.init(jax.random.key(1)).trainable["1"]["W"] for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.allclose(same[0], net.init(jax.random.key(2)).trainable["1"]["W"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", ["uint8", "int32", "float32", "float64", "bool"])
def test_inputs_of_any_dtype_come_out_in_that_of_the_network(dtype, given):
    net = network(zoo.cntk(2, "none", width=4), SHAPE, dtype=dtype)
    params = net.init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(dtype)}
    for x in (np.ones((2, *SHAPE), given), jnp.ones((2, *SHAPE), given)):
        assert net.apply(params, x).dtype == dtype


def test_a_network_can_be_a_static_argument_and_its_parameters_a_pytree():
    net = network(zoo.fc(2), (3,), width=4)
    apply = jax.jit(lambda net, params, x: net.apply(params, x), static_argnums=0)
    params, x = net.init(jax.random.key(0)), jnp.ones((2, 3), "float32")
    np.testing.assert_allclose(apply(net, params, x), net.apply(params, x), rtol=1e-6)
    assert network(zoo.fc(2), (3,), width=4) == net
    assert hash(network(zoo.fc(2), (3,), width=4)) == hash(net)
    many = jax.vmap(net.init)(jax.random.split(jax.random.key(0), 3))
    assert jax.vmap(net.apply, in_axes=(0, None))(many, x).shape == (3, 2, 1)


def test_a_layer_of_no_weights_needs_no_parameters():
    net = network(Flatten(), (2, 3))
    assert net.init(jax.random.key(0)) == Params({}, {})
    assert net.num_trainable == net.num_frozen == 0


def test_float64_without_64_bit_mode_says_how_to_switch_it_on():
    net = network(Dense(), (3,), dtype="float64")
    with jax.enable_x64(False):
        with pytest.raises(InputError, match="jax_enable_x64"):
            network(Dense(), (3,), dtype="float64")
        with pytest.raises(InputError, match="JAX_ENABLE_X64"):
            net.init(jax.random.key(0))
        assert network(Dense(), (3,)).init(jax.random.key(0)).trainable["0"]["W"].dtype == "float32"


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({"width": 0}, "width is a positive integer, got 0"),
        ({"width": 2.0}, "width is a positive integer, got 2.0"),
        ({"width": True}, "width is a positive integer, got True"),
        ({"outputs": -1}, "outputs is a positive integer, got -1"),
        ({"dtype": "float16"}, "dtype is one of float32, float64, got 'float16'"),
    ],
)
def test_options_out_of_range_are_refused(options, needed):
    with pytest.raises(InputError, match=needed):
        network(Dense(), (3,), **options)


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        (Conv(3), r"ends in shape \(2, 2, 1\).*Flatten\(\) or GlobalAvgPool\(\)"),
        (Conv((3,)), "window"),
        (Serial(Parallel(Serial(Conv(1), Flatten()), Serial(Flatten(), Dense()))), "different"),
    ],
)
def test_networks_that_make_no_sense_are_refused(spec, needed):
    with pytest.raises(SpecError, match=needed):
        network(spec, SHAPE)


@pytest.mark.parametrize(
    ("x", "needed"),
    [
        (np.ones((2, 4)), r"x has shape \(n, 3\) for this network, got \(2, 4\)"),
        (np.ones(3), r"x has shape \(n, 3\) for this network, got \(3,\)"),
        (np.ones((2, 1, 3)), r"got \(2, 1, 3\)"),
        (np.float64(1), r"got \(\)"),
        (np.ones((2, 3), complex), "real numbers, got dtype complex128"),
        (np.array([["a", "b", "c"]]), "real numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, needed):
    net = network(Dense(), (3,))
    with pytest.raises(InputError, match=needed):
        net.apply(net.init(jax.random.key(0)), x)


@pytest.mark.parametrize(
    ("other", "needed"),
    [
        (network(zoo.fc(3), (3,), width=4, dtype="float64"), r"weights at \['1', '3'\], got \['1', '3', '5'\]"),
        (
            network(zoo.fc(2), (3,), width=5, dtype="float64"),
            r"W of layer 1 is float64\[3, 4\] here, got float64\[3, 5\]",
        ),
        (network(zoo.fc(2), (3,), width=4, dtype="float32"), r"got float32\[3, 4\]"),
    ],
)
def test_parameters_of_another_network_are_refused(other, needed):
    net = network(zoo.fc(2), (3,), width=4, dtype="float64")
    with pytest.raises(InputError, match=needed):
        net.apply(other.init(jax.random.key(0)), np.ones((1, 3)))
