r"""(n) Fields whose densities have a closed form: planar flows, and couplings that keep the volume.

Planar: ``f(z) = u tanh(w z + b)`` on [0, 1]; then ``y = w z + b`` solves ``y' = (u w) tanh y``, so that ``sinh y``
grows by the factor ``e^{u w}``. Coupling: ``q' = B tanh p, p' = C sin q``. Of the problem only D is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from ..problem import Problem, make_problem
from .equation import COUNTS, Equation
from .h_change_of_variables import log_det
from .paths import Array

FLOWS = "arXiv 1505.05770, "
PAPER = "arXiv 1806.07366, "
STEP = 0.7  # of the coupling; not small


@lru_cache(maxsize=64)
def planar(D: int) -> Problem:
    """Return the planar field with some parameters; ``u w = 0.9``, so that it stretches whatever D is."""
    rng = np.random.default_rng(D)
    u, w, z0 = rng.normal(size=(3, D)) / np.sqrt(D)
    u += (0.9 - u @ w) / (w @ w) * w
    return make_problem(
        lambda t, z, theta: theta[0] * np.tanh(theta[1] @ z + theta[2]), z0, (u, w, np.array(0.3)), (0.0, 0.5, 1.0)
    )


def u(P: Problem) -> Array:
    """Return u (D,)."""
    return planar(P.size).theta[0]


def w(P: Problem) -> Array:
    """Return w (D,)."""
    return planar(P.size).theta[1]


def z0(P: Problem) -> Array:
    """Return z(0) (D,)."""
    return planar(P.size).z0


def b(P: Problem) -> float:
    """Return b."""
    return float(planar(P.size).theta[2])


def y0(P: Problem) -> float:
    """Return ``y(0) = w z(0) + b``."""
    return float(w(P) @ z0(P)) + b(P)


@lru_cache(maxsize=64)
def end(D: int) -> Array:
    """Return z(1) by the solver (D,)."""
    return planar(D).flow(0.0, 1.0, planar(D).z0)


@lru_cache(maxsize=64)
def log_density_change(D: int) -> float:
    """Return ``log p(z(1), 1) - log p(z(0), 0)``, by the determinant of the flow's derivative."""
    return -log_det(planar(D).flow_jacobian(0.0, 1.0, planar(D).z0))


def by_steps(function: Callable[[Array], Array], x: Array) -> Array:
    """Return the Jacobian of a map at x by complex steps."""
    return np.stack([function(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))], axis=1)


def planar_layer(P: Problem, h: float) -> Array:
    """Return the Jacobian of ``z -> z + h f(z)`` at z(0), by complex steps."""
    return by_steps(lambda z: z + h * planar(P.size).f(0.0, z), z0(P))


def coupling(D: int) -> tuple[Array, Array, Array, Array]:
    """Return B, C (D, D) and a state q, p (D,)."""
    rng = np.random.default_rng(D)
    B, C = rng.normal(size=(2, D, D)) / np.sqrt(D)
    return B, C, *rng.normal(size=(2, D))


def coupled(D: int, h: float) -> Array:
    """Return the Jacobian (2 D, 2 D) of q first, then p by the new q, through complex steps."""
    B, C, q, p = coupling(D)

    def layer(x: Array) -> Array:
        moved = x[:D] + h * B @ np.tanh(x[D:])
        return np.concatenate([moved, x[D:] + h * C @ np.sin(moved)])

    return by_steps(layer, np.concatenate([q, p]))


def coupled_euler(D: int, h: float) -> Array:
    """Return the Jacobian (2 D, 2 D) of a step of Euler's method, both by the old state, through complex steps."""
    B, C, q, p = coupling(D)

    def layer(x: Array) -> Array:
        return np.concatenate([x[:D] + h * B @ np.tanh(x[D:]), x[D:] + h * C @ np.sin(x[:D])])

    return by_steps(layer, np.concatenate([q, p]))


def F(P: Problem) -> Array:
    """Return ``dq'/dp`` (D, D)."""
    B, _, _, p = coupling(P.size)
    return B / np.cosh(p) ** 2


def G(P: Problem, h: float = 0.0) -> Array:
    """Return ``dp'/dq`` (D, D), at q or at the q of the coupling's step h."""
    B, C, q, p = coupling(P.size)
    return C * np.cos(q + h * B @ np.tanh(p))


def flat(found: tuple[Any, ...]) -> Array:
    """Return state and change of the log-density in one vector."""
    return np.hstack(found)


# fmt: off
EQUATIONS = (
    Equation("n1", r"\log |\det(I + h\, u\, s'(y_0) w^T)| = \log |1 + h\, s'(y_0)\, u \cdot w|, \quad s = \tanh",
             FLOWS + "eq. (12)", hypotheses=(),
             lhs=lambda P, h: log_det(planar_layer(P, h)),
             rhs=lambda P, h: np.log(np.abs(1 + h * (1 - np.tanh(y0(P)) ** 2) * (u(P) @ w(P))))),
    Equation("n2", r"z(1) = z_0 + u \frac{y - y_0}{u \cdot w}, \quad y = \mathrm{asinh}(e^{u \cdot w} \sinh y_0)",
             PAPER + "eq. (9), solved", hypotheses=(),
             lhs=lambda P, _: end(P.size),
             rhs=lambda P, _: z0(P) + (
                 u(P) * (np.arcsinh(np.exp(u(P) @ w(P)) * np.sinh(y0(P))) - y0(P)) / (u(P) @ w(P)))),
    Equation("n3", r"\log \frac{p(z(1))}{p(z_0)} = -u \cdot w - \log \frac{\cosh y_0}{\cosh y}",
             PAPER + "eq. (28), integrated", hypotheses=(),
             lhs=lambda P, _: log_density_change(P.size),
             rhs=lambda P, _: -(u(P) @ w(P)) - (
                 np.log(np.cosh(y0(P)) / np.cosh(np.arcsinh(np.exp(u(P) @ w(P)) * np.sinh(y0(P))))))),
    Equation("n4", r"z_{n + 1} = z_n + \frac{u}{N} \tanh(w z_n + b), \; \log p_{n + 1} = \log p_n"
                   r" - \log |1 + \frac{1}{N} s' u \cdot w| \;\to\; z(1), \log p(z(1))",
             PAPER + "eq. (7) and (9)", order=1, ladder=COUNTS, hypotheses=(),
             lhs=lambda P, N: flat((end(P.size), log_density_change(P.size))),
             rhs=lambda P, N: flat(reduce(
                 lambda x, _: (x[0] + u(P) / N * np.tanh(w(P) @ x[0] + b(P)),
                               x[1] - np.log(np.abs(1 + (1 - np.tanh(w(P) @ x[0] + b(P)) ** 2) / N * (u(P) @ w(P))))),
                 range(round(N)), (z0(P), 0.0)))),
    Equation("n10", r"\det \frac{\partial (q_1, p_1)}{\partial (q, p)} = \det(I + h^2 G F - (h G) (h F)) = 1",
             PAPER + "eq. (29); arXiv 1410.8516, additive coupling", hypotheses=(),
             lhs=lambda P, _: np.linalg.det(coupled(P.size, STEP)),
             rhs=lambda P, _: np.linalg.det(
                 np.eye(P.size) + STEP**2 * G(P, STEP) @ F(P) - (STEP * G(P, STEP)) @ (STEP * F(P)))),
    Equation("n11", r"\log |\det(I + h J)| = -h^2\, \mathrm{tr}(G F) + O(h^4)",
             PAPER + "eq. (29): Euler's method does not keep the volume", order=4, hypotheses=(),
             scale=lambda P: 1.0,
             lhs=lambda P, h: log_det(coupled_euler(P.size, h)),
             rhs=lambda P, h: -(h**2) * np.trace(G(P) @ F(P))),
)
# fmt: on
