"""What the documentation site adds to mkdocs: formulas, links out of docs/, docstrings, and an entry for every name.

`.ci/run` builds the site itself, strict; nothing here does.
"""

import importlib
import importlib.util
import inspect
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import griffe
import pytest
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from ntklab.spec import zoo

ROOT = Path(__file__).parents[1]
ROOMS = ("spec", "kernel", "engine", "gram", "solve", "predict", "finite")
ROOMS += ("data", "estimators", "studies", "report", "testing")
MATHML = "{http://www.w3.org/1998/Math/MathML}"


def script(name):
    """Load a script of the site by its file."""
    spec_ = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec_)
    spec_.loader.exec_module(module)
    return module


hooks, docstrings = script("hooks"), script("docstrings")


class Page:
    """As much of mkdocs' page as the hooks read."""

    def __init__(self, name):
        self.file = File(name, None, "site", False)


def test_every_public_name_has_its_entry_in_the_api():
    """A new name goes to the page of docs/api/ where a reader meets it, in the order of use."""
    entries = re.findall(r"^::: (\S+)$", "".join(p.read_text("utf-8") for p in docstrings.PAGES), re.MULTILINE)
    assert len(entries) == len(set(entries)) > 200
    rooms = [importlib.import_module(name) for name in ("ntklab", *(f"ntklab.{room}" for room in ROOMS))]
    public = {
        f"{room.__name__}.{name}"
        for room in rooms
        for name, value in vars(room).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    own = [f for f in vars(zoo).values() if inspect.isfunction(f) and f.__module__ == zoo.__name__]
    networks = {f"{zoo.__name__}.{f.__name__}" for f in own if not f.__name__.startswith("_")}
    at_the_top = {f"ntklab.{name}" for name in ("engine.Kernel", "engine.KernelFn", "engine.compile")}
    at_the_top |= {f"ntklab.engine.{name}" for name in ("SampledKernel", "SampledKernelFn", "Sampling")}
    at_the_top |= {"ntklab.gram.gram", "ntklab.gram.open_gram"}
    assert sorted(((public | networks) - at_the_top) ^ set(entries)) == []


def test_formulas_become_mathml():
    content = (
        r'<p><span class="arithmatex">\(\Sigma_{pq} &lt; 1\)</span></p><div class="arithmatex">\[\frac{a}{b}\]</div>'
    )
    tree = ET.fromstring(f"<div>{hooks.on_page_content(content, Page('a.md'))}</div>")
    inline, block = tree.iter(f"{MATHML}math")
    assert "".join(inline.itertext()) == "Σpq<1"
    assert inline.find(f".//{MATHML}msub") is not None
    assert (inline.get("display"), block.get("display")) == ("inline", "block")
    assert block.find(f".//{MATHML}mfrac") is not None


@pytest.mark.parametrize("formula", [r"\frac{a", "x_", r"\nosuch{a}"])
def test_a_formula_that_cannot_be_read_names_its_page(formula):
    with pytest.raises(PluginError, match=r"guides/a\.md"):
        hooks.on_page_content(rf'<span class="arithmatex">\({formula}\)</span>', Page("guides/a.md"))


@pytest.mark.parametrize(
    ("page", "link", "becomes"),
    [
        ("index.md", "../CHANGELOG.md", "changelog.md"),
        ("guides/a.md", "../../tests/README.md", "../tests.md"),
        ("guides/a.md", "../maths.md#dual", "../maths.md#dual"),
        ("benchmarks.md", "../benchmarks/results/equivalence-fc.png", "benchmarks/results/equivalence-fc.png"),
    ],
)
def test_links_out_of_the_docs_lead_to_pages_of_the_site(page, link, becomes):
    assert hooks.on_page_markdown(f"see [it]({link}).", Page(page)) == f"see [it]({becomes})."


def test_a_page_from_outside_finds_the_docs():
    assert hooks.moved("[m](docs/maths.md#x)", "CHANGELOG.md", "changelog.md") == "[m](maths.md#x)"
    assert hooks.moved("[r](../CHANGELOG.md)", "tests/README.md", "tests.md") == "[r](changelog.md)"
    assert hooks.moved("[r](../README.md)", "tests/README.md", "tests.md") == "[r](index.md)"


DOCSTRING = """Return x.

See :func:`fit` and :class:`~ntklab.solve.Ridge`, not :class:`Hidden`; :math:`\\lambda > 0`, by [1]_.

.. math:: a = b, \\quad
    c = d

Parameters
----------
x, y : int
    Both.
"""
MARKDOWN = """Return x.

See [`fit`][ntklab.predict.fit] and [`Ridge`][ntklab.solve.Ridge], not `Hidden`; $\\lambda > 0$, by [1].

$$
a = b, \\quad
c = d
$$

Parameters
----------
x : int
    Both.
y : int
    Both.
"""


def test_docstrings_become_markdown():
    known = {"fit": "ntklab.predict.fit", "ntklab.solve.Ridge": "ntklab.solve.Ridge"}
    assert docstrings.markdown(DOCSTRING, known.get) == MARKDOWN


def test_names_in_docstrings_are_found_from_where_they_stand(tmp_path):
    package = tmp_path / "p"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Doc."""\n')
    (package / "room/__init__.py").write_text("from p.room._a import Made as Made\n")
    (package / "room/_a.py").write_text(
        "from p.other import Far\n\nclass Made:\n    def f(self): ...\n    def g(self): ...\n"
    )
    loaded = griffe.load("p", search_paths=[tmp_path])
    method, documented = loaded["room._a.Made.f"], {"p.room.Made", "p.other.Far"}
    assert docstrings.resolve(method, "g", documented) == "p.room.Made.g"
    assert docstrings.resolve(method, "Made", documented) == "p.room.Made"
    assert docstrings.resolve(method, "Far", documented) == "p.other.Far"
    assert docstrings.resolve(method, "p.other.Far", documented) == "p.other.Far"
    assert docstrings.resolve(method, "Nowhere", documented) is None


def test_no_docstring_keeps_a_role_of_restructuredtext():
    loaded = griffe.load("ntklab", search_paths=[ROOT], extensions=griffe.load_extensions(docstrings.Markdown))
    texts = {obj.path: obj.docstring.value for obj in docstrings.everything(loaded) if obj.docstring}
    assert len(texts) > 1000
    left = re.compile(r":(?:func|class|meth|attr|data|mod|math|exc|ref):`|^\s*\.\. math::", re.MULTILINE)
    assert sorted(path for path, text in texts.items() if left.search(text)) == []
