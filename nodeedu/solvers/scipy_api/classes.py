"""RK23, RK45 and DOP853 as classes that take one step at a time, with the interface of `scipy.integrate.OdeSolver`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import OdeSolver

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.scipy_api import methods
from nodeedu.solvers.scipy_api.arithmetic import error_norm
from nodeedu.solvers.scipy_api.callables import RightHandSide, explain, right_hand_side
from nodeedu.solvers.scipy_api.checks import (
    check_first_step,
    check_max_step,
    check_state,
    check_tolerances,
    warn_caller,
)
from nodeedu.solvers.scipy_api.explicit import ACCEPTED, H_ABS, LAST, NAN_AT_START, REJECTED, TOO_SMALL_STEP, H, Output
from nodeedu.solvers.scipy_api.interpolants import ConstantInterpolant, StepInterpolant
from nodeedu.solvers.scipy_api.stepper import Stepper


class ExplicitSolver(OdeSolver):
    """What the three explicit methods share; see `RK45`. SciPy's own `solve_ivp` takes these classes too."""

    order: int
    error_estimator_order: int
    n_stages: int
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    _method: methods.Method

    def __init_subclass__(cls, pair: str = "", **others: Any) -> None:
        super().__init_subclass__(**others)
        if pair:
            cls._method = methods.method(pair)
            A, c, s = cls._method.A, cls._method.c, cls._method.stages
            cls.n_stages, cls.A, cls.B, cls.C = s, A[:s, :s], A[s, :s], c[:s]

    def __init__(
        self,
        fun: Any,
        t0: float,
        y0: ArrayLike,
        t_bound: float,
        max_step: float = math.inf,
        rtol: ArrayLike = 1e-3,
        atol: ArrayLike = 1e-6,
        vectorized: bool = False,
        first_step: float | None = None,
        **extraneous: Any,
    ) -> None:
        if extraneous:
            names = ", ".join(f"`{name}`" for name in extraneous)
            warn_caller(f"The following arguments have no effect for a chosen solver: {names}.")
        if isinstance(fun, RightHandSide):
            rhs = fun
        else:
            y0 = check_state(y0)
            rhs = right_hand_side(fun, (), y0, vectorized, True)
        super().__init__(rhs.function, t0, y0, t_bound, False, support_complex=True)
        self.vectorized, self.max_step = vectorized, check_max_step(max_step)
        self.rtol, self.atol = check_tolerances(rtol, atol, self.n)
        first_step = 0.0 if first_step is None else check_first_step(first_step, t0, t_bound)
        self._rhs, f = rhs, rhs.function if rhs.compiled is None else rhs.compiled
        options = self.max_step, self.rtol, self.atol, float(first_step)
        self.stepper = Stepper(f, self._method, float(t0), self.y, float(t_bound), *options)
        self.advance(self._output(), 0)
        self._publish()
        self.y_old = self.h_previous = None

    K = property(lambda self: self.stepper.block[4 : 5 + self.n_stages])
    f = property(lambda self: self.stepper.block[2])
    h_abs = property(lambda self: float(self.stepper.numbers[H_ABS]))
    accepted = property(lambda self: int(self.stepper.counts[ACCEPTED]))
    rejected = property(lambda self: int(self.stepper.counts[REJECTED]))

    def advance(self, output: Output, limit: int) -> int:
        """Take steps; raise if f failed."""
        stepper = self.stepper
        status = stepper.advance(output, limit)
        if status == NAN_AT_START:
            raise ValueError(
                f"`fun` returned nan in component {int(np.isnan(self.f).argmax())} at the start, t0 = {stepper.t}: "
                "check `y0` and the parameters"
            )
        if status not in (DONE, TOO_SMALL_STEP):
            raise explain(self._rhs, status, float(stepper.clock[0]), stepper.block[3])
        return status

    def _output(self, coefficients: np.ndarray | None = None) -> Output:
        """Return room for the coefficients of one interpolant, or for nothing at all."""
        none, rows, dense = np.empty(0), np.empty((0, self.n), self.y.dtype), coefficients is not None
        return Output(none, rows, dense, coefficients[None] if dense else rows[None], none, rows)

    def _publish(self) -> None:
        """Show the state of the solve in the attributes of `OdeSolver`."""
        self.t, self.y, self.nfev = self.stepper.t, self.stepper.block[0].copy(), self.stepper.nfev

    def _step_impl(self) -> tuple[bool, str | None]:
        y_old = self.y
        if self.advance(self._output(), 1) != DONE:
            self.nfev = self.stepper.nfev
            return False, self.TOO_SMALL_STEP
        self._publish()
        self.y_old, self.h_previous = y_old, self.stepper.numbers[H]
        return True, None

    def dense_output(self) -> Any:
        """Return the interpolant over the last successful step."""
        if self.t_old is not None and (self.n == 0 or self.t == self.t_old):
            return ConstantInterpolant(self.t_old, self.t, self.y)
        return super().dense_output()

    def _dense_output_impl(self) -> StepInterpolant:
        coefficients = np.empty((self._method.n_coefficients, self.n), self.y.dtype)
        self.advance(self._output(coefficients), LAST)
        self.nfev = self.stepper.nfev
        return StepInterpolant(self.t_old, self.t, self.y_old, coefficients)

    def _estimate_error(self, K: np.ndarray, h: float) -> np.ndarray:
        """Error of a step, component by component."""
        first, *second = self._method.E @ K
        if not second:
            return first * h
        size = np.hypot(abs(first), 0.1 * abs(second[0]))
        return h * first * np.divide(abs(first), size, out=np.ones_like(size), where=size > 0)

    def _estimate_error_norm(self, K: np.ndarray, h: float, scale: ArrayLike) -> float:
        """Error of a step as a multiple of `scale`."""
        zeros = np.zeros(self.n)
        return error_norm(K, self._method.E, float(h), zeros, zeros, zeros, np.array(scale, float))


class RK23(ExplicitSolver, pair="RK23"):
    """Explicit Runge-Kutta method of order 3(2) of Bogacki & Shampine (1989), with cubic dense output.

    Parameters and attributes are those of `RK45`.
    """

    order, error_estimator_order = 3, 2


class RK45(ExplicitSolver, pair="RK45"):
    """Explicit Runge-Kutta method of order 5(4) of Dormand & Prince (1980), with quartic dense output.

    Parameters
    ----------
    fun : callable or field
        ``fun(t, y)``; a Python function, an `@njit` function or a vector field.
    t0 : float
        Initial time.
    y0 : array_like, shape (n,)
        Initial state, real or complex.
    t_bound : float
        Where the integration ends; f is not evaluated beyond.
    max_step : float
        Longest step.
    rtol, atol : float or array_like, shape (n,)
        The error of a step is kept below ``atol + rtol |y|`` in the root mean square.
    vectorized : bool
        Whether ``fun`` takes states as columns.
    first_step : float, optional
        Size of the first trial step.

    Attributes
    ----------
    n, status, t_bound, direction, t, y, t_old, step_size, nfev, njev, nlu
        As in `scipy.integrate.OdeSolver`.
    accepted, rejected : int
        Number of steps.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    """

    order, error_estimator_order = 5, 4


class DOP853(ExplicitSolver, pair="DOP853"):
    """Explicit Runge-Kutta method of order 8(5,3) of Hairer, Norsett & Wanner (1993), with dense output of order 7.

    Parameters and attributes are those of `RK45`.
    """

    order, error_estimator_order = 8, 7


EXPLICIT = {"RK23": RK23, "RK45": RK45, "DOP853": DOP853}
