"""Pages with tables say what the records say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_of_a_page_are_those_of_the_records(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    made = tables.PAGES[page](ROOT / "benchmarks" / "results")
    assert made.count("|") > 20
    assert tables.update(text, made) == text
