"""CUDA's compiler at run time: from source to PTX, once for each source and kind of GPU, kept on disk."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

from ntklab.errors import EngineError

_OPTIONS = ("--std=c++17", "--device-as-default-execution-space")


def unavailable() -> str | None:
    """Return why nothing can be compiled here, or None."""
    if _library() is None:
        return 'needs NVRTC, which comes with pip install "jax[cuda13]" or "jax[cuda12]"'
    return None


def ptx(text: str, capability: str) -> str:
    """Return the PTX of a CUDA source for GPUs of a compute capability such as ``"9.0"``.

    Kept under ``ntklab/ptx`` in ``XDG_CACHE_HOME`` (default ``~/.cache``), by source, options, compiler and GPU; where
    that cannot be written to, every process compiles anew.

    Raises
    ------
    EngineError
        There is no NVRTC, or it does not compile the source; the message has its words.
    """
    library = _library()
    if library is None:
        raise EngineError(f"The cuda engine {unavailable()}.")
    options = (*_OPTIONS, f"--gpu-architecture=compute_{capability.replace('.', '')}")
    return _kept(text, options, library)


@functools.cache
def _kept(text: str, options: tuple[str, ...], library: Path) -> str:
    nvrtc = ctypes.CDLL(str(library))
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    key = "\n".join((text, *options, f"{major.value}.{minor.value}"))
    place = cache() / f"{hashlib.sha256(key.encode()).hexdigest()}.ptx"
    with contextlib.suppress(OSError):
        return place.read_text(encoding="ascii")
    made = _compiled(nvrtc, text, options)
    with contextlib.suppress(OSError):  # a cache that cannot be written to costs time, nothing else
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(made)
        Path(draft).replace(place)
    return made


def cache() -> Path:
    """Return the folder of compiled sources."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ntklab" / "ptx"


def _compiled(nvrtc: ctypes.CDLL, text: str, options: tuple[str, ...]) -> str:
    program = ctypes.c_void_p()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"ntklab.cu", 0, None, None))
    try:
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), words)
        if failed:
            log = _read(nvrtc, program, "ProgramLog")
            raise EngineError(f"NVRTC does not compile the cuda engine's source ({options[-1]}):\n{log}")
        return _read(nvrtc, program, "PTX")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> str:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, text))
    return text.value.decode()


def _check(nvrtc: ctypes.CDLL, code: int) -> None:
    if code:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise EngineError(f"NVRTC fails: {nvrtc.nvrtcGetErrorString(code).decode()}. Use another engine.")


@functools.cache
def _library() -> Path | None:
    """Return the library that NVIDIA's wheels brought along, else that of the system."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(folder).glob("*/lib/libnvrtc.so.*"))
        if found:
            return found[-1]
    name = ctypes.util.find_library("nvrtc")
    return Path(name) if name else None
