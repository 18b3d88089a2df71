"""What is used of scikit-learn, which is optional: this room is imported only when asked."""

from ntklab.errors import MissingExtraError

try:
    from sklearn.base import BaseEstimator as BaseEstimator  # pyright: ignore[reportMissingImports]
    from sklearn.base import ClassifierMixin as ClassifierMixin  # pyright: ignore[reportMissingImports]
    from sklearn.base import RegressorMixin as RegressorMixin  # pyright: ignore[reportMissingImports]
    from sklearn.gaussian_process.kernels import Kernel as Kernel  # pyright: ignore[reportMissingImports]
    from sklearn.utils.multiclass import check_classification_targets as check_classification_targets
    from sklearn.utils.validation import check_is_fitted as check_is_fitted
    from sklearn.utils.validation import column_or_1d as column_or_1d
    from sklearn.utils.validation import validate_data as validate_data
except ImportError as error:
    raise MissingExtraError(
        f"ntklab.estimators needs scikit-learn 1.6 or later ({error}): run pip install 'ntklab[sklearn]'"
    ) from error
