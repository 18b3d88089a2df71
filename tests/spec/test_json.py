"""Specs as JSON, both ways, and the hash that names them for years."""

import json
import subprocess
import sys
from dataclasses import is_dataclass

import pytest

from ntklab.errors import SpecError
from ntklab.spec import (
    ABRelu,
    Abs,
    Affine,
    Aggregate,
    AvgPool,
    BatchNorm,
    Combination,
    Concat,
    Conv,
    ConvLocal,
    ConvTranspose,
    Cos,
    Dense,
    DotGeneral,
    Dropout,
    Elementwise,
    Elu,
    Erf,
    Exp,
    ExpNormalized,
    Flatten,
    Gabor,
    Gaussian,
    Gelu,
    GlobalAvgPool,
    GlobalSelfAttention,
    GlobalSumPool,
    Graph,
    Hermite,
    Identity,
    ImageResize,
    Index,
    Layer,
    LayerNorm,
    LeakyRelu,
    Mask,
    MaxPool,
    Monomial,
    Neighbours,
    Parallel,
    Part,
    Polynomial,
    Product,
    Rbf,
    RectifiedMonomial,
    Recurrent,
    Relu,
    Repeat,
    Residual,
    Selu,
    Serial,
    Sigmoid,
    Sigmoid_like,
    Sign,
    Silu,
    Sin,
    Softplus,
    SumPool,
    Tanh,
    from_json,
    stable_hash,
    to_json,
    zoo,
)

NETWORKS = [
    Dense(3, 1.5, 0.25, False),
    Relu(),
    Identity(),
    Serial(),
    Conv((3, 2, 1), 16, 1.1, 0.3, False, (1, 2, 1), "CIRCULAR"),
    AvgPool((2, 3), (2, 1), "SAME"),
    Parallel(Dense(), Dense(), Serial(Relu(), Dense())),
    Residual(Relu(), Conv(3, padding="SAME"), shortcut=Conv(1)),
    Serial(Conv(3, padding="SAME"), Residual(Relu(), Conv(3, padding="SAME")), Flatten(), Dense(W_std=2.0**0.5)),
    Serial(Conv(3), GlobalAvgPool(), Dense(W_std=1e-300, b_std=0.1)),
    Serial(Product(Dense(), Serial(Dense(), Relu())), Repeat(Serial(Dense(), Relu()), 3)),
    Serial(Concat(Conv((2,)), Conv((3,)), axis=0), Concat(Dense(2), Identity())),
    GlobalSelfAttention(3, 1.1, b_std=0.1, mechanism="ABS", pos_emb="CONCAT", pos_emb_decay="rational", heads=2),
    Serial(Mask(9.0), Dense()),
    Part((4, 4, 3), 2),
    Parallel(Serial(Part((4, 4, 3)), Flatten(), Dense()), Serial(Part((3,), start=48), Dense())),
    Serial(Graph(3), Mask(), Neighbours(), Neighbours(mean=True)),
    Recurrent(Relu(), 7, 1.1, 0.9, 0.1, False, "last"),
    zoo.cntk(21, "gap"),
    zoo.myrtle(10),
    Dense(3, parameterization="standard", s=(1, 2)),
    Conv((3,), padding=((2, 0),), dilation=2, groups="depthwise"),
    ConvTranspose(3, strides=2, padding="CIRCULAR"),
    ConvLocal(3, b_std=0.1),
    SumPool((2, 3)),
    MaxPool((2, 3), (1, 2), "CIRCULAR"),
    BatchNorm(1e-3),
    AvgPool(3, padding="SAME", normalize_edges=True),
    GlobalSumPool(),
    LayerNorm((0, -1), eps=1e-6),
    Dropout(0.7, "test"),
    ImageResize((4, -1), "cubic", antialias=False),
    Index((0, slice(None, None, -2), ...)),
    DotGeneral([[1.0, -0.5]], contract=((1,), (1,)), constant_first=True),
    DotGeneral(2.0),
    Aggregate([[0, 1], [0.5, 0]], axis=1),
    Aggregate([[1] * 5] * 5),
    *(shape() for shape in (Abs, Cos, Erf, Exp, ExpNormalized, Gabor, Gaussian, Gelu, Rbf, Sigmoid_like, Sign, Sin)),
    *(shape(3) for shape in (Hermite, Monomial, RectifiedMonomial)),
    LeakyRelu(0.1),
    ABRelu(-0.5, 2),
    Polynomial([1, 0, 0.5]),
    Gelu(approximate=True),
    Affine(Erf(0.5), 2.0, -1.0, 0.3),
    Combination(Relu(), Affine(Tanh(), 0.5)),
    *(shape() for shape in (Elu, Selu, Sigmoid, Silu, Softplus, Tanh)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_round_trip(network, indent):
    text = to_json(network, indent)
    json.loads(text)
    assert from_json(text) == network
    assert stable_hash(from_json(text)) == stable_hash(network)


def test_a_function_of_the_user_has_no_json():
    with pytest.raises(SpecError, match="no JSON"):
        to_json(Serial(Dense(), Elementwise(abs)))


def test_hashes_name_networks():
    assert len({stable_hash(network) for network in NETWORKS}) == len(NETWORKS)
    assert stable_hash(Conv(3)) == stable_hash(Conv((3, 3), strides=(1, 1), W_std=1))
    assert stable_hash(Dense()) != stable_hash(Dense(trainable=False))


def test_equal_networks_have_equal_hashes_even_at_minus_zero():
    assert Dense(b_std=-0.0) == Dense(b_std=0.0)
    assert stable_hash(Dense(b_std=-0.0)) == stable_hash(Dense(b_std=0.0))


def test_the_json_text_and_the_hash_of_a_network_never_change():
    """They are in users' files; a change of meaning raises ``FORMAT``."""
    network = Serial(Conv(3, padding="SAME", W_std=1.5), Relu(), GlobalAvgPool(), Dense(b_std=0.5, trainable=False))
    assert to_json(network) == (
        '{"format": 1, "network": {"layer": "Serial", "layers": ['
        '{"W_std": 1.5, "b_std": null, "filter_shape": [3, 3], "layer": "Conv", "padding": "SAME", '
        '"strides": [1, 1], "trainable": true, "width": null}, {"layer": "Relu"}, {"layer": "GlobalAvgPool"}, '
        '{"W_std": 1.0, "b_std": 0.5, "layer": "Dense", "trainable": false, "width": null}]}}'
    )
    assert stable_hash(network) == "680957872918b4d59d945ef651fcc48a28ee4dc17598ba9136919a599f3ae7c5"
    assert stable_hash(zoo.cntk(3, "gap")) == "7fa1af999000db5489dedc87aef708cfee95ad2bcdcee22489877d5a76423b50"


def test_the_hash_is_the_same_in_another_process():
    code = "from ntklab.spec import stable_hash, zoo; print(stable_hash(zoo.cntk(3, 'gap')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == stable_hash(zoo.cntk(3, "gap"))


def test_fields_with_defaults_may_be_left_out_of_hand_written_json():
    assert from_json('{"format": 1, "network": {"layer": "Conv", "filter_shape": [3, 3]}}') == Conv(3)
    body = '{"layer": "Serial", "layers": [{"layer": "Dense"}]}'
    assert from_json(f'{{"format": 1, "network": {{"layer": "Residual", "body": {body}}}}}') == Residual(Dense())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", ["Not a network in JSON"]),
        ("", ["Not a network in JSON"]),
        ("[1, 2]", ['"format": 1', "another version"]),
        ('{"network": {"layer": "Relu"}}', ['"format": 1', "another version"]),
        ('{"format": 2, "network": {"layer": "Relu"}}', ['"format": 1', "another version"]),
        ('{"format": 1}', ['"format": 1', "another version"]),
        ('{"format": 1, "network": {"layer": "Softmax"}}', ["Unknown layer 'Softmax'", "AvgPool", "Dense"]),
        ('{"format": 1, "network": {}}', ["Unknown layer None"]),
        ('{"format": 1, "network": {"layer": "Relu", "slope": 1}}', ["Relu", "slope"]),
        ('{"format": 1, "network": {"layer": "Conv"}}', ["Conv", "filter_shape"]),
        ('{"format": 1, "network": {"layer": "Dense", "W_std": -1}}', ["Dense", "W_std", "-1"]),
        ('{"format": 1, "network": {"layer": "Dense", "W_std": NaN}}', ["Dense", "W_std", "nan"]),
        ('{"format": 1, "network": {"layer": "Conv", "filter_shape": [3, "x"]}}', ["Conv", "filter_shape"]),
        ('{"format": 1, "network": {"layer": "Serial", "layers": [{"layer": "Relu"}, 3]}}', ["Serial", "3"]),
        ('{"format": 1, "network": {"layer": "Parallel", "branches": [{"layer": "Relu"}]}}', ["at least two"]),
        ('{"format": 1, "network": 5}', ["network"]),
        ('{"format": 1, "network": [{"layer": "Relu"}]}', ["network"]),
        ('{"format": 1, "network": {"layer": "Serial", "layers": 5}}', ["Serial"]),
        ('{"format": 1, "network": {"layer": ["Relu"]}}', ["layer"]),
    ],
)
def test_json_that_is_no_network_is_refused_with_the_reason(text, words):
    with pytest.raises(SpecError) as caught:
        from_json(text)
    for word in words:
        assert word in str(caught.value)


def test_every_concrete_layer_has_json():
    import ntklab.spec as room

    layers = {
        cls for cls in vars(room).values() if isinstance(cls, type) and issubclass(cls, Layer) and is_dataclass(cls)
    }
    written = {type(layer) for network in NETWORKS for layer in (network, *getattr(network, "layers", ()))}
    assert layers - {Elementwise} == written
