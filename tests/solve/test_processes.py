"""One solve in two processes with two devices each, in JAX's default 32-bit mode."""

import socket
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
port, process, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process, heartbeat_timeout_seconds=10)
import jax.numpy as jnp
import numpy as np
from ntklab.errors import SolveError
from ntklab.solve import Ridge, ShardedOperator, conjugate_gradients, rpcholesky

x, y = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy")
gram = np.load(f"{folder}/gram.npy")

def kernel(a, b):
    return jnp.exp(-0.1 * jnp.sum((a[:, None] - b[None]) ** 2, -1))

for name, k in {
    "kernel": ShardedOperator.of_kernel(kernel, x, tile=16),
    "stored": ShardedOperator.stored(lambda i, j: gram[i, j], len(gram), tile=16),
}.items():
    assert jax.device_count() == 4 and k.leader == (process == 0)
    options = {
        "ridge": Ridge(1e-2), "preconditioner": rpcholesky(k, 10, seed=0), "progress": False,
        "checkpoint": f"{folder}/{name}-{process}.npz",
    }
    whole = conjugate_gradients(k, y, **{**options, "checkpoint": None})
    try:
        conjugate_gradients(k, y, max_iterations=4, **options)
        raise SystemExit("four iterations are too few")
    except SolveError:
        pass
    # Only process 0 has a file; all go on from its content.
    resumed = conjugate_gradients(k, y, **options)
    np.testing.assert_array_equal(resumed.alpha, whole.alpha)
    np.testing.assert_array_equal(resumed.history, whole.history)
    single = conjugate_gradients(k, y, products="float32", **{**options, "checkpoint": None})
    np.savez(f"{folder}/{name}{process}", alpha=whole.alpha, single=single.alpha, product=k.matmat(y))
jax.distributed.shutdown()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("processes"), np.random.default_rng(0)
    x, y = rng.normal(size=(75, 3)).astype(np.float32), rng.normal(size=(75, 3))
    gram = np.exp(-0.1 * ((x[:, None] - x[None]) ** 2).sum(-1)).astype(np.float32)
    for name, array in {"x": x, "y": y, "gram": gram}.items():
        np.save(folder / f"{name}.npy", array)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    commands = [[sys.executable, "-W", "error", "-c", SCRIPT, str(port), str(i), str(folder)] for i in (0, 1)]
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]
    try:
        said = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(process.returncode for process in processes):
        pytest.fail("\n".join(said), pytrace=False)
    return folder


@pytest.mark.parametrize("name", ["kernel", "stored"])
def test_both_processes_have_the_solution_of_a_dense_solver(folder, name):
    first, second = (np.load(folder / f"{name}{process}.npz") for process in (0, 1))
    gram, y = np.load(folder / "gram.npy").astype(float), np.load(folder / "y.npy")
    system = gram + 1e-2 * gram.diagonal().mean() * np.eye(75)
    for key in ("alpha", "single"):
        np.testing.assert_array_equal(first[key], second[key])
        left = np.linalg.norm(y - system @ first[key], axis=0) / np.linalg.norm(y, axis=0)
        # The kernel on the fly rounds its float32 entries in its own way: up to 2e-7 of each.
        assert left.max() < {"kernel": 3e-5, "stored": 1.0001e-6}[name]
    expected = gram @ y
    error = np.abs(first["product"] - expected).max() / np.abs(expected).max()
    assert error < {"kernel": 3e-7, "stored": 1e-14}[name]


def test_only_the_first_process_writes_files(folder):
    assert sorted(path.name for path in folder.glob("*-*.npz")) == ["kernel-0.npz", "stored-0.npz"]
