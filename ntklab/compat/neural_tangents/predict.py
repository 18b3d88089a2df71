"""neural-tangents' ``predict``: the same functions, on solvers of ours.

Predictions are computed on the host in float64 and returned as JAX arrays of the kernels' dtype. Time counts steps of
``learning_rate`` on the mean over points and outputs, as there: :func:`ntklab.predict.gradient_flow` takes
``learning_rate * t / y.size``.

Examples
--------
>>> import numpy as np
>>> from ntklab.compat.neural_tangents import predict
>>> predict_fn = predict.gradient_descent_mse(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0], [5.0]]))
>>> np.asarray(predict_fn(None, 0.0, 0.0, np.array([[2.0, 1.0]]))[1]).round(3)
array([[1.]])
"""

from ntklab.compat.neural_tangents._ensembles import Gaussian as Gaussian
from ntklab.compat.neural_tangents._ensembles import gp_inference as gp_inference
from ntklab.compat.neural_tangents._ensembles import gradient_descent_mse_ensemble as gradient_descent_mse_ensemble
from ntklab.compat.neural_tangents._flows import ODEState as ODEState
from ntklab.compat.neural_tangents._flows import gradient_descent as gradient_descent
from ntklab.compat.neural_tangents._flows import gradient_descent_mse as gradient_descent_mse
from ntklab.compat.neural_tangents._flows import max_learning_rate as max_learning_rate
