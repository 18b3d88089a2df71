"""One way to an empirical tangent kernel, in a process of its own; called by ``empirical_rivals.py``.

``empirical_run.py WAY`` reads requests from stdin, one a line, and answers each with the seconds and the peak of
one call in float32, and the seconds of a forward pass; where a file is named, it first saves the kernel of some inputs
in float64. Needs NumPy and the package of the way.
"""

import json
import math
import os
import sys

import numpy as np
from memory import measured

CASES = {
    "fc 3 x 2048, 1 output": {"inputs": 16, "shape": (784,), "dense": (2048, 2048, 2048, 1)},
    "fc 3 x 2048, 10 outputs": {"inputs": 4, "shape": (784,), "dense": (2048, 2048, 2048, 10)},
    "conv 4 x 64, pooled, 10 outputs": {"inputs": 8, "shape": (32, 32, 3), "conv": (64,) * 4, "dense": (10,)},
}
CHECKED = 2


def weights(case):
    """Return inputs, filters and matrices: the same for every way, float64."""
    random = np.random.default_rng(0)
    x = random.standard_normal((case["inputs"], *case["shape"]))
    channels, convs, matrices = case["shape"][-1], [], []
    for width in case.get("conv", ()):
        convs.append(random.standard_normal((3, 3, channels, width)))
        channels = width
    for width in case["dense"]:
        matrices.append(random.standard_normal((channels, width)))
        channels = width
    return x, convs, matrices


def by_jax(case, way):
    """Return ``prepare(dtype, n)``, which returns the kernel of n inputs and their outputs, as calls."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    jax.config.update("jax_enable_x64", True)
    convs = len(case.get("conv", ()))

    def f(params, x):
        for i, w in enumerate(params):
            scale = math.sqrt(2.0 / math.prod(w.shape[:-1]))
            if i < convs:
                x = jax.nn.relu(scale * lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=DIMENSIONS))
                if i < 2:
                    x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
                x = x.mean(axis=(1, 2)) if i == convs - 1 else x
            else:
                x = scale * (x @ w)
                x = jax.nn.relu(x) if i < len(params) - 1 else x
        return x

    if way.startswith("ntklab"):
        from ntklab.finite import empirical_ntk

        method = way.split()[1]
        # Measured best for the other two: no derivative twice; one output at a time, as all would not fit.
        blocks = {} if method == "structured" else {"batch": case["inputs"], "output_batch": 1}

        def kernel(params, x):
            return empirical_ntk(f, params, x, method=method, **blocks)
    else:
        import neural_tangents as nt
        from jax._src.interpreters import ad as inner  # noqa: TID251 (the rival needs jax 0.4.30)
        from jax.interpreters import ad

        # Its structured derivatives look for names that jax 0.4.30 no longer has there; with them they run.
        ad.source_info_util, ad.config = inner.source_info_util, jax.config
        for gone in set(dir(inner)) - set(dir(ad)):
            setattr(ad, gone, getattr(inner, gone))
        kind = {"jacobian": 1, "vector": 2, "structured": 3}[way.split()[1]]
        found = nt.empirical_ntk_fn(f, trace_axes=(-1,), vmap_axes=0, implementation=kind)
        kernel = jax.jit(lambda params, x: found(x, None, params))

    forward = jax.jit(f)

    def prepare(dtype, n):
        x, filters, matrices = weights(case)
        params, inputs = [jnp.asarray(w, dtype) for w in filters + matrices], jnp.asarray(x[:n], dtype)
        return lambda: np.asarray(kernel(params, inputs)), lambda: np.asarray(forward(params, inputs))

    return prepare


def by_torch(case, way):
    """Return ``prepare(dtype, n)`` for the recipes with ``torch.func``: Jacobians by jacrev and vmap, NTK-vps."""
    import torch
    import torch.nn.functional as F
    from torch.func import jacrev, jvp, vjp, vmap

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    convs = len(case.get("conv", ()))

    def f(params, single):
        x = single[None]
        for i, w in enumerate(params):
            scale = math.sqrt(2.0 / (math.prod(w.shape[1:]) if i < convs else w.shape[0]))
            if i < convs:
                x = F.relu(scale * F.conv2d(x, w, padding=1))
                x = F.avg_pool2d(x, 2) if i < 2 else x
                x = x.mean(dim=(2, 3)) if i == convs - 1 else x
            else:
                x = scale * (x @ w)
                x = F.relu(x) if i < len(params) - 1 else x
        return x[0]

    def jacobians(params, x):
        sides = [j.flatten(2) for j in vmap(jacrev(f), (None, 0))(params, x)]
        return sum(torch.einsum("nop,mop->nm", j, j) for j in sides) / case["dense"][-1]

    def vector_products(params, x):
        def pair(a, b):
            out, pull = vjp(lambda p: f(p, a), params)

            def push(unit):
                return jvp(lambda p: f(p, b), (params,), pull(unit))[1]

            return vmap(push)(torch.eye(len(out), dtype=out.dtype)).diagonal().sum() / len(out)

        return vmap(vmap(pair, (None, 0)), (0, None))(x, x)

    kernel = jacobians if way.endswith("jacobian") else vector_products

    def prepare(dtype, n):
        x, filters, matrices = weights(case)
        kind = getattr(torch, dtype)
        params = tuple(torch.tensor(w.transpose(3, 2, 0, 1), dtype=kind) for w in filters)
        params += tuple(torch.tensor(w, dtype=kind) for w in matrices)
        inputs = torch.tensor(np.moveaxis(x[:n], -1, 1) if filters else x[:n], dtype=kind)
        return lambda: kernel(params, inputs).numpy(), lambda: vmap(f, (None, 0))(params, inputs).numpy()

    return prepare


DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def main():
    """Answer until the input ends; a way that cannot do a case answers with its error."""
    way, calls = sys.argv[1], {}
    make = by_torch if way.startswith("torch") else by_jax
    for line in sys.stdin:
        ask = json.loads(line)
        name, case = ask["case"], CASES[ask["case"]]
        try:
            if ask.get("save"):
                np.save(ask["save"], make(case, way)("float64", CHECKED)[0]())
                calls[name] = make(case, way)("float32", case["inputs"])
            call, forward = calls[name]
            kernel, seconds, peak = measured(call)
            answer = {"seconds": seconds, "peak": peak, "corner": kernel[:CHECKED, :CHECKED].tolist()}
            answer["forward"] = min(measured(forward)[1] for _ in range(3))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
