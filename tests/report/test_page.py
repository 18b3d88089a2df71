"""The page shows all that records hold, beside what was published, and fetches nothing."""

import html.parser
from pathlib import Path

import numpy as np
import pytest

from ntklab._core import Record
from ntklab.errors import InputError
from ntklab.report import curves, figures, page
from ntklab.report._grids import cell, grids

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "benchmarks/results").glob("*.json"))
VOID = {"meta", "img"}


class Tree(html.parser.HTMLParser):
    """What a browser would see: text, attributes, and whether elements close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.links, self.images = [], [], [], 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.images += tag == "img"
        self.links += [value for name, value in attrs if name in ("src", "href")]
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def made(kind, settings, results):
    return Record.make(kind, settings, results)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_record_of_the_benchmarks_has_a_page(path):
    record = Record.load(path)
    tree = Tree(page({path.stem: record}))
    text = " ".join(tree.words)
    assert path.stem in text
    assert record.environment["packages"]["jax"] in text
    assert record.environment["command"] in text
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in tree.links)
    assert tree.images == len(figures(record))
    leaves = list(numbers(record.results))
    assert leaves
    missing = [key for key, value in leaves if cell(value) not in tree.words and cell(value) not in text]
    assert missing == []


def numbers(value, path=""):
    """Yield every number of the results that does not stand in a list, with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}/{key}") if key != "published" else ()
    elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from numbers(inner, f"{path}/{index}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def test_the_published_number_stands_beside_ours():
    published = {"accuracy": 43.43, "name": "CNTK-V-2K", "source": "Table 1", "spread": None}
    settings = {"data": "CIFAR-10", "depth": 6, "pooling": "none", "n_train": 2000, "n_test": 1017}
    results = {"mean": 42.1834, "spread": 0.2, "published": published, "runs": [{"seed": 0, "accuracy": 42.1834}]}
    words = Tree(page({"a": made("cifar10", settings, results)})).words
    assert words[words.index("ours") + 1] == "42.18 ± 0.20"
    assert words[words.index("published: CNTK-V-2K; Table 1") + 1] == "43.43"


def test_what_a_record_says_is_text_and_no_markup():
    record = made("any", {"note": "<script>alert(1)</script>"}, {"a": '"&<b>'})
    text = page({"<i>": record})
    assert "<script" not in text
    assert Tree(text).words.count('"&<b>') == 1


def test_like_things_are_rows_and_long_lists_are_named_by_size():
    results = {
        "total": 3,
        "engines": {"a": {"fast": {"ms": 1.5, "all": [1.0] * 9}}, "b": {"fast": {"ms": 2.0}, "slow": {"ms": 4.0}}},
        "runs": [{"seed": 0, "svm": {"accuracy": 50.0}}, {"seed": 1, "svm": {"accuracy": 52.5}}],
        "matrix": [[0.0] * 4] * 7,
    }
    single, engines, runs = grids("", results)
    assert single.rows == [("total", "3"), ("matrix", "7 x 4 values")]
    assert list(engines.header) == ["", "", "ms", "all"]
    assert engines.rows == [("a", "fast", "1.5", "9 values"), ("b", "fast", "2", ""), ("b", "slow", "4", "")]
    assert (list(runs.header), runs.rows) == (["seed", "svm, accuracy"], [("0", "50"), ("1", "52.5")])


def test_rows_inside_rows_are_numbered_by_those_that_they_are_in():
    networks = [
        {"width": 8, "trials": [{"residual": 0.5}, {"residual": 0.25}]},
        {"width": 16, "trials": [{"residual": 1.0}]},
    ]
    results = {"rows": [{"pooling": "gap", "networks": networks}, {"pooling": "none", "networks": networks[:1]}]}
    rows, inner, trials = grids("", results)
    assert (rows.title, list(rows.header)) == ("rows", ["", "pooling"])
    assert rows.rows == [("1", "gap"), ("2", "none")]
    assert (inner.title, list(inner.header)) == ("rows: networks", ["", "width"])
    assert inner.rows == [("1.1", "8"), ("1.2", "16"), ("2.1", "8")]
    assert (trials.title, list(trials.header)) == ("rows: networks: trials", ["", "residual"])
    assert trials.rows == [("1.1.1", "0.5"), ("1.1.2", "0.25"), ("1.2.1", "1"), ("2.1.1", "0.5"), ("2.1.2", "0.25")]


def test_images_with_predictions_and_spectra_are_drawn_where_a_record_has_them():
    example = {"image": np.zeros((8, 8, 1)), "label": "3", "predicted": "8", "probability": 0.61}
    runs = [{"kernel": "k", "accuracy": 50.0, "eigenvalues": [2.0, 1.0]}]
    settings = {"data": "d", "n_train": 2, "n_test": 1}
    full = made("digits", settings, {"runs": runs, "examples": [example] * 3})
    assert list(figures(full)) == ["results", "spectra", "examples"]
    bare = made("digits", settings, {"runs": [{"kernel": "k", "accuracy": 50.0}]})
    assert list(figures(bare)) == ["results"]
    assert all(png.startswith(b"\x89PNG") for png in figures(full).values())
    assert "0.61" in " ".join(Tree(page({"a": full})).words)


def test_records_that_differ_in_size_make_a_learning_curve():
    def run(n, mean):
        settings = {"data": "CIFAR-10", "depth": 6, "pooling": "gap", "n_train": n, "n_test": 9}
        return made("cifar10", settings, {"mean": mean, "spread": None, "published": None, "runs": []})

    assert curves({"a": run(100, 30.0)}) == {}
    assert list(curves({"a": run(100, 30.0), "b": run(20, 20.0)})) == ["CNTK-GAP, depth 6"]


def test_a_curve_over_sizes_shows_each_published_number():
    published = {"accuracy": 36.57, "name": "CNTK", "source": "a paper", "spread": 0.88}
    row = {"n_train": 320, "mean": 36.0, "spread": 1.25, "accuracies": [35.0, 37.0], "published": published}
    record = made("small-data", {"data": "CIFAR-10"}, {"sizes": [row, row | {"n_train": 10, "published": None}]})
    tree = Tree(page({"a": record}))
    assert {"36.57", "0.88", "1.25"} <= set(tree.words)
    assert tree.images == 1


def test_no_record_makes_no_page():
    with pytest.raises(InputError, match="at least one record"):
        page({})
