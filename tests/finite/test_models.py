"""Modules of Equinox and Flax against the same arithmetic written out."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntklab.errors import InputError, MissingExtraError
from ntklab.finite import empirical_ntk, from_equinox, from_linen, from_nnx, ntk_costs

X = np.random.default_rng(0).normal(size=(4, 3))


def written_out(W1, b1, W2, b2, x):
    """Return the kernel of tanh(x W1 + b1) W2 + b2, summed over outputs, from its derivatives by hand."""
    h = np.tanh(x @ W1 + b1)
    slope = 1 - h**2
    outputs = W2.shape[1]
    back = np.einsum("nh,mh,ho->nm", slope, slope, W2**2)
    return outputs * (h @ h.T + 1) + (x @ x.T + 1) * back


@pytest.fixture
def promotion():
    """Let others' models promote ranks and dtypes."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_an_equinox_module_gives_its_kernel(promotion):
    eqx = pytest.importorskip("equinox")
    with jax.numpy_dtype_promotion("standard"):
        module = eqx.nn.MLP(3, 2, 5, 1, activation=jnp.tanh, key=jax.random.key(0), dtype=jnp.float64)
    f, params = from_equinox(module)
    first, second = module.layers
    truth = written_out(np.asarray(first.weight).T, first.bias, np.asarray(second.weight).T, second.bias, X)
    for method in ("jacobian", "structured"):
        np.testing.assert_allclose(empirical_ntk(f, params, X, outputs="trace", method=method), truth, rtol=1e-12)
    assert ntk_costs(f, params, X).structured == (15 + 10) / (15 + 10 + 5 + 2)
    np.testing.assert_allclose(f(params, X), jax.vmap(module)(X), rtol=1e-12)


def test_dropout_of_an_equinox_module_is_off(promotion):
    eqx = pytest.importorskip("equinox")
    linear = eqx.nn.Linear(3, 2, key=jax.random.key(0), dtype=jnp.float64)
    f, params = from_equinox(eqx.nn.Sequential([linear, eqx.nn.Dropout(0.5)]))
    np.testing.assert_allclose(empirical_ntk(f, params, X), X @ X.T + 1, rtol=1e-12)


def test_an_nnx_module_gives_its_kernel_and_holds_its_statistics(promotion):
    nnx = pytest.importorskip("flax.nnx")
    rngs, wide = nnx.Rngs(0), {"param_dtype": jnp.float64}
    norm = nnx.BatchNorm(5, rngs=rngs, **wide)
    parts = [nnx.Linear(3, 5, rngs=rngs, **wide), jnp.tanh, nnx.Linear(5, 2, rngs=rngs, **wide)]
    f, params = from_nnx(nnx.Sequential(*parts))
    weights = [np.asarray(getattr(parts[i], name)[...]) for i in (0, 2) for name in ("kernel", "bias")]
    for method in ("jacobian", "structured"):
        found = empirical_ntk(f, params, X, outputs="trace", method=method)
        np.testing.assert_allclose(found, written_out(*weights, X), rtol=1e-12)
    held = nnx.Sequential(parts[0], norm, nnx.Dropout(0.5, rngs=rngs))
    held.eval()
    f, params = from_nnx(held)
    assert len(jax.tree.leaves(params)) == 4  # kernel, bias, scale, bias: no mean, no variance, no random state
    np.testing.assert_allclose(empirical_ntk(f, params, X).shape, (4, 4))


def test_a_linen_module_gives_its_kernel_and_holds_its_statistics(promotion):
    linen = pytest.importorskip("flax.linen")
    wide = {"param_dtype": jnp.float64, "dtype": jnp.float64}
    module = linen.Sequential([linen.Dense(5, **wide), jnp.tanh, linen.Dense(2, **wide)])
    variables = module.init(jax.random.key(0), X)
    f, params = from_linen(module, variables)
    weights = [np.asarray(params[layer][name]) for layer in ("layers_0", "layers_2") for name in ("kernel", "bias")]
    for method in ("jacobian", "structured"):
        found = empirical_ntk(f, params, X, outputs="trace", method=method)
        np.testing.assert_allclose(found, written_out(*weights, X), rtol=1e-12)
    norm = linen.BatchNorm(use_running_average=True, use_bias=False, **wide)
    f, params = from_linen(norm, norm.init(jax.random.key(0), X))
    np.testing.assert_allclose(empirical_ntk(f, params, X, outputs="full"), scales(X), rtol=1e-4)


def scales(x):
    """Return the kernel of x * scale: diagonal in the outputs."""
    return np.einsum("na,ma,ab->nmab", x, x, np.eye(x.shape[1]))


@pytest.mark.parametrize(
    ("adapter", "given", "needed"),
    [
        (from_equinox, (3,), "takes an equinox.Module that can be called, got a int"),
        (from_nnx, (3,), "takes a flax.nnx.Module that can be called, got a int"),
        (from_linen, (3, {}), "what its init returned"),
    ],
)
def test_what_is_no_module_is_refused(adapter, given, needed):
    if adapter is not from_linen:
        pytest.importorskip({from_equinox: "equinox", from_nnx: "flax"}[adapter])
    with pytest.raises(InputError, match=needed):
        adapter(*given)


@pytest.mark.parametrize(
    ("adapter", "package", "file"), [(from_equinox, "equinox", "_equinox"), (from_nnx, "flax", "_nnx")]
)
def test_without_the_package_the_extra_to_install_is_named(monkeypatch, adapter, package, file):
    monkeypatch.delitem(sys.modules, f"ntklab.finite.{file}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ntklab\[models\]'"):
        adapter(3)


def test_flax_and_equinox_are_imported_only_when_asked_for():
    code = "import sys, ntklab.finite; print({'flax', 'equinox', 'optax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
