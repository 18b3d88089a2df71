"""Programs for neural-tangents, one function each: predictions, and kernels of finite functions.

Those of layers, and how they are run: ``compat_layers.py``.
"""

import itertools

import jax
import jax.numpy as jnp

try:
    from compat_layers import data
except ImportError:  # as part of the tests
    from benchmarks.compat_layers import data

PROGRAMS = {}


def program(f):
    """Put a program on the list."""
    PROGRAMS[f.__name__] = f
    return f


def problem(nt, *outputs):
    """Kernels and targets of a regression."""
    kernel_fn = nt.stax.serial(nt.stax.Dense(8, 1.3, 0.4), nt.stax.Erf(), nt.stax.Dense(1, 1.2, 0.1))[2]
    x_train, x_test = data(6, 4), data(3, 4, seed=1)
    return kernel_fn, x_train, x_test, data(6, *(outputs or (2,)), seed=2)


def kernels(nt, *outputs):
    kernel_fn, x_train, x_test, y = problem(nt, *outputs)
    return [kernel_fn(a, b, ("nngp", "ntk")) for a, b in ((x_train, None), (x_test, x_train), (x_test, None))], y


@program
def gradient_descent_mse_at_times(nt):
    (k_dd, k_td, _), y = kernels(nt)
    predict_fn = nt.predict.gradient_descent_mse(k_dd.ntk, y, learning_rate=0.3)
    train, test = predict_fn(jnp.array([[0.0, 1.0], [20.0, 500.0]]), 0.1, data(3, 2, seed=3), k_td.ntk)
    return {
        "train": train,
        "test": test,
        "train_alone": predict_fn(3.0),
        "test_alone": predict_fn(3.0, None, 0.0, k_td.ntk),
    }


@program
def gradient_descent_mse_to_the_end(nt):
    (k_dd, k_td, _), y = kernels(nt)
    predict_fn = nt.predict.gradient_descent_mse(k_dd.ntk, y)
    train, test = predict_fn(None, data(6, 2, seed=4), data(3, 2, seed=3), k_td.ntk)
    return {"train": train, "test": test, "test_alone": predict_fn(None, None, 0.0, k_td.ntk)}


@program
def gradient_descent_mse_with_ridge(nt):
    (k_dd, k_td, _), y = kernels(nt)
    relative = nt.predict.gradient_descent_mse(k_dd.ntk, y, diag_reg=1e-2)
    absolute = nt.predict.gradient_descent_mse(k_dd.ntk, y, diag_reg=1e-2, diag_reg_absolute_scale=True)
    times = jnp.array([2.0, 300.0])
    found = {"end": relative(None, None, 0.0, k_td.ntk), "absolute": absolute(None, None, 0.0, k_td.ntk)}
    return found | {"times": relative(times, None, 0.0, k_td.ntk)}


@program
def gradient_descent_mse_of_positions(nt):
    kernel_fn = nt.stax.serial(nt.stax.Conv(4, (2,), b_std=0.3), nt.stax.Erf(), nt.stax.Dense(2))[2]
    x_train, x_test, y = data(3, 4, 2), data(2, 4, 2, seed=1), data(3, 2, 3, seed=2)
    k_dd, k_td = kernel_fn(x_train, None, "ntk"), kernel_fn(x_test, x_train, "ntk")
    predict_fn = nt.predict.gradient_descent_mse(k_dd, y, trace_axes=(1,))
    train, test = predict_fn(jnp.array([1.0, 50.0]), 0.0, 0.0, k_td)
    return {"train": train, "test": test, "end": predict_fn(None, 0.0, 0.0, k_td)[1]}


@program
def gradient_descent_on_cross_entropy(nt):
    (k_dd, k_td, _), _ = kernels(nt)
    y = jax.nn.one_hot(jnp.arange(6) % 2, 2, dtype=k_dd.ntk.dtype)

    def loss(fx, y_hat):
        return -jnp.mean(jax.nn.log_softmax(fx) * y_hat)

    predict_fn = nt.predict.gradient_descent(loss, k_dd.ntk, y, learning_rate=0.5)
    train, test = predict_fn(jnp.array([0.0, 2.0, 30.0]), 0.0, 0.0, k_td.ntk)
    state = predict_fn(5.0, nt.predict.ODEState(jnp.zeros((6, 2)), jnp.zeros((3, 2))), None, k_td.ntk)
    return {"ode_train": train, "ode_test": test, "ode_state": state.fx_test}


@program
def gradient_descent_with_momentum(nt):
    (k_dd, k_td, _), y = kernels(nt)

    def loss(fx, y_hat):
        return 0.5 * jnp.mean((fx - y_hat) ** 2)

    predict_fn = nt.predict.gradient_descent(loss, k_dd.ntk, y, learning_rate=0.2, momentum=0.9)
    train, test = predict_fn(jnp.array([1.0, 25.0]), 0.1, 0.2, k_td.ntk)
    return {"ode_train": train, "ode_test": test}


@program
def ensemble_at_times(nt):
    kernel_fn, x_train, x_test, y = problem(nt)
    predict_fn = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x_train, y, learning_rate=0.3)
    found = predict_fn(jnp.array([0.0, 3.0, 200.0]), x_test, compute_cov=True)
    train = predict_fn(7.0, None, "ntk", compute_cov=True)
    both = {"nngp": found.nngp, "ntk": found.ntk, "train": train}
    pairs = {f"{name}_{part}": getattr(value, part) for name, value in both.items() for part in value._fields}
    return pairs | {"mean_alone": predict_fn(2.0, x_test, "nngp")}


@program
def ensemble_at_the_end(nt):
    """The README's: exact posterior of a network, given a kernel function."""
    kernel_fn, x_train, x_test, y = problem(nt, 1)
    predict_fn = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x_train, y, diag_reg=1e-3)
    found = predict_fn(x_test=x_test, get=("ntk", "nngp"), compute_cov=True)
    pairs = {
        f"{name}_{part}": getattr(getattr(found, name), part)
        for name in found._fields
        for part in ("mean", "covariance")
    }
    return pairs | {"fields": found._fields, "ntk_alone": predict_fn(x_test=x_test, get="ntk")}


@program
def ensemble_of_positions(nt):
    kernel_fn = nt.stax.serial(nt.stax.Conv(4, (2,), b_std=0.3), nt.stax.Erf(), nt.stax.Dense(2))[2]
    x_train, x_test, y = data(3, 4, 2), data(2, 4, 2, seed=1), data(3, 3, 2, seed=2)
    predict_fn = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x_train, y)
    found = predict_fn(jnp.array([1.0, 40.0]), x_test, "ntk", compute_cov=True)
    return {"mean": found.mean, "covariance": found.covariance}


@program
def gaussian_process_inference(nt):
    (k_dd, k_td, k_tt), y = kernels(nt)
    found = nt.predict.gp_inference(k_dd, y, diag_reg=1e-2)(("nngp", "ntk", "ntkgp"), k_td, k_tt)
    pairs = {
        f"{name}_{part}": getattr(getattr(found, name), part)
        for name in found._fields
        for part in ("mean", "covariance")
    }
    array = nt.predict.gp_inference(k_dd.nngp, y)("nngp", k_td.nngp, k_tt.nngp)
    train = nt.predict.gp_inference(k_dd.nngp, y)("nngp")
    return pairs | {"array_mean": array.mean, "array_covariance": array.covariance, "train": train}


@program
def largest_learning_rate(nt):
    (k_dd, _, _), _ = kernels(nt)
    rates = (nt.predict.max_learning_rate(k_dd.ntk, **o) for o in ({}, {"y_train_size": 12}, {"momentum": 0.5}))
    return {"rates": jnp.stack([jnp.asarray(rate) for rate in rates])}


def mlp(params, x, **_):
    """A function of one's own; Monte Carlo hands it an ``rng``."""
    for W, b in params[:-1]:
        x = jnp.tanh(x @ W + b)
    W, b = params[-1]
    return x @ W + b


def weights(*widths):
    sizes = itertools.pairwise(widths)
    return [(0.4 * data(*size, seed=i), 0.1 * data(size[1], seed=i)) for i, size in enumerate(sizes)]


def images_net(params, x):
    """Outputs with several axes."""
    return jnp.tanh(jnp.einsum("nhc,cd->nhd", x, params["W"])) * params["scale"]


IMAGE_PARAMS = {"W": data(2, 3, seed=9), "scale": data(3, seed=8)}


def at_parameters(name, implementation):
    def run(nt):
        ntk_fn = nt.empirical_ntk_fn(mlp, vmap_axes=0, implementation=implementation)
        params, x1, x2 = weights(4, 6, 5, 3), data(5, 4), data(3, 4, seed=1)
        return {"two": ntk_fn(x1, x2, params), "one": ntk_fn(x1, None, params)}

    run.__name__ = name
    program(run)


at_parameters("empirical_ntk_by_jacobians", 1)
at_parameters("empirical_ntk_by_vectors", 2)


@program
def empirical_ntk_of_all_outputs(nt):
    x1, x2 = data(4, 5, 2), data(3, 5, 2, seed=1)
    found = {}
    for trace in ((), (-1,), (1,), (1, 2)):
        for diagonal in ((), (1,), (2,)):
            if not {a % 3 for a in trace} & set(diagonal):
                fn = nt.empirical_ntk_fn(images_net, trace_axes=trace, diagonal_axes=diagonal, vmap_axes=0)
                found[f"{trace} {diagonal}"] = fn(x1, x2, IMAGE_PARAMS)
    return found


@program
def empirical_ntk_of_each_input(nt):
    fn = nt.empirical_ntk_fn(images_net, trace_axes=(-1,), diagonal_axes=(0, 1))
    return {"ntk": fn(data(4, 5, 2), data(4, 5, 2, seed=1), IMAGE_PARAMS)}


@program
def empirical_nngp(nt):
    params, x1, x2 = weights(4, 6, 3), data(5, 4), data(3, 4, seed=1)
    found = {"mean": nt.empirical_nngp_fn(mlp)(x1, x2, params), "all": nt.empirical_nngp_fn(mlp, ())(x1, None, params)}
    return found | {"once": nt.empirical_nngp_fn(mlp, (), (1,))(x1, x2, params)}


@program
def empirical_kernels(nt):
    kernel_fn = nt.empirical_kernel_fn(mlp, vmap_axes=0)
    params, x1, x2 = weights(4, 6, 3), data(5, 4), data(3, 4, seed=1)
    both = kernel_fn(x1, x2, ("nngp", "ntk"), params)
    return {"nngp": both.nngp, "ntk": both.ntk, "one": kernel_fn(x1, None, "ntk", params), "fields": both._fields}


@program
def empirical_kernel_of_a_stax_network(nt):
    stax = nt.stax
    layers = stax.Conv(4, (2, 2), b_std=0.3), stax.Relu(), stax.Flatten(), stax.Dense(3, 1.2, 0.1)
    init_fn, apply_fn, _ = stax.serial(*layers)
    x1, x2 = data(3, 4, 3, 2), data(2, 4, 3, 2, seed=1)
    params = init_fn(jax.random.PRNGKey(0), x1.shape)[1]
    params = jax.tree_util.tree_map(lambda w: jnp.cos(jnp.arange(w.size, dtype=w.dtype)).reshape(w.shape), params)
    kernel = nt.empirical_kernel_fn(apply_fn)(x1, x2, None, params)
    return {"nngp": kernel.nngp, "ntk": kernel.ntk}


@program
def empirical_ntk_times_vectors(nt):
    params, x1, x2 = weights(4, 6, 3), data(5, 4), data(3, 4, seed=1)
    product = nt.empirical_ntk_vp_fn(mlp, x1, x2, params)(data(3, 3, seed=2))
    return {"two": product, "one": nt.empirical_ntk_vp_fn(mlp, x1, None, params)(data(5, 3, seed=2))}


@program
def linearized_function(nt):
    params, x = weights(4, 6, 3), data(5, 4)
    moved = jax.tree_util.tree_map(lambda w: 1.1 * w + 0.01, params)
    f_lin = nt.linearize(mlp, params)
    return {
        "value": f_lin(moved, x),
        "jit": jax.jit(f_lin)(params, x),
        "grad": jax.grad(lambda p: f_lin(p, x).sum())(moved)[0][0],
    }


@program
def taylor_polynomials(nt):
    params, x = weights(4, 6, 3), data(5, 4)
    moved = jax.tree_util.tree_map(lambda w: 1.1 * w + 0.01, params)
    return {f"degree {d}": nt.taylor_expand(mlp, params, d)(moved, x) for d in range(4)}


def draw(key, shape):
    """Weights of one's own function; not random, because equal keys give other numbers on another JAX."""
    return (shape[0], 3), weights(4, 6, 3)


@program
def monte_carlo_kernel(nt):
    kernel_fn = nt.monte_carlo_kernel_fn(draw, mlp, jax.random.PRNGKey(3), 4, vmap_axes=0)
    both = kernel_fn(data(4, 4), data(3, 4, seed=1), ("nngp", "ntk"))
    return {"nngp": both.nngp, "ntk": both.ntk, "one": kernel_fn(data(4, 4), None, "nngp")}


@program
def monte_carlo_kernels_one_after_another(nt):
    kernel_fn = nt.monte_carlo_kernel_fn(draw, mlp, jax.random.PRNGKey(3), n_samples=[1, 3], trace_axes=())
    return {f"{i}": kernel for i, kernel in enumerate(kernel_fn(data(4, 4), None, "ntk"))}


@program
def kernels_in_batches(nt):
    kernel_fn = nt.stax.serial(nt.stax.Dense(8, 1.3, 0.4), nt.stax.Relu(), nt.stax.Dense(1))[2]
    batched = nt.batch(kernel_fn, batch_size=2)
    x1, x2 = data(6, 4), data(4, 4, seed=1)
    return {"ntk": batched(x1, x2, "ntk"), "nngp": batched(x1, x2, ("nngp",)).nngp, "cov1": batched(x1, x2, None).cov1}


@program
def empirical_kernels_in_batches(nt):
    kernel_fn = nt.batch(nt.empirical_kernel_fn(mlp, vmap_axes=0), batch_size=2)
    return {"ntk": kernel_fn(data(6, 4), data(4, 4, seed=1), "ntk", weights(4, 6, 3))}


@program
def prediction_with_an_empirical_kernel(nt):
    kernel_fn, params = nt.empirical_kernel_fn(mlp, vmap_axes=0), weights(4, 6, 2)
    x_train, x_test, y = data(6, 4), data(3, 4, seed=1), data(6, 2, seed=2)
    k_dd, k_td = kernel_fn(x_train, None, "ntk", params), kernel_fn(x_test, x_train, "ntk", params)
    predict_fn = nt.predict.gradient_descent_mse(k_dd, y, diag_reg=1e-3)
    return {"test": predict_fn(50.0, None, mlp(params, x_test), k_td)}
