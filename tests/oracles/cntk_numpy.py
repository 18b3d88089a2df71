"""The convolutional kernels of Arora et al. 2019 in NumPy, straight from the paper: the oracle of the engines.

Section 4 and appendix G of "On Exact Computation with an Infinitely Wide Neural Net" (arXiv:1904.11955) carry,
for two images x and y, the covariance ``K`` and the tangent kernel ``Theta`` between position ``p`` of x and
position ``q`` of y, for all pairs ``(p, q)``:

    Sigma       = W_std^2 / k * tr(K over the patches around p and q) + b_std^2
    K'          = E[relu(u) relu(v)],  Kdot' = E[relu'(u) relu'(v)],  (u, v) ~ N(0, Lambda(p, q))
    Theta'      = Kdot' * Theta, and the next layer takes tr(Theta' + K' over the patches): "+ K'" if it is trained

with the arc-cosine formulas for the expectations (Cho and Saul 2009), in the correlation ``c`` itself.

Nothing here is shared with the package, which carries squared distances through shifted slices: here the
covariances are matrices over flat positions, a patch is an index array, pooling a matrix product. Any number of
spatial axes, any real dtype: ``np.longdouble`` gives 19 digits on x86.

Normalisation is the package's: inputs ``x . y / channels``, ``W_std^2 / k`` with ``k`` the number of filter taps,
means (not sums) over positions. The paper's ``c_sigma = 2`` is ``W_std^2 = 2`` of the layer that follows; its
``K^(0)`` sums over channels and its readout over positions, so its numbers differ by one constant per network.

``arccos`` loses half the digits at c = 1. That happens where a position meets itself, and there ``c`` is 1 by
definition, so it is set; everywhere else it stays as computed.
"""

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Conv:
    """A convolution; on vectors (no spatial axes) one with ``filter_shape=()`` is a dense layer."""

    filter_shape: tuple
    strides: tuple
    padding: str
    W_std: float
    b_std: float = 0.0
    trained: bool = True


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True)
class Pool:
    window: tuple
    strides: tuple
    padding: str


@dataclass(frozen=True)
class Readout:
    """Mean over equal positions (``"flatten"``) or over all pairs of positions (``"gap"``)."""

    how: str


def dense(W_std, b_std=0.0, trained=True, axes=0):
    """A dense layer on the channels: a convolution with one tap."""
    return Conv((1,) * axes, (1,) * axes, "VALID", W_std, b_std, trained)


def cntk(depth, pooling):
    """CNTK-V (``"none"``) and CNTK-GAP (``"gap"``): depth - 1 convolutions and a dense layer, c_sigma = 2.

    CNTK-GAP trains neither the first nor the last layer, as in the authors' code (--fix yes).
    """
    he, gap = 2.0**0.5, pooling == "gap"
    layers = []
    for h in range(1, depth):
        layers += [Conv((3, 3), (1, 1), "SAME", he, trained=not (gap and h == 1)), Relu()]
    return [*layers, Readout("gap" if gap else "flatten"), dense(he, trained=not gap)]


def of_spec(network):
    """Translate a chain of ntklab layers; the specs are read as data, by the names of their classes."""
    layers, axes = [], None
    for layer in getattr(network, "layers", (network,)):
        kind = type(layer).__name__
        if kind == "Conv":
            b_std = layer.b_std or 0.0
            axes = len(layer.filter_shape)
            layers.append(Conv(layer.filter_shape, layer.strides, layer.padding, layer.W_std, b_std, layer.trainable))
        elif kind == "Dense":
            layers.append(dense(layer.W_std, layer.b_std or 0.0, layer.trainable, axes or 0))
        elif kind == "Relu":
            layers.append(Relu())
        elif kind == "AvgPool":
            axes = len(layer.window_shape)
            layers.append(Pool(layer.window_shape, layer.strides, layer.padding))
        elif kind in ("Flatten", "GlobalAvgPool"):
            layers.append(Readout("flatten" if kind == "Flatten" else "gap"))
            axes = 0
        else:
            raise TypeError(f"the NumPy oracle has no {kind}")
    return layers


def gram(layers, xs, ys=None, dtype=np.float64):
    """Return ``(nngp, ntk)`` between all inputs of xs and of ys (of xs with itself if None), in ``dtype``."""
    xs = np.asarray(xs).astype(dtype)
    ys = xs if ys is None else np.asarray(ys).astype(dtype)
    left = [alone(layers, x) for x in xs]
    right = left if ys is xs else [alone(layers, y) for y in ys]
    nngp, ntk = np.empty((2, len(xs), len(ys)), dtype)
    for (i, x), (j, y) in itertools.product(enumerate(xs), enumerate(ys)):
        if ys is xs and j <= i:
            nngp[i, j], ntk[i, j] = left[i][1] if i == j else (nngp[j, i], ntk[j, i])
        else:
            nngp[i, j], ntk[i, j] = pair(layers, x, y, left[i][0], right[j][0])
    return nngp, ntk


def alone(layers, x):
    """Return ``Sigma(x, x)[p, p]`` in front of every ReLU, and ``(nngp, ntk)`` of one input with itself."""
    variances = []
    K, Theta = _walk(layers, x, x, None, None, variances)
    return variances, (K[0, 0], Theta[0, 0])


def pair(layers, x, y, variances_x, variances_y):
    """Return ``(nngp, ntk)`` of two inputs."""
    K, Theta = _walk(layers, x, y, iter(variances_x), iter(variances_y), None)
    return K[0, 0], Theta[0, 0]


def _walk(layers, x, y, variances_x, variances_y, found):
    dtype, spatial = x.dtype, x.shape[:-1]
    x, y = (a.reshape((-1, a.shape[-1])) for a in (x, y))
    itself = np.array_equal(x, y)
    K = x @ y.T / dtype.type(x.shape[1])
    Theta = np.zeros_like(K)
    for layer in layers:
        if isinstance(layer, Conv):
            patches = patch_positions(spatial, layer.filter_shape, layer.strides, layer.padding)
            scale = dtype.type(layer.W_std) ** 2 / dtype.type(len(patches))
            bias = dtype.type(layer.b_std) ** 2
            Theta = scale * _patch_trace(Theta + K if layer.trained else Theta, patches)
            Theta = Theta + bias if layer.trained else Theta
            K = scale * _patch_trace(K, patches) + bias
            spatial = _counts(spatial, layer.filter_shape, layer.strides, layer.padding)
        elif isinstance(layer, Relu):
            if found is not None:
                found.append(np.diagonal(K).copy())
                vx = vy = found[-1]
            else:
                vx, vy = next(variances_x), next(variances_y)
            K, Kdot = _arc_cosine(K, vx, vy, itself)
            Theta = Kdot * Theta
        elif isinstance(layer, Pool):
            A = _pooling_matrix(spatial, layer, dtype)
            K, Theta = A @ K @ A.T, A @ Theta @ A.T
            spatial = _counts(spatial, layer.window, layer.strides, layer.padding)
        else:
            how = np.mean if layer.how == "gap" else lambda a: np.mean(np.diagonal(a))
            K, Theta = (np.full((1, 1), how(a)) for a in (K, Theta))
            spatial = ()
    return K, Theta


def _arc_cosine(Sigma, vx, vy, itself):
    norms = np.sqrt(vx)[:, None] * np.sqrt(vy)[None, :]
    c = np.divide(Sigma, norms, out=np.zeros_like(Sigma), where=norms > 0)
    if itself:
        np.fill_diagonal(c, 1)
    c = np.clip(c, -1, 1)
    pi = 4 * np.arctan(np.ones((), c.dtype))
    angle = np.arccos(c)
    k0 = (pi - angle) / pi
    k1 = (c * (pi - angle) + np.sqrt(1 - c * c)) / pi
    return norms * k1 / 2, k0 / 2


def _counts(spatial, window, strides, padding):
    if padding == "VALID":
        return tuple((n - k) // s + 1 for n, k, s in zip(spatial, window, strides, strict=True))
    return tuple(-(-n // s) for n, s in zip(spatial, strides, strict=True))


def patch_positions(spatial, window, strides, padding):
    """Return, for each tap, the flat input position under it for every output; ``size`` where it is a zero."""
    total = int(np.prod(spatial, dtype=int))
    counts = _counts(spatial, window, strides, padding)
    before = [
        0 if padding == "VALID" else max((m - 1) * s + k - n, 0) // 2
        for m, s, k, n in zip(counts, strides, window, spatial, strict=True)
    ]
    taps = []
    for tap in itertools.product(*map(range, window)):
        where = []
        for corner in itertools.product(*map(range, counts)):
            at = [i * s - b + o for i, s, b, o in zip(corner, strides, before, tap, strict=True)]
            if padding == "CIRCULAR":
                at = [a % n for a, n in zip(at, spatial, strict=True)]
            inside = all(0 <= a < n for a, n in zip(at, spatial, strict=True))
            flat = 0
            for a, n in zip(at, spatial, strict=True):
                flat = flat * n + a
            where.append(flat if inside else total)
        taps.append(np.array(where))
    return taps


def _patch_trace(K, taps):
    framed = np.zeros((K.shape[0] + 1, K.shape[1] + 1), K.dtype)
    framed[:-1, :-1] = K
    return sum(framed[np.ix_(at, at)] for at in taps)


def _pooling_matrix(spatial, layer, dtype):
    taps = patch_positions(spatial, layer.window, layer.strides, layer.padding)
    A = np.zeros((len(taps[0]), int(np.prod(spatial, dtype=int)) + 1), dtype)
    for at in taps:
        np.add.at(A, (np.arange(len(at)), at), 1 / dtype.type(len(taps)))
    return A[:, :-1]
