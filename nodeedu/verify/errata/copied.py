"""Errata of code and posts that are widely copied."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..problem import Problem
from ..tableau.file import find
from ..tableau.measured import NON_AUTONOMOUS, measured_order
from ..tableau.order import order_of
from .erratum import Array, Erratum, Orders, Values
from .working import gauss, observed_back

NOTEBOOK = "M. Surtsukov, Neural ODEs (notebook)"
TORCHDIFFEQ = "torchdiffeq, commit 657943a"
POST = "A blog post on the adjoint method"
SPIRAL = "2-D spiral, depends on t"
FORCED = "a spiral whose rate depends on t, with a known solution; steps 1/16 ... 1/128"
GAUSS = "gauss_legendre4"
FINE = (1 / 16, 1 / 32, 1 / 64, 1 / 128)
DUHAMEL = "A(p) = A_0 + p A_1, D = 3, T = 1"
A0 = np.array([[-0.4, 1.0, 0.2], [-1.0, -0.3, 0.5], [0.1, -0.6, -0.2]])
A1 = np.array([[0.3, 0.2, -0.5], [0.1, -0.4, 0.6], [0.7, 0.0, 0.2]])
B, TARGET, P0 = np.array([1.0, -0.5, 0.8]), np.array([0.2, 0.4, -0.3]), 0.7


def notebook_times(P: Problem) -> Array:
    """Return the notebook's gradients by all times (T,): one running sum, of the wrong sign."""
    _, work, g, slopes = observed_back(P)
    ts = np.zeros(len(work) + 1)
    for i in reversed(range(1, len(ts))):
        ts[i] -= g[i] @ slopes[i]
        ts[i - 1] = ts[i] + work[i - 1]
    ts[0] -= g[0] @ slopes[1]  # the slope is left over from the loop
    return ts


def right_times(P: Problem) -> Array:
    """Return ``g_i f(t_i, z_i)``, and at t0 ``-a(t0+) f(t0, z0)`` (T,)."""
    a, _, g, slopes = observed_back(P)
    return np.array([-a @ slopes[0], *np.einsum("ti,ti->t", g[1:], slopes[1:])])


def constants(name: str, change: str) -> tuple[Array, Array, Array]:
    """Return A, b and c of a method; as printed, b are the embedded weights, or c repeats its first node."""
    tableau = find(name)
    b = tableau.b_hat if change == "b" and tableau.b_hat is not None else tableau.b
    return tableau.A, b, tableau.c[[0, 0]] if change == "c" else tableau.c


@cache
def method_error(name: str, change: str, h: float) -> float:
    """Return the error of steps of size h."""
    return float(measured_order(*constants(name, change), NON_AUTONOMOUS, steps=np.array([round(1 / h)])).errors[0])


def by_trees(name: str, change: str) -> float:
    """Return the order where f depends on t, by rooted trees."""
    A, b, c = constants(name, change)
    return float(order_of(A, c, b, highest=6).non_autonomous)


def solution(p: Any) -> Array:
    """Return ``y(T) = exp(T A(p)) b``; complex p passes."""
    from scipy.linalg import expm

    return expm(A0 + p * A1) @ B


def duhamel() -> Array:
    """Return dy/dp by Duhamel's integral of ``exp((T - s) A) A_1 exp(s A) b``."""
    from scipy.linalg import expm

    A = A0 + P0 * A1
    return gauss(lambda s: expm((1.0 - s) * A) @ A1 @ expm(s * A) @ B, 0.0, 1.0)


def by_steps() -> float:
    """Return dg/dp of ``g = |y(T) - y*|^2 / 2`` by a complex step."""
    y = solution(P0 + 1e-30j)
    return float((y.real - TARGET) @ y.imag / 1e-30)


ERRATA = (
    Erratum(
        "notebook-times", NOTEBOOK, "backward pass of the class ODEAdjoint",
        "`adj_t[i] = adj_t[i] - dLdt_i`, carried on from each interval to the one before",
        r"$\frac{dL}{dt_i} = g_i f(t_i, z_i)$ for $i \ge 1$, $\frac{dL}{dt_0} = -a(t_0^+) f(t_0, z_0)$",
        "The array holds the clock's adjoint, a running sum over later observations, and is returned as the gradients "
        "by the times: at the last time the sign is wrong, before it everything.",
        "see chen-eq52 and chen-start-observed", "M and V, an observation at each of four times",
        (Values("dL/dt_i", notebook_times, right_times, lambda P: P.truth.ts),),
    ),
    Erratum(
        "torchdiffeq-tsit5", TORCHDIFFEQ, "constants of `tsit5`",
        "`c_sol` holds the embedded weights, of order 4, in a method that is called of order 5",
        "The weights of order 5 are the last row of A",
        "The result has order 4 and not 5; and as the last stage is no longer the result, the first slope of the next "
        "step is not that of the state. Of the right weights the terms of order 6 are the larger ones at these steps.",
        "Ch. Tsitouras, Comput. Math. Appl. 62 (2011) 770", FORCED,
        (Values("order by rooted trees", lambda _: by_trees("tsit5", "b"), lambda _: by_trees("tsit5", ""),
                lambda _: 5.0, ("tsit5",)),
         Orders("error", lambda _, h: method_error("tsit5", "b", h), lambda _, h: method_error("tsit5", "", h),
                claimed=5, order=5, problems=(SPIRAL,), steps=FINE)),
    ),
    Erratum(
        "torchdiffeq-gl4", TORCHDIFFEQ, "constants of `gl4`",
        r"Nodes $c = (\frac12 - \frac{\sqrt3}{6}, \frac12 - \frac{\sqrt3}{6})$",
        r"$c = (\frac12 - \frac{\sqrt3}{6}, \frac12 + \frac{\sqrt3}{6})$, the row sums of A",
        "The second node has the wrong sign. Nothing changes where f does not depend on t, and where it does the order "
        "is 1 and not 4.",
        "J. C. Butcher, Math. Comp. 18 (1964) 50", FORCED,
        (Values("order by rooted trees", lambda _: by_trees(GAUSS, "c"), lambda _: by_trees(GAUSS, ""),
                lambda _: 4.0, ("gl4",)),
         Orders("error", lambda _, h: method_error(GAUSS, "c", h), lambda _, h: method_error(GAUSS, "", h),
                claimed=4, order=4, problems=(SPIRAL,), steps=FINE)),
    ),
    Erratum(
        "post-matrix-exponential", POST, "example of a linear ODE",
        r"$\frac{dg}{dp} = \dots + T g_y A_p e^{TA} b$",
        r"$\frac{dg}{dp} = \dots + g_y \int_0^T e^{(T-s)A} A_p e^{sA} b\, ds$",
        "A matrix exponential has the derivative of a scalar one only if A and its derivative commute. The integral is "
        "Duhamel's.",
        "R. M. Wilcox, J. Math. Phys. 8 (1967) 962", DUHAMEL + ", g = |y - y*|^2 / 2",
        (Values("dg/dp", lambda _: (solution(P0) - TARGET) @ A1 @ solution(P0),
                lambda _: (solution(P0) - TARGET) @ duhamel(), lambda _: by_steps(), (DUHAMEL,)),),
    ),
)  # fmt: skip
RIGHT: tuple[str, ...] = ()
