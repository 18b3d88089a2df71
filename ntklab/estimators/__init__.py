"""scikit-learn estimators and kernels; needs the extra ``sklearn``, and is imported only when asked."""

from ntklab.estimators._classifiers import NNGPClassifier as NNGPClassifier
from ntklab.estimators._classifiers import NTKClassifier as NTKClassifier
from ntklab.estimators._kernel import NTKKernel as NTKKernel
from ntklab.estimators._load import load as load
from ntklab.estimators._regressors import NNGPRegressor as NNGPRegressor
from ntklab.estimators._regressors import NTKRegressor as NTKRegressor
