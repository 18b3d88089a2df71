"""The ReLU dual against 50-digit arithmetic and against its definition as a Gaussian integral."""

import inspect
import math
import re

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import ntklab
from ntklab.kernel import _relu_tables as tables
from ntklab.kernel import relu_dual
from ntklab.spec import Dense, Relu, Serial
from ntklab.testing import assert_close

POINTS = [0.0, 1e-14, 1e-10, 1e-6, 1e-3, 0.1, 0.5, 1.0, 1.5, 1.9, 1.999999, 2.0 - 1e-10, 2.0]
DENSE = np.concatenate([np.logspace(-14, 0, 57), 2.0 - np.logspace(-10, -0.001, 40)])

# Measured on CPU with jax 0.10.1 and 0.12.0.1, times about four.
RELATIVE = {"float64": 1.4e-15, "float32": 6.4e-7}


def exact(z):
    """h, kappa_1 and kappa_0 to 50 digits at exactly this number."""
    with mpmath.workdps(50):
        c = 1 - mpmath.mpf(float(z))
        angle = mpmath.acos(c)
        sine = mpmath.sqrt(mpmath.mpf(float(z)) * (2 - mpmath.mpf(float(z))))
        kappa_1 = (sine + (mpmath.pi - angle) * c) / mpmath.pi
        return tuple(float(v) for v in (1 - kappa_1, kappa_1, (mpmath.pi - angle) / mpmath.pi))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("points", [POINTS, DENSE], ids=["listed", "dense"])
def test_all_three_terms_have_full_relative_accuracy_from_end_to_end(dtype, points):
    z = np.asarray(points, dtype)
    expected = np.array([exact(value) for value in z]).T
    for name, actual, wanted in zip(("h", "kappa_1", "kappa_0"), relu_dual(jnp.asarray(z)), expected, strict=True):
        assert actual.dtype == dtype
        assert_close(actual, wanted, RELATIVE[dtype], what=name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_end_points_are_exact(dtype):
    h, kappa_1, kappa_0 = (np.asarray(a) for a in relu_dual(jnp.asarray([0.0, 2.0], dtype)))
    np.testing.assert_array_equal(h, np.array([0.0, 1.0], dtype))
    np.testing.assert_array_equal(kappa_1, np.array([1.0, 0.0], dtype))
    np.testing.assert_array_equal(kappa_0, np.array([1.0, 0.0], dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_that_rounding_puts_outside_count_as_the_end_points(dtype):
    beyond = relu_dual(jnp.asarray([-1e-6, 2.000001], dtype))
    for actual, wanted in zip(beyond, relu_dual(jnp.asarray([0.0, 2.0], dtype)), strict=True):
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(wanted))


STATED = {"64": (2e-17, 1.2e-18), "32": (1.8e-8, 1.8e-8), "FAST": (1.1e-7, 1.3e-7)}


@pytest.mark.parametrize("name", [f"{function}_{kind}" for kind in STATED for function in ("ANGLE", "CURVE")])
def test_the_polynomials_have_the_errors_that_their_table_states(name):
    stated = STATED[name.split("_")[1]][name.startswith("CURVE")]
    written = re.search(rf"{name} = \(([^)]*)\)", inspect.getsource(tables)).group(1)
    with mpmath.workdps(50):
        decimal = [mpmath.mpf(text) for text in written.replace("\n", "").split(",") if text.strip()]
        assert [float(c) for c in decimal] == list(getattr(tables, name))
        largest = mpmath.mpf(0)
        for i in range(1, 401):
            u = (1 - mpmath.cos(mpmath.pi * i / 400)) / 2
            angle = mpmath.acos(1 - u)
            if name.startswith("ANGLE"):
                function = angle / (mpmath.pi * mpmath.sqrt(u))
            else:
                function = (mpmath.sqrt(u * (2 - u)) - (1 - u) * angle) / (mpmath.pi * u * mpmath.sqrt(u))
            polynomial = mpmath.mpf(0)
            for coefficient in reversed(decimal):
                polynomial = polynomial * u + coefficient
            largest = max(largest, abs(polynomial / function - 1))
    assert float(largest) <= 1.02 * stated


def gaussian_expectations(variance_x, variance_y, covariance):
    """E[relu(u) relu(v)] and E[relu'(u) relu'(v)] by adaptive quadrature over u, v given u in closed form."""
    slope = covariance / math.sqrt(variance_x)
    rest = math.sqrt(max(variance_y - slope**2, 0.0))

    def values(a):
        ratio = slope * a / rest
        density = math.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
        tail = scipy.special.ndtr(ratio)
        mean = slope * a * tail + rest * math.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
        return density * math.sqrt(variance_x) * a * mean, density * tail

    def integral(which):
        value, error = scipy.integrate.quad(
            lambda a: values(a)[which], 0, 12, epsabs=1e-14, epsrel=1e-13, limit=400, points=[0.1, 1.0, 3.0]
        )
        assert error < 1e-12
        return value

    return integral(0), integral(1)


@pytest.mark.parametrize("correlation", [-0.99, -0.7, 0.0, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize(("std_x", "std_y"), [(1.0, 1.0), (0.3, 2.5), (7.0, 0.01)])
def test_one_hidden_layer_is_the_gaussian_integral_it_stands_for(correlation, std_x, std_y):
    sine = math.sqrt(1 - correlation**2)
    x = np.sqrt(2.0) * std_x * np.array([[1.0, 0.0]])
    y = np.sqrt(2.0) * std_y * np.array([[correlation, sine]])
    covariance = float((x @ y.T)[0, 0] / 2)
    network = Serial(Dense(), Relu(), Dense(trainable=False))
    kernel = ntklab.compile(network, (2,), dtype="float64")(x, y)
    variance_x, variance_y = float((x @ x.T)[0, 0]) / 2, float((y @ y.T)[0, 0]) / 2
    of_values, of_slopes = gaussian_expectations(variance_x, variance_y, covariance)
    assert_close(kernel.nngp[0, 0], of_values, 1e-11)
    assert_close(kernel.ntk[0, 0], covariance * of_slopes, 1e-11, scale=std_x * std_y)


def test_the_derivative_of_h_is_kappa_0_and_that_of_kappa_1_minus_it():
    z = jnp.asarray(POINTS)
    kappa_0 = relu_dual(z)[2]
    for which, sign in ((0, 1.0), (1, -1.0)):
        slope = jax.vmap(jax.grad(lambda t, which=which: relu_dual(t)[which]))(z)
        np.testing.assert_array_equal(np.asarray(slope), sign * np.asarray(kappa_0))


@pytest.mark.parametrize("z", [0.01, 0.3, 0.9, 1.0, 1.1, 1.7, 1.99])
def test_first_derivatives_are_those_of_finite_differences(z):
    step = 1e-4 * min(z, 2 - z)
    for which in range(3):
        slope = jax.grad(lambda t, which=which: relu_dual(t)[which])(z)
        values = {k: float(relu_dual(jnp.asarray(z + k * step))[which]) for k in (-2, -1, 1, 2)}
        difference = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * step)
        assert_close(slope, difference, 2e-9)


@pytest.mark.parametrize("z", [0.01, 0.3, 1.0, 1.7, 1.99])
def test_second_derivatives_are_those_of_the_arc_cosine(z):
    second = jax.grad(jax.grad(lambda t: relu_dual(t)[0]))(z)
    assert_close(second, -1 / (math.pi * math.sqrt(z * (2 - z))), 1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_derivative_is_nan_or_infinite_at_the_ends(dtype):
    ends = jnp.asarray([0.0, 2.0], dtype)

    @jax.jit
    def derivatives(z):
        found = []
        for which in range(3):

            def term(t, which=which):
                return relu_dual(t)[which]

            slope = jax.grad(term)
            found += [jax.vmap(f)(z) for f in (slope, jax.grad(slope), jax.jacfwd(slope), jax.grad(jax.jacfwd(term)))]
        return found

    for values in derivatives(ends):
        assert values.dtype == dtype
        assert np.isfinite(np.asarray(values)).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_jit_and_vmap_change_nothing(dtype):
    z = jnp.linspace(0, 2, 101, dtype=dtype)
    for plain, jitted, mapped in zip(relu_dual(z), jax.jit(relu_dual)(z), jax.vmap(relu_dual)(z), strict=True):
        assert_close(jitted, plain, 4 * float(jnp.finfo(dtype).eps))
        assert_close(mapped, plain, 4 * float(jnp.finfo(dtype).eps))
