"""README.md says what the records say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tables_of_the_readme_are_those_of_the_records():
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "benchmarks" / "readme_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.update(text, ROOT / "benchmarks" / "results") == text
    assert text.count("|") > 20


def test_the_tables_of_the_guide_to_iterative_solvers_are_those_of_the_records():
    spec = importlib.util.spec_from_file_location("iterative", ROOT / "benchmarks" / "iterative.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.GUIDE.read_text(encoding="utf-8")
    assert module.update(text, ROOT / "benchmarks" / "results") == text
    assert text.split(module.START)[1].count("|") > 20
