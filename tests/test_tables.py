"""Pages with tables say what the records say."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # scripts import those beside them


def script(name):
    """Load a script of the benchmarks by its file."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = script("tables")


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_of_a_page_are_those_of_the_records(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    made = tables.PAGES[page](ROOT / "benchmarks" / "results")
    assert made.count("|") > 20
    assert tables.update(text, made) == text


def test_every_layer_has_its_row_in_the_table_of_engines():
    """A new layer gets an example in benchmarks/layers.py."""
    assert tables.layers.missing() == set()


def test_the_tables_of_the_guide_to_iterative_solvers_are_those_of_the_records():
    iterative = script("iterative")
    text = iterative.GUIDE.read_text(encoding="utf-8")
    assert iterative.update(text, ROOT / "benchmarks" / "results") == text
    assert text.split(iterative.START)[1].count("|") > 20
