"""docs/commands.md says what the commands say of themselves."""

import importlib.util
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ntklab.cli import app

SITE = Path(__file__).parents[2] / "docs" / "_site"
spec = importlib.util.spec_from_file_location("commands_page", SITE / "commands_page.py")
commands_page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(commands_page)


def test_the_page_is_made_from_the_commands_as_they_are():
    made = commands_page.page()
    assert commands_page.PAGE.read_text(encoding="utf-8") == made, "run python docs/_site/commands_page.py"


def leaves(group, *above):
    """Return the words of every command that is no group."""
    for name, command in group.commands.items():
        yield from leaves(command, *above, name) if isinstance(command, click.Group) else [(*above, name)]


@pytest.mark.parametrize("words", [*leaves(app)], ids=" ".join)
def test_every_option_that_help_shows_is_on_the_page(words):
    shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=200).output
    options = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)) - {"--help"}
    sections = re.split(r"^#+ ", commands_page.PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = (text for text in sections if text.startswith(f"ntklab {' '.join(words)}\n"))
    assert set(re.findall(r"^\| `(--[\w-]+)`", section, re.MULTILINE)) == options
    assert not re.search(r"UNSET|Sentinel|None", section)
    assert not re.search(r"\|  \|$", section, re.MULTILINE), "an option without help"
    for default in re.findall(r"\[default: ([^];]+)", shown):
        assert re.search(rf"\| `?{re.escape(default)}", section), default


def test_what_an_option_takes_is_told():
    command = click.Command(
        "c",
        params=[
            click.Option(["--flag"], is_flag=True, help="A | B."),
            click.Option(["--kind"], type=click.Choice(["x", "y"]), required=True),
            click.Option(["--share"], default=0.5, show_default=True, help="Of <all>."),
            click.Option(["--part"], help="A part.  [default: the first]"),
        ],
    )
    made = commands_page.section(command, click.Context(command, info_name="c"))
    rows = [line for line in made.splitlines() if line.startswith("| `--")]
    assert rows == [
        "| `--flag` |  |  | A \\| B. |",
        "| `--kind` | `x`, `y` | required |  |",
        "| `--share` | number | `0.5` | Of &lt;all>. |",
        "| `--part` | text | the first | A part. |",
    ]
