"""(b) The adjoint ODE by limits: appendix B.1 of arXiv 1806.07366, taken in a middle time t of the path.

``T_eps(z) = z(t + eps)`` of the path through z at t; ``dT_eps = dz(t + eps)/dz(t)``.
"""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import Array, adjoint, along, carried, end_gradient, ends, middle, state, tangent

PAPER = "arXiv 1806.07366, appendix B.1, eq. "
EPS = 0.3  # a step that is not small, for what holds at any


def eye(P: Problem) -> Array:
    """Return the identity (D, D)."""
    return np.eye(P.size)


def J(P: Problem) -> Array:
    """Return the Jacobian in the middle, by the tape."""
    return P.J(middle(P), state(P, middle(P)))


def a(P: Problem, shift: float = 0.0) -> Array:
    """Return the adjoint in the middle, or a little later, by definition."""
    return adjoint(P, middle(P) + shift)


def dT(P: Problem, eps: float) -> Array:
    """Return the derivative of T_eps."""
    return tangent(P, middle(P), middle(P) + eps)


def end_loss_slope(P: Problem) -> Array:
    """Return the derivative of ``L(z(t1))`` by z(t), by differences of losses: no derivative code takes part."""
    t, (_, t1) = middle(P), ends(P)
    end, z, h = P.at_end, state(P, middle(P)), 1e-3

    def loss(z: Array) -> float:
        return end.loss(np.broadcast_to(end.flow(t, t1, z), end.targets.shape))

    near = [loss(z + h * e) - loss(z - h * e) for e in eye(P)]
    far = [loss(z + 2 * h * e) - loss(z - 2 * h * e) for e in eye(P)]
    return (8 * np.array(near) - np.array(far)) / (12 * h)


# fmt: off
EQUATIONS = (
    Equation("b1", r"a(t) = \frac{\partial L(z(t_1))}{\partial z(t)}",
             PAPER + "(34)", tolerance=1e-8,  # differences
             lhs=lambda P, _: end_loss_slope(P),
             rhs=lambda P, _: a(P)),
    Equation("b2", r"\frac{da}{dt} = -a \frac{\partial f}{\partial z}, \quad a(t_1) = g",
             PAPER + "(35)",
             lhs=lambda P, _: a(P),
             rhs=lambda P, _: carried(P, lambda t, z, a: -a @ P.J(t, z), end_gradient(P), ends(P)[1], middle(P))),
    Equation("b3", r"a(t) = a(t + \varepsilon) \frac{\partial T_\varepsilon}{\partial z}",
             PAPER + "(38)",
             lhs=lambda P, _: a(P),
             rhs=lambda P, _: a(P, EPS) @ dT(P, EPS)),
    Equation("b4", r"T_\varepsilon(z) = z + \int_t^{t + \varepsilon} f\, ds",
             PAPER + "(37)",
             lhs=lambda P, _: state(P, middle(P) + EPS),
             rhs=lambda P, _: state(P, middle(P)) + along(P, lambda t, z, a: P.f(t, z), middle(P), middle(P) + EPS)),
    Equation("b5", r"\frac{\partial T_\varepsilon}{\partial z} = I + \varepsilon J + O(\varepsilon^2)",
             PAPER + "(41)-(42)", order=2,
             lhs=lambda P, eps: dT(P, eps),
             rhs=lambda P, eps: eye(P) + eps * J(P)),
    Equation("b6", r"\frac{a(t + \varepsilon) - a(t)}{\varepsilon} = -a J + O(\varepsilon)",
             PAPER + "(39)", order=1,
             lhs=lambda P, eps: (a(P, eps) - a(P)) / eps,
             rhs=lambda P, eps: -a(P) @ J(P)),
    Equation("b7", r"\frac{a(t) - a(t - \varepsilon)}{\varepsilon} = -a J + O(\varepsilon)",
             PAPER + "(39), from the left", order=1,
             lhs=lambda P, eps: (a(P) - a(P, -eps)) / eps,
             rhs=lambda P, eps: -a(P) @ J(P)),
    Equation("b8", r"\frac{a(t + \varepsilon) - a(t - \varepsilon)}{2 \varepsilon} = -a J + O(\varepsilon^2)",
             PAPER + "(39), central", order=2,
             lhs=lambda P, eps: (a(P, eps) - a(P, -eps)) / (2 * eps),
             rhs=lambda P, eps: -a(P) @ J(P)),
    Equation("b9", r"a(t + \varepsilon) J = a(t) J + O(\varepsilon)",
             PAPER + "(44)", order=1,
             lhs=lambda P, eps: a(P, eps) @ J(P),
             rhs=lambda P, eps: a(P) @ J(P)),
    Equation("b10", r"a(t) = a(t_1) - \int_{t_1}^t a J\, ds",
             PAPER + "(46)",
             lhs=lambda P, _: a(P),
             rhs=lambda P, _: end_gradient(P) - along(P, lambda t, z, a: a @ P.J(t, z), ends(P)[1], middle(P))),
)
# fmt: on
