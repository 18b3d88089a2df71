"""Compiling at run time, with a library that stands in for NVRTC: what it is asked, what is kept, what is said."""

import subprocess
from pathlib import Path

import pytest

from ntklab.engine import _cuda_nvrtc
from ntklab.errors import EngineError

STAND_IN = r"""
#include <stdlib.h>
#include <string.h>
#include <string>
struct Program { std::string source, log, ptx; };
extern "C" {
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 5; return 0; }
const char* nvrtcGetErrorString(int) { return "NO MEMORY"; }
int nvrtcCreateProgram(Program** made, const char* source, const char*, int, const char**, const char**) {
  if (strstr(source, "too much")) return 1;
  *made = new Program{source, "", ""};
  return 0;
}
int nvrtcCompileProgram(Program* p, int count, const char** options) {
  if (strstr(p->source.c_str(), "mistake")) { p->log = "line 7: mistake"; return 6; }
  p->ptx = "ptx of " + p->source;
  for (int n = 0; n < count; n++) p->ptx += std::string(" ") + options[n];
  return 0;
}
int nvrtcGetProgramLogSize(Program* p, size_t* size) { *size = p->log.size() + 1; return 0; }
int nvrtcGetProgramLog(Program* p, char* text) { strcpy(text, p->log.c_str()); return 0; }
int nvrtcGetPTXSize(Program* p, size_t* size) { *size = p->ptx.size() + 1; return 0; }
int nvrtcGetPTX(Program* p, char* text) { strcpy(text, p->ptx.c_str()); return 0; }
int nvrtcDestroyProgram(Program** p) { delete *p; return 0; }
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nvrtc")
    (folder / "nvrtc.cpp").write_text(STAND_IN)
    made = folder / "libnvrtc.so.13"
    subprocess.run(["g++", "-shared", "-fPIC", "-o", made, folder / "nvrtc.cpp"], check=True)
    return made


@pytest.fixture
def kept(library, tmp_path, monkeypatch):
    monkeypatch.setattr(_cuda_nvrtc, "_library", lambda: library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _cuda_nvrtc._kept.cache_clear()
    return tmp_path / "ntklab" / "ptx"


def test_a_source_is_compiled_for_the_gpu_and_found_on_disk_by_the_next_process(kept):
    made = _cuda_nvrtc.ptx("code", "9.0")
    assert made.startswith("ptx of code --std=c++17")
    assert made.endswith("--gpu-architecture=compute_90")
    (file,) = kept.iterdir()
    file.write_text("from disk")
    _cuda_nvrtc._kept.cache_clear()
    assert _cuda_nvrtc.ptx("code", "9.0") == "from disk"
    assert _cuda_nvrtc.ptx("code", "8.6").endswith("compute_86")
    assert _cuda_nvrtc.ptx("other code", "9.0").startswith("ptx of other code")
    assert len(list(kept.iterdir())) == 3


def test_a_folder_that_cannot_be_made_costs_time_only(kept, tmp_path):
    (tmp_path / "ntklab").write_text("a file where the folder should be")
    assert _cuda_nvrtc.ptx("code", "9.0").startswith("ptx of code")


def test_a_source_that_does_not_compile_is_an_error_with_the_words_of_the_compiler(kept):
    with pytest.raises(EngineError, match="line 7: mistake"):
        _cuda_nvrtc.ptx("a mistake", "9.0")
    with pytest.raises(EngineError, match="NO MEMORY"):
        _cuda_nvrtc.ptx("too much", "9.0")
    assert not kept.exists()


def test_without_nvrtc_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_cuda_nvrtc, "_library", lambda: None)
    assert "pip install" in (_cuda_nvrtc.unavailable() or "")
    with pytest.raises(EngineError, match=r"pip install.*jax\[cuda13\]"):
        _cuda_nvrtc.ptx("code", "9.0")


def test_the_library_of_the_wheels_is_found(tmp_path, monkeypatch):
    place = tmp_path / "nvidia" / "cu13" / "lib"
    place.mkdir(parents=True)
    for name in ("libnvrtc.so.13", "libnvrtc.alt.so.13", "libnvrtc-builtins.so.13.5"):
        (place / name).touch()
    monkeypatch.setattr(_cuda_nvrtc.importlib.util, "find_spec", lambda name: _Spec([str(tmp_path / name)]))
    assert _cuda_nvrtc._library.__wrapped__() == Path(place / "libnvrtc.so.13")


class _Spec:
    def __init__(self, folders):
        self.submodule_search_locations = folders
