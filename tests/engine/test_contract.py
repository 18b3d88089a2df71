"""One contract for all engines: whoever joins ``ENGINES`` is tested here, on everything that it supports."""

import dataclasses

import jax
import numpy as np
import pytest

import ntklab
from ntklab.engine import _select
from ntklab.errors import EngineError
from ntklab.kernel import Window, lower
from ntklab.spec import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Parallel, Relu, Residual, Serial, zoo
from ntklab.testing import Case, assert_close, made_up_inputs, tolerance
from tests.engine.cuda_on_host import ENGINES
from tests.oracles import cntk_numpy

same = Conv(3, padding="SAME", W_std=1.3, b_std=0.3)
pool = AvgPool(2, strides=2)
row = Conv((3,), padding="SAME", W_std=1.2)

CASES = (
    Case("cntk gap", zoo.cntk(4, "gap"), (8, 8, 3), 5),
    Case("cntk gap odd", zoo.cntk(3, "gap"), (7, 5, 1), 5),
    Case("cntk none", zoo.cntk(4, "none"), (8, 8, 3), 7),
    Case("biases", Serial(same, Relu(), same, Relu(), GlobalAvgPool(), Dense(b_std=0.1)), (5, 6, 2), 5),
    Case("strides", Serial(Conv((3, 2), strides=(1, 2)), Relu(), Conv(2), Relu(), Flatten()), (7, 8, 2), 5),
    Case("pooling inside", Serial(same, Relu(), pool, same, Relu(), pool, Flatten(), Dense()), (8, 8, 3), 5),
    Case(
        "pooling 1-D", Serial(Conv((3,)), Relu(), AvgPool((2,), strides=(2,)), row, Relu(), GlobalAvgPool()), (8, 2), 5
    ),
    Case("pooling odd", Serial(same, Relu(), AvgPool(2, padding="SAME"), same, Relu(), GlobalAvgPool()), (5, 7, 2), 5),
    Case("1-D", Serial(Conv((3,), padding="CIRCULAR"), Relu(), Conv((2,)), Relu(), GlobalAvgPool()), (9, 2), 6),
    Case("3-D", Serial(Conv((2, 2, 2)), Relu(), Flatten(), Dense()), (3, 4, 3, 2), 5),
    Case("dense", zoo.fc(4, b_std=0.2), (20,), 9),
    Case("wide inputs", zoo.fc(2), (300,), 5),
    Case("head", Serial(same, Relu(), GlobalAvgPool(), Dense(), Relu(), Dense(trainable=False)), (6, 6, 3), 5),
    Case("residual", Serial(same, Residual(Relu(), same), Relu(), GlobalAvgPool()), (5, 5, 2), 5),
    Case("parallel", Serial(same, Relu(), Parallel(same, Conv(1)), Relu(), Flatten(), Dense()), (5, 5, 2), 5),
    Case("untrained", Serial(Dense(trainable=False), Relu(), Dense(trainable=False)), (6,), 5),
)
FAMILY = {"short": zoo.cntk(2, "gap"), "long": zoo.cntk(3, "gap")}
FEW = [case for case in CASES if case.name in ("cntk gap odd", "pooling 1-D", "pooling odd", "dense")]

LONG = ("pooling 1-D", "residual", "biases")  # to compile by the displacement engine


@pytest.fixture(autouse=True)
def _the_cuda_engine_runs_on_the_host(monkeypatch):
    monkeypatch.setattr(_select, "ENGINES", ENGINES)


def supported(cases, dtypes=("float64", "float32"), quick=None):
    """All (engine, case, dtype) that run here; what an engine declines is tested further down.

    The reference in float32 stands in few cases only: test_against_numpy.py has many more. ``quick`` are the
    cases and dtypes of the reference, slow to compile for each form of a call, that the default lane runs.
    """
    for engine in ENGINES:
        for case in cases:
            for dtype in dtypes:
                if engine.name == "reference" and dtype == "float32" and case not in FEW:
                    continue
                if support(engine, case, dtype).ok:
                    slow = engine.name == "displacement" and (case.name in LONG or dtype == "float32")
                    slow |= engine.name == "reference" and quick is not None and (case.name, dtype) not in quick
                    marks = [pytest.mark.slow] if slow else []
                    yield pytest.param(engine.name, case, dtype, id=f"{engine.name}-{case.name}-{dtype}", marks=marks)


def support(engine, case, dtype):
    return engine.supports(lower(case.network, case.input_shape), jax.devices()[0], np.dtype(dtype))


def compiled(engine, case, dtype, **options):
    return ntklab.compile(case.network, case.input_shape, engine=engine, dtype=dtype, **options)


def both(kernel):
    return {"nngp": np.asarray(kernel.nngp), "ntk": np.asarray(kernel.ntk)}


def close(actual, expected, dtype, norms_1=None, norms_2=None):
    """Compare kernels entry by entry, relative to ``sqrt(K_ii K_jj)``: small entries are sums that cancel."""
    for name, values in actual.items():
        assert values.dtype == dtype
        left, right = (np.diag(expected[name]) if norms is None else norms[name] for norms in (norms_1, norms_2))
        scale = np.sqrt(np.outer(left, right)).astype("float64")
        assert_close(values, expected[name], tolerance(dtype), scale=np.where(scale > 0, scale, 1.0), what=name)


def definition(engine, case):
    """What an engine has to agree with: the reference; and the reference with the NumPy oracle.

    The NumPy oracle has no branches; test_against_neural_tangents.py compares them.
    """
    branches = any(isinstance(layer, Parallel | Residual) for layer in getattr(case.network, "layers", ()))
    if engine == "reference" and not branches:
        nngp, ntk = cntk_numpy.gram(cntk_numpy.of_spec(case.network), case.inputs)
        return {"nngp": nngp, "ntk": ntk}
    return both(compiled("reference", case, "float64")(case.inputs))


every_case = pytest.mark.parametrize(("engine", "case", "dtype"), list(supported(CASES)))
QUICK = {("cntk gap odd", "float64"), ("cntk gap odd", "float32"), ("dense", "float64")}
quick = QUICK | {("pooling odd", "float64")}
few_cases = pytest.mark.parametrize(("engine", "case", "dtype"), list(supported(FEW, quick=quick)))
few_in_float64 = pytest.mark.parametrize(("engine", "case", "dtype"), list(supported(FEW, ("float64",), quick=QUICK)))


@every_case
def test_agrees_with_the_definition_and_is_symmetric_bit_for_bit(engine, case, dtype):
    kernel = both(compiled(engine, case, dtype)(case.inputs))
    close(kernel, definition(engine, case), dtype)
    for values in kernel.values():
        assert values.shape == (case.count, case.count)
        np.testing.assert_array_equal(values, values.T)


@few_cases
def test_the_rectangular_result_and_the_diagonal_equal_the_symmetric_one(engine, case, dtype):
    kfn, x = compiled(engine, case, dtype), case.inputs
    symmetric, diagonal = both(kfn(x)), both(kfn.diagonal(x))
    close(both(kfn(x, x)), symmetric, dtype)
    for name, values in symmetric.items():
        assert diagonal[name].shape == (case.count,)
        assert diagonal[name].dtype == dtype
        expected = np.diag(values)
        assert_close(diagonal[name], expected, tolerance(dtype), what=name)


@few_cases
def test_permuting_inputs_permutes_the_result(engine, case, dtype):
    kfn, x = compiled(engine, case, dtype), case.inputs
    order = np.arange(case.count)[::-1].copy()
    order[[0, 2]] = order[[2, 0]]
    plain = both(kfn(x))
    close(both(kfn(x[order])), {name: values[np.ix_(order, order)] for name, values in plain.items()}, dtype)


@few_in_float64
def test_any_number_of_inputs_gives_the_same_entries_and_arguments_may_be_swapped(engine, case, dtype):
    kfn, n = compiled(engine, case, dtype), case.count
    x, y = np.split(made_up_inputs(2 * n, case.input_shape), 2)
    norms_x, norms_y = both(kfn.diagonal(x)), both(kfn.diagonal(y))
    whole = both(kfn(x, y))
    close({name: values.T for name, values in both(kfn(y, x)).items()}, whole, dtype, norms_x, norms_y)
    for rows in (1, n - 1):
        piece = both(kfn(x[:rows], y))
        heads = {name: values[:rows] for name, values in norms_x.items()}
        close(piece, {name: values[:rows] for name, values in whole.items()}, dtype, heads, norms_y)
    close(both(kfn(x[:1])), {name: values[:1, :1] for name, values in both(kfn(x)).items()}, dtype)


@few_cases
def test_copies_of_an_input_count_as_that_input(engine, case, dtype):
    x = case.inputs.copy()
    x[-1] = x[0]
    kernel = both(compiled(engine, case, dtype)(x))
    which = np.arange(case.count)
    which[-1] = 0
    close(kernel, {name: values[np.ix_(which, which)] for name, values in kernel.items()}, dtype)


@few_cases
def test_an_input_of_zeros_gives_finite_kernels(engine, case, dtype):
    x = case.inputs.copy()
    x[1] = 0.0
    for values in both(compiled(engine, case, dtype)(x)).values():
        assert np.isfinite(values).all()


@few_in_float64
def test_each_kernel_alone_equals_that_of_both(engine, case, dtype):
    kernel = both(compiled(engine, case, dtype)(case.inputs))
    for name, values in kernel.items():
        alone = compiled(engine, case, dtype, get=(name,))(case.inputs)
        close({name: np.asarray(getattr(alone, name))}, {name: values}, dtype)


@pytest.mark.parametrize("engine", [engine.name for engine in ENGINES])
def test_several_networks_in_one_pass_equal_each_alone(engine):
    shape = (6, 6, 2)
    support = next(e for e in ENGINES if e.name == engine).supports(
        lower(FAMILY, shape), jax.devices()[0], np.dtype("float64")
    )
    if not support.ok:
        assert support.reason
        return
    x = made_up_inputs(4, shape)
    together = ntklab.compile(FAMILY, shape, engine=engine, dtype="float64")(x)
    for name, network in FAMILY.items():
        alone = ntklab.compile(network, shape, engine=engine, dtype="float64")(x)
        close(both(together[name]), both(alone), "float64")


@few_in_float64
def test_new_learnable_numbers_mean_the_network_that_has_them(engine, case, dtype):
    kfn = compiled(engine, case, dtype)
    scaled = jax.tree.map(lambda value: 1.1 * value, kfn.hyper)
    doubled = compiled("reference", Case("", rescaled(case.network, 1.1), case.input_shape, case.count), dtype)
    close(both(kfn(case.inputs, hyper=scaled)), both(doubled(case.inputs)), dtype)


def rescaled(network, factor):
    layers = []
    for layer in network.layers:
        if isinstance(layer, Conv):
            layer = Conv(
                layer.filter_shape,
                W_std=factor * layer.W_std,
                b_std=None if layer.b_std is None else factor * layer.b_std,
                trainable=layer.trainable,
                strides=layer.strides,
                padding=layer.padding,
            )
        if isinstance(layer, Dense):
            bias = None if layer.b_std is None else factor * layer.b_std
            layer = Dense(W_std=factor * layer.W_std, b_std=bias, trainable=layer.trainable)
        layers.append(layer)
    return Serial(*layers)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_an_engine_declines_it_declines_with_a_reason_and_never_runs(engine, dtype):
    for case in CASES:
        ok, reason = support(engine, case, dtype)
        assert isinstance(ok, bool)
        assert isinstance(reason, str)
        assert reason.strip()
        if not ok:
            with pytest.raises(EngineError) as caught:
                compiled(engine.name, case, dtype)
            assert engine.name in str(caught.value)
            assert reason in str(caught.value)
            assert ntklab.compile(case.network, case.input_shape, dtype=dtype).engine.name != engine.name


STRANGE = {
    "kind": {"kind": "unheard of"},
    "option": {"options": (("degree", 3),)},
    "padding": {"window": Window((3, 3), (1, 1), "REFLECT")},
}


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.name != "reference"], ids=lambda engine: engine.name)
@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_an_engine_declines_a_plan_with_anything_that_it_has_no_code_for(engine, change):
    plan = lower(zoo.cntk(3, "gap"), (8, 8, 3))
    device, dtype = jax.devices()[0], np.dtype("float32")
    assert engine.supports(plan, device, dtype).ok or engine.supports(plan, device, dtype).reason
    for at, op in enumerate(plan.ops):
        if op.kind != "conv":
            continue
        ops = (*plan.ops[:at], dataclasses.replace(op, **change), *plan.ops[at + 1 :])
        ok, reason = engine.supports(dataclasses.replace(plan, ops=ops), device, dtype)
        assert not ok
        assert "no code for" in reason


def test_the_reference_declines_a_kind_without_a_rule():
    plan = lower(zoo.fc(2), (3,))
    ops = (*plan.ops[:-1], dataclasses.replace(plan.ops[-1], kind="unheard of"))
    plan = dataclasses.replace(plan, ops=ops)
    ok, reason = ENGINES[-1].supports(plan, jax.devices()[0], np.dtype("float32"))
    assert not ok
    assert "has no rule" in reason


def test_engines_have_names_of_their_own_and_the_last_one_takes_everything():
    names = [engine.name for engine in ENGINES]
    assert len(set(names)) == len(names)
    assert "auto" not in names
    assert names[-1] == "reference"
    for case in CASES:
        for dtype in ("float64", "float32"):
            assert support(ENGINES[-1], case, dtype).ok
