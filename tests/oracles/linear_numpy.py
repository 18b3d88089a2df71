"""Every linear layer in NumPy by its definition: the oracle of the kernel rules.

A layer that mixes positions is written out as the matrices that it is: a convolution with ``k`` taps is ``k``
zero-one matrices ``S_o`` (which input position stands under tap ``o`` of which output), anything without weights
is one matrix ``A``. For two inputs, all pairs of their positions, and each input with itself,

    weights      Sigma' = W_std^2 / k * sum_o S_o Sigma S_o^T + b_std^2,    Theta' = the same of Theta + own
    no weights   Sigma' = A Sigma A^T,    Theta' = A Theta A^T

with ``own`` = Sigma' under the NTK parameterisation, and the sum over all weights of squared derivatives under the
standard one. Nothing is shared with the package, which carries squared distances through padded slices. Networks
are read as data, by the names of classes and fields. Any real dtype: ``np.longdouble`` has 19 digits on x86.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Covariances (P, P) of x with x, x with y and y with y; the tangent kernel of x with y; P = prod(spatial)."""

    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    ntk: np.ndarray
    spatial: tuple
    channels: int | None  # under the standard parameterisation a kernel depends on them
    same: bool

    def map(self, f, ntk=None):
        return self._replace(xx=f(self.xx), xy=f(self.xy), yy=f(self.yy), ntk=(ntk or f)(self.ntk))


def gram(network, xs, ys=None, dtype=np.float64):
    """Return ``(nngp, ntk)`` between all inputs of xs and of ys (of xs with itself if None), in ``dtype``."""
    xs = np.asarray(xs).astype(dtype)
    ys = xs if ys is None else np.asarray(ys).astype(dtype)
    out = np.empty((2, len(xs), len(ys)), dtype)
    for (i, x), (j, y) in itertools.product(enumerate(xs), enumerate(ys)):
        state = pair(network, x, y)
        assert state.xy.shape == (1, 1), "the network leaves positions"
        out[:, i, j] = state.xy[0, 0], state.ntk[0, 0]
    return out[0], out[1]


def pair(network, x, y):
    """Return the State of two inputs ``(*spatial, channels)`` behind the network."""
    channels = x.shape[-1]
    a, b = (image.reshape((-1, channels)) for image in (x, y))
    products = [p @ q.T / x.dtype.type(channels) for p, q in ((a, a), (a, b), (b, b))]
    state = State(*products, np.zeros_like(products[1]), x.shape[:-1], channels, np.array_equal(x, y))
    return walk(network, state)


def walk(layer, state):
    return globals()["_" + type(layer).__name__](layer, state)


def _Serial(layer, state):
    for part in layer.layers:
        state = walk(part, state)
    return state


def _Parallel(layer, state):
    ends = [walk(branch, state) for branch in layer.branches]
    total = ends[0]
    for end in ends[1:]:
        total = total._replace(
            **{name: getattr(total, name) + getattr(end, name) for name in ("xx", "xy", "yy", "ntk")}
        )
    return total


_Residual = _Parallel


def _Identity(_, state):
    return state


def _Relu(_, state):
    vx, vy = np.diagonal(state.xx), np.diagonal(state.yy)
    xx, _ = _arc_cosine(state.xx, vx, vx, True)
    yy, _ = _arc_cosine(state.yy, vy, vy, True)
    xy, slope = _arc_cosine(state.xy, vx, vy, state.same)
    return state._replace(xx=xx, xy=xy, yy=yy, ntk=slope * state.ntk)


def _arc_cosine(K, vx, vy, itself):
    norms = np.sqrt(vx)[:, None] * np.sqrt(vy)[None, :]
    c = np.divide(K, norms, out=np.zeros_like(K), where=norms > 0)
    if itself:
        np.fill_diagonal(c, 1)
    c = np.clip(c, -1, 1)
    c[1 - c < 8 * np.finfo(c.dtype).eps] = 1  # equal vectors at other positions, such as a bias alone
    pi = 4 * np.arctan(np.ones((), c.dtype))
    angle = np.arccos(c)
    return norms * (c * (pi - angle) + np.sqrt(1 - c * c)) / (2 * pi), (pi - angle) / (2 * pi)


def _Dense(layer, state):
    return _weights(layer, state, np.arange(_count(state.spatial))[None], state.spatial)


def _Conv(layer, state):
    return _weights(
        layer, state, *taps(state.spatial, layer.filter_shape, layer.strides, layer.padding, layer.dilation)
    )


def _ConvTranspose(layer, state):
    return _weights(layer, state, *_transposed_taps(state.spatial, layer.filter_shape, layer.strides, layer.padding))


def _ConvLocal(layer, state):
    at = taps(state.spatial, layer.filter_shape, layer.strides, layer.padding)
    return _weights(layer, state, *at, shared=False)


def _weights(layer, state, at, spatial, shared=True):
    """``at[o, p]`` is the flat input position under tap ``o`` of output ``p``, -1 where there is none."""
    real = state.xy.dtype.type
    W2, b2 = real(layer.W_std) ** 2, real(layer.b_std or 0.0) ** 2
    kept = 1 if shared else np.eye(at.shape[1], dtype=state.xy.dtype)

    def mean(K):
        framed = np.zeros((K.shape[0] + 1, K.shape[1] + 1), K.dtype)
        framed[:-1, :-1] = K
        return kept * sum(framed[np.ix_(o, o)] for o in at) / real(len(at))

    new = state.map(lambda K: W2 * mean(K) + kept * b2, lambda K: W2 * mean(K))
    s_in, s_out = getattr(layer, "s", (1, 1))
    if layer.trainable and getattr(layer, "parameterization", "ntk") == "ntk":
        new = new._replace(ntk=new.ntk + new.xy)
    elif layer.trainable:
        groups = getattr(layer, "groups", 1)
        per_group = 1 if groups == "depthwise" else state.channels // groups
        own = mean(state.xy) * real(len(at) * per_group) / real(s_in)
        new = new._replace(ntk=new.ntk + own + kept * (layer.b_std is not None))
    width = layer.width and layer.width * (s_out if getattr(layer, "parameterization", "ntk") == "standard" else 1)
    return new._replace(spatial=spatial, channels=width)


def _AvgPool(layer, state):
    at, spatial = taps(state.spatial, layer.window_shape, layer.strides, layer.padding)
    A = np.zeros((at.shape[1], _count(state.spatial) + 1), state.xy.dtype)
    for o in at:
        np.add.at(A, (np.arange(at.shape[1]), o), 1)
    A = A[:, :-1]
    if type(layer).__name__ == "AvgPool":
        A = A / (A.sum(axis=1, keepdims=True) if getattr(layer, "normalize_edges", False) else A.dtype.type(len(at)))
    return _positions(A, spatial, state)


_SumPool = _AvgPool


def _GlobalAvgPool(_, state):
    count = _count(state.spatial)
    return _positions(np.full((1, count), 1 / state.xy.dtype.type(count)), (), state)


def _GlobalSumPool(_, state):
    return _positions(np.ones((1, _count(state.spatial)), state.xy.dtype), (), state)


def _Flatten(_, state):
    count = _count(state.spatial)
    ends = state.map(lambda K: np.full((1, 1), np.trace(K) / K.dtype.type(count)))
    return ends._replace(spatial=(), channels=state.channels and state.channels * count)


def _Index(layer, state):
    where = np.arange(_count(state.spatial)).reshape(state.spatial)
    words = tuple(... if w == "..." else slice(*w) if isinstance(w, tuple) else w for w in layer.index)
    where = np.asarray(where[words])
    return _positions(np.eye(_count(state.spatial), dtype=state.xy.dtype)[where.ravel()], where.shape, state)


def _DotGeneral(layer, state):
    constant = np.asarray(layer.constant, state.xy.dtype)
    (x_contract, c_contract), (x_batch, c_batch) = layer.contract, layer.batch
    x_names = [f"x{i}" for i in range(len(state.spatial))]
    c_names = [f"c{i}" for i in range(constant.ndim)]
    for i, j in zip((*x_contract, *x_batch), (*c_contract, *c_batch), strict=True):
        c_names[j] = x_names[i]
    used = [x_names[i] for i in (*x_contract, *x_batch)]
    free_x = [name for name in x_names if name not in used]
    free_c = [name for name in c_names if name not in used]
    out = [x_names[i] for i in x_batch] + (free_c + free_x if layer.constant_first else free_x + free_c)
    letters = {name: chr(ord("a") + i) for i, name in enumerate([*x_names, *free_c])}
    word = lambda names: "".join(letters[name] for name in names)  # noqa: E731
    units = np.eye(_count(state.spatial), dtype=constant.dtype).reshape((*state.spatial, -1))
    A = np.einsum(f"{word(c_names)},{word(x_names)}Z->{word(out)}Z", constant, units)
    return _positions(A.reshape((-1, A.shape[-1])), A.shape[:-1], state)


def _Aggregate(layer, state):
    axis = range(len(state.spatial)) if layer.axis is None else layer.axis
    k = len(axis)
    where = np.moveaxis(np.arange(_count(state.spatial)).reshape(state.spatial), axis, range(k))
    nodes = where.shape[:k]
    where = where.reshape((_count(nodes), -1))
    edges = np.asarray(layer.adjacency, state.xy.dtype).reshape((_count(nodes), _count(nodes)))  # [tail, head]
    A = np.zeros((where.size, where.size), state.xy.dtype)
    for tail, head, other in itertools.product(*map(range, (len(where), len(where), where.shape[1]))):
        A[where[head, other], where[tail, other]] = edges[tail, head]
    return _positions(A, state.spatial, state)


def _ImageResize(layer, state):
    sizes = tuple(n if m == -1 else m for n, m in zip(state.spatial, layer.shape, strict=True))
    A = np.ones((1, 1), state.xy.dtype)
    for n, m in zip(state.spatial, sizes, strict=True):
        A = np.kron(A, resize_matrix(n, m, layer.method, layer.antialias).astype(A.dtype))
    return _positions(A, sizes, state)


def resize_matrix(n, m, method, antialias):
    """Return the (m, n) interpolation weights: half-pixel centres, nothing from outside, rows that sum to one."""
    A = np.zeros((m, n))
    for i in range(m):
        centre = (i + 0.5) * n / m - 0.5
        if method == "nearest":
            A[i, math.floor((i + 0.5) * n / m)] = 1
        elif m == n:
            A[i, i] = 1
        else:
            stretch = max(n / m, 1.0) if antialias else 1.0
            A[i] = [_interpolation(method, abs(centre - j) / stretch) for j in range(n)]
            A[i] /= A[i].sum()
    return A


def _interpolation(method, t):
    if method == "linear":
        return max(1 - t, 0)
    if method == "cubic":  # Keys, a = -1/2
        return 1.5 * t**3 - 2.5 * t**2 + 1 if t < 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0
    radius = {"lanczos3": 3, "lanczos5": 5}[method]
    return np.sinc(t) * np.sinc(t / radius) if t < radius else 0


def _LayerNorm(layer, state):
    n = len(state.spatial)
    over = tuple(a % (n + 1) for a in layer.axis if a % (n + 1) != n)
    eps = state.xy.dtype.type(layer.eps)

    def scale(K):
        v = np.diagonal(K).reshape(state.spatial)
        v = np.broadcast_to(v.mean(axis=over, keepdims=True), state.spatial) if over else v
        return 1 / np.sqrt(v.reshape(-1) + eps)

    left, right = scale(state.xx), scale(state.yy)
    cross = left[:, None] * right
    return state._replace(
        xx=state.xx * left[:, None] * left,
        yy=state.yy * right[:, None] * right,
        xy=state.xy * cross,
        ntk=state.ntk * cross,
    )


def _Dropout(layer, state):
    if layer.mode == "test":
        return state
    own = 1 + np.eye(len(state.xx), dtype=state.xx.dtype) * (1 / state.xx.dtype.type(layer.rate) - 1)
    cross = own if state.same else 1
    return state._replace(xx=state.xx * own, yy=state.yy * own, xy=state.xy * cross, ntk=state.ntk * cross)


def _positions(A, spatial, state):
    return state.map(lambda K: A @ K @ A.T)._replace(spatial=spatial)


def _count(spatial):
    return int(np.prod(spatial, dtype=int))


def taps(spatial, window, strides, padding, dilation=None):
    """Return ``(at, counts)``: the flat input position under each tap for each output, -1 outside; output sizes."""
    axes = []
    for axis, (n, k, s) in enumerate(zip(spatial, window, strides, strict=True)):
        d = dilation[axis] if dilation else 1
        reach = (k - 1) * d + 1
        if padding in ("SAME", "CIRCULAR"):
            count = math.ceil(n / s)
            before = max((count - 1) * s + reach - n, 0) // 2
        else:
            before, after = (0, 0) if padding == "VALID" else padding[axis]
            count = (before + n + after - reach) // s + 1
        at = np.arange(count) * s - before + d * np.arange(k)[:, None]
        axes.append(at % n if padding == "CIRCULAR" else np.where((at >= 0) & (at < n), at, -1))
    return _joined(axes, spatial)


def _transposed_taps(spatial, window, strides, padding):
    """Output ``P`` reads input ``i`` through tap ``o`` where ``P - before = s i - (k - 1 - o)``; sizes are JAX's."""
    axes = []
    for n, k, s in zip(spatial, window, strides, strict=True):
        whole = n * s + max(k - s, 0)
        if padding == "VALID":
            size, at = whole, np.arange(whole) - (k - 1) + np.arange(k)[:, None]
        elif padding == "SAME":
            before = k - 1 if s > k - 1 else math.ceil((k + s - 2) / 2)
            size, at = n * s, np.arange(n * s) - before + np.arange(k)[:, None]
        else:  # the whole result, wrapped around the sizes of SAME from its middle on
            size = n * s
            at = (np.arange(size) + (whole - size) // 2 - (k - 1) + np.arange(k)[:, None]) % size
        hit = (at % s == 0) & (at // s >= 0) & (at // s < n)
        assert at.shape[1] == size
        axes.append(np.where(hit, at // s, -1))
    return _joined(axes, spatial)


def _joined(axes, spatial):
    """Combine the taps of each axis to those of all: (taps, outputs) of flat positions."""
    counts = tuple(at.shape[1] for at in axes)
    rows = []
    for tap in itertools.product(*(range(len(at)) for at in axes)):
        flat = np.zeros(counts, int)
        inside = np.ones(counts, bool)
        for axis, (at, o, n) in enumerate(zip(axes, tap, spatial, strict=True)):
            along = at[o].reshape([-1 if i == axis else 1 for i in range(len(axes))])
            flat, inside = flat * n + along, inside & (along >= 0)
        rows.append(np.where(inside, flat, -1).ravel())
    return np.array(rows), counts
