"""Networks of the literature, by name. Depth counts weight layers, as in Arora et al. 2019."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ntklab.errors import SpecError
from ntklab.spec._activations import Relu
from ntklab.spec._attention import GlobalSelfAttention
from ntklab.spec._composition import Activation
from ntklab.spec._convolutions import Conv
from ntklab.spec._inputs import Graph, Neighbours
from ntklab.spec._layer import Layer
from ntklab.spec._linear import Dense, Flatten
from ntklab.spec._normalisation import LayerNorm
from ntklab.spec._pooling import AvgPool, GlobalAvgPool, GlobalSumPool
from ntklab.spec._recurrent import Recurrent
from ntklab.spec._structure import Concat, Repeat, Residual, Serial

Pooling = Literal["none", "gap"]
HE = 2.0**0.5
"""``W_std`` that keeps the variance through ReLU layers (``c_sigma = 2`` in Arora et al. 2019)."""


def fc(depth: int, width: int | None = None, W_std: float = HE, b_std: float | None = None) -> Serial:
    """Return ``depth`` dense layers with ReLU between them; images are flattened first.

    ``fc(1)`` is linear. ``width`` is that of the hidden layers and matters to finite networks only.

    Examples
    --------
    >>> fc(2, W_std=1.5)
    Serial(Flatten(), Dense(W_std=1.5), Relu(), Dense(W_std=1.5))
    """
    _check_count("fc", "depth", depth, 1)
    hidden = [Dense(width, W_std=W_std, b_std=b_std), Relu()] * (depth - 1)
    return Serial(Flatten(), *hidden, Dense(W_std=W_std, b_std=b_std))


def cntk(depth: int, pooling: Pooling, width: int | None = None) -> Serial:
    """Return the network behind CNTK-V (``"none"``) and CNTK-GAP (``"gap"``) of Arora et al. 2019.

    ``depth - 1`` convolutions (3 x 3, stride 1, zero padding, no bias, ``W_std**2 = 2``), each followed by
    ReLU, then Flatten or GlobalAvgPool and one dense layer. CNTK-V trains every layer; CNTK-GAP **does not
    train the first and the last**, as the authors' released code does for the published numbers (its flags
    ``--gap yes --fix yes``). Kernels agree with that code up to one constant per depth, which no
    ridgeless prediction depends on.

    Examples
    --------
    >>> cntk(3, "gap").layers[0].trainable, cntk(3, "gap").layers[2].trainable
    (False, True)
    """
    _check_count("cntk", "depth", depth, 2)
    gap = _is_gap("cntk", pooling)
    layers: list[Layer] = []
    for i in range(depth - 1):
        layers += [Conv(3, width, HE, padding="SAME", trainable=i > 0 or not gap), Relu()]
    return Serial(*layers, GlobalAvgPool() if gap else Flatten(), Dense(W_std=HE, trainable=not gap))


def cntk_lap(depth: int, reach: int, width: int | None = None) -> Serial:
    """Return the network behind CNTK-LAP of Li et al. 2019: local average pooling, between CNTK-V and CNTK-GAP.

    ``depth - 1`` convolutions as in :func:`cntk`, all trained, each followed by ReLU; means over windows of
    ``2 * reach + 1`` positions along each axis, where zeros surround the image; Flatten and one dense layer. Images
    moved by up to ``reach`` pixels look alike to it; ``reach=0`` is CNTK-V.

    Examples
    --------
    >>> cntk_lap(3, 4).layers[4]
    AvgPool((9, 9), padding='SAME')
    """
    _check_count("cntk_lap", "depth", depth, 2)
    _check_count("cntk_lap", "reach", reach, 0)
    body = [Conv(3, width, HE, padding="SAME"), Relu()] * (depth - 1)
    return Serial(*body, AvgPool(2 * reach + 1, padding="SAME"), Flatten(), Dense(W_std=HE))


def plain_cnn(convs: int, pooling: Pooling, width: int | None = None) -> Serial:
    """Return ``convs`` x [3 x 3 SAME convolution, ReLU], then GlobalAvgPool or Flatten; all layers trained.

    ``plain_cnn(21, ...)`` is the network of neural-tangents' own timing table.
    """
    _check_count("plain_cnn", "convs", convs, 1)
    head = GlobalAvgPool() if _is_gap("plain_cnn", pooling) else Flatten()
    return Serial(*[Conv(3, width, HE, padding="SAME"), Relu()] * convs, head)


def myrtle(depth: Literal[5, 7, 10], width: int | None = None, activation: Activation | None = None) -> Serial:
    """Return the Myrtle network of Shankar et al. 2020 for 32 x 32 images, all layers trained.

    Three stages of 3 x 3 SAME convolutions with ReLU ((2, 1, 1), (2, 2, 2) or (3, 3, 3) of them), 2 x 2
    average pooling after the first two, three poolings down to one position after the last, one dense layer.
    ``activation=ExpNormalized()`` in place of ReLU makes the paper's Myrtle-Gaussian kernels.
    """
    stages = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
    if depth not in stages:
        raise SpecError(f"myrtle: depth is 5, 7 or 10, got {depth!r}.")
    pool = AvgPool(2, strides=2)
    layers: list[Layer] = []
    for convs, pools in zip(stages[depth], (1, 1, 3), strict=True):
        layers += [Conv(3, width, HE, padding="SAME"), activation or Relu()] * convs + [pool] * pools
    return Serial(*layers, Flatten(), Dense(W_std=HE))


def rntk(
    depth: int = 1,
    activation: Activation | None = None,
    readout: Literal["last", "mean"] = "last",
    width: int | None = None,
    W_std: float = HE,
    U_std: float = 1.0,
    b_std: float | None = None,
) -> Serial:
    """Return the recurrent network of Alemohammad et al. 2021 for sequences ``(L, C)``, all layers trained.

    ``depth`` recurrent layers (ReLU unless ``activation`` is given) with initial state zero, then the last state or
    the mean of all, and one dense layer. ``W_std`` and ``U_std`` are the paper's ``sigma_w`` and ``sigma_u``; its
    ``sigma_v`` is 1.

    Examples
    --------
    >>> rntk(W_std=1.0)
    Serial(Recurrent(Relu(), output='last'), Dense())
    """
    _check_count("rntk", "depth", depth, 1)
    if readout not in ("last", "mean"):
        raise SpecError(f'rntk: readout is "last" or "mean", got {readout!r}.')
    layer = Recurrent(activation or Relu(), width, W_std, U_std, b_std)
    end = (layer, GlobalAvgPool()) if readout == "mean" else (replace(layer, output="last"),)
    return Serial(*[layer] * (depth - 1), *end, Dense())


def transformer(
    blocks: int,
    attention: GlobalSelfAttention | None = None,
    width: int | None = None,
    W_std: float = HE,
    norm: Literal["pre", "post", "none"] = "pre",
) -> Serial:
    """Return a transformer for sequences or images, all layers trained.

    One dense layer, ``blocks`` blocks of ``x + attention(x)`` and then ``x + dense(relu(dense(x)))``, the mean over
    positions and one dense layer. ``attention`` is by default softmax with positions added to queries and keys, of
    covariance ``1 / (1 + d**2)`` at a distance ``d``; ``W_std`` is that of the dense layers before and after a ReLU.

    ``norm`` says where :class:`LayerNorm` over channels stands: in front of each attention and each pair of dense
    layers, and once before the mean (``"pre"``: Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture"), behind each sum (``"post"``: Vaswani et al. 2017), or nowhere (``"none"``).

    Examples
    --------
    >>> transformer(12).layers[1].count
    12
    """
    _check_count("transformer", "blocks", blocks, 1)
    if norm not in ("pre", "post", "none"):
        raise SpecError(f'transformer: norm is "pre", "post" or "none", got {norm!r}.')
    attention = attention or GlobalSelfAttention(width, pos_emb="SUM", pos_emb_decay="rational")
    before, behind = ((LayerNorm(),) if norm == where else () for where in ("pre", "post"))
    dense = Dense(width, W_std)
    block = Serial(
        Residual(*before, attention),
        *behind,
        Residual(*before, dense, Relu(), dense),
        *behind,
    )
    return Serial(Dense(width), Repeat(block, count=blocks), *before, GlobalAvgPool(), Dense())


def gntk(
    features: int, blocks: int = 2, depth: int = 1, mean: bool = False, width: int | None = None, jumping: bool = False
) -> Serial:
    """Return the network behind the graph kernel of Du et al. 2019 for graphs with ``features`` of each node.

    ``blocks`` times: a sum over neighbours, then ``depth`` times ReLU and a dense layer (``W_std**2 = 2``, no bias),
    with one more dense layer in front of the first ReLU; then the sum over nodes. All layers trained. ``mean`` divides
    sums by degrees. Inputs come from :func:`ntklab.data.pack_graphs` with ``self_loops=True``, as the paper has it;
    its kernel is ``features`` times this one, since inner products of features are means here.

    With ``jumping`` knowledge the sums over nodes of a linear layer of the features and of every block stand side by
    side; the paper's kernel is then ``features * (blocks + 1)`` times this one, a mean over channels as well. Finite
    networks need a ``width`` for that, the same in all of them.

    Examples
    --------
    >>> gntk(3, blocks=1)
    Serial(Graph(3), Neighbours(), Dense(), Relu(), Dense(W_std=1.4142135623730951), GlobalSumPool())
    """
    for what, value in (("features", features), ("blocks", blocks), ("depth", depth)):
        _check_count("gntk", what, value, 1)
    relus = [Relu(), Dense(width, HE)] * depth
    steps = [[Neighbours(mean), Dense(width), *relus], *[[Neighbours(mean), *relus]] * (blocks - 1)]
    if not jumping:
        return Serial(Graph(features), *(layer for step in steps for layer in step), GlobalSumPool())
    end: Layer = GlobalSumPool()
    for step in reversed(steps[1:]):
        end = Concat(GlobalSumPool(), Serial(*step, end))
    start = Serial(Dense(width), GlobalSumPool())
    return Serial(Graph(features), Concat(start, Serial(*steps[0], end)))


def _is_gap(name: str, pooling: str) -> bool:
    if pooling not in ("none", "gap"):
        raise SpecError(f'{name}: pooling is "none" (Flatten) or "gap" (GlobalAvgPool), got {pooling!r}.')
    return pooling == "gap"


def _check_count(name: str, what: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SpecError(f"{name}: {what} is an integer >= {least}, got {value!r}.")
