r"""(m) Running backwards: what the reconstruction of z(t0) from z(t1) does to an error made on the way."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import Array, ends, state, tangent

ANODE = "Gholami, Keutzer & Biros, arXiv 1902.10298, "
RATE = 10.0
ERROR = 1e-4
LENGTHS = np.arange(1.0, 2.6, 0.25)


def nudge(P: Problem) -> Array:
    """Return an error of z(t1), as a direction (D,): small enough that its square can be seen to fall."""
    return 0.1 * np.sin(1.0 + np.arange(P.size))


def back(P: Problem, end: Array) -> Array:
    """Return the reconstruction of z(t0) from a state at t1."""
    return P.flow(ends(P)[1], ends(P)[0], end)


def growth() -> float:
    """Return the slope of log(error of z(t0)) against the length T of the path, for ``z' = -10 z``, ``z(t0) = 1``.

    The error of z(t1) is the same on all paths, as that of a solver is which has reached its absolute tolerance.
    """
    from scipy.integrate import solve_ivp

    def back(T: float) -> float:
        end = [np.exp(-RATE * T) + ERROR]
        return solve_ivp(lambda t, z: -RATE * z, (T, 0.0), end, rtol=1e-8, atol=1e-12).y[0, -1]

    errors = [abs(back(T) - 1.0) for T in LENGTHS]
    return float(np.polyfit(LENGTHS, np.log(errors), 1)[0])


# fmt: off
EQUATIONS = (
    Equation("m1", r"z(t_0) \text{ from } z(t_1) + \delta: \; z_0 + \Phi^{-1} \delta + O(|\delta|^2)",
             ANODE + "reversing a flow", order=2,
             lhs=lambda P, h: back(P, state(P, ends(P)[1]) + h * nudge(P)),
             rhs=lambda P, h: P.z0 + h * np.linalg.inv(tangent(P, ends(P)[0], ends(P)[1])) @ nudge(P)),
    Equation("m3", r"z' = -\lambda z: \; \log |\text{error of } z(t_0)| = \lambda T + \log |\text{error of } z(t_1)|",
             ANODE + "reversing a flow that contracts", tolerance=1e-6,  # of the solver, times a few steps
             lhs=lambda P, _: growth(),
             rhs=lambda P, _: np.array(10.0)),
)
# fmt: on
