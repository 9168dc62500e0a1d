"""Many steps of an explicit method in one call of its driver: what `solve_ivp` does where there are no events."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import OdeSolution

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.scipy_api.classes import ExplicitSolver
from nodeedu.solvers.scipy_api.explicit import ACCEPTED, NEXT, Output, T, advance
from nodeedu.solvers.scipy_api.interpolants import StepInterpolant
from nodeedu.solvers.scipy_api.result import OdeResult, make_result

FIRST_ROWS, MOST_ROWS, MOST_BYTES = 256, 65_536, 2**26


def run(solver: ExplicitSolver, path: str, times: np.ndarray | None, dense: bool) -> OdeResult:
    """Solve to the end of the interval; `times` are the output times, None for the ends of all steps."""
    keep, n, dtype = times is None or dense, solver.n, solver.y.dtype
    m = solver._method.n_coefficients
    t_eval = np.empty(0) if times is None else np.array(times)
    y_eval = np.empty((t_eval.size, n), dtype)
    ts, ys, coefficients = [np.array([solver.t])], [solver.y[None]], []
    rows, counts, status = FIRST_ROWS, solver._state.counts, DONE
    while status == DONE and solver._state.numbers[T] != solver.t_bound:
        before, kept = int(counts[ACCEPTED]), rows if keep else 0
        room = np.empty((rows if dense else 1, m, n), dtype)
        output = Output(np.empty(kept), np.empty((kept, n), dtype), dense, room, t_eval, y_eval)
        status = solver._run(advance, solver._control, solver._state, output, rows)
        if keep:
            taken = int(counts[ACCEPTED]) - before
            ts.append(output.ts[:taken])
            ys.append(output.ys[:taken])
            coefficients.append(output.coefficients[:taken])
        rows = min(4 * rows, MOST_ROWS, max(FIRST_ROWS, MOST_BYTES // (8 * n * (m if dense else 1))))
    solver._publish()
    solver.status = "finished" if status == DONE else "failed"
    message = None if status == DONE else solver.TOO_SMALL_STEP
    sol = _solution(np.concatenate(ts), np.concatenate(ys), np.concatenate(coefficients)) if dense else None
    t, y = (np.concatenate(ts), np.concatenate(ys).T) if times is None else _reached(times, y_eval, int(counts[NEXT]))
    code = 0 if status == DONE else -1
    return make_result(solver, path, code, message, t=t, y=y, sol=sol, t_events=None, y_events=None)


def _reached(times: np.ndarray, y_eval: np.ndarray, reached: int) -> tuple[Any, Any]:
    """Return the output times that the solve got to; none at all are lists, as in SciPy."""
    return (times[:reached], y_eval[:reached].T) if reached else ([], [])


def _solution(ts: np.ndarray, ys: np.ndarray, coefficients: np.ndarray) -> OdeSolution:
    """Return the dense output as SciPy's piecewise function."""
    pieces = [StepInterpolant(*step) for step in zip(ts[:-1], ts[1:], ys[:-1], coefficients, strict=True)]
    return OdeSolution(ts, pieces)
