r"""(d) Discretise, then optimise: backpropagation through a chain of steps is the gradient of the *discrete* loss.

It is exact for that loss, and approaches the gradient of the ODE with the order of the method. The adjoint equation,
discretised in its turn, gives something else at any finite step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..problem import Problem
from .discrete import (
    EULER,
    FEW,
    KUTTA3,
    MIDPOINT,
    RK4,
    backprop,
    last,
    last_gradient,
    loss_slope,
    pulled,
    states,
    summed,
    through_stages,
    times,
)
from .equation import COUNTS, Equation
from .paths import Array, adjoint, end_theta_gradient, ends, state

OPTIMAL_CONTROL = "Sanz-Serna, SIAM Review 58 (2016) 3, "
PAPER = "arXiv 1806.07366, "
STAGES = r"\bar k_i = h (b_i a_{n+1} + \sum_j a_{ji} \bar k_j J_j), \; a_n = a_{n+1} + \sum_i \bar k_i J_i = a(t_n) + "


def truth(P: Problem) -> Array:
    """Return the gradient of the ODE's loss by (z0, theta) (D + P,), by definition."""
    return np.concatenate([adjoint(P, ends(P)[0]), end_theta_gradient(P)])


def quarter(P: Problem) -> float:
    """Return the time of a layer that every number of layers has."""
    return ends(P)[0] + 0.25 * (ends(P)[1] - ends(P)[0])


def layer_gradient(P: Problem, N: int) -> Array:
    """Return the gradient of the discrete loss by the parameters of the layer at the quarter alone, divided by h."""
    (ts, h), n = times(P, N), N // 4
    here = states(P, N)[n]

    def end(p: Array) -> Array:
        z = here + h * P.f(ts[n], here, p)
        for t in ts[n + 1 : -1]:
            z = z + h * P.f(t, z)
        return z

    return last_gradient(P, N) @ P.by_steps(end, P.p) / h


def euler_back(P: Problem, N: int, layer: Callable[[float, Array, Array, float], tuple[Array, Array]]) -> Array:
    """Return a at t0 of Euler's steps of -h, ``z, a = layer(t, z, a, h)``, from the end of Euler's chain."""
    (ts, h), z, a = times(P, N), last(states(P, N)), last_gradient(P, N)
    for t in ts[:0:-1]:
        z, a = layer(float(t), z, a, h)
    return a


def start(rows: list[Array]) -> Array:
    """Return a_0."""
    return rows[0]


def gradient(rows: list[Array], by_theta: Array) -> Array:
    """Return the gradient by (z0, theta) (D + P,)."""
    return np.concatenate([rows[0], by_theta])


# fmt: off
EQUATIONS = (
    Equation("d1", r"a_n = a_{n+1} (I + h J(t_n, z_n)), \; \frac{dL}{d\theta} = \sum_n h a_{n+1} f_\theta(t_n, z_n)",
             OPTIMAL_CONTROL + "Euler: exact for the discrete loss",
             lhs=lambda P, _: loss_slope(P, FEW),
             rhs=lambda P, _: gradient(pulled(P, FEW, lambda t, z, a, h: a + h * a @ P.J(t, z)),
                                       summed(P, FEW, lambda t, z, a, h: h * a @ P.f_theta(t, z)))),
    Equation("d2", r"a_0 = a(t_0) + O(1/N)",
             OPTIMAL_CONTROL + "Euler", order=1, ladder=COUNTS,
             lhs=lambda P, N: adjoint(P, ends(P)[0]),
             rhs=lambda P, N: start(pulled(P, N, lambda t, z, a, h: a + h * a @ P.J(t, z)))),
    Equation("d3", r"\sum_n h a_{n+1} f_\theta(t_n, z_n) = \frac{dL}{d\theta} + O(1/N)",
             OPTIMAL_CONTROL + "Euler", order=1, ladder=COUNTS,
             lhs=lambda P, N: end_theta_gradient(P),
             rhs=lambda P, N: summed(P, N, lambda t, z, a, h: h * a @ P.f_theta(t, z))),
    Equation("d4a", STAGES + r"O(1/N^2)",
             OPTIMAL_CONTROL + "the midpoint method", order=2, ladder=COUNTS[:5],
             lhs=lambda P, N: truth(P),
             rhs=lambda P, N: gradient(*through_stages(
                 P, N, MIDPOINT, lambda h, a, b, column, later: h * (b * a + column @ later)))),
    Equation("d4b", STAGES + r"O(1/N^3)",
             OPTIMAL_CONTROL + "Kutta's method", order=3, ladder=COUNTS[:4],
             lhs=lambda P, N: truth(P),
             rhs=lambda P, N: gradient(*through_stages(
                 P, N, KUTTA3, lambda h, a, b, column, later: h * (b * a + column @ later)))),
    Equation("d4c", STAGES + r"O(1/N^4)",
             OPTIMAL_CONTROL + "the Runge-Kutta method", order=4, ladder=COUNTS[:4],
             lhs=lambda P, N: truth(P),
             rhs=lambda P, N: gradient(*through_stages(
                 P, N, RK4, lambda h, a, b, column, later: h * (b * a + column @ later)))),
    Equation("d5", r"a_0 - \tilde a(t_0) = O(1/N), \; \tilde a: \text{ Euler on } z' = f, a' = -a J, \text{ backwards}",
             PAPER + "section 2, against " + OPTIMAL_CONTROL + "Euler", order=1, ladder=COUNTS,
             lhs=lambda P, N: start(backprop(P, N, EULER)[0]),
             rhs=lambda P, N: euler_back(P, N, lambda t, z, a, h: (z - h * P.f(t, z), a + h * a @ P.J(t, z)))),
    Equation("d6", r"\frac1h \frac{dL}{d\theta_n} = a(t_n) f_\theta(t_n, z(t_n)) + O(1/N)",
             PAPER + "appendix B.2: a parameter of one layer", order=1, ladder=COUNTS,
             lhs=lambda P, N: layer_gradient(P, N),
             rhs=lambda P, N: adjoint(P, quarter(P)) @ P.f_theta(quarter(P), state(P, quarter(P)))),
)
# fmt: on
