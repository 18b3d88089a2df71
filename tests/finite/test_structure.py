"""Branches, attention and recurrence: over random networks of finite width, kernels average to the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntklab
from ntklab.finite import network
from ntklab.spec import (
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSelfAttention,
    Product,
    Recurrent,
    Relu,
    Repeat,
    Residual,
    Serial,
    zoo,
)
from ntklab.testing import made_up_inputs

SEQUENCE, IMAGE = (4, 3), (2, 2, 3)
embed = Dense(b_std=0.3)
attention = GlobalSelfAttention(W_key_std=1.3, W_value_std=1.2, b_std=0.4)
NETWORKS = {
    "gated": (Serial(Product(Serial(Dense(), Relu()), Dense(b_std=1.0)), Dense(), Relu(), Dense()), (5,)),
    "gated by what is before": (Serial(embed, Product(Serial(Relu(), Dense()), Relu()), Flatten(), Dense()), SEQUENCE),
    "side by side": (Serial(Concat(Serial(Dense(), Relu()), Dense(W_std=0.5)), Dense(), Relu(), Dense()), (5,)),
    "side by side of positions": (
        Serial(embed, Concat(Serial(Relu(), Flatten()), GlobalAvgPool()), Dense(), Relu(), Dense()),
        SEQUENCE,
    ),
    "one after another": (
        Serial(Concat(Conv((2,)), Serial(Conv((2,)), Relu(), Dense()), axis=0), Relu(), GlobalAvgPool(), Dense()),
        SEQUENCE,
    ),
    "shortcut around an activation": (Serial(Dense(), Residual(Dense(b_std=0.5), Relu()), Dense()), (5,)),
    "repeated": (Serial(Dense(), Repeat(Residual(Relu(), Dense(W_std=0.7)), 3), Relu(), Dense()), (5,)),
    "attention": (Serial(embed, attention, Relu(), GlobalAvgPool(), Dense()), SEQUENCE),
    "attention on images": (
        Serial(embed, GlobalSelfAttention(mechanism="RELU", W_query_std=1.5), Relu(), Flatten(), Dense()),
        IMAGE,
    ),
    "attention without softmax": (
        Serial(embed, GlobalSelfAttention(mechanism="IDENTITY"), GlobalAvgPool(), Dense()),
        SEQUENCE,
    ),
    "attention to positions": (
        Serial(
            embed,
            GlobalSelfAttention(
                W_key_std=1.3, pos_emb="SUM", pos_emb_decay="exponential", W_pos_emb_std=0.7, val_pos_emb=True
            ),
            Relu(),
            GlobalAvgPool(),
            Dense(),
        ),
        SEQUENCE,
    ),
    "attention to appended positions": (
        Serial(
            embed,
            GlobalSelfAttention(mechanism="ABS", pos_emb="CONCAT", pos_emb_decay="rational", pos_emb_share=0.25),
            Relu(),
            GlobalAvgPool(),
            Dense(),
        ),
        SEQUENCE,
    ),
    "attention over a root": (
        Serial(
            embed,
            GlobalSelfAttention(
                linear_scaling=False,
                mechanism="IDENTITY",
                W_key_std=1.2,
                b_std=0.3,
                pos_emb="CONCAT",
                val_pos_emb=False,
            ),
            Relu(),
            GlobalAvgPool(),
            Dense(),
        ),
        SEQUENCE,
    ),
    "recurrent": (
        Serial(Recurrent(Relu(), W_std=1.3, U_std=0.8, b_std=0.3, output="last"), Dense(W_std=1.1)),
        SEQUENCE,
    ),
    "recurrent in two layers": (
        Serial(Recurrent(Relu(), b_std=0.3), Recurrent(Relu(), W_std=1.2, U_std=1.4), GlobalAvgPool(), Dense()),
        SEQUENCE,
    ),
    "transformer": (zoo.transformer(1), SEQUENCE),
    "transformer normalised behind": (zoo.transformer(1, norm="post"), SEQUENCE),
    "partly trained": (
        Serial(
            Dense(trainable=False),
            Residual(GlobalSelfAttention(trainable=False, W_value_std=1.5)),
            Recurrent(Relu(), output="last", trainable=False),
            Dense(b_std=0.2),
        ),
        SEQUENCE,
    ),
}
WIDTH, COUNT = 128, 60
QUICK = ("gated",)


def samples(spec, shape, x, *, width, count, outputs):
    """NNGP (a mean over outputs) and NTK (of the first output) of ``count`` random networks."""
    net = network(spec, shape, width=width, outputs=outputs, dtype="float64")

    def one(key):
        params = net.init(key)
        out, pull = jax.vjp(lambda trained: net.apply(params._replace(trainable=trained), x), params.trainable)
        first = jnp.zeros_like(out).at[:, 0].set(1.0)
        rows = jax.vmap(lambda row: pull(row)[0])(jnp.eye(len(x))[:, :, None] * first[None])
        leaves = [leaf.reshape((len(x), -1)) for leaf in jax.tree.leaves(rows)]
        return out @ out.T / outputs, sum(leaf @ leaf.T for leaf in leaves)

    return jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(1), count))


def lanes():
    for name, (spec, shape) in NETWORKS.items():
        yield pytest.param(spec, shape, id=name, marks=[] if name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize(("spec", "shape"), list(lanes()))
def test_over_random_networks_kernels_average_to_the_closed_form(spec, shape):
    x = 1.5 * made_up_inputs(2, shape)
    with jax.disable_jit(all(spec is not NETWORKS[name][0] for name in QUICK)):  # the operations of many are the same
        kernel = ntklab.compile(spec, shape, dtype="float64", engine="reference")(x)
    drawn = samples(spec, shape, x, width=WIDTH, count=COUNT, outputs=32)
    for name, values in zip(("nngp", "ntk"), drawn, strict=True):
        expected = np.asarray(getattr(kernel, name))
        spread = np.asarray(values).std(axis=0, ddof=1) / np.sqrt(len(values))
        assert (spread < 0.1 * np.abs(expected).max()).all(), "too few samples to tell anything"
        z = (np.asarray(values).mean(axis=0) - expected) / np.where(spread > 0, spread, 1.0)
        assert np.abs(z).max() < 4.0, name
