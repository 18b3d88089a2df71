"""Pages with tables say what the records say."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from ntklab._core import Record

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


def test_a_study_of_finite_networks_gets_its_table_once_it_has_a_record(tmp_path):
    shutil.copy(ROOT / "benchmarks/results/equivalence-fc.json", tmp_path)
    before = tables.PAGES["docs/guides/finite-width.md"](tmp_path)
    assert before.endswith("`ntklab equivalence --case gap`, `ntklab lazy`, `ntklab reproduce cnn`.\n")
    moved = {
        "kernel_moved": [[0.3, 0.4], [0.03, 0.04]],
        "from_linear": [[0.1, 0.1]] * 2,
        "residual": [[0.01, 0.01]] * 2,
    }
    lazy = {"alphas": [0.5, 4.0], "slope": -1.107, "accuracy": [[70.0, 80.0]] * 2, **moved}
    Record.make("lazy", {"width": 256, "seeds": 2}, lazy).save(tmp_path / "lazy.json")
    stopped = {"accuracy": 22.5, "residual": 0.28}
    runs = [{"rate": 0.2, "trials": [{"residual": 0.25, "kernel": stopped}, {"residual": 0.35, "kernel": stopped}]}]
    row = {
        "depth": 3,
        "pooling": "gap",
        "networks": [{"channels": 8, "rate": 0.2, "mean": 21.0, "spread": 1.5, "runs": runs}],
        "kernel": {"accuracy": 24.0},
        "published": {"cnn": {"accuracy": 63.81}, "cntk": None},
    }
    settings = {"n_train": 100, "n_test": 500, "kappa": 0.2}
    Record.make("cnn", settings, {"rows": [row], "differences": ["fewer images"]}).save(tmp_path / "cnn.json")
    after = tables.PAGES["docs/guides/finite-width.md"](tmp_path)
    assert "(theory: -1)" not in before
    assert "| 0.5 | 0.35 | 0.1 | 0.01 | 75.0 |\n| 4 | 0.035 | 0.1 | 0.01 | 75.0 |\n" in after
    assert "| CNN-GAP, depth 3, 8 channels | 21.00 ± 1.50 | 0.30 | 63.81 |\n" in after
    assert "| its kernel, stopped there | 22.50 | 0.28 | - |\n" in after
    assert "| CNTK-GAP, depth 3 | 24.00 | 0 | - |\n" in after
    assert "- fewer images.\n" in after
    assert after.endswith(
        "No record yet: " + ", ".join(f"`ntklab equivalence --case {c}`" for c in ("residual", "cnn", "gap")) + ".\n"
    )


def test_the_newcomers_way_is_that_of_the_guides():
    """The benchmark takes code and commands from named sections; a section renamed, or a block lost, is missed here."""
    newcomer = script("newcomer")
    programs, (plan, begin, again, check) = newcomer.programs(), newcomer.commands().values()
    assert all(compile(code, name, "exec") for name, code in programs.items())
    first, mean, three, inputs = programs.values()
    assert "ntklab.compile(" in first
    assert mean.startswith(first)
    assert "posterior.variance(" in mean
    assert "fit_ensemble(" in three
    assert "x.npy" in inputs
    assert plan.startswith("ntklab gram plan ")
    assert begin.startswith("ntklab gram run k.zarr --network network.json --data x.npy")
    assert (again, check.split()[:4]) == ("ntklab gram run k.zarr", ["ntklab", "gram", "verify", "k.zarr"])
