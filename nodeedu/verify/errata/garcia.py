"""Errata of notes by X. Garcia: the adjoint by a Lagrange multiplier, and the density of a flow."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..equations.c_lagrange import moving_start_gradient, z0_theta
from ..equations.paths import (
    Array,
    accumulated,
    adjoint,
    end_theta_gradient,
    ends,
    gradient_at,
    hessian_at,
    middle,
    state,
)
from ..problem import Problem, make_problem
from .erratum import Erratum, Values
from .working import adjoint_slope, back, backwards, steps, theta_gradient

SOURCE = "X. Garcia, Notes on Neural ODEs (2019)"
STANDARD = "M and V, loss at the last time"
CHEN = "R. T. Q. Chen et al., arXiv 1806.07366"
CAO = "Y. Cao, S. Li, L. Petzold & R. Serban, SIAM J. Sci. Comput. 24 (2003) 1076"
MATRIX = np.array([[2.0, -1.0, 0.5], [0.3, 1.5, 1.0], [-0.7, 0.2, 1.1]])
MATRIX_CASE = "a matrix with D = 3"


def l_z(P: Problem, t: float, z: Array) -> Array:
    """Return the derivative of the running loss ``l = grad L . f`` by z (D,)."""
    return P.f(t, z) @ hessian_at(P, z) + gradient_at(P, z) @ P.J_by_steps(t, z)


@lru_cache(maxsize=16)
def multiplied(P: Problem, running: bool) -> Array:
    """Return dL/dtheta with the multiplier that follows from l, or from L as printed; zero at the end."""

    def slope(t: float, z: Array, m: Array) -> Array:
        return (l_z(P, t, z) if running else gradient_at(P, z)) - m @ P.J_by_steps(t, z)

    return backwards(P, slope, np.zeros(P.size), lambda t, z, m: _integrand(P, t, z, m))


def started_at_zero(P: Problem) -> Array:
    """Return dL/dtheta with the multiplier that is zero at the start."""
    t0, t1 = ends(P)
    return accumulated(
        P, lambda t, z, m: l_z(P, t, z) - m @ P.J_by_steps(t, z), np.zeros(P.size),
        lambda t, z, m: _integrand(P, t, z, m), t0, t1,
    )  # fmt: skip


def _integrand(P: Problem, t: float, z: Array, m: Array) -> Array:
    return (gradient_at(P, z) - m) @ P.f_theta_by_steps(t, z)


def l_theta_by_steps(P: Problem) -> Array:
    """Return the derivative of ``l = grad L . f`` by theta (P,) in the middle of the path, by complex steps."""
    t, z, g = middle(P), state(P, middle(P)), gradient_at(P, state(P, middle(P)))
    slopes = np.zeros(len(P.p))
    for i in range(len(P.p)):
        moved = P.p.astype(complex)
        moved[i] += 1e-30j
        slopes[i] = (g @ P.f(t, z, moved)).imag / 1e-30
    return slopes


def here(P: Problem, weight: Array) -> Array:
    """Return ``weight f_theta`` in the middle of the path."""
    return weight @ P.f_theta_by_steps(middle(P), state(P, middle(P)))


def adjugate(A: Array) -> Array:
    """Return the transpose of the cofactors."""
    n = len(A)
    minor = [[np.linalg.det(np.delete(np.delete(A, i, 0), j, 1)) for j in range(n)] for i in range(n)]
    return (np.array(minor) * (-1.0) ** np.add.outer(range(n), range(n))).T


def modulus() -> Problem:
    """Return z' = |z|, which is Lipschitz and starts where it has no derivative."""
    return make_problem(lambda t, z: np.abs(z), [0.0], ts=(0.0, 0.5, 1.0), name="z' = |z|, z0 = 0")


def flow_quotients(P: Problem, h: float = 1e-3) -> Array:
    """Return the slopes of ``z0 -> z(1)`` at 0 from the right and from the left; it is linear on each side."""
    return np.array([P.flow(0.0, 1.0, np.array([s * h]))[0] / (s * h) for s in (1.0, -1.0)])


def tangent_ode(P: Problem) -> Array:
    """Return dz(t1)/dtheta (D, P) by ``S' = J S + f_theta``: derivatives of f, none of a solver."""
    D, (t0, t1) = P.size, ends(P)

    def rhs(t: float, y: Array) -> Array:
        z = y[:D]
        S_dot = P.J_by_steps(t, z) @ y[D:].reshape(D, -1) + P.f_theta_by_steps(t, z)
        return np.concatenate([P.f(t, z), S_dot.ravel()])

    return P.solve(rhs, t0, t1, np.concatenate([P.z0, np.zeros(D * len(P.p))]))[D:].reshape(D, -1)


def through_solver(P: Problem, N: int = 20) -> Array:
    """Return dz/dtheta (D, P) by differentiating the operations of Euler's method."""
    columns = []
    for i in range(len(P.p)):
        moved = P.p.astype(complex)
        moved[i] += 1e-30j
        columns.append(steps(P, "euler", N, moved)[-1].imag / 1e-30)
    return np.stack(columns, axis=-1)


def by_differences(P: Problem) -> Array:
    """Return dz(t1)/dtheta (D, P) by differences of end states: no derivative code takes part."""
    t0, t1 = ends(P)
    h, columns = 2e-3, []
    for e in np.eye(len(P.p)):
        near, far = (P.flow(t0, t1, P.z0, P.p + s * e) - P.flow(t0, t1, P.z0, P.p - s * e) for s in (h, 2 * h))
        columns.append((8 * near - far) / (12 * h))
    return np.stack(columns, axis=-1)


ADJOINTS = (
    Erratum(
        "garcia-transpose", SOURCE, "theorem 2.1, whose vectors are columns",
        r"$\dot a_t = -a_t^\dagger \frac{\partial f}{\partial z}$",
        r"$\dot a_t^\dagger = -a_t^\dagger \frac{\partial f}{\partial z}$, that is $\dot a = -J^\dagger a$",
        "A column on the left equals a row on the right; whoever mends it by $-J a$ is wrong unless J is symmetric.",
        CHEN + ", eq. (35)", STANDARD + "; printed as -J a",
        (Values("a(t0)", lambda P: back(P, lambda t, z, a: -P.J_by_steps(t, z) @ a),
                lambda P: back(P, adjoint_slope(P)), lambda P: adjoint(P, ends(P)[0])),),
    ),
    Erratum(
        "garcia-multiplier", SOURCE, "proof of theorem 2.1, after eq. (3)",
        r"$\dot\lambda^\dagger = \nabla_z L - \lambda^\dagger \frac{\partial f}{\partial z}$",
        r"$\dot\lambda^\dagger = \nabla_z l - \lambda^\dagger \frac{\partial f}{\partial z}$, "
        r"$\nabla_z l = f^\dagger \nabla^2 L + \nabla L^\dagger J$",
        "The integrand that must vanish holds the running loss l. With L the factor of "
        "$\\partial z / \\partial \\theta$ does not vanish, and what is left out is a good part of the gradient.",
        CAO, STANDARD,
        (Values("dL/dtheta", lambda P: multiplied(P, running=False), lambda P: multiplied(P, running=True),
                end_theta_gradient),),
    ),
    Erratum(
        "garcia-running-loss", SOURCE, "proof of theorem 2.1",
        r"$\nabla_\theta l = \nabla_z l^\dagger \frac{\partial f}{\partial \theta}$",
        r"$\nabla_\theta l = \nabla_z L^\dagger \frac{\partial f}{\partial \theta}$",
        "The running loss is $l = \\nabla L^\\dagger f$, in which theta enters through f alone. The letters l and L "
        "are swapped here and in the equation of the multiplier, in opposite directions.",
        "the definition of l in the same notes", "M and V in the middle of the path",
        (Values("dl/dtheta", lambda P: here(P, l_z(P, middle(P), state(P, middle(P)))),
                lambda P: here(P, gradient_at(P, state(P, middle(P)))), l_theta_by_steps),),
    ),
    Erratum(
        "garcia-terminal", SOURCE, "proof of theorem 2.1, before the last display",
        r"The last term vanishes “due to the initial conditions”, $\lambda_T = 0$",
        r"$\lambda_T = 0$ is a terminal condition; $\lambda$ is solved from T back to 0",
        "The formula is right and its name is not. With $\\lambda_0 = 0$ the boundary term at T stays, and the "
        "gradient without it is wrong.",
        CAO, STANDARD + "; printed with zero at t0",
        (Values("dL/dtheta", started_at_zero, lambda P: multiplied(P, running=True), end_theta_gradient),),
    ),
    Erratum(
        "garcia-boundary", SOURCE, "proof of theorem 2.1",
        r"“Since $z_0$ doesn't depend on $\theta$, the second term on the right vanishes”",
        r"$\frac{dL}{d\theta} = \int a f_\theta\, dt + a(t_0) \frac{\partial z_0}{\partial \theta}$",
        "True under its condition, which fails as soon as the initial state is learned or comes from an encoder that "
        "shares parameters.",
        CAO, STANDARD + r"; z0 linear in theta",
        (Values("dL/dtheta", theta_gradient, lambda P: theta_gradient(P) + adjoint(P, ends(P)[0]) @ z0_theta(P),
                moving_start_gradient),),
    ),
    Erratum(
        "garcia-solver", SOURCE, "section 2",
        r"$\frac{\partial z}{\partial \theta}$ would need “to differentiate with respect to operations within our "
        "ODE solver”",
        r"$S = \frac{\partial z}{\partial \theta}$ solves $\dot S = J S + f_\theta$, $S(t_0) = \partial_\theta z_0$",
        "The derivative of the path is the path of another ODE. To differentiate a solver's operations gives the "
        "derivative of its result, which differs by the error of the solver. What S costs is D P equations.",
        "T. H. Gronwall, Ann. of Math. 20 (1919) 292", "M and V; printed: 20 steps of Euler's method",
        (Values("dz(t1)/dtheta", through_solver, tangent_ode, by_differences),),
    ),
)  # fmt: skip

DENSITIES = (
    Erratum(
        "garcia-adjugate", SOURCE, "proof of theorem 3.1",
        r"“$\mathrm{adj}(A)$ is the adjoint matrix of A”",
        r"$\mathrm{adj}(A)$ is the adjugate, the transposed matrix of cofactors",
        "The adjoint of a real matrix is its transpose, and $A^\\dagger / \\det A$ is not the inverse. The next lines "
        "of the proof are right with the adjugate.",
        "R. A. Horn & C. R. Johnson, Matrix Analysis, 0.8.2", MATRIX_CASE,
        (Values("inverse of A", lambda _: MATRIX.T / np.linalg.det(MATRIX),
                lambda _: adjugate(MATRIX) / np.linalg.det(MATRIX), lambda _: np.linalg.inv(MATRIX), (MATRIX_CASE,)),),
    ),
    Erratum(
        "garcia-lipschitz", SOURCE, "theorem 3.1",
        r"“$f$ is Lipschitz in the first coordinate, and continuous in the second”",
        r"$f$ and $\frac{\partial f}{\partial z}$ are continuous",
        "A Lipschitz field has a flow, but the flow need not have a Jacobian. That of |z| stretches by e on the right "
        "of 0 and shrinks by e on the left, and there is no trace at 0.",
        "P. Hartman, Ordinary Differential Equations, V.3", "z' = |z| on 0 <= t <= 1; printed: one Jacobian",
        (Values("slopes of the flow at 0, right and left", lambda _: np.full(2, np.e),
                lambda _: np.exp([1.0, -1.0]), flow_quotients, (modulus,)),),
    ),
)  # fmt: skip

ERRATA = (*ADJOINTS, *DENSITIES)
RIGHT = ("$L = \\int l\\, dt + L(z_0)$", "eq. (3) for any multiplier", "$\\dot A = -A \\frac{d\\dot z}{dx} A$",
         "the last chain of traces")  # fmt: skip
