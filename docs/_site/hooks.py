"""What the site needs beyond mkdocs: formulas as MathML, and pages that live outside docs/."""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FIGURES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks" / "results").glob("*.png"))
OUTSIDE = {"CHANGELOG.md": "changelog.md", "tests/README.md": "tests.md", **{name: name for name in FIGURES}}
"""Files of the repository that are not in docs/, and where they are on the site."""

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and figures from outside docs/."""
    for source, name in OUTSIDE.items():
        content: str | bytes = (ROOT / source).read_bytes()
        if name.endswith(".md"):
            content = moved((ROOT / source).read_text(encoding="utf-8"), source, name)
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ to where these pages are on the site; errors get their full names as anchors."""
    if page.file.src_uri == "errors.md":
        markdown = re.sub(r"^## (\w+)$", r"## \1 {#ntklab.errors.\1}", markdown, flags=re.MULTILINE)
    return moved(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Turn every formula into MathML, which browsers show without scripts or fonts of ours."""
    return FORMULA.sub(lambda match: mathml(match, page.file.src_uri), content)


def mathml(match: re.Match[str], where: str) -> str:
    """Return one formula that arithmatex has found; the converter passes over what it does not know, so look."""
    kind, formula = match[1], html.unescape(match[2])
    try:
        made = convert(formula, display="block" if kind == "div" else "inline")
    except Exception as error:
        raise PluginError(f"{where}: the formula {formula} cannot be read: {error!r}") from error
    braces = re.sub(r"\\[{}]", "", formula)
    if re.search(r">\\[a-zA-Z]", made) or braces.count("{") != braces.count("}"):
        raise PluginError(f"{where}: the formula {formula} has an unknown command or a brace too many.")
    return made


def moved(text: str, source: str, name: str) -> str:
    """Return the text of the repository's file ``source`` with its links as the site's page ``name`` needs them."""

    def target(match: re.Match[str]) -> str:
        link, anchor = match.groups()
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if there in OUTSIDE:
            there = OUTSIDE[there]
        elif source in OUTSIDE and there == "README.md":
            there = "index.md"
        elif source in OUTSIDE and there.startswith("docs/"):
            there = there.removeprefix("docs/")
        else:
            return match.group()
        return f"]({posixpath.relpath(there, posixpath.dirname(name) or '.')}{anchor or ''})"

    return LINK.sub(target, text)
