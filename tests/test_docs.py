"""The documentation is true where it can be run: Python blocks of README.md and docs/, commands of docs/guides/."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")

RUNNER = """
import doctest, shlex, subprocess, sys
flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
name, blocks, names = sys.argv[1], eval(sys.stdin.read()), {"__name__": "__main__"}
for line, kind, code in blocks:
    if kind == "sh":
        for command in code.splitlines():
            program, *words = shlex.split(command)
            assert program == "ntklab", f"{name}: the block at line {line} runs {program}"
            done = subprocess.run([sys.executable, "-c", "from ntklab.cli import main; main()", *words])
            if done.returncode:
                raise SystemExit(f"{name}: the block at line {line}, `{command}`, ended with {done.returncode}")
    elif code.lstrip().startswith(">>>"):
        example = doctest.DocTestParser().get_doctest(code, names, name, name, line - 1)
        runner = doctest.DocTestRunner(optionflags=flags)
        runner.run(example, clear_globs=False)
        names.update(example.globs)
        if runner.summarize(verbose=False).failed:
            raise SystemExit(f"{name}: the block at line {line} shows something else")
    else:
        exec(compile("\\n" * (line - 1) + code, name, "exec"), names)
"""


def blocks(text: str, commands: bool = False) -> list[tuple[int, str, str]]:
    """Return the blocks of a page to run, with the lines where they start and their language."""
    found = [(text.count("\n", 0, match.start(2)) + 1, *match.groups()) for match in BLOCK.finditer(text)]
    return [block for block in found if commands or block[1] == "python"]


def run(name: str, text: str, folder: Path | None = None, commands: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a page's blocks in order, in one namespace of a fresh process: a user's default settings."""
    command = [sys.executable, "-W", "error", "-c", RUNNER, name]
    given = repr(blocks(text, commands))
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=folder)


LONG = {  # to run
    *("any-model.md", "cluster.md", "finite-width.md", "from-neural-tangents.md", "hyperparameters.md", "iterative.md"),
    *("scikit-learn.md", "uncertainty.md", "engines.md", "extending.md", "solvers.md"),
}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.slow] if page.name in LONG else [])
        for page in PAGES
    ],
)
def test_the_blocks_of_a_page_run_and_show_what_they_say(page, tmp_path):
    text, guide = page.read_text(encoding="utf-8"), page.parent.name == "guides"
    if blocks(text):
        done = run(str(page.relative_to(ROOT)), text, tmp_path if guide else None, commands=guide)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_on_the_map():
    """The README leads to the map; the API has one of its own."""
    maps = (ROOT / "docs/index.md", ROOT / "docs/api/index.md")
    reached = {(page.parent / link).resolve() for page in maps for link in LINK.findall(page.read_text("utf-8"))}
    assert [str(page) for page in PAGES if page not in reached and page not in (*maps, ROOT / "README.md")] == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a\n```python\nx = 1\n```\nb\n```python\nassert x == 2\n```\n", 'page.md", line 7'),
        ("```python\n>>> 1 + 1\n3\n```\n", "the block at line 2 shows something else"),
        ("```python\nimport warnings\nwarnings.warn('old', DeprecationWarning)\n```\n", "DeprecationWarning"),
    ],
)
def test_a_page_that_is_wrong_fails_with_its_line(text, finding):
    done = run("page.md", text)
    assert done.returncode != 0
    assert finding in done.stdout + done.stderr


def test_a_page_that_is_right_passes():
    assert run("page.md", "```python\nx = 1\n```\n\n```python\n>>> x + 1\n2\n```\n").returncode == 0


def test_a_command_that_fails_fails_its_page(tmp_path):
    done = run("page.md", "```sh\nntklab gram status nowhere\n```\n", tmp_path, commands=True)
    assert done.returncode != 0
    assert "the block at line 2, `ntklab gram status nowhere`, ended with 2" in done.stderr
