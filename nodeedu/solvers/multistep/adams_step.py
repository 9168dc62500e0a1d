"""One step of the Adams method of variable step and order: coefficients, prediction, correction, differences.

The equations and their sources are in adams.py. Everything lies in rows of an array x (rows, 1, D):

    x[Y] y_n   x[P] predicted state   x[F] its slope, later that of the end
    x[D] d     x[AHEAD] y_{n+1}       x[ATOL] tolerance   x[SCALE] of errors
    x[STAR + j] Phi*_j    x[DIFFERENCES + j] Phi_j(n)
"""

from __future__ import annotations

import math

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.solvers.norms import scaled_square

MAX_ORDER = 12
# NumPy integers, see runge_kutta.py
Y, P, F, D, AHEAD, ATOL, SCALE, STAR = np.arange(8)
DIFFERENCES = STAR + MAX_ORDER + 1
ROWS = int(DIFFERENCES) + MAX_ORDER + 2


@core
def step_weights(k, h, nodes, beta, c, g):
    """Set beta_j and g_j for 0 <= j <= k."""
    beta[0] = 1.0
    for j in range(1, k + 1):
        beta[j] = beta[j - 1] * (nodes[0] - nodes[j - 1] + h) / (nodes[0] - nodes[j])
    integrals(1.0, k, h, nodes, c, g)


@core
def integrals(theta, k, h, nodes, c, g):
    """Set ``g_j = int_0^theta prod_{i<j} (t_n + u h - t_{n-i}) / (t_{n+1} - t_{n-i}) du`` for 0 <= j <= k.

    c[q] is (q - 1)! times the q-fold integral. One more factor ``a u + b`` makes of it, by parts,
    ``(a theta + b) c[q] - a c[q + 1]`` (Hairer, Norsett & Wanner I, III.5.10, for theta = 1).
    """
    power = 1.0
    for q in range(1, k + 2):
        power *= theta
        c[q] = power / q
    g[0] = c[1]
    for j in range(1, k + 1):
        behind = nodes[0] - nodes[j - 1]
        a, b = h / (behind + h), behind / (behind + h)
        for q in range(1, k + 2 - j):
            c[q] = (a * theta + b) * c[q] - a * c[q + 1]
        g[j] = c[1]


@core
def predict(k, h, rtol, beta, g, x):
    """Set ``Phi*_j``, 0 <= j <= k, the predicted state p, ``d = -sum_j Phi*_j`` as yet, and the scale of errors."""
    for i in range(x.shape[2]):
        p, slope = 0.0, 0.0
        for j in range(k - 1, -1, -1):  # the small ones first
            star = beta[j] * x[DIFFERENCES + j, 0, i]
            x[STAR + j, 0, i] = star
            p += g[j] * star
            slope += star
        x[STAR + k, 0, i] = beta[k] * x[DIFFERENCES + k, 0, i]
        x[P, 0, i] = x[Y, 0, i] + h * p
        x[D, 0, i] = -slope
        x[SCALE, 0, i] = x[ATOL, 0, i] + rtol * max(abs(x[Y, 0, i]), abs(x[P, 0, i]))


@core
def correct(k, h, g, x):
    """Set d and y_{n+1}; return the norms of the errors at orders k, k - 1 and k - 2 (0 where there is none)."""
    error = below = further = 0.0
    for i in range(x.shape[2]):
        d = x[D, 0, i] + x[F, 0, i]
        x[D, 0, i] = d
        x[AHEAD, 0, i] = x[P, 0, i] + h * g[k] * d
        error += scaled_square(d, x[SCALE, 0, i])
        if k > 1:
            d += x[STAR + k - 1, 0, i]
            below += scaled_square(d, x[SCALE, 0, i])
        if k > 2:
            d += x[STAR + k - 2, 0, i]
            further += scaled_square(d, x[SCALE, 0, i])
    size, n = abs(h), x.shape[2]
    error = size * abs(g[k] - g[k - 1]) * math.sqrt(error / n)
    below = size * abs(g[k - 1] - g[k - 2]) * math.sqrt(below / n) if k > 1 else 0.0
    further = size * abs(g[k - 2] - g[k - 3]) * math.sqrt(further / n) if k > 2 else 0.0
    return error, below, further


@core
def shift(k, t1, nodes, x):
    """Move on to t_{n+1}: its state, its slope x[F], and with it the differences up to Phi_{k+1}."""
    for j in range(MAX_ORDER + 1, 0, -1):
        nodes[j] = nodes[j - 1]
    nodes[0] = t1
    for i in range(x.shape[2]):
        x[Y, 0, i] = x[AHEAD, 0, i]
        difference = x[F, 0, i]
        for j in range(k + 1):
            star = x[STAR + j, 0, i]
            x[DIFFERENCES + j, 0, i] = difference
            difference -= star
        x[DIFFERENCES + k + 1, 0, i] = difference
