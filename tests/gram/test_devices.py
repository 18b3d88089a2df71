"""All devices of a process compute a matrix, in memory or in a store, the same to the last bit as one of them."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json, sys
import jax
import numpy as np
import ntklab
from ntklab.engine import KernelFn
from ntklab.spec import zoo
from ntklab.testing import made_up_inputs

used = []
call = KernelFn.__call__

def spy(self, *args, **options):
    kernel = call(self, *args, **options)
    used.append(next(iter(kernel.ntk.devices())).id)
    return kernel

KernelFn.__call__ = spy
kfn = ntklab.compile(zoo.fc(3, b_std=0.1), (4,), engine="reference")
x = made_up_inputs(11, (4,))
if sys.argv[1] == "chosen":
    jax.config.update("jax_default_device", jax.devices()[1])
if sys.argv[1] == "stored":
    stored = ntklab.gram(kfn, x, store=sys.argv[2], tile=3, progress=False)
    made = [{word: np.asarray(getattr(stored, word)) for word in ("nngp", "ntk")}]
else:
    made = [ntklab.gram(kfn, x, tile=3, progress=False), ntklab.gram(kfn, x[:5], x[2:], tile=3, progress=False)]
    made = [{"nngp": k.nngp, "ntk": k.ntk} for k in made]
bits = hashlib.sha256(b"".join(k[word].tobytes() for k in made for word in ("nngp", "ntk"))).hexdigest()
print(json.dumps([len(jax.devices()), used, bits]))
"""


def run(devices, *arguments):
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(arguments or [""])],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone():
    return run(1)


def test_three_devices_take_turns_and_give_the_bits_of_one(alone):
    count, used, bits = run(3)
    assert count == 3
    assert used == [n % 3 for n in range(10)] + [n % 3 for n in range(6)]
    assert (alone[0], set(alone[1]), alone[2]) == (1, {0}, bits)


def test_a_default_device_that_is_set_is_the_only_one(alone):
    count, used, bits = run(3, "chosen")
    assert count == 3
    assert set(used) == {1}
    assert bits == alone[2]


def test_three_devices_fill_a_store_in_turns_with_the_bytes_of_one(tmp_path):
    count, used, bits = run(3, "stored", str(tmp_path / "three.zarr"))
    assert count == 3
    assert sorted(used) == sorted(n % 3 for n in range(10))
    assert (run(1, "stored", str(tmp_path / "one.zarr"))[2]) == bits
    chunks = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("c/**/*") if path.is_file())
        for name in ("one.zarr", "three.zarr")
    ]
    assert chunks[0] == chunks[1] != []
    for chunk in chunks[0]:
        assert (tmp_path / "one.zarr" / chunk).read_bytes() == (tmp_path / "three.zarr" / chunk).read_bytes()
