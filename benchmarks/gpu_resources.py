"""What the cuda engine's kernel costs a GPU, read from its machine code: registers, spills, instructions.

    python benchmarks/gpu_resources.py [--capability 9.0]

Needs no GPU. Compiles as the engine does (NVRTC), assembles for the GPU (ptxas) and counts in the disassembly
(nvdisasm): all come with ``pip install nvidia-cuda-nvrtc nvidia-cuda-nvcc nvidia-cuda-nvdisasm``. Instructions per
position pair and layer are those from the first to the last square root of a layer's rows: on the way lies code that
few rows need; what a layer does before its first row is missing. The time that follows is a limit: every scheduler
issues an instruction in every cycle. Writes benchmarks/results/gpu-resources.json.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click

from ntklab._core import Record
from ntklab.engine._cuda_nvrtc import ptx
from ntklab.engine._cuda_source import Source, sources
from ntklab.engine._cuda_tiles import floats
from ntklab.engine._simd_program import CONV
from ntklab.kernel import lower
from ntklab.report import align
from ntklab.spec import Conv, GlobalAvgPool, Relu, Residual, Serial, zoo

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "gpu-resources.json"
CONVOLUTION = Conv(3, padding="SAME")
NETWORKS = {
    "plain_cnn(21, gap)": (zoo.plain_cnn(21, "gap"), (32, 32, 3)),
    "cntk(11, gap)": (zoo.cntk(11, "gap"), (32, 32, 3)),
    "plain_cnn(21, none)": (zoo.plain_cnn(21, "none"), (32, 32, 3)),
    "cntk_lap(11, 4)": (zoo.cntk_lap(11, 4), (32, 32, 3)),
    "myrtle(5)": (zoo.myrtle(5), (32, 32, 3)),
    "myrtle(10)": (zoo.myrtle(10), (32, 32, 3)),
    "residual": (
        Serial(CONVOLUTION, Residual(Relu(), CONVOLUTION), Relu(), GlobalAvgPool()),
        (32, 32, 3),
    ),
    "plain_cnn(21, gap) on 64x64": (zoo.plain_cnn(21, "gap"), (64, 64, 3)),
}
H100 = {"multiprocessors": 132, "schedulers": 4, "clock": 1.755e9, "bytes_per_second": 3.35e12}
"""NVIDIA's figures for the SXM form; one instruction of a warp per scheduler and cycle."""


def tool(name: str) -> str:
    """Return the path of one of NVIDIA's programs: on the search path, or in their wheels."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(folder).glob(f"*/bin/{name}"):
            return str(found)
    found = shutil.which(name)
    if found is None:
        raise click.ClickException(f"needs {name}: pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm")
    return found


def assembled(source: Source, capability: str) -> tuple[dict[str, dict[str, int]], str]:
    """Return registers and spills of each kernel, and the machine code of the one for pairs."""
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder) / "kernels.ptx", Path(folder) / "kernels.cubin"
        text.write_text(ptx(source.text, capability))
        arch = f"-arch=sm_{capability.replace('.', '')}"
        command = [tool("ptxas"), "-v", arch, "-o", str(binary), str(text)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        command = [tool("nvdisasm"), "-c", str(binary)]
        code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pattern = (
        r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+).*?Used (\d+) registers"
    )
    resources = {
        name: dict(zip(("stack", "spill_stores", "spill_loads", "registers"), map(int, numbers), strict=True))
        for name, *numbers in re.findall(pattern, said.stderr + said.stdout, re.DOTALL)
    }
    return resources, code.split(".text.pairs:")[1].split("//-----")[0]


def counted(source: Source, code: str) -> dict[str, Any]:
    """Return what a position pair costs in a layer, and the limit that follows for one entry on an H100."""
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)", code)
    roots = [n for n, (_, name) in enumerate(lines) if name == "MUFU"]
    height, _ = source.program.size
    if len(roots) < height:  # the rows are a loop
        return {"instructions": len(lines)}
    inside = lines[roots[0] : roots[-1]]
    per_row = len(inside) / (len(roots) - 1)
    kinds = {kind: sum(name == kind for _, name in inside) / (len(roots) - 1) for kind in ("FFMA", "LDG", "SHFL")}
    layers = int((source.program.instructions[:, 0] == CONV).sum())
    tiles = len(source.program.rows) * len(source.program.columns)
    issued = per_row * height * layers * tiles
    return {
        "instructions": len(lines),
        "per_row_and_layer": per_row,
        "of_which": kinds,
        "layers": layers,
        "warp_instructions_per_entry": issued,
        "limit_ms_per_entry": 1e3 * issued / (H100["multiprocessors"] * H100["schedulers"] * H100["clock"]),
    }


def stored(source: Source) -> dict[str, Any]:
    """Return what a pair's tiles cost that a pooling reads: they are written, and read again."""
    if source.program.window is None:
        return {}
    moved = 2 * 4 * floats([source.program])
    return {"bytes_per_entry": moved, "memory_limit_ms_per_entry": 1e3 * moved / H100["bytes_per_second"]}


@click.command()
@click.option("--capability", default="9.0", show_default=True, help="Compute capability of the GPU; 9.0 is an H100.")
@click.option("--out", default=RESULT, type=click.Path(path_type=Path))
def main(capability: str, out: Path) -> None:
    """Compile, count, print and store."""
    found: dict[str, Any] = {}
    rows = [
        ("network", "registers", "spilled bytes", "instructions per row and layer", "limit, ms per entry", "of memory")
    ]
    for network_name, (network, shape) in NETWORKS.items():
        (chain,) = sources(lower(network, shape))
        for source in chain:
            size = "x".join(map(str, source.program.size))
            name = network_name if len(chain) == 1 else f"{network_name}, {size}"
            resources, code = assembled(source, capability)
            found[name] = {"network": network_name, "kernels": resources, **counted(source, code), **stored(source)}
            pairs, own = resources["pairs"], found[name]
            spilled = pairs["spill_stores"] + pairs["spill_loads"]
            keys = ("per_row_and_layer", "limit_ms_per_entry", "memory_limit_ms_per_entry")
            rows.append(
                (name, str(pairs["registers"]), str(spilled), *(f"{own.get(key, math.nan):.3g}" for key in keys))
            )
    version = subprocess.run([tool("ptxas"), "--version"], capture_output=True, text=True, check=True).stdout
    settings = {"capability": capability, "ptxas": version.splitlines()[-1], "gpu": H100}
    Record.make("gpu-resources", settings, {"networks": found}).save(out)
    print(align(rows))


if __name__ == "__main__":
    main()
