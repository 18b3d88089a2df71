"""Errors are documentation: each class says causes and remedies, has its heading on a page, and messages end well."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from ntklab import errors

ROOT = Path(__file__).parents[1]
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]

NEED = re.compile(
    r"\b(?:must|needs?|needed|takes?|knows|is for|are for|makes one|there is one for|expected|at least|at most|"
    r"between|one of|known are|holds? real|as the|has the|of shape)\b|[,;] got \{\}"
)
"""The message says what is needed: in words, or as what is so, before what was given."""
REMEDY = re.compile(
    r"\b(?:use|pass|give|raise|put|call|run|install|add|remove|choose|ask|set|compile|fit|name|drop|delete|lower|load|write|make|"
    r"move|join|let|cast|close|compute|clean|unpack|transpose|scale|rescale|take|try|train|check|look|repair|slice|apply|"
    r"convert|leave|get|save|instead|train_gd does without)\b",
    re.IGNORECASE,
)
TOLD_OTHERWISE = (
    "layers, and {} branches come in",
    "their batch and channels along",
    "have an axis in common",
    "each axis of one side before",
    "differ in their number of inputs alone",
    "of a Kernel whose arrays were replaced",
    "Here a layer is a dataclass, a rule",
    "ImageResize: shape {}",
    "There is no axis {}",
    "names axis {}, the axis of",
    "that axis of its input is {}",
    "are those of its init",
    "f is a Network or a function",
    "It is stable below 2",
    "The cuda engine {}",
    "has no kernel rule",
    "No network was given",
    "Gradient flow on the loss {}",
    "has no JSON and cannot be stored",
    "Not a network in JSON",
    "the NTK parameterisation has none",
    "NaN under a right checksum. {}",
)
"""Messages that do tell, in words that no pattern knows; each must still occur."""
WRITTEN_ELSEWHERE = re.compile(r"^[{}\s.:]*$")
"""All of the message is a variable: the sentence was put together above."""


def page():
    """Load the script that writes the page."""
    spec = importlib.util.spec_from_file_location("errors_page", ROOT / "docs/_site/errors_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(node):
    """Return a message with ``{}`` for what is not written out."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text(node.left) + text(node.right)
    return "{}"


def messages(source):
    """Yield line, class and message of every error that a source makes."""
    names = {cls.__name__ for cls in CLASSES}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names and node.args:
            yield node.lineno, node.func.id, text(node.args[0])


def says_what_to_do(message):
    return bool(WRITTEN_ELSEWHERE.match(message) or NEED.search(message) or REMEDY.search(message))


def test_the_page_is_made_from_the_classes():
    made = page()
    assert (ROOT / "docs/errors.md").read_text("utf-8") == made.page()
    headings = re.findall(r"^## (\w+)$", made.page(), re.MULTILINE)
    assert headings == [cls.__name__ for cls in CLASSES]
    assert len(headings) >= 9


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_says_causes_and_remedies(cls):
    section = page().section(cls)
    assert all(len(part) > 60 for part in re.split(r"\*\*(?:Causes|What to do)\.\*\*", section))


def test_every_error_is_ours_and_the_warning_is_a_warning():
    ours = [cls for cls in CLASSES if issubclass(cls, errors.NtklabError)]
    assert [cls.__name__ for cls in CLASSES if cls not in ours] == ["PrecisionWarning"]


def test_every_message_says_what_is_needed_or_what_to_do():
    """As far as words can tell: what fails here lacks its last sentence, or has a verb that REMEDY does not know."""
    found = [
        (f"{path.relative_to(ROOT)}:{line}", name, message)
        for path in sorted((ROOT / "ntklab").rglob("*.py"))
        for line, name, message in messages(path.read_text("utf-8"))
    ]
    assert len(found) > 400
    left = [message for message in found if not says_what_to_do(message[2])]
    assert [message for message in left if not any(words in message[2] for words in TOLD_OTHERWISE)] == []
    assert [words for words in TOLD_OTHERWISE if not any(words in message[2] for message in left)] == []


@pytest.mark.parametrize(
    ("source", "ends_well"),
    [
        ('raise InputError(f"x is wrong: {x}.")', False),
        ('raise InputError(f"x needs two axes; {x} is one.")', True),
        ('raise InputError(f"x is positive, got {x}.")', True),
        ('raise SolveError(f"K is singular" + f"; ask for a ridge, {r}")', True),
    ],
)
def test_the_check_of_messages_can_fail(source, ends_well):
    ((_, _, message),) = messages(source)
    assert says_what_to_do(message) == ends_well
