"""Write docs/commands.md from the commands themselves; tests/cli/test_page.py checks that they agree.

python docs/_site/commands_page.py

mkdocs-click 0.9 would do this on the site alone, shows click 8.3's marker of "no default" as one, and no arguments.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from ntklab.cli import app

PAGE = Path(__file__).parents[1] / "commands.md"
HEAD = """# The ntklab command

Every command with all its options; `ntklab COMMAND --help` shows the same, `ntklab --version` the version. Exit
status: 0; 1 where a check finds something wrong (`verify`, `gram verify`); 2 for bad input and for
[our own errors](errors.md), in one line that begins with the error's class; 130 after Ctrl-C.

How they are used: [quickstart](guides/quickstart.md), [a kernel on a cluster](guides/cluster.md) (`gram`),
[CIFAR-10](guides/cifar10.md) (`reproduce`, `bench`), [networks of finite width](guides/finite-width.md)
(`equivalence`, `lazy`, `reproduce cnn`).

<!-- made by docs/_site/commands_page.py from ntklab/cli -->
"""
EXTRA = re.compile(r"\s*\[([^\[\]]*(?:default: |required)[^\[\]]*)\]$")


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield a command and all below it, each with its context, in the order of --help."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.commands[name]
            yield from commands(below, click.Context(below, context, info_name=name))


def section(command: click.Command, context: click.Context) -> str:
    """Return one command as a section: what it does, its usage, a table of its options."""
    depth = context.command_path.count(" ") + 1
    parts = [f"{'#' * depth} {context.command_path}", text(inspect.cleandoc(command.help or ""))]
    if not isinstance(command, click.Group):
        parts.append(f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```")
        rows = [row(option, context) for option in command.params if isinstance(option, click.Option)]
        if rows:
            parts.append("\n".join(["| option | value | default | |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts)


def row(option: click.Option, context: click.Context) -> str:
    """Return the row of an option, by what --help says of it."""
    record = option.get_help_record(context)
    assert record is not None, f"{option.name} is hidden"
    described = record[1]
    extra = EXTRA.search(described)
    default = text(extra[1].removeprefix("default: ")) if extra else ""
    in_words = default in ("", "required") or (option.help or "").endswith(f"{default}]")
    cells = (
        ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts)),
        value(option),
        default if in_words else f"`{default}`",
        text(EXTRA.sub("", described)),
    )
    return f"| {' | '.join(cells)} |"


def value(option: click.Option) -> str:
    """Return in words what an option takes."""
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    if isinstance(option.type, click.Path):
        return {(True, False): "file", (False, True): "directory"}.get(
            (option.type.file_okay, option.type.dir_okay), "file or directory"
        )
    return {"integer": "integer", "float": "number"}.get(option.type.name, "text")


def text(words: str) -> str:
    """Return plain words as Markdown that shows them, in a table too."""
    return words.replace("|", r"\|").replace("<", "&lt;")


def page() -> str:
    """Return the text of docs/commands.md."""
    found = list(commands(app, click.Context(app, info_name="ntklab")))[1:]
    return HEAD + "\n" + "\n\n".join(section(*one) for one in found) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
