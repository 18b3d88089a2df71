"""Linear layers on the grids on which neural-tangents 0.6.5 tests its own, on all of them and on no sample.

Entries between different inputs are compared with it; it rounds coinciding ones to about 1e-9, so the diagonal is
compared with NumPy. ``COUNTS`` states how many networks each grid has.
"""

import itertools

import numpy as np
import pytest

import ntklab
from ntklab.spec import (
    Aggregate,
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    DotGeneral,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    ImageResize,
    Index,
    LayerNorm,
    Relu,
    Residual,
    Serial,
    SumPool,
)
from ntklab.testing import made_up_inputs
from tests.oracles import linear_numpy
from tests.oracles.neural_tangents_oracle import kernels_of_many, load

pytestmark = pytest.mark.oracle

DIFFERENT, EXACT = 1e-10, 1e-12
"""Allowed relative to the largest entry: with neural-tangents, and of the diagonal with NumPy."""
ROUNDING = 1e-7
"""What neural-tangents makes of positions of two inputs that coincide, such as a bias alone; NumPy decides there."""
ROOT = 1e-9
"""What our diagonal has where two pooled windows of one input hold the same positions: their distance is zero up to the
rounding of a subtraction, and the next activation takes its root. Seen 9e-11."""
PADDINGS = ("SAME", "VALID", "CIRCULAR")
HE, HALF = 2.0**0.5, 0.5**0.5
IMAGE = (4, 5, 2)


def parameterization_linear():
    """Three inputs, 1 to 3 dense layers, both parameterisations."""
    for depth, W, b in itertools.product(range(3), (0.0, 1.0, 2.0), (None, 0.0, HALF, 2.0)):
        for s in (None, 512, 256, 128):
            layers = []
            for i in range(depth + 1):
                last = i == depth
                numbers = {"W_std": W / (i + 1), "b_std": None if b is None else b / (i + 1)}
                if s is not None:
                    numbers |= {"parameterization": "standard", "s": (s if i else 1, 1 if last else s)}
                layers.append(Dense(1 if last else (1024 if s is None else 512 // s) * (i + 1), **numbers))
            yield Serial(*layers), (3,)


def parameterization_nonlinear():
    """Two weight layers in front of ReLU, one behind: dense and convolutional, both parameterisations."""
    for W, b, standard in itertools.product((0.0, 1.0, 2.0), (None, 0.0, HALF), (False, True)):

        def options(s, W=W, b=b, standard=standard):
            numbers = {"width": 1 if standard else 1024, "W_std": W, "b_std": b}
            return {**numbers, "parameterization": "standard", "s": s} if standard else numbers

        first, second, head = options((1, 1024)), options((1024, 1024)), options((1024, 1)) | {"width": 1}
        yield Serial(Dense(**first), Dense(**second), Relu(), Flatten(), Dense(**head)), (40,)
        for filters, readout in itertools.product(((2, 1), (3, 2)), (Flatten(), GlobalAvgPool())):
            convs = (Conv(filters, strides=(1, 2), padding="SAME", **o) for o in (first, second))
            yield Serial(*convs, Relu(), readout, Dense(**head)), IMAGE


def exact():
    """Convolutions, with and without inner pooling and a residual, both readouts."""
    grid = itertools.product(PADDINGS, ((1, 2), (2, 1)), ((2, 1), (3, 2)), (False, True), (False, True), (False, True))
    for padding, strides, filters, pooled, residual, gap in grid:
        if residual and (padding == "VALID" or strides == (2, 1)):
            continue  # as there: a residual needs an inner layer that keeps the shape
        first = Conv(filters, strides=strides, padding=padding, W_std=HE, b_std=HALF)
        inner = Conv(filters, strides=(1, 1) if residual else strides, padding=padding, W_std=HE, b_std=HALF)
        pool = AvgPool((2, 3), padding="SAME" if padding == "SAME" else "CIRCULAR") if pooled else Identity()
        block = Residual(inner, pool) if residual else Serial(inner, pool)
        high = padding == "VALID" and strides[0] == 2 and filters[0] == 3  # two such windows, one after the other
        yield (
            Serial(first, block, Relu(), GlobalAvgPool() if gap else Flatten(), Dense(W_std=HE, b_std=HALF)),
            (11 if high else 6, 6, 2),
        )


def layer_norm():
    """Norms over channels and over positions, with and without a residual, both readouts; none over the batch."""
    for axis, residual, gap in itertools.product(((-1,), (0, -1), (0, 1, -1)), (False, True), (False, True)):
        inner = Conv((3, 2), padding="SAME", W_std=HE, b_std=HALF)
        block = Residual(inner) if residual else inner
        readout = GlobalAvgPool() if gap else Flatten()
        first = Conv((2, 1), padding="SAME", W_std=HE, b_std=HALF)
        yield Serial(first, block, LayerNorm(axis), Relu(), readout, Dense(W_std=HE, b_std=HALF)), IMAGE
    for axis in ((-1,),):
        yield Serial(Dense(W_std=HE), LayerNorm(axis), Relu(), Dense(b_std=HALF)), (40,)


def pools():
    """A pooling between two convolutions with ReLU, and a global one."""
    grid = itertools.product(PADDINGS, ((2, 1), (3, 2)), ((1, 2), (2, 1)), ("mean", "inside", "sum"))
    for padding, window, strides, how in grid:
        scale = 1.0 / np.prod(window) if how == "sum" else 1.0
        conv = Conv(window, padding="SAME", W_std=HE * scale, b_std=HALF)
        pool = SumPool(window, strides, padding) if how == "sum" else AvgPool(window, strides, padding, how == "inside")
        end = (GlobalSumPool(), Dense(W_std=HE / 20)) if how == "sum" else (GlobalAvgPool(), Dense(W_std=HE))
        yield Serial(conv, Relu(), pool, conv, Relu(), *end), IMAGE


def transposed():
    """One axis: sizes, filters, strides, paddings, at equal and at all positions."""
    for size, k, s, padding, gap in itertools.product((2, 3, 4), (2, 3, 4), (2, 3, 4), PADDINGS, (False, True)):
        layer = ConvTranspose((k,), strides=s, padding=padding, b_std=0.1)
        yield Serial(layer, Relu(), GlobalAvgPool() if gap else Flatten()), (size, 1)


def local():
    """One axis, and a deep network; no s[1] > 1, which it leaves out by mistake (below)."""
    for size, k, s, padding in itertools.product((2, 3), (2, 3), (1, 2), PADDINGS):
        if padding == "VALID" and k > size:
            continue
        for way, gap in itertools.product(("ntk", "standard"), (False, True)):
            layer = ConvLocal((k,), 1, W_std=1.5, b_std=0.2, strides=s, padding=padding, parameterization=way)
            yield Serial(layer, GlobalAvgPool() if gap else Flatten()), (size, 1)
    for pool, gap, way in itertools.product((None, AvgPool((2, 3), (2, 1))), (False, True), ("ntk", "standard")):
        o = {"parameterization": way, "width": 256}
        yield (
            Serial(
                ConvLocal((2, 3), strides=(2, 1), padding="CIRCULAR", W_std=1.5, b_std=0.2, **o),
                *(() if pool is None else (pool,)),
                Relu(),
                ConvLocal((3, 1), 256, strides=(1, 2), padding="SAME"),
                Relu(),
                ConvLocal((1, 3), strides=(2, 1), padding="VALID", W_std=1.2, b_std=0.3, **o),
                GlobalAvgPool() if gap else Flatten(),
                Dense(),
            ),
            (7, 8, 3),
        )


def resized():
    """Two methods, with and without antialiasing, on one and two axes, in front of ReLU and behind.

    Behind two convolutions: after an odd number of them it takes one axis for the other (below).
    """
    shapes = ((2,), (3,), (5,), (2, 3), (3, -1), (5, 1), (-1, 2))
    for shape, method, antialias, late in itertools.product(
        shapes, ("linear", "nearest"), (True, False), (False, True)
    ):
        layer, conv = ImageResize(shape, method, antialias), Conv((2,) * len(shape), padding="SAME", b_std=0.1)
        middle = (Relu(), layer) if late else (layer, Relu())
        end = (Flatten() if late else GlobalAvgPool(), Dense())
        yield Serial(Conv((1,) * len(shape)), conv, *middle, *end), IMAGE[-len(shape) - 1 :]


def indexed():
    """All of its indices that leave batch and channels whole, at three places, both readouts."""
    s = np.s_
    words = (s[:], s[0], s[-1], s[-3:], s[::-2], s[::-2, 0], s[1], s[1, -1], s[1, 2], s[:2, :2], s[...], s[0, ...])
    words += (s[..., 1], s[..., ::2], s[::2, 1:3], s[:, ::-1], s[2:0:-1, 0])
    for index, at, gap in itertools.product(words, range(3), (False, True)):
        layer = Index(index)
        rank = 2 - sum(isinstance(word, int) for word in layer.index)
        if rank == 0 and at < 2:
            continue  # nothing to convolve or pool
        if rank == 0 and gap:
            continue
        conv = Conv((2, 3)[:rank] if at == 0 else (2, 3), padding="SAME")
        layers = [conv, Relu()]
        layers.insert(at, layer)
        yield Serial(*layers, GlobalAvgPool() if gap else Flatten(), Dense()), (3, 4, 2)


def aggregated():
    """Graphs on all subsets of the axes; the layer before and behind ReLU."""
    rng = np.random.default_rng(0)
    for sizes, axes in (((4,), (0,)), ((3, 2), (0,)), ((3, 2), (1,)), ((3, 2), (0, 1))):
        nodes = tuple(sizes[a] for a in axes)
        for weights, late in itertools.product((False, True), (False, True)):
            graph = rng.normal(size=nodes * 2) if weights else rng.integers(0, 2, size=nodes * 2)
            layer, conv = Aggregate(graph, axis=axes), Conv((2,) * len(sizes), padding="SAME")
            middle = (Relu(), layer) if late else (layer, Relu())
            yield Serial(conv, *middle, GlobalAvgPool(), Dense()), (*sizes, 2)


def dropped():
    """Both modes, where an activation follows and where none does."""
    for rate, mode in itertools.product((0.5, 0.9), ("train", "test")):
        drop = Dropout(rate, mode)
        yield Serial(Dense(), Relu(), drop, Dense(), Relu(), Dense()), (5,)
        for readout in (Flatten(), GlobalAvgPool()):
            yield Serial(Conv((2, 1)), Relu(), drop, Conv((1, 2), b_std=0.3), Relu(), readout, Dense()), (3, 4, 2)


GRIDS = (parameterization_linear, parameterization_nonlinear, exact, layer_norm, pools, transposed, local, resized)
GRIDS += (indexed, aggregated, dropped)
COUNTS = {
    "parameterization_linear": 144,
    "parameterization_nonlinear": 90,
    "exact": 64,
    "layer_norm": 13,
    "pools": 36,
    "transposed": 162,
    "local": 96,
    "resized": 56,
    "indexed": 92,
    "aggregated": 16,
    "dropped": 12,
}
QUICK = ("dropped",)


@pytest.mark.parametrize(
    "grid", [pytest.param(g, marks=[] if g.__name__ in QUICK else [pytest.mark.slow]) for g in GRIDS]
)
def test_all_of_a_grid(grid):
    assert compare(grid) == COUNTS[grid.__name__]


def compare(grid):
    by_shape, rounded = {}, 0
    for number, (network, shape) in enumerate(grid()):
        by_shape.setdefault(shape, {})[f"{grid.__name__} {number}"] = network
    for shape, networks in by_shape.items():
        names = list(networks)
        for start in range(0, len(names), 36):
            some = {name: networks[name] for name in names[start : start + 36]}
            rounded += compare_some(some, shape)
    print(grid.__name__, rounded, "kernels where neural-tangents rounds to more than", DIFFERENT)
    return sum(map(len, by_shape.values()))


def compare_some(networks, shape):
    inputs = made_up_inputs(5, shape)
    x, y = inputs[:2], 2 * inputs[2:]
    rounded = 0
    kernels = ntklab.compile(networks, shape, dtype="float64", engine="reference")
    crossed, own = kernels(x, y), kernels.diagonal(x[:1])
    theirs = kernels_of_many(networks, x, y)
    for name, network in networks.items():
        exact = linear_numpy.gram(network, x[:1], dtype=np.longdouble)
        for i, word in enumerate(("nngp", "ntk")):
            ours, diagonal = np.asarray(getattr(crossed[name], word)), np.asarray(getattr(own[name], word))
            largest = np.abs(theirs[name][i]).max()
            error = np.abs(ours - theirs[name][i]).max() / max(largest, 1e-300)
            if error > DIFFERENT:
                assert error < ROUNDING, (name, word, network)
                between = linear_numpy.gram(network, x, y, dtype=np.longdouble)[i]
                assert np.abs(ours - between).max() <= EXACT * largest, (name, word, network)
                rounded += 1
            own_error = np.abs(diagonal - exact[i][0]).max() / max(np.abs(exact[i]).max(), 1e-300)
            assert own_error <= (ROOT if name.startswith("exact") else EXACT), (name, word, network)
    return rounded


@pytest.mark.slow
def test_products_with_constants_on_all_axes():
    """Every way to contract, match or keep one or two axes, with every order of the constant's axes, on both sides."""
    stax, _ = load()
    rng = np.random.default_rng(0)
    count = 0
    for sizes in ((3,), (3, 2)):
        ours, theirs = {}, {}
        rank = len(sizes)
        for roles in itertools.product(("free", "batch", "contract"), repeat=rank):
            batch = [i for i in range(rank) if roles[i] == "batch"]
            contract = [i for i in range(rank) if roles[i] == "contract"]
            shape = [5 if role == "free" else n for role, n in zip(roles, sizes, strict=True)]
            for order, first in itertools.product(itertools.permutations(range(rank)), (False, True)):
                constant = rng.normal(size=shape).transpose(order)
                pairs = [(tuple(axes), tuple(order.index(a) for a in axes)) for axes in (contract, batch)]
                name = f"{sizes} {roles} {order} {first}"
                layer = DotGeneral(constant, *pairs, constant_first=first)
                conv = Conv((2,) * rank, padding="SAME", b_std=0.2)
                end = (Flatten(),) if sum(map(len, roles)) % 2 or len(contract) == rank else (GlobalAvgPool(),)
                ours[name] = Serial(conv, layer, Relu(), *end)
                dims = tuple((tuple(1 + a for a in x), c) for x, c in pairs)
                dims = tuple(pair[::-1] for pair in dims) if first else dims
                at = len(batch) + (rank - len(batch) - len(contract) if first else 0)
                axes = {"batch_axis": at, "channel_axis": at + rank - len(batch) - len(contract) + 1}
                product = stax.DotGeneral(**{"lhs" if first else "rhs": constant}, dimension_numbers=dims)
                readout = stax.GlobalAvgPool(**axes) if isinstance(end[0], GlobalAvgPool) else stax.Flatten(at)
                theirs[name] = stax.serial(
                    stax.Conv(1, (2,) * rank, padding="SAME", b_std=0.2), product, stax.Relu(), readout
                )
                count += 1
        x = made_up_inputs(4, (*sizes, 2))
        exact = ntklab.compile(ours, (*sizes, 2), dtype="float64", engine="reference")(x[:2], x[2:])
        for name, (nngp, ntk) in kernels_of_many(theirs, x[:2], x[2:]).items():
            assert np.abs(np.asarray(exact[name].nngp) - nngp).max() <= DIFFERENT * np.abs(nngp).max(), name
            assert np.abs(np.asarray(exact[name].ntk) - ntk).max() <= DIFFERENT * np.abs(ntk).max(), name
    assert count == 42


@pytest.mark.slow
def test_where_it_is_wrong_about_the_axes_of_a_resized_image_numpy_decides():
    """A convolution of one pixel mixes no positions, and still its kernels change: it stores axes in reversed order."""
    resize, readout = ImageResize((2, 3)), (Relu(), GlobalAvgPool(), Dense())
    convs = Conv((2, 2), b_std=0.1, padding="SAME"), Conv((1, 1))
    networks = {"odd": Serial(convs[0], resize, *readout), "even": Serial(*convs, resize, *readout)}
    x = made_up_inputs(4, IMAGE)
    theirs = kernels_of_many(networks, x[:2], x[2:])
    for name, network in networks.items():
        kernel = ntklab.compile(network, IMAGE, dtype="float64", engine="reference")(x[:2], x[2:]).nngp
        exact = linear_numpy.gram(network, x[:2], x[2:], dtype=np.longdouble)[0].astype(float)
        np.testing.assert_allclose(kernel, exact, rtol=1e-12)
        assert np.allclose(kernel, theirs[name][0], rtol=1e-9) == (name == "even")


def test_where_it_is_wrong_about_the_widening_of_local_layers_numpy_decides():
    """With s[1] > 1 its unshared layer has s[1] times too few channels, which the layer behind it counts."""
    options = {"parameterization": "standard", "W_std": 1.5, "b_std": 0.2}
    net = Serial(ConvLocal((2,), 4, s=(1, 8), **options), Relu(), Flatten(), Dense(1, s=(8, 1), **options))
    x = made_up_inputs(3, (3, 1))
    kernel = ntklab.compile(net, (3, 1), dtype="float64")(x)
    exact = linear_numpy.gram(net, x, dtype=np.longdouble)
    np.testing.assert_allclose(kernel.ntk, exact[1].astype(float), rtol=1e-13)
    wrong = kernels_of_many({"it": net}, x[:2], x[2:])["it"][1]
    assert not np.allclose(kernel.ntk[:2, 2:], wrong, rtol=0.1)
