"""One HTML page from records: figures, published numbers, all results as tables, settings, environment and command.

Built as a tree by the standard library, which escapes every text that it is given. A template language would be a
dependency for a page of a dozen kinds of elements, and would leave escaping to whoever writes the template.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report._draw import curves, figures
from ntklab.report._grids import Grid, grids

_FOLDED = 40
"""A table of more rows is shown when asked for."""
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-weight: 500; } h2 { margin-top: 3rem; border-bottom: 2px solid #4878a8; } h3 { font-weight: 600; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; font-size: 13px; }
th, td { padding: 0.25rem 0.7rem; text-align: left; border-bottom: 1px solid #8884; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
table.pairs td { white-space: normal; overflow-wrap: anywhere; text-align: left; }
table.pairs td:first-child { white-space: nowrap; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; } code { font-size: 13px; }
figcaption, p.small { color: #808080; font-size: 13px; } summary { cursor: pointer; }
@media print { body { max-width: none; } h2 { break-before: page; } }
"""
_CAPTIONS = {
    "results": "Results.",
    "spectra": "Eigenvalues of the training kernel matrices, largest first.",
    "examples": "Test images with what was predicted: class, its calibrated probability; wrong ones in red.",
    "curve": "Accuracy against training images; bars are standard deviations over draws.",
}
Element = ElementTree.Element


def page(records: Mapping[str, Record]) -> str:
    """Return one self-contained HTML page: styles and figures are inside, and nothing is fetched from anywhere.

    Parameters
    ----------
    records : mapping of name to Record
        In the order in which they are shown; any kind.

    Raises
    ------
    InputError
        There is no record.
    MissingExtraError
        matplotlib is not installed.

    Examples
    --------
    >>> from ntklab.report import page
    >>> from ntklab._core import Record
    >>> made = page({"a": Record.make("any", {"n": 3}, {"error": 1e-7, "runs": [{"s": 2.0}, {"s": 3.0}]})})
    >>> made.startswith("<!doctype html>"), "1e-07" in made
    (True, True)
    """
    if not records:
        raise InputError("A page needs at least one record.")
    body = _node("body", _node("h1", "Report"))
    body.append(_node("ul", *(_node("li", _node("a", name, href=f"#{name}")) for name in records)))
    for name, image in curves(records).items():
        body.append(_figure(name, image, "curve"))
    for name, record in records.items():
        body.extend(_section(name, record))
    head = _node("head", _node("title", "ntklab report"), _node("style", _STYLE))
    head.insert(0, _node("meta", charset="utf-8"))
    html = ElementTree.tostring(_node("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!doctype html>\n{html}\n"


def _section(name: str, record: Record) -> list[Element]:
    nodes = [_node("h2", name, id=name), _node("p", f"{record.kind}, {record.created}")]
    nodes[1].set("class", "small")
    nodes += [_table(grid) for grid in _published(record)]
    nodes += [_figure(f"{name}, {what}", image, what) for what, image in figures(record).items()]
    nodes += [_table(grid) for grid in grids("", record.results)]
    nodes += [_table(grid) for grid in grids("Settings", record.settings)]
    machine = dict(record.environment)
    command, packages = machine.pop("command", ""), machine.pop("packages", {})
    nodes += [_table(grid) for grid in grids("Environment", {**machine, **packages})]
    nodes.append(_node("p", "Command: ", _node("code", command) if command else "none; written by a script"))
    return nodes


def _published(record: Record) -> list[Grid]:
    """Return the published number beside ours, where the record has both."""
    published = record.results.get("published")
    if not isinstance(published, dict):
        return []
    methods = record.results.get("methods") or {"": record.results}
    rows = [(f"ours {who}".strip(), _percent(result["mean"], result.get("spread"))) for who, result in methods.items()]
    theirs = (f"published: {published['name']}; {published['source']}", _percent(published["accuracy"]))
    return [Grid("Beside the published number", ("", "accuracy, %"), [*rows, theirs])]


def _percent(mean: float, spread: float | None = None) -> str:
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"


def _table(grid: Grid) -> Element:
    rows = _node("tbody", *(_row(row) for row in grid.rows))
    if any(grid.header):
        inner = _node("table", _node("thead", _node("tr", *(_node("th", word) for word in grid.header))), rows)
    else:  # names and values: long ones wrap
        inner = _node("table", rows)
        inner.set("class", "pairs")
    table = _node("div", inner)
    table.set("class", "wide")
    if len(grid.rows) > _FOLDED:
        table = _node("details", _node("summary", f"{len(grid.rows)} rows"), table)
    return _node("div", _node("h3", grid.title), table) if grid.title else table


def _row(row: Sequence[str]) -> Element:
    cells = [_node("td", cell) for cell in row]
    for cell in cells:
        if (cell.text or "").lstrip("-")[:1].isdigit():
            cell.set("class", "number")
    return _node("tr", *cells)


def _figure(name: str, png: bytes, what: str) -> Element:
    source = "data:image/png;base64," + base64.b64encode(png).decode()
    return _node("figure", _node("img", src=source, alt=name), _node("figcaption", _CAPTIONS[what]))


def _node(tag: str, *children: Any, **attributes: str) -> Element:
    """Return an element; strings among its children become text, which ElementTree escapes."""
    node = Element(tag, attributes)
    for child in children:
        if isinstance(child, Element):
            node.append(child)
        elif len(node):
            node[-1].tail = (node[-1].tail or "") + child
        else:
            node.text = (node.text or "") + child
    return node
