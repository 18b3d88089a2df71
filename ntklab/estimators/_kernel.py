"""The kernel of a network as scikit-learn's own Gaussian processes, SVC and KernelRidge take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ntklab.engine import KernelFn
from ntklab.errors import InputError
from ntklab.estimators._evaluate import kernel_diagonal, kernel_function, kernel_matrix, named_network
from ntklab.estimators._sklearn import Kernel
from ntklab.spec import Layer


class NTKKernel(Kernel):
    """The NTK or NNGP of a network, a kernel in the sense of :mod:`sklearn.gaussian_process.kernels`.

    A ``GaussianProcessRegressor(kernel=...)``, ``SVC(kernel=...)`` or ``KernelRidge(kernel=...)`` calls it with whole
    matrices. For ``kernel="precomputed"`` call it yourself: ``kernel(X)`` for training, ``kernel(X_test, X)`` for
    prediction. It has no hyper-parameters of its own for a Gaussian process to learn;
    ``ConstantKernel() * NTKKernel() + WhiteKernel()`` learns its scale and the noise.

    Parameters
    ----------
    network, depth, image_shape, engine, dtype, progress
        As for :class:`NTKRegressor`.
    get : {"ntk", "nngp"}
        Which kernel of the network.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.svm import SVC
    >>> from ntklab.estimators import NTKKernel
    >>> x, y = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.1]]), [1, 1, 0, 0]
    >>> kernel = NTKKernel(depth=2)
    >>> kernel(x).shape
    (4, 4)
    >>> SVC(kernel=kernel, C=100.0).fit(x, y).predict(x)
    array([1, 1, 0, 0])
    """

    def __init__(
        self,
        network: str | Layer = "fc",
        depth: int = 3,
        get: str = "ntk",
        image_shape: Sequence[int] | None = None,
        engine: str = "auto",
        dtype: str = "float64",
        progress: bool = False,
    ) -> None:
        self.network = network
        self.depth = depth
        self.get = get
        self.image_shape = image_shape
        self.engine = engine
        self.dtype = dtype
        self.progress = progress

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Return the kernel, shape (n1, n2), in float64.

        ``Y`` left out, or the same object as X, is the symmetric case. With ``eval_gradient=True`` also its derivative
        by the hyper-parameters, of which there are none: (n1, n1, 0).
        """
        x1, kfn = self._compiled(X)
        same = Y is None or Y is X
        values = kernel_matrix(kfn, x1, None if same else _rows(Y), self.progress).astype(np.float64)
        return (values, np.empty((*values.shape, 0))) if eval_gradient else values

    def diag(self, X: Any) -> Any:
        """Return the kernel of every row with itself, float64, shape (n,)."""
        x, kfn = self._compiled(X)
        return kernel_diagonal(kfn, x).astype(np.float64)

    def is_stationary(self) -> Any:
        """Return False: it depends on more than the difference of inputs."""
        return False

    def __repr__(self) -> str:
        """Return what it is the kernel of."""
        network = f"{self.network!r}, depth={self.depth}" if isinstance(self.network, str) else repr(self.network)
        return f"NTKKernel({network}, get={self.get!r})"

    def _compiled(self, X: Any) -> tuple[np.ndarray, KernelFn]:
        if self.get not in ("ntk", "nngp"):
            raise InputError(f'get is "ntk" or "nngp", got {self.get!r}.')
        x, shape = _rows(X), self.image_shape
        if shape is None and np.ndim(X) > 2:
            shape = np.shape(X)[1:]
        network = named_network(self.network, self.depth)
        return x, kernel_function(network, x.shape[1], shape, self.get, self.engine, self.dtype)


def _rows(X: Any) -> np.ndarray:
    X = np.asarray(X)
    if X.ndim < 2 or X.size == 0:
        raise InputError(f"X needs the shape (n, d) with n, d >= 1, or one of images, got {X.shape}.")
    return X.reshape(len(X), -1)
