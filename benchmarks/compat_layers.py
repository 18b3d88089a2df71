"""Programs for neural-tangents, one function each: layers, combinators, and what kernel functions take and return.

``compat.py`` runs them with neural-tangents in one environment, and with ``ntklab.compat.neural_tangents`` in another.
A program gets the package and returns what it computed.
"""

import jax
import jax.numpy as jnp
import numpy as np

PROGRAMS = {}


def program(f):
    """Put a program on the list."""
    PROGRAMS[f.__name__] = f
    return f


def data(*shape, seed=0):
    """Inputs without coincidences, where neural-tangents loses half its digits."""
    return jnp.asarray(np.cos(np.random.default_rng([seed, *shape]).normal(size=shape)))


def both(kernel_fn, x1, x2, **options):
    """Both kernels of two sets of inputs."""
    kernel = kernel_fn(x1, x2, ("nngp", "ntk"), **options)
    return {"nngp": kernel.nngp, "ntk": kernel.ntk}


def vectors():
    return data(4, 5), data(3, 5, seed=1)


def images(*shape):
    shape = shape or (5, 4, 3)
    return data(3, *shape), data(2, *shape, seed=1)


def filled(params):
    """Weights that do not depend on the order of layers, but only on their shapes."""
    return jax.tree_util.tree_map(lambda w: jnp.cos(jnp.arange(w.size, dtype=w.dtype)).reshape(w.shape), params)


def activation(name, *args, dense=(1.3, 0.2), **options):
    """Two programs for an activation: between dense layers, and between a convolution and a pooling."""

    def on_vectors(nt):
        layers = nt.stax.Dense(8, *dense), getattr(nt.stax, name)(*args, **options), nt.stax.Dense(1, 1.1, 0.1)
        return both(nt.stax.serial(*layers)[2], *vectors())

    label = name.lower() if not args else f"{name.lower()}_{'_'.join(map(str, np.ravel(args)))}"
    on_vectors.__name__ = f"activation_{label}"
    program(on_vectors)


activation("Relu")
activation("LeakyRelu", 0.1)
activation("ABRelu", 0.5, -1.2)
activation("Abs", do_stabilize=True)
activation("Sign")
activation("Erf", 0.8, 1.2, 0.3)
activation("Sigmoid_like")
activation("Gelu")
activation("Sin", 0.9, 1.1, 0.3)
activation("Cos", 0.9, 1.1, 0.3)
activation("Rbf", 0.5)
activation("Gaussian", 1.1, -0.5)
activation("Exp", 0.7, 0.4)
activation("Gabor")
activation("Monomial", 3)
activation("RectifiedMonomial", 2)
activation("Polynomial", (0.5, -1.0, 0.25))


@program
def activation_expnormalized(nt):
    layers = nt.stax.Dense(8), nt.stax.ExpNormalized(1.5, -1.0), nt.stax.Dense(1)
    return {"nngp": nt.stax.serial(*layers)[2](*vectors(), "nngp")}


@program
def activation_hermite(nt):
    layers = nt.stax.Dense(8), nt.stax.LayerNorm(), nt.stax.Hermite(3), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *vectors())


@program
def activation_elementwise(nt):
    def nngp_fn(cov12, var1, var2):  # of erf
        return 2 / jnp.pi * jnp.arcsin(2 * cov12 / jnp.sqrt((1 + 2 * var1) * (1 + 2 * var2)))

    layers = nt.stax.Dense(8, 1.2, 0.1), nt.stax.Elementwise(jax.scipy.special.erf, nngp_fn), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *vectors())


@program
def activation_elementwise_numerical(nt):
    layers = nt.stax.Dense(8, 0.8, 0.1), nt.stax.ElementwiseNumerical(jnp.sin, deg=30), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *vectors())


@program
def dense_standard_parameterization(nt):
    stax = nt.stax
    layers = (
        stax.Dense(16, 1.5, 0.1, parameterization="standard", s=(1, 4)),
        stax.Erf(),
        stax.Dense(3, 1.1, parameterization="standard", s=(4, 1)),
    )
    return both(stax.serial(*layers)[2], *vectors())


@program
def dense_at_every_position(nt):
    layers = nt.stax.Dense(8, 1.5, 0.1), nt.stax.Relu(), nt.stax.GlobalAvgPool(), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *images())


@program
def dense_with_the_batch_last(nt):
    layers = nt.stax.Dense(8, 1.2, 0.3, batch_axis=1, channel_axis=0), nt.stax.Relu()
    x1, x2 = vectors()
    init_fn, apply_fn, kernel_fn = nt.stax.serial(*layers)
    shape, params = init_fn(jax.random.PRNGKey(0), (5, -1))
    return both(kernel_fn, x1.T, x2.T) | {"apply": apply_fn(filled(params), x1.T), "shape": shape}


def convolution(name, shape, *layers, pooled=True):
    """A convolution between an activation and the end."""

    def run(nt):
        stax = nt.stax
        end = stax.GlobalAvgPool() if pooled else stax.Flatten()
        made = [getattr(stax, word)(*args, **options) for word, args, options in layers]
        return both(stax.serial(*made, stax.Relu(), end, stax.Dense(1))[2], *images(*shape))

    run.__name__ = name
    program(run)


convolution("conv_same_strided", (5, 4, 3), ("Conv", (8, (3, 2), (2, 1), "SAME", 1.3, 0.2), {}))
convolution("conv_valid_flatten", (5, 4, 3), ("Conv", (8, (3, 3), None, "VALID", 1.3), {}), pooled=False)
convolution("conv_circular", (5, 4, 3), ("Conv", (8, (3, 3)), {"padding": "CIRCULAR", "b_std": 0.1}))
convolution("conv_one_axis", (7, 3), ("Conv", (8, (3,)), {"padding": "SAME"}))
convolution("conv_three_axes", (3, 2, 3, 2), ("Conv", (8, (2, 1, 2)), {"padding": "SAME"}))
convolution("conv_transpose", (3, 2, 3), ("ConvTranspose", (8, (3, 2), (2, 2), "SAME"), {"W_std": 1.2}))
convolution("conv_transpose_flatten", (3, 2, 3), ("ConvTranspose", (8, (2, 2), (1, 2)), {}), pooled=False)
convolution("conv_local", (4, 3, 2), ("ConvLocal", (8, (2, 2)), {"W_std": 1.2, "b_std": 0.1}), pooled=False)
convolution(
    "conv_standard_parameterization", (4, 4, 2), ("Conv", (8, (2, 2)), {"parameterization": "standard", "b_std": 0.1})
)
convolution(
    "two_convs_avg_pool",
    (6, 6, 2),
    ("Conv", (8, (3, 3)), {"padding": "SAME"}),
    ("Relu", (), {}),
    ("AvgPool", ((2, 2), (2, 2)), {}),
    ("Conv", (8, (3, 3)), {"padding": "SAME"}),
)
convolution(
    "avg_pool_normalized_edges",
    (5, 4, 2),
    ("Conv", (8, (2, 2)), {}),
    ("AvgPool", ((2, 2),), {"padding": "SAME", "normalize_edges": True}),
)
convolution("sum_pool", (5, 4, 2), ("Conv", (8, (2, 2)), {}), ("SumPool", ((2, 1),), {"padding": "CIRCULAR"}))
convolution("layer_norm", (4, 4, 3), ("Conv", (8, (2, 2)), {"b_std": 0.1}), ("LayerNorm", ((1, 3),), {}))
# after an odd number of convolutions neural-tangents resizes the wrong axes
convolution("image_resize", (4, 3, 2), ("Dense", (8,), {}), ("ImageResize", ((-1, 5, 4, -1), "linear"), {}))


@program
def conv_channels_first(nt):
    stax, numbers = nt.stax, ("NCHW", "OIHW", "NCHW")
    init_fn, apply_fn, kernel_fn = stax.serial(
        stax.Conv(8, (3, 2), padding="SAME", b_std=0.2, dimension_numbers=numbers),
        stax.Relu(),
        stax.AvgPool((2, 2), channel_axis=1),
        stax.GlobalAvgPool(channel_axis=1),
        stax.Dense(2),
    )
    x1, x2 = images(3, 5, 4)
    shape, params = init_fn(jax.random.PRNGKey(0), x1.shape)
    return both(kernel_fn, x1, x2) | {"shape": shape, "applied": apply_fn(params, x1).shape}


@program
def global_sum_pool(nt):
    layers = nt.stax.Conv(8, (2, 2)), nt.stax.Relu(), nt.stax.GlobalSumPool(), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *images())


@program
def dropout(nt):
    stax = nt.stax
    layers = stax.Dense(8), stax.Relu(), stax.Dropout(0.7), stax.Dropout(0.5, mode="test"), stax.Dense(1)
    kernel_fn, x1 = stax.serial(*layers)[2], vectors()[0]
    return {"ntk": kernel_fn(x1, vectors()[1], "ntk"), "cov1": kernel_fn(x1, None, "cov1")}


@program
def index(nt):
    stax = nt.stax
    layers = stax.Conv(8, (2, 2)), stax.Relu(), stax.Index(stax.Slice[:, 1:3, 0]), stax.Flatten(), stax.Dense(1)
    return both(stax.serial(*layers)[2], *images())


@program
def dot_general_right(nt):
    numbers = (((1,), (0,)), ((), ()))
    product = nt.stax.DotGeneral(rhs=data(4, 3, seed=5), dimension_numbers=numbers, channel_axis=-1)
    dense = nt.stax.Dense(1, channel_axis=2)
    return both(nt.stax.serial(nt.stax.Conv(8, (2, 2)), product, nt.stax.Identity(), dense)[2], *images()) | {}


@program
def dot_general_left_scalar(nt):
    layers = nt.stax.Dense(8), nt.stax.Relu(), nt.stax.DotGeneral(lhs=0.5), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *vectors())


@program
def aggregate_dense(nt):
    graph = (data(5, 5, seed=7) > 0.5).astype(jnp.float64)
    pattern = tuple(jnp.stack([graph] * n) for n in (3, 2))
    layers = nt.stax.Dense(8), nt.stax.Aggregate(1), nt.stax.Relu(), nt.stax.GlobalAvgPool(), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *images(5, 3), pattern=pattern)


@program
def aggregate_sparse(nt):
    edges = jnp.asarray([[0, 1], [1, 2], [2, 4], [4, 0], [3, 3], [-1, -1]])
    pattern = tuple(jnp.stack([edges] * n) for n in (3, 2))
    aggregate = nt.stax.Aggregate(1, implementation="SPARSE")
    layers = nt.stax.Dense(8), aggregate, nt.stax.Relu(), nt.stax.GlobalAvgPool(), nt.stax.Dense(1)
    return both(nt.stax.serial(*layers)[2], *images(5, 3), pattern=pattern)


def attention(name, **options):
    def run(nt):
        stax = nt.stax
        layer = stax.GlobalSelfAttention(4, n_chan_key=4, n_chan_val=4, n_heads=4, **options)
        layers = stax.Dense(8, 1.2), layer, stax.Relu(), stax.Flatten(), stax.Dense(1)
        return both(stax.serial(*layers)[2], *images(3, 4))

    run.__name__ = name
    program(run)


attention("attention_softmax", W_key_std=1.2, W_query_std=0.9, W_value_std=1.1, b_std=0.3)
attention("attention_over_roots", linear_scaling=False, attention_mechanism="IDENTITY", W_key_std=1.2, W_out_std=0.8)
attention("attention_relu_one_hot_positions", attention_mechanism="RELU", pos_emb_type="SUM", W_pos_emb_std=0.7)
attention(
    "attention_positions_that_decay",
    pos_emb_type="SUM",
    pos_emb_decay_fn=lambda d: 1 / (1 + 4 * d**2),
    val_pos_emb=True,
)
attention(
    "attention_positions_beside", pos_emb_type="CONCAT", n_chan_pos_emb=24, pos_emb_decay_fn=lambda d: jnp.exp(-d)
)


@program
def residual_network(nt):
    stax = nt.stax
    body = stax.serial(
        stax.Relu(), stax.Conv(8, (3, 3), padding="SAME"), stax.Relu(), stax.Conv(8, (3, 3), padding="SAME")
    )
    block = stax.serial(stax.FanOut(2), stax.parallel(body, stax.Identity()), stax.FanInSum())
    layers = stax.Conv(8, (3, 3), padding="SAME"), block, stax.Relu(), stax.GlobalAvgPool(), stax.Dense(2)
    return both(stax.serial(*layers)[2], *images(4, 4, 3))


@program
def wide_residual_network(nt):
    """The README's, smaller."""
    stax = nt.stax

    def block(channels, strides=(1, 1), mismatch=False):
        main = stax.serial(
            stax.Relu(),
            stax.Conv(channels, (3, 3), strides, padding="SAME"),
            stax.Relu(),
            stax.Conv(channels, (3, 3), padding="SAME"),
        )
        shortcut = stax.Conv(channels, (3, 3), strides, padding="SAME") if mismatch else stax.Identity()
        return stax.serial(stax.FanOut(2), stax.parallel(main, shortcut), stax.FanInSum())

    def group(n, channels, strides=(1, 1)):
        return stax.serial(block(channels, strides, True), *[block(channels) for _ in range(n - 1)])

    layers = (
        stax.Conv(16, (3, 3), padding="SAME"),
        group(2, 16),
        group(1, 32, (2, 2)),
        stax.AvgPool((2, 2)),
        stax.Flatten(),
        stax.Dense(10, 1.0, 0.0),
    )
    return both(stax.serial(*layers)[2], *images(4, 4, 3))


@program
def myrtle_network(nt):
    """One of the notebook's, for images of 8 x 8."""
    stax, W = nt.stax, 2.0**0.5
    conv = stax.serial(stax.Conv(1, (3, 3), W_std=W, padding="SAME"), stax.Relu())
    pool = stax.AvgPool((2, 2), strides=(2, 2))
    return both(stax.serial(conv, pool, conv, pool, conv, pool, stax.Flatten(), stax.Dense(10, W))[2], *images(8, 8, 3))


@program
def product_of_branches(nt):
    stax = nt.stax
    gate = stax.parallel(stax.serial(stax.Dense(8, 1.1, 0.2), stax.Sigmoid_like()), stax.Dense(8, 1.2))
    layers = stax.FanOut(2), gate, stax.FanInProd(), stax.Dense(1)
    return both(stax.serial(*layers)[2], *vectors())


@program
def channels_side_by_side(nt):
    stax = nt.stax
    branches = stax.parallel(stax.serial(stax.Dense(4, 1.1), stax.Relu()), stax.serial(stax.Dense(12, 1.2), stax.Erf()))
    return both(stax.serial(stax.FanOut(2), branches, stax.FanInConcat(), stax.Dense(1))[2], *vectors())


@program
def positions_side_by_side(nt):
    stax = nt.stax
    branches = stax.parallel(stax.Conv(8, (2, 2)), stax.Conv(8, (2, 2), W_std=1.5), stax.Conv(8, (2, 2)))
    layers = stax.FanOut(3), branches, stax.FanInConcat(1), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1)
    return both(stax.serial(*layers)[2], *images(3, 4, 2))


@program
def branches_within_branches(nt):
    stax = nt.stax
    inner = stax.serial(stax.Relu(), stax.FanOut(2), stax.parallel(stax.Dense(8), stax.Dense(8)), stax.FanInSum())
    outer = stax.parallel(inner, stax.serial(stax.Erf(), stax.Dense(8)))
    after = stax.parallel(stax.Dense(8), stax.Dense(8, 0.5))
    layers = stax.Dense(8), stax.FanOut(2), outer, after, stax.FanInSum(), stax.Relu(), stax.Dense(1)
    return both(stax.serial(*layers)[2], *vectors())


@program
def repeated_layer(nt):
    stax = nt.stax
    block = stax.serial(stax.Dense(8, 1.4, 0.1), stax.Relu())
    init_fn, _, kernel_fn = stax.serial(stax.Dense(8), stax.Relu(), stax.repeat(block, 6), stax.Dense(1))
    return both(kernel_fn, *vectors()) | {"shape": init_fn(jax.random.PRNGKey(0), (-1, 5))[0]}


@program
def deep_network(nt):
    layers = [nt.stax.Dense(64, 1.41, 0.1), nt.stax.Relu()] * 10
    return both(nt.stax.serial(*layers, nt.stax.Dense(1))[2], *vectors())


@program
def kernels_piece_by_piece(nt):
    stax = nt.stax
    first = stax.serial(stax.Conv(8, (2, 2), b_std=0.1), stax.Relu())[2]
    second = stax.serial(stax.Conv(8, (2, 2)), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1))[2]
    kernel = second(first(*images()))
    return {"nngp": kernel.nngp, "ntk": kernel.ntk, "cov1": kernel.cov1}


@program
def kernel_object(nt):
    kernel = nt.stax.serial(nt.stax.Dense(8, 1.2, 0.1), nt.stax.Relu(), nt.stax.Dense(3))[2](*vectors())
    other = kernel.replace(ntk=2 * kernel.ntk)
    fields = [
        "nngp",
        "ntk",
        "cov1",
        "cov2",
        "x1_is_x2",
        "shape1",
        "shape2",
        "batch_axis",
        "channel_axis",
        "is_gaussian",
        "mask1",
    ]
    return {name: getattr(kernel, name) for name in fields} | {"replaced": other.ntk}


@program
def kernel_of_one_set(nt):
    kernel = nt.stax.serial(nt.stax.Dense(8, 1.2, 0.1), nt.stax.Erf(), nt.stax.Dense(3))[2](vectors()[0])
    return {name: getattr(kernel, name) for name in ("nngp", "ntk", "cov1", "cov2", "x1_is_x2", "shape2")}


@program
def one_kernel_by_name(nt):
    kernel_fn = nt.stax.serial(nt.stax.Dense(8), nt.stax.Relu(), nt.stax.Dense(1))[2]
    found = kernel_fn(*vectors(), ("ntk", "cov2"))
    return {"nngp": kernel_fn(*vectors(), "nngp"), "NTK": found.ntk, "cov2": found.cov2, "fields": found._fields}


@program
def kernel_of_positions(nt):
    kernel_fn = nt.stax.serial(nt.stax.Conv(8, (3,), b_std=0.2), nt.stax.Relu(), nt.stax.Dense(8))[2]
    kernel = kernel_fn(*images(6, 2))
    return {name: getattr(kernel, name) for name in ("nngp", "ntk", "cov1", "shape1", "diagonal_spatial")}


@program
def kernel_of_equal_positions(nt):
    kernel_fn = nt.stax.serial(nt.stax.Conv(8, (2, 2), b_std=0.2), nt.stax.Relu())[2]
    kernel = kernel_fn(*images(), diagonal_spatial=True)
    return {name: getattr(kernel, name) for name in ("nngp", "ntk", "cov1", "cov2", "diagonal_spatial")}


@program
def kernels_of_all_pairs_on_one_side(nt):
    kernel_fn = nt.stax.serial(nt.stax.Dense(8, 1.2, 0.1), nt.stax.Relu(), nt.stax.Dense(3))[2]
    return {"cov1": kernel_fn(*vectors(), "cov1", diagonal_batch=False)}


@program
def compiled_and_differentiated(nt):
    kernel_fn = nt.stax.serial(nt.stax.Dense(8, 1.2, 0.1), nt.stax.Relu(), nt.stax.Dense(1))[2]
    x1, x2 = vectors()
    gradient = jax.grad(lambda x: kernel_fn(x, x2, "ntk").sum())(x1)
    return {"jit": jax.jit(lambda a, b: kernel_fn(a, b, "ntk"))(x1, x2), "grad": gradient}


@program
def float32_inputs(nt):
    kernel_fn = nt.stax.serial(nt.stax.Dense(8), nt.stax.Relu(), nt.stax.Dense(1))[2]
    x1, x2 = (x.astype(jnp.float32) for x in vectors())
    return {"ntk": kernel_fn(x1, x2, "ntk")}


@program
def weights_and_outputs(nt):
    stax = nt.stax
    init_fn, apply_fn, _ = stax.serial(
        stax.Conv(6, (3, 2), (2, 1), "SAME", 1.3, 0.2),
        stax.Relu(),
        stax.AvgPool((2, 2)),
        stax.Flatten(),
        stax.Dense(3, 1.1, 0.1),
    )
    shape, params = init_fn(jax.random.PRNGKey(1), (7, 5, 4, 3))
    return {
        "shape": shape,
        "outputs": apply_fn(filled(params), images()[0]),
        "count": sum(w.size for w in jax.tree_util.tree_leaves(params)),
    }


@program
def outputs_of_one_layer(nt):
    init_fn, apply_fn, _ = nt.stax.Conv(6, (3, 2), b_std=0.3)
    shape, params = init_fn(jax.random.PRNGKey(1), (7, 5, 4, 3))
    return {"shape": shape, "outputs": apply_fn(filled(params), images()[0])}


@program
def outputs_of_a_residual_network(nt):
    stax = nt.stax
    body = stax.serial(stax.Dense(6, 1.2, 0.1), stax.Gelu(), stax.Dense(5))
    net = stax.serial(stax.FanOut(2), stax.parallel(body, stax.Identity()), stax.FanInSum(), stax.LayerNorm())
    shape, params = net[0](jax.random.PRNGKey(1), (-1, 5))
    return {"shape": shape, "outputs": net[1](filled(params), vectors()[0])}


@program
def several_inputs(nt):
    stax = nt.stax
    see = stax.serial(stax.Conv(8, (2, 2), b_std=0.2), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(4, b_std=0.1))
    read = stax.serial(stax.Dense(8, b_std=0.3), stax.Erf(), stax.Dense(4))
    layers = stax.parallel(see, read), stax.FanInSum(), stax.Relu(), stax.Dense(1, b_std=0.2)
    (a1, a2), (b1, b2) = images(), vectors()
    return both(stax.serial(*layers)[2], (a1, b1[:3]), (a2, b2[:2]))


@program
def several_inputs_nested_and_masked(nt):
    stax = nt.stax
    read = stax.serial(stax.Dense(8, b_std=0.3), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(4))
    inner = stax.serial(stax.parallel(stax.Dense(4, b_std=0.1), stax.Dense(4, 1.3)), stax.FanInProd())
    layers = stax.parallel(read, inner), stax.FanInConcat(1), stax.Dense(4), stax.Relu(), stax.Dense(1)
    (s1, s2), (b1, b2), (c1, c2) = ragged(9.0), vectors(), vectors()
    x1, x2 = (s1, (b1[:3], jnp.sin(c1[:3, :2]))), (s2, (b2[:2], jnp.sin(c2[:2, :2])))
    return both(stax.serial(*layers)[2], x1, x2, mask_constant=9.0)


@program
def several_inputs_of_finite_networks(nt):
    stax, (a, _), (b, _) = nt.stax, images(), vectors()
    see = stax.serial(stax.Conv(4, (2, 2), b_std=0.2), stax.GlobalAvgPool(), stax.Dense(5, b_std=0.2))
    layers = stax.parallel(see, stax.Dense(5)), stax.FanInSum(), stax.Relu(), stax.Dense(2, b_std=0.2)
    init_fn, apply_fn, _ = stax.serial(*layers)
    shape, params = init_fn(jax.random.PRNGKey(0), (a.shape, b[:3].shape))
    return {"shape": np.asarray(shape), "outputs": apply_fn(filled(params), (a, b[:3]))}


def ragged(constant):
    """Sequences of different lengths, filled up."""
    x1, x2 = (np.array(data(n, 5, 3, seed=n)) for n in (3, 2))
    for x, lengths in ((x1, (2, 5, 3)), (x2, (4, 1))):
        for row, length in zip(x, lengths, strict=True):
            row[length:] = constant
    return jnp.asarray(x1), jnp.asarray(x2)


def masked_readout(nt):
    """A network of sequences that looks at all steps there are."""
    stax = nt.stax
    attention = stax.GlobalSelfAttention(8, 8, 8, 2, W_key_std=1.5, W_value_std=1.1, b_std=0.2)
    layers = stax.Conv(8, (3,), padding="SAME", b_std=0.3), stax.Relu(), attention, stax.Relu()
    return stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1, 1.2, 0.4))


def graphs(seed, n):
    """Nodes of graphs, and an adjacency matrix for each."""
    A = np.random.default_rng(seed).random((n, 4, 4)) < 0.5
    return data(n, 4, 3, seed=seed), jnp.asarray(A, np.float64)


def graph_network(nt, **options):
    stax = nt.stax
    aggregate = stax.Aggregate(1, **options)
    layers = aggregate, stax.Dense(8, 1.2, 0.3), stax.Relu(), aggregate, stax.Dense(8, b_std=0.1), stax.Relu()
    return stax.serial(*layers, stax.GlobalSumPool(), stax.Dense(2))


@program
def aggregate_in_graphs_of_their_own(nt):
    (x1, A1), (x2, A2) = graphs(0, 3), graphs(1, 2)
    return both(graph_network(nt)[2], x1, x2, pattern=(A1, A2))


@program
def aggregate_in_sparse_graphs_of_their_own(nt):
    (x1, _), (x2, _) = graphs(0, 2), graphs(1, 1)
    E1, E2 = jnp.asarray([[[0, 1], [1, 2], [2, 3]], [[3, 0], [0, 1], [-1, -1]]]), jnp.asarray([[[1, 0], [2, 0]]])
    return both(graph_network(nt, implementation="SPARSE")[2], x1, x2, pattern=(E1, E2))


@program
def aggregate_in_finite_networks(nt):
    init_fn, apply_fn, _ = graph_network(nt)
    x, A = graphs(0, 3)
    params = filled(init_fn(jax.random.PRNGKey(0), x.shape)[1])
    return {"outputs": apply_fn(params, x, pattern=A)}


@program
def aggregate_with_masks(nt):
    (x1, A1), (x2, A2) = graphs(0, 3), graphs(1, 2)
    x1, x2 = x1.at[0, 2:].set(5.0).at[2, 3].set(5.0), x2.at[1, 1:].set(5.0)
    network = nt.stax.serial(nt.stax.Dense(4, b_std=0.2), graph_network(nt))
    return both(network[2], x1, x2, pattern=(A1, A2), mask_constant=5.0)


@program
def masks_of_sequences(nt):
    return both(masked_readout(nt)[2], *ragged(10.0), mask_constant=10.0)


@program
def masks_by_nan(nt):
    return both(masked_readout(nt)[2], *ragged(np.nan), mask_constant=np.nan)


@program
def masks_of_one_set(nt):
    kernel_fn, (x, _) = masked_readout(nt)[2], ragged(10.0)
    return {"nngp": kernel_fn(x, None, "nngp", mask_constant=10.0)[np.tril_indices(3, -1)]}


@program
def masks_through_strides_and_flatten(nt):
    stax, (x1, x2) = nt.stax, images(6, 6, 2)
    x1, x2 = x1.at[0, 4:].set(0.1).at[1, 2, 3].set(0.1), x2.at[:, :, 3:].set(0.1)
    layers = stax.Conv(8, (3, 3), (2, 2), "SAME", b_std=0.3), stax.LayerNorm((1, 2, 3)), stax.Erf()
    layers = *layers, stax.AvgPool((2, 2), padding="VALID"), stax.Dense(8), stax.Relu(), stax.Flatten(), stax.Dense(1)
    return both(stax.serial(*layers)[2], x1, x2, mask_constant=0.1)


@program
def masks_of_branches(nt):
    stax, (x1, x2) = nt.stax, ragged(-1.0)
    branch = stax.serial(stax.Relu(), stax.Dense(8, b_std=0.1))
    block = stax.serial(stax.FanOut(2), stax.parallel(branch, stax.Identity()), stax.FanInSum())
    layers = stax.Dense(8, b_std=0.2), block, stax.Cos(), stax.Dense(8), stax.GlobalSumPool(), stax.Dense(1, b_std=0.5)
    return both(stax.serial(*layers)[2], x1, x2, mask_constant=-1.0)


@program
def masks_in_finite_networks(nt):
    stax = nt.stax
    network = stax.serial(stax.Dense(6, b_std=0.2), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(2, b_std=0.3))
    return masked_outputs(nt, network)


@program
def masks_in_finite_branches(nt):
    stax = nt.stax
    branches = stax.parallel(stax.Conv(5, (3,), padding="SAME", b_std=0.1), stax.Dense(5))
    return masked_outputs(nt, stax.serial(stax.FanOut(2), branches, stax.FanInSum(), stax.Cos(), stax.Dense(2)))


def masked_outputs(nt, network):
    """Outputs and an empirical kernel, with zeros for what is absent."""
    init_fn, apply_fn, _ = network
    (x1, x2), apply_fn = ragged(7.0), nt.stax.unmask_fn(apply_fn)
    params = filled(init_fn(jax.random.PRNGKey(0), x1.shape)[1])
    ntk_fn = nt.empirical_ntk_fn(apply_fn, trace_axes=(), vmap_axes=None)
    ntk = ntk_fn(x1, x2, params, mask_constant=7.0)
    return {"outputs": apply_fn(params, x1, mask_constant=7.0), "ntk": ntk}
