"""Estimators against scikit-learn's own Gaussian processes, NumPy's solver, and themselves in every guise."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ntklab.errors import DataError, InputError
from ntklab.estimators import NNGPClassifier, NNGPRegressor, NTKClassifier, NTKKernel, NTKRegressor, load
from ntklab.solve import Ridge
from ntklab.spec import Conv, Dense, Flatten, Serial, zoo

RNG = np.random.default_rng(0)
X, X_TEST = RNG.normal(size=(14, 3)), RNG.normal(size=(6, 3))
Y = np.sin(X[:, 0]) + X[:, 1]
LABELS = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
NETWORK = zoo.fc(2)
IMAGES = RNG.normal(size=(9, 4, 4, 2))
CNN = Serial(Conv(2, padding="SAME"), Flatten(), Dense())  # linear: compiles fast


def arc_cosine(x, y, ntk):
    """zoo.fc(2) written out: sqrt(2) before and after one ReLU, means over features."""
    d = x.shape[1]
    inner, a, b = 2 * x @ y.T / d, 2 * np.sum(x * x, 1)[:, None] / d, 2 * np.sum(y * y, 1) / d
    root = np.sqrt(a * b)
    angle = np.arccos(np.clip(inner / root, -1, 1))
    nngp = root * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    return nngp + inner * (np.pi - angle) / np.pi if ntk else nngp


@pytest.mark.parametrize(("cls", "ntk"), [(NTKRegressor, True), (NNGPRegressor, False)])
@pytest.mark.parametrize("solver", ["auto", "spectrum"])
def test_a_regressor_is_kernel_regression_with_the_kernel_written_out(cls, ntk, solver):
    ridge = 0.05 * np.diag(arc_cosine(X, X, ntk)).mean()
    alpha = np.linalg.solve(arc_cosine(X, X, ntk) + ridge * np.eye(14), Y - Y.mean())
    expected = Y.mean() + arc_cosine(X_TEST, X, ntk) @ alpha
    model = cls(NETWORK, ridge=Ridge(0.05), solver=solver).fit(X, Y)
    # 1e-7: the angle of an input with itself, by arccos
    np.testing.assert_allclose(model.predict(X_TEST), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("cls", "get"), [(NTKRegressor, "ntk"), (NNGPRegressor, "nngp")])
def test_means_and_deviations_are_those_of_scikit_learns_gaussian_process(cls, get):
    oracle = GaussianProcessRegressor(NTKKernel(NETWORK, get=get), alpha=0.1, optimizer=None).fit(X, Y)
    model = cls(NETWORK, ridge=Ridge(0.1, relative_to="nothing"), center=False).fit(X, Y)
    for found, expected in zip(model.predict(X_TEST, True), oracle.predict(X_TEST, return_std=True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def test_a_time_is_that_of_gradient_flow():
    model = NTKRegressor(NETWORK, ridge=None, time=0.3, center=False).fit(X, Y)
    w, v = np.linalg.eigh(arc_cosine(X, X, True))
    gain = v @ np.diag(-np.expm1(-0.3 * w) / w) @ v.T
    k_test, prior = arc_cosine(X_TEST, X, True), np.diag(arc_cosine(X_TEST, X_TEST, True))
    mean, std = model.predict(X_TEST, return_std=True)
    np.testing.assert_allclose(mean, k_test @ gain @ Y, rtol=0, atol=1e-7)
    a = k_test @ gain
    variance = prior - 2 * np.sum(a * k_test, 1) + np.sum((a @ arc_cosine(X, X, True)) * a, 1)
    np.testing.assert_allclose(std**2, variance, rtol=0, atol=1e-6)
    late = NTKRegressor(NETWORK, ridge=None, time=1e9).fit(X, Y).predict(X_TEST)
    np.testing.assert_allclose(late, NTKRegressor(NETWORK, ridge=None).fit(X, Y).predict(X_TEST), atol=1e-6)


def test_several_outputs_are_fitted_as_each_alone():
    both = NTKRegressor(NETWORK, ridge=Ridge(0.1)).fit(X, np.stack([Y, X[:, 2]], 1)).predict(X_TEST)
    alone = NTKRegressor(NETWORK, ridge=Ridge(0.1)).fit(X, X[:, 2]).predict(X_TEST)
    np.testing.assert_allclose(both[:, 1], alone, rtol=1e-10)


def test_the_ridge_chosen_by_leave_one_out_leaves_one_out():
    model = NTKRegressor(NETWORK, center=False).fit(X, Y)
    kernel = arc_cosine(X, X, True)
    errors = {}
    for value in np.logspace(-8, 1, 19):
        ridged = kernel + value * np.diag(kernel).mean() * np.eye(14)
        kept = [np.arange(14) != i for i in range(14)]
        missed = [Y[i] - kernel[i, k] @ np.linalg.solve(ridged[np.ix_(k, k)], Y[k]) for i, k in enumerate(kept)]
        errors[float(value)] = np.mean(np.square(missed))
    assert model.ridge_.value == min(errors, key=lambda value: errors[value])


@pytest.mark.parametrize("cls", [NTKClassifier, NNGPClassifier])
@pytest.mark.parametrize("time", [None, 2.0])
def test_a_classifier_learns_what_no_linear_one_can_and_its_probabilities_follow_its_scores(cls, time):
    rng = np.random.default_rng(1)
    x, x_test = rng.normal(size=(120, 2)), rng.normal(size=(200, 2))
    y, y_test = (np.where(z[:, 0] * z[:, 1] > 0, "same", "other") for z in (x, x_test))
    model = cls(zoo.fc(3), ridge=Ridge(1e-3), time=time).fit(x, y)
    assert model.score(x_test, y_test) > 0.9
    proba, scores = model.predict_proba(x_test), model.decision_function(x_test)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert np.array_equal(np.argsort(proba[:, 1], kind="stable"), np.argsort(scores, kind="stable"))
    assert abs(proba.max(axis=1).mean() - model.score(x_test, y_test)) < 0.1  # as sure as it is right


def test_three_classes_have_three_scores():
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    model = NTKClassifier(NETWORK, coding="arora").fit(X, y)
    assert model.decision_function(X_TEST).shape == (6, 3)
    assert np.array_equal(model.predict(X_TEST), model.predict_proba(X_TEST).argmax(axis=1))


def test_images_are_taken_as_they_are_or_flattened():
    y = IMAGES[:, 0, 0, 0]
    whole = NTKRegressor(CNN, ridge=Ridge(0.1)).fit(IMAGES, y)
    flat = NTKRegressor(CNN, ridge=Ridge(0.1), image_shape=(4, 4, 2)).fit(IMAGES.reshape(9, -1), y)
    np.testing.assert_allclose(whole.predict(IMAGES[:4]), flat.predict(IMAGES[:4].reshape(4, -1)), rtol=1e-12)
    assert whole.image_shape_ == (4, 4, 2)
    with pytest.raises(InputError, match=r"images of shape \(4, 2, 4\), expected \(4, 4, 2\)"):
        whole.predict(IMAGES.reshape(9, 4, 2, 4))
    with pytest.raises(InputError, match="has 27 numbers, X has 32 columns"):
        clone(flat).set_params(image_shape=(3, 3, 3)).fit(IMAGES.reshape(9, -1), y)


def test_a_search_over_depth_in_a_pipeline_finds_a_depth():
    x, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NTKClassifier(ridge=Ridge(1e-4)))
    search = GridSearchCV(pipeline, {"ntkclassifier__depth": [1, 2]}, cv=3).fit(x[:120], y[:120])
    assert search.best_params_ == {"ntkclassifier__depth": 2}  # one layer is linear
    assert search.score(x[120:400], y[120:400]) > 0.85


def test_a_model_does_not_change_with_the_array_that_it_was_fitted_on():
    x = X.copy()
    model = NTKRegressor(NETWORK).fit(x, Y)
    before = model.predict(X_TEST)
    x[:] = 0
    assert np.array_equal(model.predict(X_TEST), before)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (NTKRegressor(NETWORK), Y),
        (NNGPRegressor(NETWORK, ridge=None, time=1.5), Y),
        (NTKClassifier(NETWORK), LABELS),
        (NTKClassifier(NETWORK), LABELS.astype(object)),
        (NNGPClassifier(NETWORK, ridge=Ridge(0.01), dtype="float32", engine="reference"), LABELS == "same"),
    ],
)
def test_a_saved_model_comes_back_without_pickle(model, y, tmp_path):
    fitted = clone(model).fit(X, y)
    fitted.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert type(again) is type(fitted)
    assert again.get_params() == fitted.get_params()
    same = pickle.loads(pickle.dumps(fitted))
    for method, options in [("predict", {}), ("predict", {"return_std": True}), ("predict_proba", {})]:
        if not hasattr(model, method) or (options and hasattr(model, "predict_proba")):
            continue
        expected = getattr(fitted, method)(X_TEST, **options)
        assert np.array_equal(getattr(same, method)(X_TEST, **options), expected)
        found = getattr(again, method)(X_TEST, **options)
        if method == "predict" and hasattr(model, "predict_proba"):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_files_that_are_no_models_are_refused(tmp_path):
    model = NTKRegressor(NETWORK).fit(X, Y)
    with pytest.raises(NotFittedError):
        clone(model).save(tmp_path / "none.npz")
    with pytest.raises(DataError, match="no model that was saved by ntklab"):
        load(tmp_path / "missing.npz")
    np.savez(tmp_path / "other.npz", a=X)
    with pytest.raises(DataError, match="no model that was saved by ntklab"):
        load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", header=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="no model that was saved by ntklab"):
        load(tmp_path / "pickled.npz")
    model.K_fit_ = 1.01 * model.K_fit_
    model.save(tmp_path / "stale.npz")
    with pytest.raises(DataError, match=r"another kernel, 9.9e-03 off"):
        load(tmp_path / "stale.npz")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "resnet"}, "a network of ntklab.spec or one of fc, cntk-v"),
        ({"ridge": 0.1}, r"Ridge\(0.1\) for a multiple of the mean diagonal"),
        ({"ridge": "aic"}, "one of loo, gcv, likelihood; got 'aic'"),
        ({"time": 1.0}, "is chosen for the end of training"),
        ({"solver": "cholesky"}, "has one ridge and no time"),
        ({"solver": "lu"}, '"auto", "cholesky" or "spectrum"'),
        ({"engine": "gpu"}, 'engine is "auto" or one of'),
        ({"dtype": "float16"}, '"float32" or "float64"'),
        ({"time": -1.0, "ridge": None}, "Times must be at least 0"),
    ],
)
def test_unfit_parameters_say_what_is_fit(parameters, message):
    with pytest.raises(InputError, match=message):
        NTKRegressor(**({"network": NETWORK} | parameters)).fit(X, Y).predict(X)


def test_progress_is_shown_when_asked_for(capfd):
    NTKRegressor(NETWORK).fit(X, Y)
    assert capfd.readouterr().err == ""
    NTKRegressor(NETWORK, progress=True).fit(X, Y)
    assert "entries" in capfd.readouterr().err
