"""Layers without a closed form, by NumPy: forward passes with given weights, and one hidden layer of infinite width.

A hidden layer of infinitely many units is simulated unit by unit: each draw is one unit's Gaussian weights, and a
kernel is the mean over draws, with its standard error. ``x`` is ``(n, P, c)``, or ``(n, c)`` for batch normalisation.
"""

import itertools

import numpy as np


def relu(x):
    return np.maximum(x, 0.0)


def dense(x, weights, W_std=1.0, b_std=0.0):
    return W_std / np.sqrt(x.shape[-1]) * (x @ weights["W"]) + b_std * weights.get("b", 0.0)


def windows(size, window, stride, padding):
    """Return which positions are in each window along one axis; those outside are left out or wrapped around."""
    if padding == "VALID":
        count, before = (size - window) // stride + 1, 0
    else:
        count = -(-size // stride)
        before = max((count - 1) * stride + window - size, 0) // 2
    taps = [[i * stride - before + k for k in range(window)] for i in range(count)]
    if padding == "CIRCULAR":
        return [[t % size for t in row] for row in taps]
    return [[t for t in row if 0 <= t < size] for row in taps]


def max_pool(x, window, strides, padding):
    """Maximum over windows of (n, H, W, c), one window at a time."""
    rows = windows(x.shape[1], window[0], strides[0], padding)
    columns = windows(x.shape[2], window[1], strides[1], padding)
    out = np.empty((x.shape[0], len(rows), len(columns), x.shape[3]))
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        out[:, i, j] = x[:, row][:, :, column].max(axis=(1, 2))
    return out


def batch_norm(x, eps):
    flat = x.reshape(-1, x.shape[-1])
    return ((flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + eps)).reshape(x.shape)


def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(x, weights, W_key_std=1.0, W_query_std=1.0, W_value_std=1.0, W_out_std=1.0):
    """Softmax attention over sqrt(d), head by head."""
    heads = []
    for h in range(weights["K"].shape[1]):
        q, k, v = (x @ weights[name][:, h] / np.sqrt(x.shape[-1]) for name in "QKV")
        scores = W_query_std * W_key_std * q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
        heads.append(softmax(scores) @ (W_value_std * v) @ weights["O"][h])
    return W_out_std * sum(heads) / np.sqrt(weights["O"].shape[0] * weights["O"].shape[1])


def mean_and_error(each):
    """Return the mean over the first axis and its standard error."""
    return each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))


def units(x, W_std, b_std, draws, seed):
    """Return so many units of a first dense layer, (draws, *inputs and positions), and their kernel, NNGP as NTK."""
    rng = np.random.default_rng(seed)
    flat = x.reshape(-1, x.shape[-1])
    w, b = rng.normal(size=(draws, x.shape[-1])), rng.normal(size=(draws, 1))
    h = W_std / np.sqrt(x.shape[-1]) * w @ flat.T + b_std * b
    return h.reshape((draws, *x.shape[:-1])), W_std**2 * flat @ flat.T / x.shape[-1] + b_std**2


def max_pool_kernels(x, W_std, b_std, window, draws, seed=0):
    """Dense, MaxPool of stride 1, Relu, Flatten, Dense(): NNGP and NTK of all inputs, each with its error."""
    n, P, _ = x.shape
    h, theta = units(x, W_std, b_std, draws, seed)
    theta = theta.reshape(n, P, n, P)
    count = P - window + 1
    nngp = np.zeros((draws, n, n))
    through = np.zeros((draws, n, n))
    for p in range(count):
        which = h[:, :, p : p + window].argmax(axis=2) + p
        largest = np.take_along_axis(h, which[:, :, None], axis=2)[:, :, 0]
        on = largest > 0
        for i, j in itertools.product(range(n), repeat=2):
            nngp[:, i, j] += relu(largest[:, i]) * relu(largest[:, j]) / count
            through[:, i, j] += on[:, i] * on[:, j] * theta[i, which[:, i], j, which[:, j]] / count
    return mean_and_error(nngp), mean_and_error(nngp + through)


def batch_norm_kernels(x, W_std, b_std, eps, draws, seed=0):
    """Dense, BatchNorm, Relu, Dense(): NNGP and NTK of the batch, each with its error."""
    n = len(x)
    h, theta = units(x, W_std, b_std, draws, seed)
    c = h - h.mean(axis=1, keepdims=True)
    s = np.sqrt((c**2).mean(axis=1) + eps)[:, None]
    y = c / s
    # dy_i / dh_j = (delta_ij - 1/n - y_i y_j / n) / s, since the deviation moves by y_j / n and the mean by 1/n
    J = (np.eye(n) - 1 / n - y[:, :, None] * y[:, None, :] / n) / s[:, :, None] * (y > 0)[:, :, None]
    nngp = relu(y)[:, :, None] * relu(y)[:, None, :]
    return mean_and_error(nngp), mean_and_error(nngp + J @ theta @ J.swapaxes(1, 2))


def attention_nngp(x, scale, draws, seed=0):
    """Softmax attention over sqrt(d) with ``scale = W_query_std * W_key_std``, GlobalAvgPool, Dense(): its NNGP."""
    n, P, c = x.shape
    K = np.einsum("ipc,jqc->ipjq", x, x) / c
    covariance = np.einsum("ipjq,irjs->iprjqs", K, K).reshape((n * P * P,) * 2)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(seed).normal(size=(draws, n * P * P))
    weights = softmax(scale * (normal @ root.T).reshape(draws, n, P, P)).mean(axis=2)
    return mean_and_error(np.einsum("dir,djs,irjs->dij", weights, weights, K, optimize=True))
