"""Writes tests/finite/empirical_golden.npz: empirical kernels of two networks by neural-tangents' own code.

Runs in an environment of its own, since that code needs an old JAX (Python 3.11):

    pip install jax==0.4.30 jaxlib==0.4.30 'numpy<2.1' 'scipy<1.14' tf2jax==0.3.6 neural-tangents==0.6.5
    JAX_ENABLE_X64=1 python benchmarks/empirical_golden.py
"""

from pathlib import Path

import jax
import neural_tangents as nt
import numpy as np
from neural_tangents import stax

SAME, WRAP = {"padding": "SAME"}, {"padding": "CIRCULAR"}
NETWORKS = {
    "dense": (stax.serial(stax.Dense(6, 1.4, 0.5), stax.Relu(), stax.Dense(5), stax.Relu(), stax.Dense(3)), (4,)),
    "convolutional": (
        stax.serial(
            stax.Conv(4, (3, 2), (2, 1), W_std=1.2, b_std=0.3, **SAME),
            stax.Relu(),
            stax.Conv(3, (2, 2), W_std=1.1, **WRAP),
            stax.Relu(),
            stax.GlobalAvgPool(),
            stax.Dense(2, 0.9, 0.1),
        ),
        (5, 4, 2),
    ),
}


def main() -> None:
    """Compute and write."""
    assert jax.config.jax_enable_x64, "set JAX_ENABLE_X64=1"
    record = {}
    for name, ((init, apply, _), shape) in NETWORKS.items():
        random = np.random.default_rng(0)
        x1, x2 = (np.cos(random.normal(size=(n, *shape))) for n in (3, 2))
        _, params = init(jax.random.PRNGKey(1), (-1, *shape))
        record |= {f"{name}/x1": x1, f"{name}/x2": x2}
        for layer, weights in enumerate(params):
            for word, value in zip("Wb", weights, strict=False):
                if value is not None:
                    record[f"{name}/{layer}/{word}"] = np.asarray(value).reshape(-1) if word == "b" else value
        for word, axes in {
            "full": {"trace_axes": (), "diagonal_axes": ()},
            "mean": {"trace_axes": (-1,), "diagonal_axes": ()},
            "diagonal": {"trace_axes": (), "diagonal_axes": (-1,)},
        }.items():
            found = [
                np.asarray(nt.empirical_ntk_fn(apply, vmap_axes=0, implementation=i, **axes)(x1, x2, params))
                for i in (1, 2)  # the third no longer runs
            ]
            spread = max(np.abs(kernel - found[0]).max() for kernel in found)
            assert spread < 1e-12 * np.abs(found[0]).max(), (name, word, spread)
            record[f"{name}/ntk/{word}"] = found[0]
            record[f"{name}/nngp/{word}"] = nt.empirical_nngp_fn(apply, **axes)(x1, x2, params)
    target = Path(__file__).parents[1] / "tests" / "finite" / "empirical_golden.npz"
    np.savez(target, **record)
    print(f"{target.name}: {len(record)} arrays, neural-tangents {nt.__version__}, jax {jax.__version__}")


if __name__ == "__main__":
    main()
