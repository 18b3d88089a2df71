"""Docstrings are numpydoc in reStructuredText, for `help()`; the site reads Markdown. This translates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import griffe

PAGES = sorted((Path(__file__).parents[1] / "api").glob("*.md"))
BASES = {"Layer", "Weighted", "Branching", "Activation", "Chain"}
ROLE = re.compile(r":(?:func|class|meth|attr|data|mod):`~?([\w.]+)(?:\(\))?`")
MATH_ROLE = re.compile(r":math:`([^`]*)`")
MATH_BLOCK = re.compile(r"^([ ]*)\.\. math::[ ]*(.*(?:\n(?:\1[ ]+.*|[ ]*(?=\n\1[ ]+\S)))*)", re.MULTILINE)
SHARED = re.compile(r"^(\w+(?:, \w+)+)( : .*)?\n((?:[ ]+\S.*\n?)+)", re.MULTILINE)
"""``a, b : type`` and its description: griffe would show the annotation of the first name for all."""
FOOTNOTE = re.compile(r"^([ ]*)\.\. (\[\d+\] )", re.MULTILINE)


class Markdown(griffe.Extension):
    """Rewrites every docstring once the package is read."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Translate the docstrings of a package."""
        found = re.findall(r"^::: (\S+)", "".join(page.read_text("utf-8") for page in PAGES), re.MULTILINE)
        for obj in list(everything(pkg)):
            if obj.docstring:
                obj.docstring.value = markdown(
                    obj.docstring.value, lambda name, obj=obj: resolve(obj, name, set(found))
                )
            if obj.is_class and obj.path.startswith("ntklab.spec.") and obj.name not in BASES:
                for name in [name for name, member in obj.members.items() if is_for_rules(member)]:
                    obj.del_member(name)


def is_for_rules(member: griffe.Object | griffe.Alias) -> bool:
    """Tell whether a layer's member serves shape inference and rules; who writes a network needs its arguments."""
    method = member.is_function and member.name != "__init__" and "classmethod" not in member.labels
    return method or "property" in member.labels


def everything(obj: griffe.Object) -> Iterator[griffe.Object]:
    """Yield an object and all that it defines."""
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from everything(member)


def resolve(obj: griffe.Object, name: str, documented: set[str]) -> str | None:
    """Return the path under which the site describes what a docstring calls ``name``, or None if it does not."""
    scope: griffe.Object | None = obj
    head, _, rest = name.partition(".")
    candidates = [name]
    while scope is not None:
        if head in scope.members:
            member = scope.members[head]
            path = member.target_path if member.is_alias else member.path
            candidates.append(re.sub(r"\._\w+", "", path) + (f".{rest}" if rest else ""))
        scope = scope.parent
    candidates += [c.rpartition(".")[0] for c in candidates if re.search(r"\b(\w+)\.\1$", c)]  # a room's own function
    exact = (c for c in candidates if c in documented)
    return next(exact, next((c for c in candidates if c.rpartition(".")[0] in documented), None))


def markdown(text: str, resolve: Callable[[str], str | None]) -> str:
    """Return a docstring's text as Markdown; ``resolve`` turns a name into a public path, or None."""

    def role(match: re.Match[str]) -> str:
        name = match[1]
        path = resolve(name)
        return f"[`{name.rpartition('.')[2] if path else name}`][{path}]" if path else f"`{name}`"

    def block(match: re.Match[str]) -> str:
        lines = ["$$", *(line.strip() for line in match[2].splitlines() if line.strip()), "$$"]
        return "\n".join(match[1] + line for line in lines)

    def each(match: re.Match[str]) -> str:
        names, kind, description = match.groups()
        return "".join(f"{name}{kind or ''}\n{description.rstrip()}\n" for name in names.split(", "))

    text = SHARED.sub(each, MATH_BLOCK.sub(block, text))
    text = MATH_ROLE.sub(lambda match: f"${match[1]}$", text)
    text = FOOTNOTE.sub(r"\1\2", re.sub(r"(\[\d+\])_", r"\1", text))
    return ROLE.sub(role, text.replace("::\n\n", ":\n\n"))
