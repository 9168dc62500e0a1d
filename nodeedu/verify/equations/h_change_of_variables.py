r"""(h) The change of variables: what a flow does to volumes, and so to the logarithm of a density.

``Phi(t) = dz(t)/dz(t0)``, ``A = Phi^-1``; ``T_eps`` as in (b). The density at t0 is the standard normal one; x is the
end of the path. "By definition" ``log p(x, t) = log p_0(z(t0)) + log |det dz(t0)/dx|``, with the flow run back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...autodiff.check import central_difference
from ..problem import Problem
from .equation import COUNTS, Equation
from .hypotheses import SMOOTH
from .paths import Array, accumulated, ends, integrated, middle, state, tangent

PAPER = "arXiv 1806.07366, appendix A, eq. "
NOTES = "notes on continuous normalizing flows, proof of theorem 3.1, "
TWICE = "f is twice continuously differentiable in z and theta"
REVERSIBLE = "the path can be run back: the tolerance of the solver, times |Phi^-1|, stays small"


def slope(function: Callable[[Array], Any], x: Array, direction: Array) -> Array:
    """Return the derivative of a function along a direction, by differences."""
    return central_difference(function, x, direction, step=0.01, levels=5).value  # errs by a few 1e-12


def log_det(matrix: Array) -> float:
    """Return ``log |det|``."""
    return float(np.linalg.slogdet(matrix)[1])


def log_normal(z: Array) -> float:
    """Return the logarithm of the standard normal density."""
    return float(-0.5 * z @ z - 0.5 * len(z) * math.log(2.0 * math.pi))


def log_density(P: Problem, t: float, x: Array) -> float:
    """Return ``log p(x, t)``, by definition: the flow back with its derivative, on complex steps."""
    D = P.size

    def rhs(t: float, y: Array) -> Array:
        return np.concatenate([P.f(t, y[:D]), np.ravel(P.J_by_steps(t, y[:D]) @ y[D:].reshape(D, D))])

    y = P.solve(rhs, t, ends(P)[0], np.concatenate([x, np.eye(D).ravel()]))
    return log_normal(y[:D]) + log_det(y[D:].reshape(D, D))


def log_density_by_differences(P: Problem) -> float:
    """Return ``log p(x, t1)``, the Jacobian of the backward flow by differences: no derivative code takes part."""
    t0, t1 = ends(P)
    x = state(P, t1)
    columns = [slope(lambda x: P.flow(t1, t0, x), x, e) for e in np.eye(P.size)]
    return log_normal(P.flow(t1, t0, x)) + log_det(np.array(columns))


def direction(P: Problem) -> Array:
    """Return a change of the parameters (P,) in no special direction."""
    return np.sin(1.0 + np.arange(len(P.p)))


def log_density_slope(P: Problem) -> float:
    """Return the derivative of ``log p(x, t1)`` along a change of the parameters, x held fixed, by differences."""
    t1 = ends(P)[1]

    def at(p: Array) -> float:
        return log_density(replace(P, theta=P.unflat(p)), t1, state(P, t1))

    return float(slope(at, P.p, direction(P)))


def Phi(P: Problem, shift: float = 0.0) -> Array:
    """Return the derivative of the flow from t0 to the middle, or a little later."""
    here = tangent(P, ends(P)[0], middle(P))
    return dT(P, shift) @ here if shift else here


def log_det_Phi(P: Problem, shift: float) -> float:
    """Return ``log |det Phi|`` a little later: of each factor, as their product may be ill-conditioned."""
    return log_det(dT(P, shift)) + log_det(Phi(P))


def A(P: Problem, shift: float = 0.0) -> Array:
    """Return its inverse."""
    return np.linalg.inv(Phi(P, shift))


def A_dot(P: Problem) -> Array:
    """Return the derivative of A by time, by differences."""
    unit = min(1.0, abs(ends(P)[1] - ends(P)[0]))  # a steep path is short
    return slope(lambda shift: A(P, unit * float(shift[0])), np.zeros(1), np.ones(1)) / unit


def minor(matrix: Array, i: int, j: int) -> float:
    """Return the determinant of what is left without row i and column j."""
    return float(np.linalg.det(np.delete(np.delete(matrix, i, 0), j, 1)))


def J(P: Problem) -> Array:
    """Return the Jacobian in the middle, by the tape."""
    return P.J(middle(P), state(P, middle(P)))


def J_by_steps(P: Problem, shift: float = 0.0) -> Array:
    """Return the Jacobian in the middle, or a little later on the path, by complex steps."""
    t = middle(P) + shift
    return P.J_by_steps(t, state(P, t))


def dT(P: Problem, eps: float) -> Array:
    """Return the derivative of T_eps."""
    return tangent(P, middle(P), middle(P) + eps)


def det_slope(P: Problem, eps: float) -> float:
    """Return ``d|det dT_eps|/d eps``: a complex step through the determinant, along ``(dT_eps)' = J dT_eps``."""
    moved = np.linalg.det(dT(P, eps) + 1e-30j * J_by_steps(P, eps) @ dT(P, eps))
    return float(np.sign(moved.real) * moved.imag / 1e-30)


def step(P: Problem, N: float) -> float:
    """Return the step of N equal ones from t0 to t1."""
    return (ends(P)[1] - ends(P)[0]) / N


def layers(P: Problem, N: float) -> Iterator[tuple[float, Array]]:
    """Yield time and state before every step of Euler's method, the layers of a residual network."""
    z = P.z0
    for n in range(round(N)):
        t = ends(P)[0] + n * step(P, N)
        yield t, z
        z = z + step(P, N) * P.f(t, z)


# fmt: off
EQUATIONS = (
    Equation("h1", r"\log |\det \Phi(t_1)| = \int_{t_0}^{t_1} \mathrm{tr}\, J\, dt",
             "J. Liouville, J. Math. Pures Appl. 3 (1838)", scale=lambda P: 1.0,
             lhs=lambda P, _: log_det(tangent(P, ends(P)[0], ends(P)[1])),
             rhs=lambda P, _: integrated(P, lambda t, z: P.divergence(t, z), ends(P)[0], ends(P)[1])),
    Equation("h2", r"\frac{\log |\det \Phi(t + h)| - \log |\det \Phi(t - h)|}{2 h} = \mathrm{tr}\, J + O(h^2)",
             NOTES + "Jacobi's formula", order=2, scale=J,
             lhs=lambda P, h: (log_det_Phi(P, h) - log_det_Phi(P, -h)) / (2 * h),
             rhs=lambda P, h: P.divergence(middle(P), state(P, middle(P)))),
    Equation("h3", r"\frac{A(t + h) - A(t - h)}{2 h} = -A (J \Phi) A + O(h^2)",
             NOTES + "observation 2", order=2,
             lhs=lambda P, h: (A(P, h) - A(P, -h)) / (2 * h),
             rhs=lambda P, h: -A(P) @ (J(P) @ Phi(P)) @ A(P)),
    Equation("h4", r"A^{-1} = \frac{\mathrm{adj}\, A}{\det A}, \; (\mathrm{adj}\, A)_{ij} = (-1)^{i + j} M_{ji},"
                   r" \; \det A = \sum_j (-1)^j A_{0j} M_{0j}",
             NOTES + "observation 1",
             lhs=lambda P, _: Phi(P),
             rhs=lambda P, _: (np.array([[(-1) ** (i + j) * minor(A(P), j, i) for j in range(P.size)]
                                         for i in range(P.size)])
                               / sum((-1) ** j * A(P)[0, j] * minor(A(P), 0, j) for j in range(P.size)))),
    Equation("h5", r"\mathrm{tr}(A^{-1} \dot A) = -\mathrm{tr}\, J",
             NOTES + "last line", tolerance=1e-8, scale=J,  # differences
             lhs=lambda P, _: np.trace(Phi(P) @ A_dot(P)),
             rhs=lambda P, _: -P.divergence(middle(P), state(P, middle(P)))),
    Equation("h6", r"\frac{1}{\varepsilon} \log |\det \partial T_\varepsilon| = \mathrm{tr}\, J + O(\varepsilon)",
             PAPER + "(16)", order=1, scale=J,
             lhs=lambda P, eps: log_det(dT(P, eps)) / eps,
             rhs=lambda P, eps: P.divergence(middle(P), state(P, middle(P)))),
    Equation("h7", r"\frac{\partial}{\partial \varepsilon} |\det \partial T_\varepsilon|"
                   r" = \mathrm{tr}\, J + O(\varepsilon)",
             PAPER + "(20)", order=1, scale=J,
             lhs=lambda P, eps: det_slope(P, eps),
             rhs=lambda P, eps: P.divergence(middle(P), state(P, middle(P)))),
    Equation("h8", r"\det(I + \varepsilon J) = 1 + \varepsilon\, \mathrm{tr}\, J + O(\varepsilon^2)",
             PAPER + "(25)-(27), at first order", order=2,
             lhs=lambda P, eps: np.linalg.det(np.eye(P.size) + eps * J_by_steps(P)),
             rhs=lambda P, eps: 1 + eps * P.divergence(middle(P), state(P, middle(P)))),
    Equation("h9", r"\det(I + \varepsilon J) = e^{\varepsilon\, \mathrm{tr} J"
                   r" - \frac{\varepsilon^2}{2} \mathrm{tr} J^2} + O(\varepsilon^3)",
             PAPER + "(25)-(27), at second order", order=3,
             lhs=lambda P, eps: np.linalg.det(np.eye(P.size) + eps * J_by_steps(P)),
             rhs=lambda P, eps: np.exp(eps * P.divergence(middle(P), state(P, middle(P)))
                                       - eps**2 / 2 * np.trace(J(P) @ J(P)))),
    Equation("h10", r"\log p(x, t_1) = \log p_0(z(t_0)) - \int_{t_0}^{t_1} \mathrm{tr}\, J\, dt, \quad z(t_1) = x",
             "arXiv 1806.07366, eq. (8)", tolerance=1e-8,  # differences
             scale=lambda P: 1.0, hypotheses=(SMOOTH, REVERSIBLE),
             lhs=lambda P, _: log_density_by_differences(P),
             rhs=lambda P, _: (log_normal(state(P, ends(P)[0]))
                               - integrated(P, lambda t, z: P.divergence(t, z), ends(P)[0], ends(P)[1]))),
    Equation("h12", r"\log |\det \Phi(t_1)| = \sum_{n < N} \log |\det(I + h J_n)| + O(1/N)",
             "arXiv 1505.05770, eq. (7), on the layers of a residual network", order=1, ladder=COUNTS,
             scale=lambda P: 1.0,
             lhs=lambda P, N: log_det(tangent(P, ends(P)[0], ends(P)[1])),
             rhs=lambda P, N: np.sum([log_det(np.eye(P.size) + step(P, N) * P.J(t, z)) for t, z in layers(P, N)])),
    Equation("h13", r"\frac{\partial \log p(x, t_1)}{\partial \theta} = -\int s f_\theta"
                    r" + \partial_\theta \mathrm{tr} J\, dt, \; s' = -s J - \nabla \mathrm{tr} J, \; s(t_0) = -z_0",
             "arXiv 1810.01367, eq. (4), by the parameters", tolerance=1e-8,  # differences
             hypotheses=(SMOOTH, TWICE, REVERSIBLE),
             lhs=lambda P, _: log_density_slope(P),
             rhs=lambda P, _: -accumulated(
                 P, lambda t, z, s: -s @ P.J(t, z) - P.divergence_gradients(t, z)[0], -state(P, ends(P)[0]),
                 lambda t, z, s: P.vjp(t, z, s)[2] + P.divergence_gradients(t, z)[1],
                 ends(P)[0], ends(P)[1]) @ direction(P)),
)
# fmt: on
