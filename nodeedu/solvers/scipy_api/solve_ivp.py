"""`solve_ivp`, a drop-in replacement for `scipy.integrate.solve_ivp`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate
from scipy.integrate import OdeSolver

from nodeedu.solvers.scipy_api.callables import machine_code, right_hand_side
from nodeedu.solvers.scipy_api.checks import (
    are_ordinary,
    check_args,
    check_sizes,
    check_span,
    check_state,
    check_times,
    check_tolerances,
)
from nodeedu.solvers.scipy_api.classes import EXPLICIT, ExplicitSolver
from nodeedu.solvers.scipy_api.events import EventLog
from nodeedu.solvers.scipy_api.result import OdeResult
from nodeedu.solvers.scipy_api.run import run
from nodeedu.solvers.scipy_api.stepper import Stepper
from nodeedu.solvers.scipy_api.walk import walk

METHODS: dict[str, type] = {**EXPLICIT, "Radau": integrate.Radau, "BDF": integrate.BDF, "LSODA": integrate.LSODA}


def solve_ivp(
    fun: Any,
    t_span: tuple[float, float],
    y0: ArrayLike,
    method: str | type = "RK45",
    t_eval: ArrayLike | None = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: tuple[Any, ...] | None = None,
    **options: Any,
) -> OdeResult:
    """Solve ``dy/dt = f(t, y)``, y(t0) = y0, as `scipy.integrate.solve_ivp` does, step for step.

    RK23, RK45 and DOP853 are this library's own and take the steps that SciPy's take. They run as machine code if `fun`
    is an `@njit` function or a vector field: ``result.stats.path`` says what ran. Radau, BDF and LSODA are SciPy's;
    with a vector field they get its exact Jacobian.

    Parameters
    ----------
    fun : callable or field
        ``fun(t, y, *args)``, which returns an array of the shape of y. It must not write to y. A vector field takes its
        parameters as ``args=(theta,)``; without args it has those that it was made with.
    t_span : (float, float)
        t0 and tf, in either order; tf may be infinite.
    y0 : array_like, shape (n,)
        Initial state. A complex dtype makes the state complex.
    method : str or OdeSolver class
        "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA", or any class derived from `scipy.integrate.OdeSolver`.
    t_eval : array_like, optional
        Times to keep, sorted in the direction of integration; by default the ends of all steps.
    dense_output : bool
        Whether ``result.sol(t)`` is wanted.
    events : callable or list of callables, optional
        ``event(t, y, *args)``; their zeros are located. See `nodeedu.solvers.scipy_api.events.EventLog`.
    vectorized : bool
        Whether `fun` takes states as columns, shape (n, k).
    args : tuple, optional
        Further arguments of `fun`, of events and of a callable jac.
    **options
        rtol=1e-3, atol=1e-6 (number or (n,)), first_step=None, max_step=inf, and for implicit methods jac,
        jac_sparsity, lband, uband, min_step, as in SciPy.

    Returns
    -------
    OdeResult
        With the fields t, y, sol, t_events, y_events, nfev, njev, nlu, status, message, success and stats. A step size
        that underflows gives ``success=False``, as in SciPy.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, or `fun` returns what cannot be integrated; the message names the argument.

    Examples
    --------
    >>> result = solve_ivp(lambda t, y: -y, (0.0, 1.0), [1.0], rtol=1e-8, atol=1e-10)
    >>> round(float(result.y[0, -1]), 6)
    0.367879
    """
    if isinstance(method, str) and method in METHODS:
        method = METHODS[method]
    if not (inspect.isclass(method) and issubclass(method, OdeSolver)):
        raise ValueError(f"`method` must be one of {METHODS} or OdeSolver class.")
    t0, tf = check_span(t_span)
    args = check_args(args)
    times = check_times(t_eval, t0, tf)
    at_once = events is None and t0 != tf and method in EXPLICIT.values()
    if at_once and (stepping := _in_machine_code(method, fun, t0, y0, tf, vectorized, args, options)) is not None:
        stepper, path = stepping
        if (result := run(stepper, stepper.advance, path, times, dense_output)) is not None:
            return result
    solver, path = _make_solver(method, fun, t0, y0, tf, vectorized, args, options)
    if at_once and solver.n:
        return run(solver.stepper, solver.advance, path, times, dense_output)
    log = None if events is None else EventLog(events, args, t0, solver.y)
    return walk(solver, path, times, dense_output, log)


def _in_machine_code(
    method: Any, fun: Any, t0: float, y0: ArrayLike, tf: float, vectorized: bool, args: tuple[Any, ...], options: Any
) -> tuple[Stepper, str] | None:
    """Skip the solver object, which takes longer to make than a short solve; None where anything is unusual."""
    try:
        y0 = check_state(y0)
    except (ValueError, TypeError):
        return None
    rtol, atol = options.get("rtol", 1e-3), options.get("atol", 1e-6)
    if not (y0.size and are_ordinary(rtol, atol) and options.keys() <= {"rtol", "atol"}):
        return None
    path, code = machine_code(fun, args, y0, vectorized)
    return None if code is None else (Stepper(code, method._method, t0, y0, tf, rtol=rtol, atol=atol), path)


def _make_solver(
    method: Any, fun: Any, t0: float, y0: ArrayLike, tf: float, vectorized: bool, args: tuple[Any, ...], options: Any
) -> tuple[Any, str]:
    """Make the solver, and say which path it takes."""
    y0, own = check_state(y0), issubclass(method, ExplicitSolver)
    rhs = right_hand_side(fun, args, y0, vectorized, explicit=own)
    if own:
        return method(rhs, t0, y0, tf, vectorized=vectorized, **options), rhs.path
    jac = options.get("jac")
    if callable(jac) and args:
        options["jac"] = lambda t, y: jac(t, y, *args)
    elif jac is None and rhs.jacobian is not None and method in METHODS.values():
        options["jac"] = rhs.jacobian
    check_sizes(options, t0, tf)
    options["rtol"], options["atol"] = check_tolerances(options.get("rtol", 1e-3), options.get("atol", 1e-6), y0.size)
    if y0.size and np.isnan(rhs.function(t0, y0[:, None] if vectorized else y0)).any():
        raise ValueError(f"`fun` returned nan at the start, t0 = {t0}: check `y0` and the parameters")
    columns = vectorized and rhs.jacobian is None  # a field takes one state
    return method(rhs.function, t0, y0, tf, vectorized=columns, **options), rhs.path
