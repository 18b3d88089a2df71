"""Kernels of networks with branches, attention and recurrence, by NumPy loops in float64.

Written from the definitions and not with a view to ntklab: one big covariance matrix over all positions of all
inputs, so that nothing is carried per input and no distance appears. Specs are read as data, by class name.
"""

import math
from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """``K[a, b]`` and ``T[a, b]`` over ``a = (input, position)``; ``m[a]`` is the mean of the random function."""

    K: np.ndarray
    T: np.ndarray
    m: np.ndarray
    spatial: tuple[int, ...]
    channels: int  # in the ratios that matter to concatenation

    @property
    def positions(self):
        return math.prod(self.spatial)


def kernels(network, x, channels=1):
    """Return ``(nngp, ntk)`` of all inputs, arrays (n, n); open widths count as ``channels``."""
    n, spatial = len(x), x.shape[1:-1]
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    start = State(flat @ flat.T / x.shape[-1], np.zeros((len(flat),) * 2), flat.mean(axis=1), spatial, x.shape[-1])
    end = Walk(n, channels).run(network, start)
    assert end.positions == 1
    return end.K, end.T


class Walk:
    def __init__(self, n, channels):
        self.n, self.channels = n, channels

    def run(self, layer, s):
        return getattr(self, type(layer).__name__)(layer, s)

    def blocks(self, matrix, P):
        """(n, P, n, P) view."""
        return matrix.reshape(self.n, P, self.n, P)

    # one after another, side by side

    def Serial(self, layer, s):
        for part in layer.layers:
            s = self.run(part, s)
        return s

    def Repeat(self, layer, s):
        for _ in range(layer.count):
            s = self.run(layer.body, s)
        return s

    def Identity(self, layer, s):
        return s

    def Parallel(self, layer, s):
        a, *others = (self.run(branch, s) for branch in layer.branches)
        for b in others:
            cross = np.outer(a.m, b.m)
            a = State(a.K + b.K + cross + cross.T, a.T + b.T, a.m + b.m, a.spatial, a.channels)
        return a

    Residual = Parallel

    def Product(self, layer, s):
        a, *others = (self.run(branch, s) for branch in layer.branches)
        for b in others:
            a = State(a.K * b.K, a.T * b.K + a.K * b.T, a.m * b.m, a.spatial, a.channels)
        return a

    def Concat(self, layer, s):
        parts = [self.run(branch, s) for branch in layer.branches]
        if layer.axis % (1 + len(parts[0].spatial)) == len(parts[0].spatial):
            total = sum(part.channels for part in parts)
            K, T, m = (sum(part.channels / total * getattr(part, name) for part in parts) for name in ("K", "T", "m"))
            return State(K, T, m, parts[0].spatial, total)
        spatial = list(parts[0].spatial)
        spatial[layer.axis] = sum(part.spatial[layer.axis] for part in parts)
        spatial = tuple(spatial)
        # where each position of each part goes
        where, start = [], 0
        for part in parts:
            index = [np.arange(size) for size in part.spatial]
            index[layer.axis] = index[layer.axis] + start
            start += part.spatial[layer.axis]
            flat = np.ravel_multi_index(np.meshgrid(*index, indexing="ij"), spatial).ravel()
            where.append((np.arange(self.n)[:, None] * math.prod(spatial) + flat).ravel())
        size = self.n * math.prod(spatial)
        m = np.zeros(size)
        for part, at in zip(parts, where, strict=True):
            m[at] = part.m
        K, T = np.outer(m, m), np.zeros((size, size))
        for part, at in zip(parts, where, strict=True):
            K[np.ix_(at, at)] = part.K
            T[np.ix_(at, at)] = part.T
        return State(K, T, m, spatial, parts[0].channels)

    # weights

    def _new(self, layer, K, T, s, spatial=None):
        width = self.channels if layer.width is None else layer.width
        return State(K, T, np.zeros(len(K)), s.spatial if spatial is None else spatial, width)

    def Dense(self, layer, s):
        return self._weigh(layer, s, [np.eye(s.positions)], s.spatial)

    def Conv(self, layer, s):
        assert set(layer.strides) == {1}
        assert layer.padding == "SAME"
        P = s.positions
        taps = []
        for offset in np.ndindex(*layer.window):
            A = np.zeros((P, P))
            for p in np.ndindex(*s.spatial):
                q = tuple(i + o - (k - 1) // 2 for i, o, k in zip(p, offset, layer.window, strict=True))
                if all(0 <= i < size for i, size in zip(q, s.spatial, strict=True)):
                    A[np.ravel_multi_index(p, s.spatial), np.ravel_multi_index(q, s.spatial)] = 1.0
            taps.append(A)
        return self._weigh(layer, s, taps, s.spatial)

    def _weigh(self, layer, s, taps, spatial):
        """Each tap is a matrix over positions with weights of its own."""
        wide = [np.kron(np.eye(self.n), A) for A in taps]
        scale = layer.W_std**2 / len(wide)
        K = scale * sum(A @ s.K @ A.T for A in wide) + (layer.b_std or 0.0) ** 2
        T = scale * sum(A @ s.T @ A.T for A in wide) + (K if layer.trainable else 0.0)
        return self._new(layer, K, T, s, spatial)

    # activations: E[phi phi], E[phi' phi'], E[phi]

    def _activate(self, s, both):
        std = np.sqrt(np.diag(s.K))
        product = np.outer(std, std)
        c = np.clip(np.where(product > 0, s.K / np.where(product > 0, product, 1.0), 0.0), -1, 1)
        np.fill_diagonal(c, np.where(std > 0, 1.0, 0.0))
        K, slope, m = both(c, std)
        return State(K, s.T * slope, m, s.spatial, s.channels)

    def Relu(self, layer, s):
        return self._activate(s, relu)

    def Abs(self, layer, s):
        return self._activate(s, absolute)

    def Erf(self, layer, s):
        return self._activate(s, erf)

    # positions

    def GlobalAvgPool(self, layer, s):
        P = s.positions
        mean = np.kron(np.eye(self.n), np.full((1, P), 1 / P))
        return State(mean @ s.K @ mean.T, mean @ s.T @ mean.T, mean @ s.m, (), s.channels)

    def Flatten(self, layer, s):
        P = s.positions
        K, T = (np.einsum("ipjp->ij", self.blocks(a, P)) / P for a in (s.K, s.T))
        return State(K, T, s.m.reshape(self.n, P).mean(axis=1), (), s.channels * P)

    # normalisation of each position alone

    def LayerNorm(self, layer, s):
        assert layer.axis == (-1,)
        assert not s.m.any()
        f = 1 / np.sqrt(np.diag(s.K) + layer.eps)
        return s._replace(K=np.outer(f, f) * s.K, T=np.outer(f, f) * s.T)

    # attention

    def GlobalSelfAttention(self, layer, s):
        n, P = self.n, s.positions
        K, T = self.blocks(s.K, P), self.blocks(s.T, P)
        R = position_covariance(layer, s.spatial)[None, :, None, :]
        keep, add = {
            "NONE": (1.0, 0.0),
            "SUM": (1.0, layer.W_pos_emb_std**2),
            "CONCAT": (1.0 - layer.pos_emb_share, layer.pos_emb_share * layer.W_pos_emb_std**2),
        }[layer.pos_emb]
        Kqk, Tqk = keep * K + add * R, keep * T + add * R * layer.trainable
        Kv, Tv = (Kqk, Tqk) if layer.val_pos_emb else (K, T)
        QK, OV = layer.W_query_std * layer.W_key_std, layer.W_out_std * layer.W_value_std
        new_K, new_T = np.zeros_like(K), np.zeros_like(K)
        for i in range(n):
            for j in range(n):
                if layer.linear_scaling:
                    Gi, Gj = (attention_weights(layer.mechanism, QK * Kqk[k, :, k, :]) for k in (i, j))
                    k, t = (OV**2 * Gi @ a[i, :, j, :] @ Gj.T for a in (Kv, Tv))
                    own = 2.0 * k
                else:
                    scale = (QK * OV) ** 2
                    q, tq, v, tv = (a[i, :, j, :] for a in (Kqk, Tqk, Kv, Tv))
                    k = scale * q * (q * v).sum()
                    t = scale * (tq * (q * v).sum() + q * ((tq * v).sum() + (q * tv).sum()))
                    own = 4.0 * k
                bias = (layer.b_std or 0.0) ** 2
                new_K[i, :, j, :] = k + bias
                new_T[i, :, j, :] = t + (own + bias if layer.trainable else 0.0)
        return self._new(layer, new_K.reshape(s.K.shape), new_T.reshape(s.K.shape), s)

    # recurrence: the paper's own recursion, gradients going backward through time

    def Recurrent(self, layer, s):
        n, (L,) = self.n, s.spatial
        both = {"Relu": relu, "Erf": erf, "Abs": absolute}[type(layer.activation).__name__]
        b2 = (layer.b_std or 0.0) ** 2
        x = self.blocks(s.K, L)
        pre = np.zeros((n, L, n, L))  # covariance of pre-activations
        post, slope = np.zeros_like(pre), np.zeros_like(pre)
        for t in range(L):  # row and column t from rows and columns before
            for a, b in [(t, u) for u in range(t + 1)] + [(u, t) for u in range(t)]:
                before = post[:, a - 1, :, b - 1] if a > 0 and b > 0 else 0.0
                pre[:, a, :, b] = layer.U_std**2 * x[:, a, :, b] + layer.W_std**2 * before + b2
            state = self._activate(
                State(pre.reshape((n * L,) * 2), np.ones((n * L,) * 2), np.zeros(n * L), (L,), 1), both
            )
            post, slope, m = state.K.reshape(pre.shape), state.T.reshape(pre.shape), state.m
        # Theta of h_a(x) and h_b(x'): sum over the steps back to the start
        T_in = self.blocks(s.T, L)
        T = np.zeros_like(pre)
        for a in range(L):
            for b in range(L):
                pi = slope[:, a, :, b]  # gradient covariance at (a, b), then one step earlier each
                for back in range(min(a, b) + 1):
                    u, v = a - back, b - back
                    if back:
                        pi = layer.W_std**2 * pi * slope[:, u, :, v]
                    own = pre[:, u, :, v] if layer.trainable else 0.0
                    T[:, a, :, b] += pi * (own + layer.U_std**2 * T_in[:, u, :, v])
        width = self.channels if layer.width is None else layer.width
        states = State(post.reshape(s.K.shape), T.reshape(s.K.shape), m, (L,), width)
        if layer.output == "sequence":
            return states
        last = np.arange(n) * L + L - 1
        K, T = (a[np.ix_(last, last)] for a in (states.K, states.T))
        return State(K, T, m[last], (), width)


def relu(c, std):
    angle = np.arccos(c)
    K = np.outer(std, std) * (np.sqrt(1 - c * c) + (np.pi - angle) * c) / (2 * np.pi)
    return K, (np.pi - angle) / (2 * np.pi), std / np.sqrt(2 * np.pi)


def absolute(c, std):
    angle = np.arccos(c)
    K = np.outer(std, std) * 2 * (np.sqrt(1 - c * c) + (np.pi / 2 - angle) * c) / np.pi
    return K, 1 - 2 * angle / np.pi, std * np.sqrt(2 / np.pi)


def erf(c, std):
    v = std * std
    cov = c * np.outer(std, std)
    norm = np.outer(1 + 2 * v, 1 + 2 * v)
    K = 2 / np.pi * np.arcsin(2 * cov / np.sqrt(norm))
    return K, 4 / np.pi / np.sqrt(norm - 4 * cov * cov), np.zeros(len(std))


def attention_weights(mechanism, scores):
    if mechanism == "SOFTMAX":
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return {"IDENTITY": lambda a: a, "ABS": np.abs, "RELU": lambda a: np.maximum(a, 0)}[mechanism](scores)


def position_covariance(layer, spatial):
    """Covariance of positional embeddings by the distance of positions."""
    where = list(np.ndindex(*spatial))
    R = np.zeros((len(where),) * 2)
    for i, p in enumerate(where):
        for j, q in enumerate(where):
            d = sum(abs(a - b) ** layer.pos_emb_p_norm for a, b in zip(p, q, strict=True))
            R[i, j] = {
                None: lambda d: float(d == 0),
                "rational": lambda d: 1 / (1 + layer.pos_emb_rate * d**layer.pos_emb_power),
                "exponential": lambda d: math.exp(-layer.pos_emb_rate * d**layer.pos_emb_power),
            }[layer.pos_emb_decay](d)
    return R
