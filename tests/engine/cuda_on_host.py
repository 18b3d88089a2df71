"""The cuda engine's source as a library for this machine's CPU: the same text, built by g++, a warp as a vector."""

import ctypes
import functools
import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from ntklab import engine
from ntklab.engine._cuda_engine import Cuda
from ntklab.engine._cuda_launch import Launch

FOLDER = tempfile.TemporaryDirectory(prefix="ntklab-cuda-")
FLAGS = ("-std=c++17", "-Og", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-Wno-psabi")


@functools.cache
def built(text):
    """Return the library of a source; g++ must be there, as a compiler that is missing would hide that nothing ran."""
    stem = Path(FOLDER.name) / hashlib.sha256(text.encode()).hexdigest()[:16]
    stem.with_suffix(".cpp").write_text(text)
    subprocess.run(["g++", *FLAGS, "-o", stem.with_suffix(".so"), stem.with_suffix(".cpp")], check=True)
    return ctypes.CDLL(str(stem.with_suffix(".so")))


@dataclass(frozen=True)
class OnHost(Launch):
    """Runs kernels on the host; outputs begin as NaN, so that nothing is right by accident."""

    def __call__(self, source, kernel, inputs, outputs, grid, block):
        def run(*arrays):
            arrays = [np.ascontiguousarray(a) for a in arrays]
            made = [np.full(a.shape, np.nan, np.float32).view(a.dtype) for a in outputs]
            addresses = [a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, *made)]
            getattr(built(source.text), kernel)(grid, block, (ctypes.c_void_p * len(addresses))(*addresses))
            return made

        return jax.pure_callback(run, list(outputs), *inputs, vmap_method="sequential")


ENGINES = tuple(Cuda(OnHost()) if each.name == "cuda" else each for each in engine.ENGINES)
"""All engines; that of GPUs runs here."""
