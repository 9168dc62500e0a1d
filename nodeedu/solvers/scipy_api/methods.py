"""The three explicit pairs as records of constants: RK23 (Bogacki-Shampine), RK45 (Dormand-Prince) and DOP853.

With the slopes ``K_0 = f(t, y)`` and ``K_s = f(t + c_s h, y + h sum_{j<s} A_sj K_j)`` the step ends at the state of
stage `stages`, whose slope is the first of the next step. Only the error weights E are written here; the rest is in
`nodeedu.tableaus` and `nodeedu.solvers.scipy_api.dop853`.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nodeedu import tableaus
from nodeedu.solvers.scipy_api import dop853

# E = b_hat - b from exact fractions: computed from rounded weights, an estimate of 1e-8 would lose half of its digits.
# fmt: off
_ERROR_WEIGHTS = {
    "bosh3": [[5/72, -1/12, -1/9, 1/8]],
    "dopri5": [[-71/57600, 0, 71/16695, -71/1920, 17253/339200, -22/525, 1/40]],
}
# fmt: on


class Method(NamedTuple):
    """An explicit pair; S slopes, of which `stages` + 1 make the step and the others only its dense output."""

    A: np.ndarray  # (S, S)
    c: np.ndarray  # (S,)
    E: np.ndarray  # (1, stages + 1); (2, stages + 1) where two estimates are combined, as in DOP853
    interpolant: np.ndarray  # (m, S) weights of the slopes in the coefficients of dense output
    stages: int  # evaluations of one trial step
    n_coefficients: int  # of dense output: m, and 3 more for DOP853
    exponent: float  # of the error norm in the step size: -1 / (order of the error estimate + 1)


@cache
def method(name: str) -> Method:
    """Return the constants of ``"RK23"``, ``"RK45"`` or ``"DOP853"``."""
    if name == "DOP853":
        arrays, stages, order = (dop853.A, dop853.c, dop853.E, dop853.D), dop853.STAGES, 7
        return Method(*map(_owned, arrays), stages, 7, -1 / (order + 1))
    tableau = tableaus.get({"RK23": "bosh3", "RK45": "dopri5"}[name])
    arrays = (tableau.A, tableau.c, _ERROR_WEIGHTS[tableau.name], tableau.interpolant.T)
    return Method(*map(_owned, arrays), tableau.stages - 1, len(arrays[3]), -1 / (tableau.embedded_order + 1))


def _owned(array: ArrayLike) -> np.ndarray:
    """Copy into C order; compiled code takes writable arrays faster than read-only ones."""
    return np.array(array, np.float64, order="C")
