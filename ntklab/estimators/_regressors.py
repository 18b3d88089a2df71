"""Regression: NTKRegressor and NNGPRegressor."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

import numpy as np

from ntklab.estimators._base import KernelEstimator
from ntklab.estimators._sklearn import RegressorMixin
from ntklab.solve import Ridge
from ntklab.spec import Layer


class KernelRegressor(RegressorMixin, KernelEstimator, ABC):
    """Abstract base of the two regressors."""

    def __init__(
        self,
        network: str | Layer = "fc",
        *,
        depth: int = 3,
        ridge: Ridge | str | None = "loo",
        time: float | None = None,
        center: bool = True,
        image_shape: Sequence[int] | None = None,
        engine: str = "auto",
        solver: str = "auto",
        dtype: str = "float64",
        progress: bool = False,
    ) -> None:
        self.network = network
        self.depth = depth
        self.ridge = ridge
        self.time = time
        self.center = center
        self.image_shape = image_shape
        self.engine = engine
        self.solver = solver
        self.dtype = dtype
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: several outputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> KernelRegressor:
        """Compute the kernel of the training points and train on them.

        Parameters
        ----------
        X : array of shape (N, d), or (N, *image_shape)
        y : array of shape (N,) or (N, C)

        Raises
        ------
        InputError
            X, y or a parameter is unfit; a ``ValueError``.
        SolveError
            Without a ridge, the kernel matrix is singular.
        """
        X, y = self._inputs(X, y, multi_output=True, y_numeric=True)
        y = y.astype(np.float64)
        self.y_mean_ = y.mean(axis=0) if self.center else np.zeros(y.shape[1:])
        self._train(X, y - self.y_mean_)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return predictions, shape (M,) or (M, C), and with ``return_std=True`` their standard deviations, (M,).

        The deviation is that of ``f(x)``, the same for every output, without noise in ``y``; it costs ``N**2 M``.
        """
        found, deviation = self._mean(X, return_std)
        found = found + self.y_mean_
        return (found, deviation) if return_std else found


class NTKRegressor(KernelRegressor):
    r"""An infinitely wide network trained by gradient flow on squared loss: regression with its NTK.

    .. math:: f_t(x) = \bar y + k(x, X) \, [1 - e^{-(K + \lambda I) t}] (K + \lambda I)^{-1} (Y - \bar y)

    Parameters
    ----------
    network : Layer or str
        A network of :mod:`ntklab.spec`, or one of the zoo by name: ``"fc"`` (here with ``b_std=0.5``, without which one
        feature is not enough), ``"cntk-v"``, ``"cntk-gap"``, ``"cntk-lap"`` (reach 4), ``"plain-cnn-v"``,
        ``"plain-cnn-gap"``, ``"myrtle"``, ``"rntk"``, ``"transformer"``.
    depth : int
        Of a network that is given by name, to search over; ignored otherwise.
    ridge : Ridge, None, or {"loo", "gcv", "likelihood"}
        :math:`\lambda`: none (``None``), a :class:`ntklab.solve.Ridge`, or chosen from 10^-8 ... 10 times the mean
        diagonal by leave-one-out error (the default), generalised cross-validation or marginal likelihood.
    time : float, optional
        When training stops, as in :func:`ntklab.predict.fit_flow`; None is its end, which a criterion for the ridge
        needs.
    center : bool
        Whether the mean :math:`\bar y` of the targets is taken out and put back: networks start at mean zero.
    image_shape : sequence of int, optional
        ``(H, W, channels)`` where rows of X are flattened images; images (N, H, W, channels) need it not.
    engine : str
        As for :func:`ntklab.compile`.
    solver : {"auto", "cholesky", "spectrum"}
        ``"auto"`` is Cholesky, but an eigendecomposition where the ridge is chosen or a time given.
    dtype : {"float64", "float32"}
        Of the kernel. scikit-learn works in float64; float32 is faster for images. Solvers are in float64 either way.
    progress : bool
        Show a bar for the kernel's entries.

    Attributes
    ----------
    network_ : Layer
        The network.
    ridge_ : Ridge
        The one that was used.
    X_fit_, K_fit_, targets_ : arrays
        Training inputs, their kernel (N, N), and the targets less their mean.
    model_ : KernelRegression or Ensemble
        Of :mod:`ntklab.predict`, with all that it can tell.
    y_mean_, image_shape_, n_features_in_, feature_names_in_
        As usual.

    Notes
    -----
    Standard deviations are those of the NTK-GP (He et al., 2020): functions drawn with the NTK as covariance, then
    trained. An ensemble of standard networks starts from the NNGP instead: :func:`ntklab.predict.fit_ensemble`.
    Cost: ``N**2 / 2`` kernel entries, ``N**3 / 6`` multiply-adds for Cholesky or ``9 N**3`` operations for a spectrum.
    Source: Jacot et al. (2018), Lee et al. (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.estimators import NTKRegressor
    >>> from ntklab.spec import zoo
    >>> x = np.linspace(-2, 2, 12)[:, None]
    >>> model = NTKRegressor(zoo.fc(2, b_std=0.5)).fit(x, np.abs(x[:, 0]))
    >>> mean, std = model.predict([[1.0], [10.0]], return_std=True)
    >>> mean.round(1), std.round(1)
    (array([1. , 8.8]), array([0.2, 4.6]))
    """

    _word = "ntk"


class NNGPRegressor(KernelRegressor):
    """An infinitely wide Bayesian network: Gaussian process regression with its NNGP kernel.

    Parameters, attributes and methods are those of :class:`NTKRegressor`, with the NNGP kernel in place of the NTK:
    only the last layer is trained. At the end of training, mean and standard deviation are those of the NNGP posterior
    with noise of variance ``ridge_`` (Lee et al., 2018).

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.estimators import NNGPRegressor
    >>> from ntklab.solve import Ridge
    >>> x = np.eye(3)
    >>> model = NNGPRegressor(ridge=Ridge(1e-3)).fit(x, [1.0, 2.0, 3.0])
    >>> model.predict(x).round(1)
    array([1., 2., 3.])
    """

    _word = "nngp"
