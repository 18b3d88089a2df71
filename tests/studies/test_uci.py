"""The UCI study on two made-up sets, against the authors' procedure written out in NumPy."""

import numpy as np
import pytest
from sklearn.svm import SVC

from ntklab import studies
from ntklab._core import Record
from ntklab.data import load_uci
from ntklab.errors import DataError, InputError
from ntklab.report import table
from ntklab.studies._uci import kernels, networks, summary
from tests.data.uci_files import write_set


def recursion(x):
    """Kernels of 1 to 5 layers, the first 0 to 4 of them fixed: one walk each, nothing shared."""
    found = {}
    for depth in range(1, 6):
        for fixed in range(depth):
            nngp, ntk = x @ x.T, 0
            for layer in range(depth):
                ntk = ntk + (nngp if layer >= fixed else 0)
                if layer < depth - 1:
                    norm = np.sqrt(np.outer(np.diag(nngp), np.diag(nngp)))
                    angle = np.pi - np.arccos(np.clip(nngp / norm, -1, 1))
                    ntk = ntk * angle / (2 * np.pi)
                    nngp = norm * (np.cos(np.pi - angle) * angle + np.sin(angle)) / (2 * np.pi)
            found[depth, fixed] = ntk
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("uci")
    write_set(root, "two", 60, 3, 2, seed=1)
    write_set(root, "three", 40, 4, 3, seed=2)
    return root


def test_kernels_are_those_of_the_authors_recursion():
    x, z = np.random.default_rng(0).normal(size=(2, 9, 4))
    expected = recursion(np.concatenate([x, z]))
    which = list(networks(4))
    assert which == list(expected)
    for found, rows, columns in [
        (kernels(which, x), slice(9), slice(9)),
        (kernels(which, x, z), slice(9), slice(9, 18)),
    ]:
        for key, values in found.items():
            wanted = expected[key][rows, columns]
            assert np.abs(values - wanted).max() < 4e-6 * np.abs(wanted).max(), key  # float32; 7e-7 seen


def test_support_vectors_are_chosen_and_scored_as_by_the_authors(archive):
    record = studies.uci(archive, methods=("svm",), progress=False)
    assert [run["set"] for run in record.results["runs"]] == ["three", "two"]
    for run in record.results["runs"]:
        part = load_uci(archive, run["set"])
        kernel, (train, val) = recursion(part.x), part.split
        scores = {}
        for key, k in kernel.items():
            for cost in np.logspace(-2, 4, 7):
                model = SVC(kernel="precomputed", C=cost).fit(k[np.ix_(train, train)], part.y[train])
                scores[key, cost] = np.mean(model.predict(k[np.ix_(val, train)]) == part.y[val])
        key, cost = max(scores, key=lambda choice: scores[choice])
        folds = []
        for rows, test in part.folds:
            model = SVC(kernel="precomputed", C=cost).fit(kernel[key][np.ix_(rows, rows)], part.y[rows])
            folds.append(np.mean(model.predict(kernel[key][np.ix_(test, rows)]) == part.y[test]))
        found = run["svm"]
        assert (found["depth"], found["fixed"], found["C"]) == (*key, cost)
        assert found["accuracy"] == pytest.approx(100 * np.mean(folds))


def test_ridges_are_chosen_without_the_folds_and_learn(archive):
    record = studies.uci(archive, methods=("ridge",), names=["two"], progress=False)
    (run,) = record.results["runs"]
    part, found = load_uci(archive, "two"), run["ridge"]
    kernel = recursion(part.x)[found["depth"], found["fixed"]]
    targets, hits = np.where(part.y == 1, 1.0, -1.0), []
    for rows, test in part.folds:
        own = kernel[np.ix_(rows, rows)]
        shift = found["ridge"] * np.diag(own).mean() * np.eye(len(rows))
        scores = kernel[np.ix_(test, rows)] @ np.linalg.solve(own + shift, targets[rows])
        hits.append(np.mean((scores > 0) == part.y[test]))
    assert found["accuracy"] == pytest.approx(100 * np.mean(hits))
    assert found["accuracy"] > 70


def test_a_study_goes_on_where_it_stopped_and_refuses_another_one(archive, tmp_path, capfd):
    first = studies.uci(archive, methods=("ridge",), names=["two"], store=tmp_path, progress=False)
    kept = Record.load(tmp_path / "two.json")
    both = studies.uci(archive, methods=("ridge",), store=tmp_path)
    assert "sets" in capfd.readouterr().err
    assert both.results["runs"][1] == first.results["runs"][0] == kept.results  # seconds included: not run again
    with pytest.raises(DataError, match="name another store"):
        studies.uci(archive, methods=("svm",), store=tmp_path, progress=False)
    shown = table(both)
    assert "81.95" in shown
    assert f"{both.results['methods']['ridge']['mean']:.2f}" in shown


def test_the_statistics_are_those_of_a_table_worked_by_hand():
    runs = [
        {"svm": {"accuracy": a, "seconds": 1}, "ridge": {"accuracy": b, "seconds": 2}}
        for a, b in [(100, 80), (90, 90), (46, 50)]
    ]
    found = summary(runs, ("svm", "ridge"))["methods"]
    assert found["svm"]["friedman_rank"] == pytest.approx((1 + 1.5 + 2) / 3)
    assert found["ridge"]["pma"] == pytest.approx((80 + 100 + 100) / 3)
    assert (found["svm"]["p90"], found["ridge"]["p90"]) == pytest.approx((100, 200 / 3))
    assert (found["svm"]["p95"], found["ridge"]["p95"]) == pytest.approx((200 / 3, 200 / 3))
    assert found["ridge"]["seconds"] == 6


def test_what_cannot_be_run_is_refused(archive):
    with pytest.raises(InputError, match="some of svm, ridge, got forest"):
        studies.uci(archive, methods=("forest",))
    with pytest.raises(InputError, match="has no set iris of at most 5000 points; it has three, two"):
        studies.uci(archive, names=["iris"])
