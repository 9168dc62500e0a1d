"""The words for solves of N equal steps: chains of layers, Runge-Kutta steps, and how gradients go back through them.

Layer n takes z_n to z_{n+1} at the time t_n, with the step h. ``a_n`` is the derivative of the *discrete* loss, that of
the last state of the chain, by z_n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ... import tableaus
from ...tableaus import Tableau
from ..problem import Problem
from .paths import Array, ends, gradient_at

EULER, MIDPOINT, KUTTA3, RK4 = (tableaus.get(name) for name in ("euler", "midpoint", "kutta3", "rk4"))
FEW = 10  # steps, where sides are equal at any number


def times(P: Problem, N: int) -> tuple[Array, float]:
    """Return t_n (N + 1,) and h."""
    t0, t1 = ends(P)
    return np.linspace(t0, t1, N + 1), (t1 - t0) / N


def chain(P: Problem, N: int, layer: Callable[[float, Array, float], Array], start: Array | None = None) -> Array:
    """Return z_0 ... z_N (N + 1, D) of ``z_{n+1} = layer(t_n, z_n, h)``."""
    ts, h = times(P, N)
    zs = [P.z0 if start is None else start]
    for t in ts[:-1]:
        zs.append(layer(float(t), zs[-1], h))
    return np.array(zs)


def last(zs: Array) -> Array:
    """Return z_N."""
    return zs[-1]


def runge_kutta(P: Problem, N: int, A: Sequence[Sequence[float]], b: Sequence[float], c: Sequence[float]) -> Array:
    """Return the states (N + 1, D) of an explicit method; row i of A holds the i coefficients under the diagonal."""
    return chain(P, N, lambda t, z, h: z + h * weighted(b, slopes(lambda t, z: P.f(t, z), t, z, h, A, c)))


def slopes(f: Callable[[float, Array], Array], t: float, z: Array, h: float, A: Any, c: Any) -> list[Array]:
    """Return ``k_i = f(t + c_i h, z + h sum_j A_ij k_j)``; complex numbers pass."""
    k: list[Array] = []
    for row, node in zip(A, c, strict=True):
        k.append(f(t + node * h, z + h * weighted(row[: len(k)], k)))
    return k


def weighted(weights: Iterable[float], k: list[Array]) -> Any:
    """Return the sum of ``w_i k_i``; 0 of nothing."""
    return sum((w * x for w, x in zip(weights, k, strict=True)), 0.0)


def step(P: Problem, tableau: Tableau, t: float, z: Array, h: float, p: Array | None = None) -> Array:
    """Make one step of a method."""
    k = slopes(lambda t, z: P.f(t, z, p), t, z, h, tableau.A, tableau.c)
    return z + h * weighted(tableau.b, k)


@lru_cache(maxsize=256)
def states(P: Problem, N: int, tableau: Tableau = EULER) -> Array:
    """Return z_0 ... z_N (N + 1, D) of a method."""
    return chain(P, N, lambda t, z, h: step(P, tableau, t, z, h))


@lru_cache(maxsize=256)
def last_gradient(P: Problem, N: int, tableau: Tableau = EULER) -> Array:
    """Return a_N, the gradient of the loss at the last state of the chain."""
    return gradient_at(P, states(P, N, tableau)[-1])


@lru_cache(maxsize=256)
def loss_slope(P: Problem, N: int, tableau: Tableau = EULER) -> Array:
    """Return the derivative of the discrete loss by (z0, theta) (D + P,), by complex steps through the whole chain."""
    D = P.size

    def end(x: Array) -> Array:
        return last(chain(P, N, lambda t, z, h: step(P, tableau, t, z, h, x[D:]), x[:D]))

    return last_gradient(P, N, tableau) @ P.by_steps(end, np.concatenate([P.z0, P.p]))


@lru_cache(maxsize=256)
def discrete_tangent(P: Problem, N: int, m: int, n: int, tableau: Tableau) -> Array:
    """Return ``dz_n/dz_m`` (D, D) by complex steps."""
    ts, h = times(P, N)

    def later(z: Array) -> Array:
        for t in ts[m:n]:
            z = step(P, tableau, float(t), z, h)
        return z

    return P.by_steps(later, states(P, N, tableau)[m])


def pulled(P: Problem, N: int, pull: Callable[[float, Array, Array, float], Array]) -> list[Array]:
    """Return a_0 ... a_N of ``a_n = pull(t_n, z_n, a_{n+1}, h)`` along Euler's chain."""
    (ts, h), zs = times(P, N), states(P, N)
    rows = [last_gradient(P, N)]
    for n in reversed(range(N)):
        rows.insert(0, pull(float(ts[n]), zs[n], rows[0], h))
    return rows


def summed(P: Problem, N: int, share: Callable[[float, Array, Array, float], Array]) -> Array:
    """Return the sum of ``share(t_n, z_n, a_{n+1}, h)`` over the layers of Euler's chain."""
    (ts, h), zs, rows = times(P, N), states(P, N), backprop(P, N, EULER)[0]
    return sum((share(float(ts[n]), zs[n], rows[n + 1], h) for n in range(N)), np.zeros(len(P.p)))


def through_stages(P: Problem, N: int, tableau: Tableau, of_slope: Callable[..., Array]) -> tuple[list[Array], Array]:
    """Go back through a Runge-Kutta chain; return a_0 ... a_N, and the derivative of the loss by theta (P,).

    ``of_slope(h, a, b_i, column_i, pulled)`` is the derivative of the loss by the slope k_i, with column i of A, and
    the derivatives by the arguments of all slopes (s, D) that are known so far, 0 elsewhere.
    """
    (ts, h), zs, s = times(P, N), states(P, N, tableau), tableau.stages
    rows, by_theta = [last_gradient(P, N, tableau)], np.zeros(len(P.p))
    for n in reversed(range(N)):
        k = np.array(slopes(P.f, ts[n], zs[n], h, tableau.A, tableau.c))
        pulled = np.zeros((s, P.size))
        for i in reversed(range(s)):
            by_slope = of_slope(h, rows[0], tableau.b[i], tableau.A[:, i], pulled)
            _, pulled[i], share = P.vjp(ts[n] + tableau.c[i] * h, zs[n] + h * tableau.A[i] @ k, by_slope)
            by_theta = by_theta + share
        rows.insert(0, rows[0] + pulled.sum(0))
    return rows, by_theta


@lru_cache(maxsize=256)
def backprop(P: Problem, N: int, tableau: Tableau) -> tuple[list[Array], Array]:
    """Return a_0 ... a_N, and the derivative of the discrete loss by theta: d4, which is checked there."""
    return through_stages(P, N, tableau, lambda h, a, b, column, pulled: h * (b * a + column @ pulled))


def run_back(
    P: Problem, N: int, tableau: Tableau, field: Callable[[float, Array, Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """Return z and a at t0, solved with z from the end of the chain by the same method with steps of -h."""
    (ts, h), D = times(P, N), P.size
    y = np.concatenate([states(P, N, tableau)[-1], last_gradient(P, N, tableau)])
    for t in ts[:0:-1]:
        k = slopes(lambda t, y: np.concatenate(field(t, y[:D], y[D:])), float(t), y, -h, tableau.A, tableau.c)
        y = y - h * weighted(tableau.b, k)
    return y[:D], y[D:]
