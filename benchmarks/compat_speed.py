"""Five programs for neural-tangents as its users run them, timed with one package: reads a name per line, answers.

Called by ``compat.py`` in the environment of that package; needs JAX and NumPy only. float32 throughout.
"""

import functools
import importlib
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

W = 2.0**0.5


def inputs(*shape):
    return jnp.asarray(np.random.default_rng(list(shape)).normal(size=shape), jnp.float32)


def fully_connected(nt):
    """Ten layers on vectors of the size of digits."""
    kernel_fn = nt.stax.serial(*[nt.stax.Dense(512, W, 0.1), nt.stax.Relu()] * 10, nt.stax.Dense(1))[2]
    return kernel_fn, inputs(600, 784)


def convolutional_flatten(nt):
    """Ten convolutions without pooling, images of 32 x 32."""
    stax = nt.stax
    layers = [stax.Conv(64, (3, 3), W_std=W, padding="SAME"), stax.Relu()] * 10
    return stax.serial(*layers, stax.Flatten(), stax.Dense(10))[2], inputs(60, 32, 32, 3)


def convolutional_pooled(nt):
    """The README's kind: ten convolutions and global pooling, images of 16 x 16."""
    stax = nt.stax
    layers = [stax.Conv(64, (3, 3), W_std=W, padding="SAME"), stax.Relu()] * 10
    return stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(10))[2], inputs(4, 16, 16, 3)


def myrtle(nt):
    """Myrtle-5, images of 16 x 16."""
    stax = nt.stax
    conv = stax.serial(stax.Conv(64, (3, 3), W_std=W, padding="SAME"), stax.Relu())
    pool = stax.AvgPool((2, 2), strides=(2, 2))
    layers = conv, conv, pool, conv, pool, conv, pool, pool, stax.Flatten(), stax.Dense(10, W)
    return stax.serial(*layers)[2], inputs(4, 16, 16, 3)


def ensemble(nt):
    """Mean and covariance of trained networks at three times, from a kernel function."""
    kernel_fn = nt.stax.serial(nt.stax.Dense(512, 1.5, 0.1), nt.stax.Erf(), nt.stax.Dense(1))[2]
    return kernel_fn, inputs(800, 20)


PROGRAMS = {f.__name__: f for f in (fully_connected, convolutional_flatten, convolutional_pooled, myrtle, ensemble)}


def prepared(nt, name):
    """Return the program as a function of nothing."""
    kernel_fn, x = PROGRAMS[name](nt)
    if nt.__name__ == "neural_tangents":  # the original is compiled by its users, ours by itself
        kernel_fn = jax.jit(kernel_fn, static_argnames="get")
    if name == "ensemble":
        y, times = jnp.sin(x[:600, :2]), jnp.array([1.0, 100.0, 10000.0], jnp.float32)

        def predict():
            predict_fn = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x[:600], y, diag_reg=1e-3)
            return predict_fn(times, x[600:], get="ntk", compute_cov=True).mean

        return predict
    return functools.partial(kernel_fn, x, None, get="ntk")


def main():
    """Answer until the input ends."""
    package = importlib.import_module(sys.argv[1])
    ready = {}
    for line in sys.stdin:
        ask = json.loads(line)
        if ask["program"] not in ready:
            ready[ask["program"]] = prepared(package, ask["program"])
        start = time.perf_counter()
        found = np.asarray(ready[ask["program"]]())
        seconds = time.perf_counter() - start
        if ask.get("save"):
            np.save(ask["save"], found)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
