r"""(c) The adjoint ODE by a Lagrange multiplier, for the loss written as an integral of the running loss l.

    L(z(t1)) = L(z0) + \int l dt,   l = dL/dz f,        dl/dz = f' d^2L/dz^2 + dL/dz J,   dl/dtheta = dL/dz f_theta

The multiplier m (a row) of the constraint ``f - z' = 0`` may be any function of time until c4 chooses it.
"""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import (
    Array,
    accumulated,
    adjoint,
    along,
    carried,
    end_theta_gradient,
    ends,
    gradient_at,
    hessian_at,
    loss_at,
    middle,
    parameter_tangent,
    state,
    tangent,
    with_tangent,
)

NOTES = "notes on the adjoint method by Lagrange multipliers, "


def running(P: Problem, t: float, z: Array) -> Array:
    """Return the running loss."""
    return gradient_at(P, z) @ P.f(t, z)


def l_z(P: Problem, t: float, z: Array) -> Array:
    """Return the derivative of the running loss by z (D,)."""
    return P.f(t, z) @ hessian_at(P, z) + gradient_at(P, z) @ P.J(t, z)


def m(P: Problem, t: float) -> Array:
    """Return a multiplier that nobody has chosen well."""
    return np.cos(np.arange(1, P.size + 1) + 1.3 * t)


def m_dot(P: Problem, t: float) -> Array:
    """Return its derivative by time."""
    return -1.3 * np.sin(np.arange(1, P.size + 1) + 1.3 * t)


def S(P: Problem, t: float) -> Array:
    """Return ``dz(t)/dtheta`` (D, P)."""
    return parameter_tangent(P, ends(P)[0], t)


def m_S_dot(P: Problem) -> Array:
    """Return the integral of ``m S'``, with ``S' = J S + f_theta`` put in."""

    def integrand(t: float, z: Array, S: Array) -> Array:
        return m(P, t) @ (P.J_by_steps(t, z) @ S + P.f_theta_by_steps(t, z))

    return with_tangent(P, integrand, *ends(P))


def chosen(P: Problem, t: float) -> Array:
    """Return the multiplier of c4 at t: ``m' = dl/dz - m J``, zero at the end."""
    return carried(P, lambda t, z, m: l_z(P, t, z) - m @ P.J(t, z), np.zeros(P.size), ends(P)[1], t)


def z0_theta(P: Problem) -> Array:
    """Return ``dz0/dtheta`` (D, P) of ``z0(theta) = z0 + B (theta - theta_0)`` with some matrix B."""
    return np.cos(np.arange(P.size * len(P.p))).reshape(P.size, -1)


def moving_start_gradient(P: Problem) -> Array:
    """Return dL/dtheta where z0 moves with theta, through the tangent of the flow."""
    t0, t1 = ends(P)
    return end_theta_gradient(P) + gradient_at(P, state(P, t1)) @ tangent(P, t0, t1) @ z0_theta(P)


# fmt: off
EQUATIONS = (
    Equation("c1", r"L(z(t_1)) = L(z_0) + \int_{t_0}^{t_1} l\, dt, \quad l = \frac{\partial L}{\partial z} f",
             NOTES + "eq. (1)",
             lhs=lambda P, _: loss_at(P, state(P, ends(P)[1])),
             rhs=lambda P, _: (loss_at(P, state(P, ends(P)[0]))
                               + along(P, lambda t, z, a: running(P, t, z), ends(P)[0], ends(P)[1]))),
    Equation("c2", r"\int m S'\, dt = m S \big|_{t_0}^{t_1} - \int m' S\, dt",
             NOTES + "integration by parts",
             lhs=lambda P, _: m_S_dot(P),
             rhs=lambda P, _: (m(P, ends(P)[1]) @ S(P, ends(P)[1])
                               - with_tangent(P, lambda t, z, S: m_dot(P, t) @ S, ends(P)[0], ends(P)[1]))),
    Equation("c3", r"\frac{dL}{d\theta} = \int (l_z - m J - m') S + (L_z - m) f_\theta\, dt + m S \big|^{t_1}",
             NOTES + "eq. (3), for any multiplier",
             lhs=lambda P, _: end_theta_gradient(P),
             rhs=lambda P, _: m(P, ends(P)[1]) @ S(P, ends(P)[1]) + with_tangent(
                 P, lambda t, z, S: ((l_z(P, t, z) - m(P, t) @ P.J(t, z) - m_dot(P, t)) @ S
                                     + (gradient_at(P, z) - m(P, t)) @ P.f_theta(t, z)),
                 ends(P)[0], ends(P)[1])),
    Equation("c4", r"m' = l_z - m J, \; m(t_1) = 0 \;\Rightarrow\; \frac{dL}{d\theta} = \int (L_z - m) f_\theta\, dt",
             NOTES + "eq. (4), with the running loss",
             lhs=lambda P, _: end_theta_gradient(P),
             rhs=lambda P, _: -accumulated(
                 P, lambda t, z, m: l_z(P, t, z) - m @ P.J(t, z), np.zeros(P.size),
                 lambda t, z, m: (gradient_at(P, z) - m) @ P.f_theta(t, z), ends(P)[1], ends(P)[0])),
    Equation("c5", r"L_z - m = a",
             NOTES + "the multiplier and the adjoint",
             lhs=lambda P, _: adjoint(P, middle(P)),
             rhs=lambda P, _: gradient_at(P, state(P, middle(P))) - chosen(P, middle(P))),
    Equation("c6", r"\frac{dL}{d\theta} = \int a f_\theta\, dt + a(t_0) \frac{\partial z_0}{\partial \theta}",
             NOTES + "the boundary term at t0",
             lhs=lambda P, _: moving_start_gradient(P),
             rhs=lambda P, _: (along(P, lambda t, z, a: a @ P.f_theta(t, z), ends(P)[0], ends(P)[1])
                               + adjoint(P, ends(P)[0]) @ z0_theta(P))),
)
# fmt: on
