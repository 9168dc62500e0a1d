"""The result of `solve_ivp`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import OdeSolver
from scipy.optimize import OptimizeResult

from nodeedu.solvers.scipy_api.stepper import Stepper
from nodeedu.solvers.tally import Tally

MESSAGES = {
    -1: OdeSolver.TOO_SMALL_STEP,
    0: "The solver successfully reached the end of the integration interval.",
    1: "A termination event occurred.",
}


@dataclass(frozen=True)
class Stats:
    """What a solve did.

    Parameters
    ----------
    path : {"python", "njit", "traced"}
        What ran: the Python function; machine code of an `@njit` function; machine code of a field.
    nfev : int
        Evaluations of f.
    accepted, rejected : int or None
        Steps of RK23, RK45 and DOP853; None for other methods.
    status : int
        0: reached the end; 1: a terminal event; -1: failed.
    tally : Tally or None
        Evaluations by purpose, of RK23, RK45 and DOP853; they add up to nfev. None for other methods.
    """

    path: str
    nfev: int
    accepted: int | None
    rejected: int | None
    status: int
    tally: Tally | None


class OdeResult(OptimizeResult):
    """Result of `solve_ivp`: a dict with attributes, as SciPy's, and one more of them, `stats`.

    Attributes
    ----------
    t : array (points,)
        Times.
    y : array (n, points)
        States.
    sol : scipy.integrate.OdeSolution or None
        Dense output.
    t_events, y_events : list of array, or None
        Times and states of the occurrences of each event.
    nfev, njev, nlu : int
        Numbers of evaluations of f and its Jacobian, and of LU decompositions.
    status : int
        0: reached the end; 1: a terminal event; -1: failed.
    message : str
        The status in words.
    success : bool
        Whether the status is not negative.
    stats : Stats
    """


def explicit_result(stepper: Stepper, path: str, status: int, for_events: int = 0, **fields: Any) -> OdeResult:
    """Collect the result of one of our own methods; `for_events` evaluations of dense output located events."""
    nfev, initial, dense, accepted, rejected, _ = stepper.counts.tolist()
    stages = stepper.method.stages
    tally = Tally(stages * accepted, stages * rejected, initial, dense - for_events, for_events, 0, 0, 0)
    return OdeResult(
        fields, nfev=nfev, njev=0, nlu=0, status=status, message=MESSAGES[status], success=status >= 0,
        stats=Stats(path, nfev, accepted, rejected, status, tally),
    )  # fmt: skip


def scipys_result(solver: OdeSolver, path: str, status: int, message: str | None, **fields: Any) -> OdeResult:
    """Collect the result of another solver."""
    nfev, message = int(solver.nfev), MESSAGES[status] if status >= 0 else message
    return OdeResult(
        fields, nfev=nfev, njev=solver.njev, nlu=solver.nlu, status=status, message=message,
        success=status >= 0, stats=Stats(path, nfev, None, None, status, None),
    )  # fmt: skip


def event_arrays(rows: list[list[Any]] | None) -> list[np.ndarray] | None:
    """Return the lists of an event log as arrays."""
    return None if rows is None else [np.asarray(row) for row in rows]
