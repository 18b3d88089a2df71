"""scikit-learn's own conformance checks, all of them, on every estimator."""

import os
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from ntklab.estimators import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKRegressor

CLASSES = (NTKRegressor, NNGPRegressor, NTKClassifier, NNGPClassifier)


def checks(classes, **parameters):
    """Return all checks of these estimators, as pytest's cases; scikit-learn's own decorator needs an older pytest."""
    cases = []
    for cls in classes:
        for estimator, check in estimator_checks_generator(cls(**parameters)):
            name = getattr(check, "func", check).__name__
            if "array_api" not in name:  # these need SciPy's array API switched on; below
                cases.append(pytest.param(estimator, check, id=f"{cls.__name__}-{name}"))
    return cases


@pytest.mark.parametrize(("estimator", "check"), checks((NTKRegressor, NTKClassifier), depth=1))
def test_scikit_learns_checks_pass_for_a_network_that_compiles_fast(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), checks(CLASSES))
def test_scikit_learns_checks_pass_for_the_default_network(estimator, check):
    check(estimator)


ARRAY_API = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from ntklab import estimators
ran = 0
for name in ("NTKRegressor", "NNGPRegressor", "NTKClassifier", "NNGPClassifier"):
    for estimator, check in estimator_checks_generator(getattr(estimators, name)(depth=1)):
        if "array_api" in getattr(check, "func", check).__name__:
            check(estimator)
            ran += 1
print(ran)
"""


@pytest.mark.slow
def test_scikit_learns_checks_of_array_apis_pass_in_a_process_where_scipy_has_them_on():
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    names = [getattr(c, "func", c).__name__ for cls in CLASSES for _, c in estimator_checks_generator(cls())]
    assert int(done.stdout) == sum("array_api" in name for name in names)  # none before scikit-learn 1.7
