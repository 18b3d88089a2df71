"""The recursion of Du et al. 2019, "Graph Neural Tangent Kernel", section 3, for one pair of graphs, with loops."""

import numpy as np


def gntk(features, adjacency, features2, adjacency2, blocks, depth, mean, jumping=False):
    """Return the sum over nodes of covariances and of tangent kernels after the last block, or with jumping all."""

    def gather(K, A, B):
        found = np.zeros_like(K)
        for u in range(len(A)):
            for v in range(len(B)):
                near, near2 = [*np.flatnonzero(A[u]), u], [*np.flatnonzero(B[v]), v]  # neighbours and the node itself
                scale = 1 / (len(near) * len(near2)) if mean else 1.0
                found[u, v] = scale * sum(K[a, b] for a in near for b in near2)
        return found

    def relu(own, cross, own2):
        """Return 2 E[phi phi] and 2 E[phi' phi'] between nodes."""
        expected, derivative = np.zeros_like(cross), np.zeros_like(cross)
        for u, v in np.ndindex(*cross.shape):
            size = np.sqrt(own[u, u] * own2[v, v])
            if size > 0:
                c = np.clip(cross[u, v] / size, -1, 1)
                expected[u, v] = size * (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi
                derivative[u, v] = (np.pi - np.arccos(c)) / np.pi
        return expected, derivative

    graphs = {"a": (features, adjacency), "b": (features2, adjacency2)}
    pairs = [("a", "a"), ("b", "b"), ("a", "b")]
    S = {(i, j): graphs[i][0] @ graphs[j][0].T for i, j in pairs}
    T = dict(S)
    ends = [(S["a", "b"].sum(), T["a", "b"].sum())]
    for _ in range(blocks):
        S, T = ({(i, j): gather(K[i, j], graphs[i][1], graphs[j][1]) for i, j in pairs} for K in (S, T))
        for _ in range(depth):
            found = {(i, j): relu(S[i, i], S[i, j], S[j, j]) for i, j in pairs}
            S = {pair: expected for pair, (expected, _) in found.items()}
            T = {pair: T[pair] * derivative + S[pair] for pair, (_, derivative) in found.items()}
        ends.append((S["a", "b"].sum(), T["a", "b"].sum()))
    return np.sum(ends, axis=0) if jumping else ends[-1]
