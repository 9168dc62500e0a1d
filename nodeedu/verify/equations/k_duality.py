"""(k) Duality: a tangent and the adjoint pair to a constant along the path; the gradient follows from that alone."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import (
    Array,
    along,
    carried,
    end_gradient,
    end_theta_gradient,
    ends,
    middle,
    parameter_tangent,
    tangent,
)

SOURCE = "Sengupta, Friston & Penny, NeuroImage 98 (2014); "


def back(P: Problem, t: float) -> Array:
    """Return a(t), the adjoint equation solved from t1 back to t."""
    return carried(P, lambda t, z, a: -a @ P.J(t, z), end_gradient(P), ends(P)[1], t)


def nudge(P: Problem) -> Array:
    """Return a small change of z0, as a direction (D,)."""
    return np.sin(1.0 + np.arange(P.size))


def moved(P: Problem, t: float) -> Array:
    """Return what the nudge has become at t, by the tangent of the flow."""
    return nudge(P) if t == ends(P)[0] else tangent(P, ends(P)[0], t) @ nudge(P)


def S(P: Problem, t: float) -> Array:
    """Return ``dz(t)/dtheta`` (D, P)."""
    return parameter_tangent(P, ends(P)[0], t)


# fmt: off
EQUATIONS = (
    Equation("k1", r"a(t)\, \delta z(t) = a(t_1)\, \delta z(t_1)",
             SOURCE + "the pairing is constant",
             lhs=lambda P, _: end_gradient(P) @ moved(P, ends(P)[1]),
             rhs=lambda P, _: back(P, middle(P)) @ moved(P, middle(P))),
    Equation("k2", r"a(t_1) S(t_1) = \int_{t_0}^{t_1} a f_\theta\, dt",
             SOURCE + "the gradient by the parameters",
             lhs=lambda P, _: end_theta_gradient(P),
             rhs=lambda P, _: along(P, lambda t, z, a: a @ P.f_theta(t, z), ends(P)[0], ends(P)[1])),
    Equation("k3", r"a(t) S(t) = \int_{t_0}^{t} a f_\theta\, ds",
             SOURCE + "the same up to any time",
             lhs=lambda P, _: back(P, middle(P)) @ S(P, middle(P)),
             rhs=lambda P, _: along(P, lambda t, z, a: a @ P.f_theta(t, z), ends(P)[0], middle(P))),
)
# fmt: on
