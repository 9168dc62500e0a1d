"""`solve_ivp` and its solver classes, as in `scipy.integrate`."""

from __future__ import annotations

from scipy.integrate import BDF, LSODA, Radau

from nodeedu.solvers.scipy_api.classes import DOP853, RK23, RK45
from nodeedu.solvers.scipy_api.result import OdeResult, Stats
from nodeedu.solvers.scipy_api.solve_ivp import solve_ivp

__all__ = ["BDF", "DOP853", "LSODA", "RK23", "RK45", "OdeResult", "Radau", "Stats", "solve_ivp"]
