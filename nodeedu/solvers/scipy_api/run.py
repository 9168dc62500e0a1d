"""Many steps of an explicit method in one call of its driver: what `solve_ivp` does where there are no events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import OdeSolution

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.scipy_api.explicit import ACCEPTED, NEXT, TOO_SMALL_STEP, Output
from nodeedu.solvers.scipy_api.interpolants import StepInterpolant
from nodeedu.solvers.scipy_api.result import OdeResult, explicit_result
from nodeedu.solvers.scipy_api.stepper import Stepper

FIRST_ROWS, MOST_ROWS, MOST_BYTES = 256, 10_000, 2**26  # between two calls, Python sees to an interrupt
NOTHING = np.empty(0)


def run(
    stepper: Stepper, advance: Callable[[Output, int], int], path: str, times: np.ndarray | None, dense: bool
) -> OdeResult | None:
    """Solve to the end of the interval; `times` are the output times, None for the ends of all steps.

    `advance` is the stepper's or one that raises where f fails; None is returned if neither gets to a result.
    """
    keep, (m, n), dtype = times is None or dense, stepper.interpolant_shape, stepper.block.dtype
    start = stepper.t, stepper.block[0].copy()
    t_eval = NOTHING if times is None else times
    y_eval = np.empty((t_eval.size, n), dtype)
    ts, ys, coefficients = [], [], []
    rows, status = FIRST_ROWS if keep else MOST_ROWS, DONE
    while status == DONE and stepper.t != stepper.t_bound:
        before, kept = stepper.counts[ACCEPTED], rows if keep else 0
        room = np.empty((rows if dense else 1, m, n), dtype)
        output = Output(np.empty(kept), np.empty((kept, n), dtype), dense, room, t_eval, y_eval)
        status = advance(output, rows)
        if keep:
            taken = stepper.counts[ACCEPTED] - before
            ts.append(output.ts[:taken])
            ys.append(output.ys[:taken])
            coefficients.append(room[:taken])
            rows = min(4 * rows, MOST_ROWS, max(FIRST_ROWS, MOST_BYTES // (8 * n * (m if dense else 1))))
    if status not in (DONE, TOO_SMALL_STEP):
        return None
    if keep:
        ts, ys = np.concatenate([[start[0]], *ts]), np.concatenate([start[1][None], *ys])
    sol = _solution(ts, ys, np.concatenate(coefficients)) if dense else None
    t, y = (ts, ys.T) if times is None else _reached(times, y_eval, int(stepper.counts[NEXT]))
    return explicit_result(stepper, path, 0 if status == DONE else -1, t=t, y=y, sol=sol, t_events=None, y_events=None)


def _reached(times: np.ndarray, y_eval: np.ndarray, reached: int) -> tuple[Any, Any]:
    """Return the output times that the solve got to; none at all are lists, as in SciPy."""
    return (times[:reached], y_eval[:reached].T) if reached else ([], [])


def _solution(ts: np.ndarray, ys: np.ndarray, coefficients: np.ndarray) -> OdeSolution:
    """Return the dense output as SciPy's piecewise function."""
    pieces = [StepInterpolant(*step) for step in zip(ts[:-1], ts[1:], ys[:-1], coefficients, strict=True)]
    return OdeSolution(ts, pieces)
