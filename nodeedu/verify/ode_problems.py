"""Initial value problems on which solvers are compared: twelve that are not stiff, four that are.

The first are taken from all classes of DETEST: T. E. Hull, W. H. Enright, B. M. Fellen, A. E. Sedgwick, SIAM J. Numer.
Anal. 9 (1972) 603; their interval is 0 <= t <= 20. Their references are solved for by SciPy at its tightest tolerance.
The stiff ones come with published states: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996),
IV.10; F. Mazzia, C. Magherini, Test Set for Initial Value Problem Solvers 2.4 (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RTOL, ATOL = 1e-13, 1e-15  # of references


@dataclass(frozen=True, eq=False)
class OdeProblem:
    """An initial value problem on 0 <= t <= t_end with the state at its end.

    Parameters
    ----------
    name : str
    f : callable
        ``f(t, z)``; it can be traced.
    z0 : tuple of float
    t_end : float
    atol_ratio : float
        What to take for atol / rtol, as the sources do.
    published : tuple of float, optional
        Its state at t_end. Its problem is stiff.
    """

    name: str
    f: Callable[[Any, Any], Any]
    z0: tuple[float, ...]
    t_end: float = 20.0
    atol_ratio: float = 1.0
    published: tuple[float, ...] | None = None

    @cached_property
    def reference(self) -> Array:
        """State (D,) at t_end."""
        if self.published is not None:
            return np.array(self.published)
        from scipy.integrate import solve_ivp  # only here: importing it takes half a second

        return solve_ivp(self.f, (0.0, self.t_end), self.z0, "DOP853", rtol=RTOL, atol=ATOL).y[:, -1]

    @cached_property
    def field(self) -> Any:
        """The traced vector field."""
        from ..compile import vector_field

        return vector_field(self.f, np.array(self.z0))

    def error(self, z: Array) -> float:
        """Return the largest error of a component, relative to the largest component; if stiff, to its own size."""
        size = abs(self.reference) if self.published is not None else abs(self.reference).max()
        return float(np.max(abs(z - self.reference) / size))


def _orbit(eccentricity: float) -> tuple[Callable[[Any, Any], Any], tuple[float, ...]]:
    def kepler(t: Any, z: Any) -> Any:
        x, y, u, v = z
        r3 = (x * x + y * y) ** 1.5
        return [u, v, -x / r3, -y / r3]

    return kepler, (1 - eccentricity, 0.0, 0.0, ((1 + eccentricity) / (1 - eccentricity)) ** 0.5)


def _torus(t: Any, z: Any) -> Any:
    x, y, w = z
    r = (x * x + y * y) ** 0.5
    return [-y - x * w / r, x - y * w / r, x / r]


NONSTIFF = (
    OdeProblem("A3", lambda t, z: z * np.cos(t), (1.0,)),
    OdeProblem("A5", lambda t, z: (z - t) / (z + t), (4.0,)),
    OdeProblem("B1", lambda t, z: [2 * (z[0] - z[0] * z[1]), z[0] * z[1] - z[1]], (1.0, 3.0)),
    OdeProblem("B4", _torus, (3.0, 0.0, 0.0)),
    OdeProblem("B5", lambda t, z: [z[1] * z[2], -z[0] * z[2], -0.51 * z[0] * z[1]], (0.0, 1.0, 1.0)),
    OdeProblem("C1", lambda t, z: np.concatenate([-z[:1], z[:-2] - z[1:-1], z[-2:-1]]), (1.0,) + 9 * (0.0,)),
    OdeProblem(
        "C3",
        lambda t, z: np.concatenate([z[1:2] - 2 * z[:1], z[:-2] - 2 * z[1:-1] + z[2:], z[-2:-1] - 2 * z[-1:]]),
        (1.0,) + 9 * (0.0,),
    ),
    OdeProblem("D1", *_orbit(0.1)),
    OdeProblem("D3", *_orbit(0.5)),
    OdeProblem("D5", *_orbit(0.9)),
    OdeProblem("E2", lambda t, z: [z[1], (1 - z[0] * z[0]) * z[1] - z[0]], (2.0, 0.0)),
    OdeProblem("E3", lambda t, z: [z[1], z[0] ** 3 / 6 - z[0] + 2 * np.sin(2.78535 * t)], (0.0, 0.0)),
)


def _robertson(t: Any, z: Any) -> Any:
    # Nearly all cancels here, and mass is conserved only if it cancels in both components alike. Written as b - a and
    # a - b, with one rounding of product and sum in compiled code, it does not, and errors stop falling at 3e-9.
    back, on = 1e4 * z[1] * z[2] - 0.04 * z[0], 3e7 * z[1] * z[1]
    return [back, -back - on, on]


def _hires(t: Any, z: Any) -> Any:
    bound = 280 * z[5] * z[7]
    return [
        -1.71 * z[0] + 0.43 * z[1] + 8.32 * z[2] + 0.0007,
        1.71 * z[0] - 8.75 * z[1],
        -10.03 * z[2] + 0.43 * z[3] + 0.035 * z[4],
        8.32 * z[1] + 1.71 * z[2] - 1.12 * z[3],
        -1.745 * z[4] + 0.43 * z[5] + 0.43 * z[6],
        -bound + 0.69 * z[3] + 1.71 * z[4] - 0.43 * z[5] + 0.69 * z[6],
        bound - 1.81 * z[6],
        1.81 * z[6] - bound,
    ]


def _oregonator(t: Any, z: Any) -> Any:
    x, y, w = z
    return [77.27 * (y + x * (1 - 8.375e-6 * x - y)), (w - (1 + x) * y) / 77.27, 0.161 * (x - w)]


STIFF = (
    OdeProblem(
        "Robertson", _robertson, (1.0, 0.0, 0.0), 1e11, 1e-14,
        (0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050),
    ),
    OdeProblem(
        "van der Pol, μ = 1000", lambda t, z: [z[1], 1000 * (1 - z[0] * z[0]) * z[1] - z[0]], (2.0, 0.0), 2000.0, 1e-3,
        (1.706167732170483, -0.8928097010247975e-3),
    ),
    OdeProblem(
        "HIRES", _hires, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057), 321.8122, 1e-4,
        (
            0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
            0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2,
        ),
    ),
    OdeProblem(
        "Oregonator", _oregonator, (1.0, 2.0, 3.0), 360.0, 1e-6,
        (0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3),
    ),
)  # fmt: skip
