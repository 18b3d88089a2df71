"""How long is a newcomer's way: install, first kernel, first error bars, a matrix that is killed and goes on?

    python benchmarks/newcomer.py
    python benchmarks/tables.py

Walks it in a fresh virtual environment, made from this checkout's wheel, with the code and commands of the guides as
they stand there; every step is a process of its own, from its start to its end. No package and no compiled code is
there at the beginning; what one step compiles for good, the next one finds. The matrix is that of the guide to
clusters: its run gets SIGKILL once KILL_AT tiles are on disk, and the guide's next command completes it. Fails where a
step fails, and where the kill came too early or too late. Packages come from wherever pip is set up to find them, so
the time of the installation is that of this machine's network.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "results" / "newcomer.json"
KILL_AT = 3
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVE = """
import json, sys
from ntklab._core import Record
given = json.load(sys.stdin)
Record.make("newcomer-benchmark", given["settings"], given["results"]).save(given["path"])
"""


def blocks(guide: str, *headings: str) -> list[str]:
    """Return the blocks that tests run in the sections of a guide, in their order."""
    text = (ROOT / "docs" / "guides" / f"{guide}.md").read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)}
    return [block[2] for heading in headings for block in BLOCK.finditer(sections[heading])]


def programs() -> dict[str, str]:
    """Return the Python steps: each runs all that its reader has copied so far."""
    first = ("A kernel", "A prediction", "Error bars")
    return {
        "first kernel": blocks("quickstart", first[0])[0],
        "first prediction with error bars": "".join(blocks("quickstart", *first)),
        "three kinds of error bars": "".join(blocks("uncertainty", "One data set, three error bars")),
        "inputs and network of the matrix": "".join(blocks("cluster", "1. Inputs and network")),
    }


def commands() -> dict[str, str]:
    """Return the commands of the guide to clusters: plan, run (to be killed), complete, check."""
    headings = ("2. What will it cost?", "3. Run it, as often as you like", "4. Look, check, repair")
    (plan,), (begin, again), (_, check, _) = ("".join(blocks("cluster", at)).splitlines() for at in headings)
    names = ("matrix planned", "matrix begun, and killed", "matrix resumed", "matrix checked")
    return dict(zip(names, (plan, begin, again, check), strict=True))


def walk(folder: Path, wheel: Path) -> tuple[dict[str, float], int]:
    """Return the seconds of every step, and how many tiles the killed run left."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    python = folder / "venv" / "bin" / "python"
    seconds = {}

    def timed(name: str, *words: str | Path) -> None:
        start = time.perf_counter()
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        seconds[name] = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{name}: {' '.join(map(str, words))[:200]} ended with {done.returncode}\n{done.stderr}")

    def words(command: str) -> list[str | Path]:
        program, *rest = shlex.split(command)
        return [python.parent / program, *rest]

    timed("virtual environment", sys.executable, "-m", "venv", "venv")
    timed("install", python, "-m", "pip", "install", "-q", "--no-cache-dir", f"{wheel}[simd,store]")
    timed("ntklab verify", python.parent / "ntklab", "verify")
    for name, code in programs().items():
        timed(name, python, "-c", code)
    steps = commands()
    timed("matrix planned", *words(steps["matrix planned"]))
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words(steps["matrix begun, and killed"]), cwd=folder, env=environment, **quiet)
    while len(tiles(folder)) < KILL_AT and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise SystemExit("the matrix was complete, or had failed, before it could be killed")
    seconds["matrix begun, and killed"] = time.perf_counter() - start
    left = len(tiles(folder))
    timed("matrix resumed", *words(steps["matrix resumed"]))
    if not left < len(tiles(folder)):
        raise SystemExit(f"the killed run had left all {left} tiles")
    timed("matrix checked", *words(steps["matrix checked"]))
    return seconds, left


def tiles(folder: Path) -> list[Path]:
    """Return the tiles that are on disk, whole."""
    return [path for path in (folder / "k.zarr" / "K" / "c").glob("*/*/*") if path.name.isdigit()]


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Each with a new virtual environment.")
def main(rounds: int) -> None:
    """Walk it a few times; the record is made by the package as installed."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", scratch, str(ROOT)]
        subprocess.run(build, check=True)
        (wheel,) = place.glob("*.whl")
        walks = []
        for i in range(rounds):
            (place / str(i)).mkdir()
            walks.append(walk(place / str(i), wheel))
            click.echo(f"round {i + 1} of {rounds}: {sum(walks[-1][0].values()):.0f} s")
        results = {
            "seconds": {name: [seconds[name] for seconds, _ in walks] for name in walks[0][0]},
            "tiles": len(tiles(place / "0")),
            "tiles_left_by_the_kill": [left for _, left in walks],
        }
        settings = {"rounds": rounds, "extras": ["simd", "store"], "kill_at": KILL_AT, "commands": commands()}
        given = json.dumps({"settings": settings, "results": results, "path": str(RECORD)})
        installed = place / "0" / "venv" / "bin" / "python"
        subprocess.run([installed, "-c", SAVE], input=given, text=True, check=True, cwd=scratch)
    click.echo(f"record: {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
