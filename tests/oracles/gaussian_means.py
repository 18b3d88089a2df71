"""Means over two Gaussians by quadrature: the independent value of every dual.

In polar coordinates, u = s_x r cos(psi) and v = s_y r cos(psi - theta). Kinks and jumps at 0 lie on four rays, between
which everything is smooth: Gauss-Legendre in each sector and on short panels along the radius.
"""

import numpy as np

_R, _V = np.polynomial.legendre.leggauss(14)
_PANELS = np.linspace(0.0, 20.0, 25)


def gaussian_pairs(std_x, std_y, z, angles):
    """Return samples u, v and weights, each ``(cases, points)``, for correlations ``1 - z``."""
    nodes, weights = np.polynomial.legendre.leggauss(angles)
    theta = 2.0 * np.arcsin(np.sqrt(np.clip(z, 0.0, 2.0) / 2.0))[:, None]
    edges = np.concatenate([0.0 * theta, theta, 0.0 * theta + np.pi, theta + np.pi, 0.0 * theta + 2.0 * np.pi], axis=1)
    half = 0.5 * np.diff(edges - 0.5 * np.pi, axis=1)
    middle = edges[:, :-1] - 0.5 * np.pi + half
    psi = (middle[..., None] + half[..., None] * nodes).reshape((len(theta), -1))
    w_psi = (half[..., None] * weights).reshape((len(theta), -1)) / (2.0 * np.pi)
    width = 0.5 * np.diff(_PANELS)
    r = (_PANELS[:-1, None] + width[:, None] * (1.0 + _R)).ravel()
    w_r = (width[:, None] * _V).ravel() * r * np.exp(-0.5 * r * r)
    u = std_x[:, None, None] * np.cos(psi)[..., None] * r
    v = std_y[:, None, None] * np.cos(psi - theta)[..., None] * r
    w = w_psi[..., None] * w_r
    return tuple(a.reshape((len(theta), -1)) for a in (u, v, w))


def mean_products(f, std_x, std_y, z, angles=36):
    """Return E[f(u) f(v)] and E[(f(u) - f(v))**2], with so many nodes in each sector of angles."""
    u, v, w = gaussian_pairs(np.asarray(std_x), np.asarray(std_y), np.asarray(z), angles)
    a, b = np.asarray(f(u)), np.asarray(f(v))
    return (w * a * b).sum(axis=1), (w * (a - b) ** 2).sum(axis=1)


def mean_square(f, std):
    """Return E[f(u)**2], along a line: what grows nearly as fast as the density falls is narrow in the angle."""
    half = 0.5 * np.diff(_PANELS)[:, None]
    t = (_PANELS[:-1, None] + half * (1.0 + _R)).ravel()
    w = (half * _V).ravel() * np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi)
    x = np.asarray(std)[:, None] * np.concatenate([-t, t])
    return (np.concatenate([w, w]) * np.asarray(f(x)) ** 2).sum(axis=1)
