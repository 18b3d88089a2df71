"""A Gram store as the matrix of a solver: read tile by tile, never whole."""

import numpy as np
import pytest

import ntklab
from ntklab.errors import StoreError
from ntklab.solve import BlockOperator, Ridge, conjugate_gradients, gaussian_nystrom
from ntklab.spec import zoo

N, TILE, DEPTH = 90, 16, 3


def inputs():
    return np.random.default_rng(0).normal(size=(N, 5))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store of float64 kernels, and where it lies."""
    kfn = ntklab.compile(zoo.fc(DEPTH), (5,), dtype="float64", engine="reference")
    path = tmp_path_factory.mktemp("solve") / "k.zarr"
    return ntklab.gram(kfn, inputs(), store=path, tile=TILE, progress=False), path


def tangent_kernel(x):
    """The recursion of Jacot et al. 2018 for zoo.fc, by arccos."""
    cov = 2.0 * x @ x.T / x.shape[1]
    ntk = cov.copy()
    for _ in range(DEPTH - 1):
        std = np.sqrt(np.diag(cov))
        cos = np.clip(cov / np.outer(std, std), -1.0, 1.0)
        angle = np.arccos(cos)
        cov = np.outer(std, std) * (np.sin(angle) + (np.pi - angle) * cos) / np.pi
        ntk = cov + ntk * (np.pi - angle) / np.pi
    return ntk


def test_conjugate_gradients_on_a_store_solve_the_system_that_was_stored(store, monkeypatch):
    gram, _ = store
    y = np.random.default_rng(1).normal(size=(N, 3))
    read = []
    begin = type(gram.ntk.store).begin
    monkeypatch.setattr(
        type(gram.ntk.store), "begin", lambda self, at, which: (read.append(at), begin(self, at, which))[1]
    )
    operator = BlockOperator.of_stored(gram.ntk)
    read.clear()  # a corner, for the matrix's type
    operator.matmat(y)
    assert len(read) == len(set(read)) == len(gram.ntk.store.grid)  # one product reads each tile once
    sketch = gaussian_nystrom(operator, rank=30, seed=0)
    solution = conjugate_gradients(operator, y, Ridge(1e-2), preconditioner=sketch, tolerance=1e-10, progress=False)
    exact = tangent_kernel(inputs())
    ridged = exact + 1e-2 * np.diag(exact).mean() * np.eye(N)
    # 1e-7: arccos knows the angle of an input with itself to 1e-8
    np.testing.assert_allclose(solution.alpha, np.linalg.solve(ridged, y), rtol=0, atol=1e-6 * np.abs(y).max())


def test_a_store_that_is_not_complete_is_not_solved(store):
    gram, path = store
    last = list(gram.ntk.store.grid)[-1]
    gram.ntk.store.drop(last)
    matrix = ntklab.open_gram(path).ntk
    with pytest.raises(StoreError, match="1 of 21 tiles are not computed"):
        conjugate_gradients(BlockOperator.of_stored(matrix), np.ones(N), Ridge(1e-2), progress=False)
