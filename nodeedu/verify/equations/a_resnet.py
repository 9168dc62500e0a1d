r"""(a) A residual network is Euler's method, how fast its layers approach the ODE, and methods that approach faster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np

from ..problem import Problem
from .discrete import EULER, FEW, chain, last, runge_kutta, states, times
from .equation import COUNTS, Equation
from .paths import Array, ends, middle, state

PAPER = "arXiv 1806.07366, "
HNW = "Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), "
FEWER = COUNTS[:5]  # the method of order 4 meets rounding beyond


def z(P: Problem) -> Array:
    """Return the state in the middle."""
    return state(P, middle(P))


def moved(P: Problem, h: float) -> Array:
    """Return the state a time h after the middle."""
    return state(P, middle(P) + h)


def there_and_back(P: Problem, h: float, step: Callable[[float, Array, float], Array]) -> Array:
    """Make a step of h from the middle, and one of -h from where it leads."""
    return step(middle(P) + h, step(middle(P), z(P), h), -h)


def path(P: Problem) -> Array:
    """Return the states at the quarters of the path (4, D): an order read off one state may be that of an accident."""
    return _path(P, np.linspace(*ends(P), 5)[1:])


def quarters(zs: Array) -> Array:
    """Return the states of a chain at these times."""
    return zs[:: len(zs) // 4][1:]


# The bound of a8 is computed for two problems at once, in arrays of two entries: the user's, and one that attains it,
# z' = Lz + Mt - LMt^2/2 with z = Mt^2/2 on 0 <= t <= T, where |z''| = M throughout and no error is ever damped.
WORST_L, WORST_M, WORST_T = 2.0, 3.0, 1.4


def errors(P: Problem, N: int) -> Array:
    """Return the errors of Euler's last states (2,)."""
    x, h = 0.0, WORST_T / N
    for n in range(N):
        x += h * (WORST_L * x + WORST_M * n * h - WORST_L * WORST_M * (n * h) ** 2 / 2)
    return np.array([np.linalg.norm(states(P, N)[-1] - state(P, ends(P)[1])), abs(x - WORST_M * WORST_T**2 / 2)])


def length(P: Problem) -> Array:
    """Return T, the lengths of the paths (2,)."""
    return np.array([abs(ends(P)[1] - ends(P)[0]), WORST_T])


@lru_cache(maxsize=64)
def M(P: Problem) -> Array:
    """Return the largest ``|z''| = |f_t + J f|`` on the paths (2,)."""
    ts = [float(t) for t in np.linspace(*ends(P), 41)]
    bends = [P.f_t(t, z) + P.J(t, z) @ P.f(t, z) for t, z in zip(ts, _path(P, ts), strict=True)]
    return np.array([np.linalg.norm(bends, axis=-1).max(), WORST_M])


@lru_cache(maxsize=64)
def L(P: Problem) -> Array:
    """Return the largest ``|J|`` between the paths and Euler's coarsest chains (2,)."""
    ts, _ = times(P, COUNTS[0])
    points = [
        (float(t), x + s * (y - x))
        for t, x, y in zip(ts, _path(P, ts), states(P, COUNTS[0]), strict=True)
        for s in (0.0, 0.5, 1.0)
    ]
    return np.array([max(1e-3, *(np.linalg.norm(P.J(t, z), 2) for t, z in points)), WORST_L])


def _path(P: Problem, ts: Iterable[float]) -> Array:
    return np.array([state(P, float(t)) for t in ts])


# fmt: off
EQUATIONS = (
    Equation("a1", r"z(t + h) = z + h f(t, z) + O(h^2)",
             HNW + "I.7", order=2,
             lhs=lambda P, h: moved(P, h),
             rhs=lambda P, h: z(P) + h * P.f(middle(P), z(P))),
    Equation("a2", r"z(t + h) = z + h f + \tfrac12 h^2 (f_t + J f) + O(h^3)",
             HNW + "II.1", order=3,
             lhs=lambda P, h: moved(P, h),
             rhs=lambda P, h: (z(P) + h * P.f(middle(P), z(P))
                               + h**2 / 2 * (P.f_t(middle(P), z(P)) + P.J(middle(P), z(P)) @ P.f(middle(P), z(P))))),
    Equation("a3", r"h_{l+1} = h_l + F_l(h_l), \; F_l = h f(t_l, \cdot): \text{ explicit Euler}",
             PAPER + "eq. (1)",
             lhs=lambda P, _: states(P, FEW, EULER),
             rhs=lambda P, _: chain(P, FEW, lambda t, z, h: z + h * P.f(t, z))),
    Equation("a4", r"z_N = z(t_1) + O(1/N)",
             PAPER + "eq. (2)", order=1, ladder=COUNTS,
             lhs=lambda P, N: state(P, ends(P)[1]),
             rhs=lambda P, N: last(chain(P, N, lambda t, z, h: z + h * P.f(t, z)))),
    Equation("a5", r"2 z_{2N} - z_N = z(t_1) + O(1/N^2)",
             HNW + "II.9", order=2, ladder=COUNTS,
             lhs=lambda P, N: state(P, ends(P)[1]),
             rhs=lambda P, N: 2 * last(states(P, 2 * N)) - last(states(P, N))),
    Equation("a6", r"\Psi_{-h} \Psi_h z = z + O(h^2), \; \Psi_h z = z + h f: \text{ Euler is not reversible}",
             "Gholami, Keutzer & Biros, arXiv 1902.10298", order=2,
             lhs=lambda P, h: z(P),
             rhs=lambda P, h: there_and_back(P, h, lambda t, z, h: z + h * P.f(t, z))),
    Equation("a7a", r"z_{n+1} = z_n + h f(t + \tfrac h2, z + \tfrac h2 f): \; z_n = z(t_n) + O(1/N^2)",
             HNW + "II.1, the midpoint method", order=2, ladder=COUNTS,
             lhs=lambda P, N: path(P),
             rhs=lambda P, N: quarters(chain(P, N, lambda t, z, h: z + h * P.f(t + h / 2, z + h / 2 * P.f(t, z))))),
    Equation("a7b", r"z_{n+1} = z_n + \tfrac h2 (f(t, z) + f(t + h, z + h f)): \; z_n = z(t_n) + O(1/N^2)",
             HNW + "II.1, Heun's method", order=2, ladder=COUNTS,
             lhs=lambda P, N: path(P),
             rhs=lambda P, N: quarters(chain(
                 P, N, lambda t, z, h: z + h / 2 * (P.f(t, z) + P.f(t + h, z + h * P.f(t, z)))))),
    Equation("a7c", r"\text{Kutta's method of three stages: } z_n = z(t_n) + O(1/N^3)",
             "Kutta, Z. Math. Phys. 46 (1901) 435", order=3, ladder=FEWER,
             lhs=lambda P, N: path(P),
             rhs=lambda P, N: quarters(runge_kutta(P, N, [[], [1 / 2], [-1, 2]],
                                                   [1 / 6, 2 / 3, 1 / 6], [0, 1 / 2, 1]))),
    Equation("a7d", r"\text{the Runge-Kutta method: } z_n = z(t_n) + O(1/N^4)",
             "Kutta, Z. Math. Phys. 46 (1901) 435", order=4, ladder=FEWER,
             lhs=lambda P, N: path(P),
             rhs=lambda P, N: quarters(runge_kutta(P, N, [[], [1 / 2], [0, 1 / 2], [0, 0, 1]],
                                                   [1 / 6, 1 / 3, 1 / 3, 1 / 6], [0, 1 / 2, 1 / 2, 1]))),
    Equation("a8", r"|z_N - z(t_1)| \le \frac{h M}{2 L} (e^{L T} - 1), \; M = \max |z''|, \; L = \max |J|",
             HNW + "I.7", at_most=True, attained=0.97, ladder=FEWER,
             scale=lambda P: state(P, ends(P)[1]),
             lhs=lambda P, N: errors(P, N),
             rhs=lambda P, N: length(P) / N * M(P) / (2 * L(P)) * (np.exp(L(P) * length(P)) - 1)),
)
# fmt: on
