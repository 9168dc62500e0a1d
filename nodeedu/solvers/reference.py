"""What the solvers compute, as short as NumPy can say it: one system, one step size, the whole algorithm on a page.

The cores in runge_kutta.py, step_control.py and trial_step.py do the same for many samples at once; the tests compare
the steps. See Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nodeedu.tableaus import Tableau

Array = np.ndarray


def root_mean_square(x: Array) -> float:
    """Root of the mean square."""
    return math.sqrt(np.mean(x**2))


def adaptive(
    f: Callable[..., Any], z0: Array, t0: float, t1: float, tableau: Tableau, rtol: float, atol: float,
    b: tuple[float, float, float] = (1.0, 0.0, 0.0), norm: Callable[[Array], float] = root_mean_square,
) -> list[tuple[float, Array]]:  # fmt: skip
    """Solve ``z' = f(t, z)`` from t0 to t1; return (t, z) after every accepted step, z0 first.

    The coefficients b are those of the I controller or, see step_control.py, of another.
    """
    q = 1 + min(tableau.order, tableau.embedded_order)
    t, z, points, may_grow = t0, np.asarray(z0, float), [(t0, np.asarray(z0, float))], True
    h, old, older = first_step(f, t0, z, t1, q, rtol, atol, norm), 1.0, 1.0
    while t != t1:
        lands = h >= abs(t1 - t) * (1 - 1e-10)  # do not leave a sliver
        dt = t1 - t if lands else math.copysign(h, t1 - t)
        z1, error = step(f, t, z, dt, tableau)
        ratio = norm(error / (atol + rtol * np.maximum(abs(z), abs(z1))))
        history = ratio ** -b[0] * old ** -b[1] * older ** -b[2] if ratio <= 1 else 1 / ratio
        factor = np.clip(0.9 * history ** (1 / q), 0.2, 10.0 if may_grow else 1.0)
        if ratio <= 1:
            old, older = max(ratio, 1e-4), old
            t, z = t1 if lands else t + dt, z1
            points.append((t, z))
        may_grow = bool(ratio <= 1)
        h = abs(dt) * factor
    return points


def step(f: Callable[..., Any], t: float, z: Array, h: float, tableau: Tableau) -> tuple[Array, Array]:
    """Make one Runge-Kutta step: ``k_i = f(t + c_i h, z + h sum_j A_ij k_j)``; return ``z + h b k`` and the error."""
    k = np.zeros((tableau.stages, len(z)))
    for i in range(tableau.stages):
        k[i] = f(t + tableau.c[i] * h, z + h * tableau.A[i] @ k)
    return z + h * tableau.b @ k, h * (tableau.b - tableau.b_hat) @ k


def first_step(
    f: Callable[..., Any], t0: float, z0: Array, t1: float, q: int, rtol: float, atol: float,
    norm: Callable[[Array], float],
) -> float:  # fmt: skip
    """Choose the first step size from the size of z, its slope, and the change of slope over an explicit Euler step."""
    f0, scale = np.asarray(f(t0, z0), float), atol + rtol * abs(z0)
    d0, d1 = norm(z0 / scale), norm(f0 / scale)
    probe = min(1e-6 if min(d0, d1) < 1e-5 else 0.01 * d0 / d1, abs(t1 - t0))
    h = math.copysign(probe, t1 - t0)
    d2 = norm((np.asarray(f(t0 + h, z0 + h * f0), float) - f0) / scale) / probe
    size = max(1e-6, 1e-3 * probe) if max(d1, d2) <= 1e-15 else (0.01 / max(d1, d2)) ** (1 / q)
    return min(100 * probe, size, abs(t1 - t0))
