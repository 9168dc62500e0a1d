"""Errata of a summary by E. Lenze and K. Rothe."""

from __future__ import annotations

import math

import numpy as np

from ..equations.paths import ends, state
from ..problem import Problem
from .blog import START, TURN
from .erratum import Array, Erratum, Orders, Values
from .working import backprop, backsolve, discrete_gradient, steps

SOURCE = "E. Lenze & K. Rothe, Summary of “Neural Ordinary Differential Equations”"
RATE, LAYERS = -3.0, 5
DECAY = "z' = -3 z, h = 1, 5 layers"
DEPTH = 10
LINEAR = "z' = A z, D = 3, t1 = 1, T = 10"
WIDTHS = range(1, 6)
N = 8


def layers() -> float:
    """Return what 5 residual layers ``h + f(h)`` make of 1."""
    h = 1.0
    for _ in range(LAYERS):
        h = h + RATE * h
    return h


def accepted(N: int) -> Array:
    """Return for each width M whether ``h + f(h)`` is in R^M, h in R^N; NumPy is asked."""
    found = []
    for M in WIDTHS:
        try:
            total = np.add(np.zeros(N), np.zeros(M))
        except ValueError:
            total = np.zeros(0)
        found.append(total.shape == (M,) == (N,))
    return np.array(found, float)


def updated(times: int) -> Array:
    """Return the state after so many updates of size 1/T on `LINEAR`."""
    z = START
    for _ in range(times):
        z = z + (TURN @ z) / DEPTH
    return z


def after_T() -> Array:
    """Return the power ``(I + A/T)^T z0``, where time is 1."""
    return np.linalg.matrix_power(np.eye(3) + TURN / DEPTH, DEPTH) @ START


def solver_error(P: Problem, h: float) -> Array:
    """Return the result of Euler's method with steps of about h (t1 - t0), less the exact state."""
    return steps(P, "euler", round(1.0 / h))[-1] - state(P, ends(P)[1])


ERRATA = (
    Erratum(
        "lenze-rothe-implicit", SOURCE, "section 1, below the algorithms",
        "“The implicit Euler integration scheme of a ResNet”",
        "A ResNet is explicit Euler: $h_{t+1} = h_t + f(h_t, \\theta_t)$ takes f at the old state",
        "Where the field decays fast the two could not differ more: five layers of -3 h blow up to -32, implicit Euler "
        "decays to 0.001, as the exact solution does to 0.0000003.",
        "Y. Lu, A. Zhong, Q. Li & B. Dong, arXiv 1710.10121", DECAY,
        (Values("output of the net", lambda _: (1 - RATE) ** -LAYERS, lambda _: (1 + RATE) ** LAYERS,
                lambda _: layers(), (DECAY,)),),
    ),
    Erratum(
        "lenze-rothe-width", SOURCE, "section 1, eq. (1)",
        r"$h_t \in \mathbb{R}^N$ becomes $h_{t+1} \in \mathbb{R}^M$ by $h_{t+1} = h_t + f(h_t, \theta_t)$",
        r"$h_t, h_{t+1} \in \mathbb{R}^N$",
        "A sum needs terms of one shape. Layers that change the width are none of an ODE.",
        "E. Dupont, A. Doucet & Y. W. Teh, Augmented Neural ODEs, arXiv 1904.01681", "N = 3, M = 1 ... 5",
        (Values("which M the sum allows", lambda _: np.ones(5), lambda _: np.array([M == 3 for M in WIDTHS], float),
                lambda _: accepted(3), ("N = 3",)),),
    ),
    Erratum(
        "lenze-rothe-count", SOURCE, "section 1, first paragraph",
        r"$h_{t+1} = h_t + f(h_t, \theta_t)$ “for $t \in \{0 \dots T\}$ with network depth $T$”",
        r"$t \in \{0, \dots, T - 1\}$",
        "From 0 to T there are T + 1 updates, and the last one leaves the interval. The order of convergence stays 1, "
        "so that a plot of errors does not show it; the summary's own Algorithm 1 counts right.",
        "Algorithm 1 of the same summary", LINEAR,
        (Values("state at t1", lambda _: updated(DEPTH + 1), lambda _: updated(DEPTH), lambda _: after_T(),
                (LINEAR,)),),
    ),
    Erratum(
        "lenze-rothe-equality", SOURCE, "section 1, eq. (3)",
        r"$\mathrm{ODESolve}(h(t_0), f, t_0, t_1, \theta) = h(t_0) + \int_{t_0}^{t_1} f\, dt$",
        r"$\mathrm{ODESolve}(\dots) = h(t_0) + \int_{t_0}^{t_1} f\, dt + O(h^p)$ for a method of order p",
        "A solver approximates the integral; its error is what a tolerance is for, and what tells a residual net "
        "from an ODE.",
        "Hairer, Nørsett & Wanner I, II.3", "M and V, Euler's method with 10 ... 320 steps",
        (Orders("ODESolve less the exact state", solver_error, solver_error, claimed=math.inf, order=1),),
    ),
    Erratum(
        "lenze-rothe-backprop", SOURCE, "section 2",
        "Backpropagation through the solver “introduces numerical inaccuracy”; the adjoint method avoids it",
        "Backpropagation gives the exact gradient of the loss that is computed; the adjoint solved back does not",
        "Other way round: the chain rule through the steps is exact to rounding. The adjoint ODE, solved back by the "
        "same method, has errors of its own, by RK4 some 1e-3 to 1e-4. What backpropagation costs is memory.",
        "J. M. Sanz-Serna, SIAM Review 58 (2016) 3",
        "M and V, 8 steps; printed: the adjoint solved back by the same method",
        (Values("gradient of the loss of 8 Euler steps", lambda P: backsolve(P, "euler", N),
                lambda P: backprop(P, "euler", N), lambda P: discrete_gradient(P, "euler", N)),),
    ),
)  # fmt: skip
RIGHT = ("eq. (2) and (4)", "Algorithm 1 and Algorithm 2")
