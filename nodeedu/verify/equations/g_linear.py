r"""(g) The adjoint trick of linear algebra, and backpropagation as its special case: one solve with A transposed.

To have u B, where A B = C, solve ``A' v = u'`` once, instead of A B = C for every column of C. The tangents of a chain
of layers solve such a system, whose matrix has I on its diagonal and ``-(I + h J_n)`` under it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..problem import Problem
from .discrete import EULER, FEW, discrete_tangent, last_gradient, loss_slope, states, times
from .equation import Equation
from .paths import Array, middle, state

GILES = "Giles & Pierce, Flow, Turbulence and Combustion 65 (2000) 393, "


def A(P: Problem) -> Array:
    """Return a matrix (D, D) that is not symmetric and can be inverted."""
    return 3.0 * np.eye(P.size) + np.random.default_rng(0).normal(size=(P.size, P.size)) / P.size


def C(P: Problem) -> Array:
    """Return the Jacobian in the middle beside a column of ones (D, D + 1)."""
    return np.column_stack([P.J(middle(P), state(P, middle(P))), np.ones(P.size)])


def u(P: Problem) -> Array:
    """Return a row (D,)."""
    return np.cos(1.0 + np.arange(P.size))


def eye(P: Problem) -> Array:
    """Return the identity (D, D)."""
    return np.eye(P.size)


def unrolled(P: Problem, under: Callable[[Array, float], Array]) -> Array:
    """Return the matrix (N D, N D) with I on its diagonal and ``under(J_n, h)``, n = 1 ... N - 1, under it."""
    (ts, h), zs, D = times(P, FEW), states(P, FEW), P.size
    matrix = np.eye(FEW * D)
    for n in range(1, FEW):
        matrix[n * D : (n + 1) * D, (n - 1) * D : n * D] = under(P.J(float(ts[n]), zs[n]), h)
    return matrix


def stacked(P: Problem, layer: Callable[[float, Array, float], Array]) -> Array:
    """Return ``layer(t_n, z_n, h)`` (D, P) of all layers, one under the other (N D, P)."""
    (ts, h), zs = times(P, FEW), states(P, FEW)
    return np.concatenate([layer(float(t), z, h) for t, z in zip(ts[:-1], zs[:-1], strict=True)])


def at_end(P: Problem) -> Array:
    """Return the row (N D,) that reads the loss off the last state: 0 ... 0, a_N."""
    return np.concatenate([np.zeros((FEW - 1) * P.size), last_gradient(P, FEW)])


def adjoints(P: Problem) -> Array:
    """Return a_1 ... a_N (N D,), by complex steps through the rest of the chain."""
    return np.concatenate([last_gradient(P, FEW) @ discrete_tangent(P, FEW, n, FEW, EULER) for n in range(1, FEW + 1)])


def by_theta(P: Problem) -> Array:
    """Return the gradient of the discrete loss by theta (P,), by complex steps."""
    return loss_slope(P, FEW)[P.size :]


# fmt: off
EQUATIONS = (
    Equation("g1", r"A B = C, \; A^T v = u^T: \; u B = v^T C",
             GILES + "the adjoint in linear algebra",
             lhs=lambda P, _: u(P) @ np.linalg.inv(A(P)) @ C(P),
             rhs=lambda P, _: np.linalg.solve(A(P).T, u(P)) @ C(P)),
    Equation("g2", r"A = I - \mathrm{lower}(I + h J_n), \; A^T v = (0, \dots, 0, a_N)^T: \; v = (a_1, \dots, a_N)",
             GILES + "for a chain of layers: this is backpropagation",
             lhs=lambda P, _: adjoints(P),
             rhs=lambda P, _: np.linalg.solve(unrolled(P, lambda J, h: -eye(P) - h * J).T, at_end(P))),
    Equation("g3", r"\frac{dL}{d\theta} = v^T C, \; C_n = h f_\theta(t_n, z_n)",
             GILES + "for the parameters of the layers",
             lhs=lambda P, _: by_theta(P),
             rhs=lambda P, _: np.linalg.solve(unrolled(P, lambda J, h: -eye(P) - h * J).T, at_end(P))
                              @ stacked(P, lambda t, z, h: h * P.f_theta(t, z))),
)
# fmt: on
