"""What solvers do: errors of steps and of results, costs, and paths that cannot be run back."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ... import tableaus
from ..equations.paths import end_gradient, ends, state
from ..problem import Problem
from ..standard_problems import M, V
from .erratum import Array

STANDARD = (V, M)
STIFFENING = "van der Pol, mu = 5"
SLOW_FAST = "lambda = 25"
RTOL, ATOL = 1e-3, 1e-6
RATE = 25.0
THETA = np.ones(2)


def relaxation(t: float, z: Array) -> Array:
    """Evaluate van der Pol's field with mu = 5."""
    return np.array([z[1], 5.0 * (1 - z[0] ** 2) * z[1] - z[0]])


def solve(f: Any, t: float, s: float, z: Any, method: str = "DOP853", rtol: float = 1e-12, atol: float = 1e-13) -> Any:
    """Call SciPy's solver, and keep the dense output."""
    from scipy.integrate import solve_ivp  # only here: importing it takes half a second

    return solve_ivp(f, (t, s), np.asarray(z, float), method, rtol=rtol, atol=atol, dense_output=True)


@cache
def relaxed() -> Any:
    """Return the path of `relaxation` by RK45 at the tolerance of the exhibit."""
    return solve(relaxation, 0.0, 40.0, [2.0, 0.0], "RK45", RTOL, ATOL)


def global_error(_: Any) -> float:
    """Return the relative error at the end, divided by rtol."""
    truth = solve(relaxation, 0.0, 40.0, [2.0, 0.0]).y[:, -1]
    return float(np.linalg.norm(relaxed().y[:, -1] - truth) / np.linalg.norm(truth) / RTOL)


def estimated_error(_: Any) -> float:
    """Return the largest estimate of a step's error, in the norm that the solver holds below 1."""
    tableau: Any = tableaus.get("dopri5")
    t, y, errors = relaxed().t, relaxed().y.T, []
    for n, h in enumerate(np.diff(t)):
        k: list[Array] = []
        for a_i, c_i in zip(tableau.A, tableau.c, strict=True):
            k.append(relaxation(t[n] + c_i * h, y[n] + h * sum(a * s for a, s in zip(a_i, k, strict=False))))
        error = h * (tableau.b - tableau.b_hat) @ np.array(k)
        scale = ATOL + RTOL * np.maximum(abs(y[n]), abs(y[n + 1]))
        errors.append(np.sqrt(np.mean((error / scale) ** 2)))
    return float(np.max(errors))


@cache
def backward_share(P: Problem) -> float:
    """Return how many times the evaluations of the forward solve the backward solve needs, by RK45."""
    D, (t0, t1) = P.size, ends(P)

    def rhs(t: float, y: Array) -> Array:
        z, a = y[:D], y[D : 2 * D]
        return np.concatenate([P.f(t, z), -a @ P.J_by_steps(t, z), -a @ P.f_theta_by_steps(t, z)])

    forward = solve(lambda t, z: P.f(t, z), t0, t1, P.z0, "RK45", 1e-6, 1e-9)
    start = np.concatenate([state(P, t1), end_gradient(P), np.zeros(len(P.p))])
    return solve(rhs, t1, t0, start, "RK45", 1e-6, 1e-9).nfev / forward.nfev


def slow_fast(t: float, z: Array) -> Array:
    """Evaluate ``x' = -25 x``, ``y' = theta_1 x^2 + theta_2 y``, with theta = (1, 1)."""
    return np.array([-RATE * z[0], THETA[0] * z[0] ** 2 + THETA[1] * z[1]])


def slow_fast_adjoint(z: Array, y: Array) -> Array:
    """Return the slope of (a, dL/dtheta) backwards along a path z."""
    a = y[:2]
    J = np.array([[-RATE, 0.0], [2 * THETA[0] * z[0], THETA[1]]])
    return np.concatenate([-a @ J, -a[1] * np.array([z[0] ** 2, z[1]])])


def run_back(_: Any) -> Array:
    """Return dL/dtheta with the path run back from its end."""
    forward = solve(slow_fast, 0.0, 1.0, [1.0, 1.0], "RK45", 1e-6, 1e-9)
    start = np.concatenate([forward.y[:, -1], [0.0, 1.0, 0.0, 0.0]])
    back = solve(
        lambda t, y: np.concatenate([slow_fast(t, y[:2]), slow_fast_adjoint(y[:2], y[2:])]),
        1.0, 0.0, start, "RK45", 1e-6, 1e-9,
    )  # fmt: skip
    return back.y[4:, -1]


def on_stored_path(method: str, rtol: float, atol: float) -> Array:
    """Return dL/dtheta with the path read from the forward solve's dense output."""
    path = solve(slow_fast, 0.0, 1.0, [1.0, 1.0], method, rtol, atol).sol
    start = [0.0, 1.0, 0.0, 0.0]
    return solve(lambda t, y: slow_fast_adjoint(path(t), y), 1.0, 0.0, start, method, rtol, atol).y[2:, -1]


def slow_fast_gradient(_: Any) -> Array:
    """Return dL/dtheta in closed form.

    With ``k = 2 lambda + theta_2``: ``y(1) = e^theta_2 + theta_1 (e^theta_2 - e^{-2 lambda}) / k``.
    """
    e, decayed, k = np.exp(THETA[1]), np.exp(-2 * RATE), 2 * RATE + THETA[1]
    return np.array([(e - decayed) / k, e + THETA[0] * (e / k - (e - decayed) / k**2)])


def last_time(t1: float) -> float:
    """Return the time at which a solver gives up on ``z' = z^2``, ``z(0) = 1``, or t1."""
    return float(solve(lambda t, z: z**2, 0.0, t1, [1.0]).t[-1])
