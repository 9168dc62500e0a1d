"""Dense output of one step, in the form that `scipy.integrate.OdeSolution` collects."""

from __future__ import annotations

import numpy as np
from scipy.integrate import DenseOutput

from nodeedu.solvers.scipy_api.arithmetic import interpolate


class StepInterpolant(DenseOutput):
    """Interpolant over one step of an explicit method; called with a time or times, it returns (n,) or (n, times).

    Parameters
    ----------
    t_old, t : float
        Ends of the step.
    y_old : array (n,)
        State at t_old.
    coefficients : array (m, n)
        See `nodeedu.solvers.scipy_api.arithmetic.interpolate`.
    """

    def __init__(self, t_old: float, t: float, y_old: np.ndarray, coefficients: np.ndarray) -> None:
        super().__init__(t_old, t)
        self.h, self.y_old, self.coefficients = t - t_old, y_old, coefficients

    def _call_impl(self, t: np.ndarray) -> np.ndarray:
        times = np.array(t, np.float64, ndmin=1)
        out = np.empty((times.size, self.y_old.size), self.y_old.dtype)
        interpolate(self.coefficients, self.t_old, self.h, self.y_old, times, out)
        return out.T if t.ndim else out[0]


class ConstantInterpolant(DenseOutput):
    """Interpolant of a solve that needed no step: an empty interval or an empty state."""

    def __init__(self, t_old: float, t: float, value: np.ndarray) -> None:
        super().__init__(t_old, t)
        self.value = value

    def _call_impl(self, t: np.ndarray) -> np.ndarray:
        return np.tile(self.value[:, None], (1, t.size)) if t.ndim else self.value
