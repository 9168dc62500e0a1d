"""(f) Gradients by the times of the observations and of the start, and the energy-like quantity H = a f.

g_i is the gradient of the i-th observation's loss by z(t_i); ``a(t0+)`` leaves out the observation at t0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..problem import Problem
from .equation import Equation
from .paths import Array, adjoint, along, ends, middle, observed_back, state

PAPER = "arXiv 1806.07366, "


def g(P: Problem, i: int) -> Array:
    """Return the gradient of the i-th observation by z(t_i)."""
    return P.loss_gradients(states(P))[i]


def states(P: Problem) -> Array:
    """Return the states at all observations (T, D)."""
    return np.array([state(P, t) for t in map(float, P.ts)])


def slopes_of_losses(P: Problem) -> Array:
    """Return dL/dt_i of all times (T,) by differences of losses, z0 held fixed: no derivative code takes part."""
    h, units = 1e-3 * min(1.0, abs(P.ts[-1] - P.ts[0])), np.eye(len(P.ts))

    def loss(ts: Array) -> float:
        moved = replace(P, ts=ts)
        return moved.loss(moved.flow(float(ts[0]), ts, P.z0))

    near = [loss(P.ts + h * e) - loss(P.ts - h * e) for e in units]
    far = [loss(P.ts + 2 * h * e) - loss(P.ts - 2 * h * e) for e in units]
    return (8 * np.array(near) - np.array(far)) / (12 * h)


def a_start(P: Problem) -> Array:
    """Return a(t0+) of all observations but that at t0, one adjoint for each: no jumps."""
    return sum((adjoint(only(P, i), ends(P)[0]) for i in later(P)), np.zeros(P.size))


@lru_cache(maxsize=64)
def only(P: Problem, i: int) -> Problem:
    """Return the problem up to its i-th observation, which alone counts."""
    return replace(P, ts=P.ts[: i + 1], targets=P.targets[: i + 1], observed=np.arange(i + 1) == i)


def f_at(P: Problem, i: int) -> Array:
    """Return the slope at the i-th observation."""
    return P.f(P.ts[i], states(P)[i])


def to_observations(P: Problem, integrand: Callable[[float, Array, Array], Array]) -> Array:
    """Return the integral of ``integrand(t, z, a)`` from t0 to each observation, with its own adjoint, added up."""
    return np.sum([along(only(P, i), integrand, ends(P)[0], float(P.ts[i])) for i in later(P)], axis=0)


def later(P: Problem) -> range:
    """Return the indices of all observations but the first."""
    return range(1, len(P.ts))


# fmt: off
EQUATIONS = (
    Equation("f1", r"\frac{dL}{dt_i} = g_i f(t_i, z_i), \quad \frac{dL}{dt_0} = -a(t_0^+) f(t_0, z_0)",
             PAPER + "appendix B.2, simplified", tolerance=1e-8,  # differences
             lhs=lambda P, _: slopes_of_losses(P),
             rhs=lambda P, _: np.array([-a_start(P) @ f_at(P, 0), *[g(P, i) @ f_at(P, i) for i in later(P)]])),
    Equation("f2", r"a_t' = -a f_t, \; a_t(t_i^-) = a_t(t_i^+) - g_i f(t_i, z_i): \; \frac{dL}{dt_0} = a_t(t_0^+)",
             PAPER + "algorithm 2",
             lhs=lambda P, _: P.truth.ts[0],
             rhs=lambda P, _: observed_back(
                 P, lambda t, z, a: (P.f(t, z), -a @ P.J(t, z), -a @ P.f_t(t, z)),
                 lambda t, z, a, q, g: (a + g, q - g @ P.f(t, z)))[1]),
    Equation("f3", r"\sum_i \frac{dL}{dt_i} = \int a f_t\, dt",
             PAPER + "eq. (52): all clocks shifted together", scale=lambda P: P.truth.ts,
             lhs=lambda P, _: P.truth.ts.sum(),
             rhs=lambda P, _: to_observations(P, lambda t, z, a: a @ P.f_t(t, z))),
    Equation("f4", r"H = a f: \; H(t_1) = H(t) + \int_t^{t_1} a f_t\, ds",
             "L. S. Pontryagin et al., The Mathematical Theory of Optimal Processes (1962)",
             lhs=lambda P, _: adjoint(P, ends(P)[1]) @ P.f(ends(P)[1], state(P, ends(P)[1])),
             rhs=lambda P, _: (adjoint(P, middle(P)) @ P.f(middle(P), state(P, middle(P)))
                               + along(P, lambda t, z, a: a @ P.f_t(t, z), middle(P), ends(P)[1]))),
)
# fmt: on
