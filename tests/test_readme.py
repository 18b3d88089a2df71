"""README.md and docs/solvers.md say what the records say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/solvers.md"])
def test_the_tables_of_a_page_are_those_of_the_records(page):
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "benchmarks" / "readme_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text, made = module.update(page, ROOT / "benchmarks" / "results")
    assert made == text
    assert text.count("|") > 20
    assert page in module.PAGES
