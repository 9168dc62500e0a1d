r"""(l) Backpropagation through Runge-Kutta steps solves the adjoint equation, by another method: its partner.

The partner of (A, b) has the coefficients ``b_j - b_j a_ji / b_i``, with the weights b, at the stages of the forward
solve; no b_i may be 0. Where A is its own partner, as that of the implicit midpoint rule, nothing is lost by
discretising the adjoint equation itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...tableaus import Tableau
from ..problem import Problem
from .discrete import (
    EULER,
    FEW,
    MIDPOINT,
    RK4,
    backprop,
    discrete_tangent,
    last_gradient,
    loss_slope,
    run_back,
    slopes,
    states,
    through_stages,
    times,
)
from .equation import COUNTS, Equation
from .paths import Array, gradient_at

OPTIMAL_CONTROL = "Sanz-Serna, SIAM Review 58 (2016) 3, "
PAPER = "arXiv 1806.07366, section 2, with the method "
NEWTON = 8  # iterations: 4 reach rounding with h = 0.15, 1 more carries the imaginary parts along


def partner(P: Problem, N: int, tableau: Tableau, coefficients: Callable[[Array, Array], Array]) -> Array:
    r"""Return a_0, solved backwards from ``a_{n+1} = a_n - h sum_i b_i w_i J_i``, the stages of the forward solve.

    The adjoint's own stages are ``w_i = a_n - h sum_j partner_ij w_j J_j``: a linear system for (a_n, w_1 ... w_s).
    """
    (ts, h), zs, (s, D) = times(P, N), states(P, N, tableau), (tableau.stages, P.size)
    weights = coefficients(tableau.A, tableau.b)
    a, unit = last_gradient(P, N, tableau), np.eye(D)
    for n in reversed(range(N)):
        k = np.array(slopes(P.f, ts[n], zs[n], h, tableau.A, tableau.c))
        Js = [P.J(ts[n] + tableau.c[i] * h, zs[n] + h * tableau.A[i] @ k).T for i in range(s)]
        system = np.zeros((s + 1, D, s + 1, D))
        system[:, :, 0] = unit
        system[0, :, 1:] = -h * np.stack([b * J for b, J in zip(tableau.b, Js, strict=True)], axis=1)
        for i in range(s):
            system[i + 1, :, 0] = -unit
            for j in range(s):
                system[i + 1, :, j + 1] = (i == j) * unit + h * weights[i, j] * Js[j]
        right = np.concatenate([a, np.zeros(s * D)])
        a = np.linalg.solve(system.reshape((s + 1) * D, (s + 1) * D), right)[:D]
    return a


def by_z0(P: Problem, tableau: Tableau) -> Array:
    """Return the gradient of the discrete loss by z0 (D,), by complex steps."""
    return loss_slope(P, FEW, tableau)[: P.size]


def nudged(P: Problem, n: int) -> Array:
    """Return what a small change of z0 has become at z_n (D,), by complex steps."""
    return discrete_tangent(P, FEW, 0, n, RK4) @ np.sin(1.0 + np.arange(P.size))


def rows(result: tuple[list[Array], Array]) -> list[Array]:
    """Return a_0 ... a_N."""
    return result[0]


def adjoint_of(result: tuple[Array, Array]) -> Array:
    """Return a."""
    return result[1]


def implicit_midpoint(P: Problem, t: float, z: Array, h: float) -> Array:
    """Solve ``w = z + h f(t + h/2, (z + w) / 2)`` by Newton's method; complex numbers pass."""
    w = z + h * P.f(t, z)
    for _ in range(NEWTON):
        middle = (z + w) / 2
        J = P.J(t + h / 2, middle.real)
        w = w - np.linalg.solve(np.eye(P.size) - h / 2 * J, w - z - h * P.f(t + h / 2, middle))
    return w


def implicit_slope(P: Problem) -> Array:
    """Return the gradient of the loss of the implicit midpoint rule by z0 (D,), by complex steps."""
    ts, h = times(P, FEW)

    def end(z: Array) -> Array:
        for t in ts[:-1]:
            z = implicit_midpoint(P, float(t), z, h)
        return z

    return gradient_at(P, end(P.z0)) @ P.by_steps(end, P.z0)


def implicit_back(P: Problem, layer: Callable[[Array, Array, float], Array]) -> Array:
    """Return a at t0 of ``a = layer(a, J, -h)``; z runs back by the same rule, J is that at its middle."""
    (ts, h), z = times(P, FEW), P.z0
    for t in ts[:-1]:
        z = implicit_midpoint(P, float(t), z, h)
    a = gradient_at(P, z)
    for t in ts[:0:-1]:
        earlier = implicit_midpoint(P, float(t), z, -h)
        a, z = layer(a, P.J(float(t) - h / 2, (z + earlier) / 2), -h), earlier
    return a


def eye(P: Problem) -> Array:
    """Return the identity (D, D)."""
    return np.eye(P.size)


# fmt: off
EQUATIONS = (
    Equation("l1", r"\bar a_{ij} = b_j - b_j a_{ji} / b_i: \text{ the partner's } a_0 = \frac{dL(z_N)}{dz_0}",
             "Hager, Numer. Math. 87 (2000) 247, the transformed adjoint system",
             lhs=lambda P, _: by_z0(P, RK4),
             rhs=lambda P, _: partner(P, FEW, RK4, lambda A, b: b - b * A.T / b[:, None])),
    Equation("l2", r"a_n\, \delta z_n = a_N\, \delta z_N",
             OPTIMAL_CONTROL + "the pairing is constant",
             lhs=lambda P, _: last_gradient(P, FEW, RK4) @ nudged(P, FEW),
             rhs=lambda P, _: rows(through_stages(
                 P, FEW, RK4, lambda h, a, b, column, later: h * (b * a + column @ later)))[4] @ nudged(P, 4)),
    Equation("l3a", r"\text{Euler backwards on } (z, a)' = (f, -a J): \; a - a_0 = O(1/N)",
             PAPER + "euler", order=1, ladder=COUNTS,
             lhs=lambda P, N: backprop(P, N, EULER)[0][0],
             rhs=lambda P, N: adjoint_of(run_back(P, N, EULER, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z))))),
    Equation("l3b", r"\text{the midpoint method backwards on } (z, a)' = (f, -a J): \; a - a_0 = O(1/N^2)",
             PAPER + "midpoint", order=2, ladder=COUNTS[:5],
             lhs=lambda P, N: backprop(P, N, MIDPOINT)[0][0],
             rhs=lambda P, N: adjoint_of(run_back(P, N, MIDPOINT, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z))))),
    Equation("l3c", r"\text{the Runge-Kutta method backwards on } (z, a)' = (f, -a J): \; a - a_0 = O(1/N^4)",
             PAPER + "rk4", order=4, ladder=COUNTS[:4],
             lhs=lambda P, N: backprop(P, N, RK4)[0][0],
             rhs=lambda P, N: adjoint_of(run_back(P, N, RK4, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z))))),
    Equation("l4", r"a_n (I - \tfrac h2 J) = a_{n+1} (I + \tfrac h2 J), \text{ J at the middle of the step: exact}",
             OPTIMAL_CONTROL + "the implicit midpoint rule is its own partner",
             lhs=lambda P, _: implicit_slope(P),
             rhs=lambda P, _: implicit_back(
                 P, lambda a, J, h: a @ (eye(P) - h / 2 * J) @ np.linalg.inv(eye(P) + h / 2 * J))),
)
# fmt: on
