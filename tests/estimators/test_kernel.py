"""NTKKernel inside scikit-learn's own estimators, against the same with precomputed matrices."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from ntklab.errors import InputError
from ntklab.estimators import NTKKernel
from ntklab.spec import Conv, Dense, Flatten, Serial, zoo

RNG = np.random.default_rng(0)
X, X_TEST = RNG.normal(size=(14, 3)), RNG.normal(size=(6, 3))
Y = np.sin(X[:, 0]) + X[:, 1]
KERNEL = NTKKernel(zoo.fc(2))


def test_support_vectors_are_those_of_the_precomputed_kernel():
    own = SVC(kernel=KERNEL, C=10.0).fit(X, Y > 0)
    computed = SVC(kernel="precomputed", C=10.0).fit(KERNEL(X), Y > 0)
    found, expected = own.decision_function(X_TEST), computed.decision_function(KERNEL(X_TEST, X))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_kernel_ridge_takes_it_as_a_matrix_and_solves_the_same_system():
    found = KernelRidge(alpha=0.1, kernel=KERNEL).fit(X, Y).predict(X_TEST)
    expected = KERNEL(X_TEST, X) @ np.linalg.solve(KERNEL(X) + 0.1 * np.eye(14), Y)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_gaussian_process_learns_its_scale_and_the_noise():
    kernel = ConstantKernel(1.0) * KERNEL + WhiteKernel(0.1)
    noisy = Y + 0.5 * RNG.normal(size=14)
    model = GaussianProcessRegressor(kernel).fit(X, noisy)
    start = GaussianProcessRegressor(kernel, optimizer=None).fit(X, noisy)
    assert model.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_ + 0.1
    assert model.predict(X_TEST, return_std=True)[1].shape == (6,)
    assert len(KERNEL.theta) == 0


def test_a_gaussian_process_classifies_with_it():
    model = GaussianProcessClassifier(10.0 * KERNEL, optimizer=None).fit(X, Y > 0)
    assert model.score(X, Y > 0) > 0.9


def test_it_is_cloned_searched_over_and_equal_to_its_like():
    assert clone(KERNEL) == KERNEL != NTKKernel(zoo.fc(3))
    search = GridSearchCV(SVC(), {"kernel": [NTKKernel(depth=d) for d in (1, 2)], "C": [1.0, 100.0]}, cv=2)
    assert search.fit(X, X[:, 0] * X[:, 1] > 0).best_params_["kernel"] in (NTKKernel(depth=1), NTKKernel(depth=2))
    assert repr(KERNEL) == f"NTKKernel({zoo.fc(2)!r}, get='ntk')"


def test_the_same_object_twice_is_the_symmetric_case_and_the_diagonal_is_its_own():
    assert np.array_equal(KERNEL(X, X), KERNEL(X))
    assert np.array_equal(KERNEL(X), KERNEL(X).T)
    np.testing.assert_allclose(KERNEL(X, X.copy()), KERNEL(X), rtol=1e-7)
    np.testing.assert_allclose(KERNEL.diag(X), np.diag(KERNEL(X)), rtol=1e-10)
    assert KERNEL(X).dtype == NTKKernel(zoo.fc(2), dtype="float32", engine="reference")(X).dtype == np.float64


def test_images_come_flattened_or_not():
    images = RNG.normal(size=(5, 4, 4, 2))
    kernel = NTKKernel(Serial(Conv(2), Flatten(), Dense()))
    flat = clone(kernel).set_params(image_shape=(4, 4, 2))
    np.testing.assert_allclose(flat(images.reshape(5, -1)), kernel(images), rtol=1e-12)


def test_what_it_cannot_take_is_refused():
    with pytest.raises(InputError, match=r"shape \(n, d\)"):
        KERNEL(X[0])
    with pytest.raises(InputError, match='get is "ntk" or "nngp"'):
        NTKKernel(get="cov")(X)
