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
from nodeedu.solvers.scipy_api.explicit import (
    ACCEPTED,
    H_ABS,
    NFEV,
    REJECTED,
    TOO_SMALL_STEP,
    Control,
    H,
    Output,
    System,
    T,
    advance,
    dense_coefficients,
    form,
    new_state,
    start,
)
from nodeedu.solvers.scipy_api.interpolants import ConstantInterpolant, StepInterpolant


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
        self._rhs, code = rhs, rhs.compiled
        self._compiled = rhs.path != "python"
        callee, p, words = (code.address, code.p, code.work_size) if self._compiled else (rhs.function, np.empty(0), 0)
        self._system = System(callee, p, np.empty(words, self.y.dtype), np.empty(1))
        tolerances = [np.zeros(self.n) + value for value in (self.rtol, self.atol)]
        self._control = Control(float(t_bound), float(self.direction), self.max_step, *tolerances)
        self._state = new_state(self._method, float(t0), self.y)
        self._run(start, self._control, self._state, float(first_step))
        if np.isnan(self._state.f).any():
            raise ValueError(
                f"`fun` returned nan in component {int(np.isnan(self._state.f).argmax())} at the start, t0 = {t0}: "
                "check `y0` and the parameters"
            )
        self._publish()
        self.y_old = self.h_previous = None

    K = property(lambda self: self._state.K[: self.n_stages + 1])
    f = property(lambda self: self._state.f)
    h_abs = property(lambda self: float(self._state.numbers[H_ABS]))
    accepted = property(lambda self: int(self._state.counts[ACCEPTED]))
    rejected = property(lambda self: int(self._state.counts[REJECTED]))

    def _run(self, driver: Any, *more: Any) -> int:
        """Call a driver; raise if f failed."""
        state = self._state
        status = form(driver, self._compiled)(self._system, self._method, *more)
        if status not in (DONE, TOO_SMALL_STEP):
            time = self._system.clock[0] if self._compiled else state.numbers[T]
            raise explain(self._rhs, status, float(time), state.stage)
        return status

    def _publish(self) -> None:
        """Show the state of the driver in the attributes of `OdeSolver`."""
        numbers, counts = self._state.numbers, self._state.counts
        self.t, self.y, self.nfev = numbers[T], self._state.y.copy(), int(counts[NFEV])

    def _step_impl(self) -> tuple[bool, str | None]:
        none = np.empty(0)
        rows = np.empty((0, self.n), self.y.dtype)
        output = Output(none, rows, False, np.empty((0, 0, self.n), self.y.dtype), none, rows)
        y_old = self.y
        if self._run(advance, self._control, self._state, output, 1) != DONE:
            self.nfev = int(self._state.counts[NFEV])
            return False, self.TOO_SMALL_STEP
        self._publish()
        self.y_old, self.h_previous = y_old, self._state.numbers[H]
        return True, None

    def dense_output(self) -> Any:
        """Return the interpolant over the last successful step."""
        if self.t_old is not None and (self.n == 0 or self.t == self.t_old):
            return ConstantInterpolant(self.t_old, self.t, self.y)
        return super().dense_output()

    def _dense_output_impl(self) -> StepInterpolant:
        coefficients = np.empty((self._method.n_coefficients, self.n), self.y.dtype)
        self._run(dense_coefficients, self._state, coefficients)
        self.nfev = int(self._state.counts[NFEV])
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
