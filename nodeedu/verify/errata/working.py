"""What several exhibits compute with: the adjoint carried by any slope, Runge-Kutta steps and their derivatives.

Derivatives of the field are complex steps throughout, so that only the formulas differ. a is a row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ... import tableaus
from ..equations.paths import Array, accumulated, carried, end_gradient, ends, state
from ..problem import Problem

Slope = Callable[[float, Array, Array], Array]  # (t, z, a) -> da/dt


def back(P: Problem, slope: Slope) -> Array:
    """Return a(t0) of ``a' = slope(t, z, a)``, ``a(t1) = g``."""
    return carried(P, slope, end_gradient(P), ends(P)[1], ends(P)[0])


def adjoint_slope(P: Problem) -> Slope:
    """Return the right side of the adjoint equation, ``-a J``."""
    return lambda t, z, a: -a @ P.J_by_steps(t, z)


def backwards(P: Problem, slope: Slope, start: Array, integrand: Slope) -> Array:
    """Return the integral of ``integrand(t, z, a)`` from t0 to t1, where a is carried from ``a(t1) = start``."""
    return -accumulated(P, slope, start, integrand, ends(P)[1], ends(P)[0])


@lru_cache(maxsize=64)
def theta_gradient(P: Problem) -> Array:
    """Return the integral of ``a f_theta`` from t0 to t1 (P,)."""
    return backwards(P, adjoint_slope(P), end_gradient(P), lambda t, z, a: a @ P.f_theta_by_steps(t, z))


def gauss(integrand: Callable[[float], Any], start: float, end: float, nodes: int = 24) -> Any:
    """Return the integral by Gauss's rule."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    middle, half = 0.5 * (start + end), 0.5 * (end - start)
    return half * sum(w * integrand(middle + half * s) for s, w in zip(x, weights, strict=True))


def along_path(P: Problem, integrand: Callable[[float, Array], float]) -> float:
    """Return the integral of ``integrand(t, z(t))`` over the path."""
    t0, t1 = ends(P)
    y = P.solve(lambda t, y: np.append(P.f(t, y[:-1]), integrand(t, y[:-1])), t0, t1, np.append(P.z0, 0.0))
    return float(y[-1])


@lru_cache(maxsize=64)
def observed_back(P: Problem) -> tuple[Array, Array, Array, Array]:
    """Return the adjoint of all observations, with its jumps, and what belongs to the times.

    Returns
    -------
    start : array (D,)
        a(t0+), without the observation at t0.
    work : array (T - 1,)
        Integral of ``a f_t`` over each interval.
    g, slopes : array (T, D)
        Gradients of the observations, and f at them.
    """
    D, ts = P.size, [float(t) for t in P.ts]
    zs = np.array([state(P, t) for t in ts])
    g, a, work = P.loss_gradients(zs), np.zeros(D), np.zeros(len(ts) - 1)

    def rhs(t: float, y: Array) -> Array:
        z, a = y[:D], y[D:-1]
        return np.concatenate([P.f(t, z), -a @ P.J_by_steps(t, z), [-a @ P.f_t_by_steps(t, z)]])

    for i in reversed(range(1, len(ts))):
        y = P.solve(rhs, ts[i], ts[i - 1], np.concatenate([zs[i], a + g[i], [0.0]]))
        a, work[i - 1] = y[D:-1], y[-1]
    return a, work, g, np.array([P.f(t, z) for t, z in zip(ts, zs, strict=True)])


def steps(P: Problem, method: str, N: int, p: Array | None = None) -> list[Array]:
    """Return the states ``z_0 ... z_N`` of N equal steps of an explicit method; complex parameters pass."""
    tableau = tableaus.get(method)
    (t0, t1), zs = ends(P), [P.z0]
    h = (t1 - t0) / N
    for n in range(N):
        k: list[Array] = []
        for a_i, c_i in zip(tableau.A, tableau.c, strict=True):
            k.append(P.f(t0 + (n + c_i) * h, zs[-1] + h * sum(a * s for a, s in zip(a_i, k, strict=False)), p))
        zs.append(zs[-1] + h * sum(b * s for b, s in zip(tableau.b, k, strict=True)))
    return zs


def discrete_gradient(P: Problem, method: str, N: int) -> Array:
    """Return the gradient by theta (P,) of the loss of N steps, by complex steps through all of them."""
    g = end_loss_gradient(P, steps(P, method, N)[-1])
    gradient, eps = np.zeros(len(P.p)), 1e-30
    for i in range(len(P.p)):
        moved = P.p.astype(complex)
        moved[i] += eps * 1j
        gradient[i] = g @ steps(P, method, N, moved)[-1].imag / eps
    return gradient


def backprop(P: Problem, method: str, N: int) -> Array:
    """Return the same gradient by the chain rule, from the last step to the first."""
    tableau, (t0, t1), zs = tableaus.get(method), ends(P), steps(P, method, N)
    h, z_bar, p_bar = (t1 - t0) / N, end_loss_gradient(P, zs[-1]), np.zeros(len(P.p))
    for n in reversed(range(N)):
        times, points = t0 + (n + tableau.c) * h, _stages(P, tableau, t0 + n * h, zs[n], h)
        k_bars = [h * b * z_bar for b in tableau.b]
        for i in reversed(range(len(tableau.b))):
            point_bar = k_bars[i] @ P.J_by_steps(times[i], points[i])
            p_bar += k_bars[i] @ P.f_theta_by_steps(times[i], points[i])
            z_bar = z_bar + point_bar
            for j in range(i):
                k_bars[j] = k_bars[j] + h * tableau.A[i, j] * point_bar
    return p_bar


def _stages(P: Problem, tableau: Any, t: float, z: Array, h: float) -> list[Array]:
    points: list[Array] = []
    k: list[Array] = []
    for a_i, c_i in zip(tableau.A, tableau.c, strict=True):
        points.append(z + h * sum(a * s for a, s in zip(a_i, k, strict=False)))
        k.append(P.f(t + c_i * h, points[-1]))
    return points


def backsolve(P: Problem, method: str, N: int) -> Array:
    """Return dL/dtheta (P,) by N steps of the adjoint system back from the state that N steps reached."""
    D, tableau, (t0, t1) = P.size, tableaus.get(method), ends(P)
    z = steps(P, method, N)[-1]
    y, h = np.concatenate([z, end_loss_gradient(P, z), np.zeros(len(P.p))]), (t1 - t0) / N

    def rhs(t: float, y: Array) -> Array:
        z, a = y[:D], y[D : 2 * D]
        return np.concatenate([P.f(t, z), -a @ P.J_by_steps(t, z), -a @ P.f_theta_by_steps(t, z)])

    for n in range(N):
        k: list[Array] = []
        for a_i, c_i in zip(tableau.A, tableau.c, strict=True):
            k.append(rhs(t1 - (n + c_i) * h, y - h * sum(a * s for a, s in zip(a_i, k, strict=False))))
        y = y - h * sum(b * s for b, s in zip(tableau.b, k, strict=True))
    return y[2 * D :]


def end_loss_gradient(P: Problem, z: Array) -> Array:
    """Return the gradient of the last loss at a state (D,)."""
    return P.loss_gradients(np.broadcast_to(z, P.targets.shape))[-1]
