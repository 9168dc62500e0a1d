r"""(e) Algorithms 1 and 2 of arXiv 1806.07366: state, adjoint and gradient in one solve that runs backwards.

With several observations the adjoint jumps by g_i, the gradient of the i-th loss by z(t_i), at each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import Array, adjoint, end_gradient, end_theta_gradient, ends, middle, observed_back, state, tangent

PAPER = "arXiv 1806.07366, "


def augmented_jacobian(P: Problem) -> Array:
    """Return the Jacobian of ``(z, theta, t)' = (f, 0, 1)`` in the middle (D + P + 1, ...), by steps."""
    D = P.size

    def augmented(x: Array) -> Array:
        return np.concatenate([P.f(x[-1], x[:D], x[D:-1]), 0.0 * x[D:-1], x[-1:] ** 0])

    return P.by_steps(augmented, np.concatenate([state(P, middle(P)), P.p, [middle(P)]]))


def column(x: Array) -> Array:
    """Return a vector as a matrix of one column."""
    return x[:, None]


def no_change(P: Problem) -> Array:
    """Return the rows of theta and of t, which do not depend on anything (P + 1, D + P + 1)."""
    n = len(P.p) + 1
    return np.zeros((n, P.size + n))


def nothing(P: Problem) -> Array:
    """Return a gradient by theta of zero (P,)."""
    return np.zeros(len(P.p))


def none() -> Array:
    """Return nothing that is integrated along (0,)."""
    return np.zeros(0)


def together(P: Problem, slope: Callable[..., tuple[Array, ...]], *starts: Array) -> tuple[Array, ...]:
    """Solve ``(x, y, ...)' = slope(t, x, y, ...)`` from t1 back to t0; return the arrays there."""
    cuts = np.cumsum([len(start) for start in starts])[:-1]

    def rhs(t: float, y: Array) -> Array:
        return np.concatenate(slope(t, *np.split(y, cuts)))

    return tuple(np.split(P.solve(rhs, *ends(P)[::-1], np.concatenate(starts)), cuts))


def g(P: Problem, i: int) -> Array:
    """Return the gradient of the i-th observation by z(t_i)."""
    return P.loss_gradients(np.array([state(P, t) for t in map(float, P.ts)]))[i]


def all_observed(P: Problem) -> range:
    """Return the indices of the observations."""
    return range(len(P.ts))


@lru_cache(maxsize=64)
def with_jumps(P: Problem) -> Array:
    """Return dL/dz0 by the adjoint that jumps: e5, which is checked there."""

    def slope(t: float, z: Array, a: Array) -> tuple[Array, Array, Array]:
        return P.f(t, z), -P.vjp(t, z, a)[1], np.zeros(0)

    return g(P, 0) + observed_back(P, slope, lambda t, z, a, q, g: (a + g, q))[0]


# fmt: off
EQUATIONS = (
    Equation("e1", r"\frac{\partial (f, 0, 1)}{\partial (z, \theta, t)}"
                   r" = \begin{pmatrix} J & f_\theta & f_t \\ 0 & 0 & 0 \end{pmatrix}",
             PAPER + "eq. (49)",
             lhs=lambda P, _: augmented_jacobian(P),
             rhs=lambda P, _: np.block([[P.J(middle(P), state(P, middle(P))), P.f_theta(middle(P), state(P, middle(P))),
                                         column(P.f_t(middle(P), state(P, middle(P))))], [no_change(P)]])),
    Equation("e2", r"z' = f \text{ from } z(t_1) \text{ back to } t_0: \; z(t_0) = z_0",
             PAPER + "algorithm 1, z(t_0)",
             lhs=lambda P, _: P.z0,
             rhs=lambda P, _: P.solve(lambda t, z: P.f(t, z), ends(P)[1], ends(P)[0], state(P, ends(P)[1]))),
    Equation("e3", r"a' = -a J \text{ from } a(t_1) = g \text{ back, along with } z: \; a(t_0) = \frac{dL}{dz_0}",
             PAPER + "algorithm 1, dL/dz(t_0)",
             lhs=lambda P, _: adjoint(P, ends(P)[0]),
             rhs=lambda P, _: together(P, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z)),
                                       state(P, ends(P)[1]), end_gradient(P))[1]),
    Equation("e4", r"a_\theta' = -a f_\theta \text{ from } 0 \text{ back: } \; a_\theta(t_0) = \frac{dL}{d\theta}",
             PAPER + "algorithm 1, dL/dtheta",
             lhs=lambda P, _: end_theta_gradient(P),
             rhs=lambda P, _: together(P, lambda t, z, a, q: (P.f(t, z), -a @ P.J(t, z), -a @ P.f_theta(t, z)),
                                       state(P, ends(P)[1]), end_gradient(P), nothing(P))[2]),
    Equation("e5", r"a(t_i^-) = a(t_i^+) + g_i: \; \frac{dL}{dz_0} = a(t_0^+) + g_0",
             PAPER + "figure 2: several observations",
             lhs=lambda P, _: P.truth.z0,
             rhs=lambda P, _: g(P, 0) + observed_back(
                 P, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z), none()),
                 lambda t, z, a, q, g: (a + g, q))[0]),
    Equation("e6", r"a(t_i^-) = a(t_i^+) + g_i: \; \frac{dL}{d\theta} = \int_{t_0}^{t_N} a f_\theta\, dt",
             PAPER + "figure 2: several observations",
             lhs=lambda P, _: P.truth.theta,
             rhs=lambda P, _: observed_back(
                 P, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z), -a @ P.f_theta(t, z)),
                 lambda t, z, a, q, g: (a + g, q))[1]),
    Equation("e7", r"\text{the adjoint that jumps} = \sum_i g_i \Phi(t_i, t_0)",
             PAPER + "figure 2: the sum of the adjoints of single observations",
             lhs=lambda P, _: with_jumps(P),
             rhs=lambda P, _: sum(g(P, i) @ tangent(P, ends(P)[0], float(P.ts[i])) for i in all_observed(P))),
)
# fmt: on
