"""One step at a time: what `solve_ivp` does with events, and with SciPy's and other solver classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import BDF, LSODA, OdeSolution

from nodeedu.solvers.scipy_api.classes import ExplicitSolver
from nodeedu.solvers.scipy_api.events import EventLog
from nodeedu.solvers.scipy_api.result import OdeResult, event_arrays, explicit_result, scipys_result


def walk(solver: Any, path: str, times: np.ndarray | None, dense: bool, log: EventLog | None) -> OdeResult:
    """Solve to the end of the interval or to a terminal event; `times` are the output times, None for all steps."""
    track = Track(solver.t, solver.y, times, solver.direction)
    status, message = None, None
    while status is None:
        message = solver.step()
        if solver.status == "failed":
            status = -1
            break
        status = 0 if solver.status == "finished" else None
        t, y = solver.t, solver.y
        piece = solver.dense_output() if dense else None
        if log is not None and (crossed := log.crossed(t, y)):
            before, piece = solver.nfev, piece if dense else solver.dense_output()
            log.nfev += solver.nfev - before
            if (end := log.locate(crossed, piece, solver.t_old, t)) is not None:
                status, t, y = 1, end, piece(end)
        if dense and track.ends[-1] == t and len(track.ends) > 1:
            continue  # an event where the step began: an interpolant of no length
        if piece is None and track.passes_output(t):
            piece = solver.dense_output()
        track.add(t, y, piece)
        if dense:
            track.pieces.append(piece)
    ts, ys = track.points()
    # Their interpolants are exact where a step ends, the others' also where it begins.
    at_end = type(solver) in (BDF, LSODA)
    sol = OdeSolution(np.array(track.ends), track.pieces, alt_segment=at_end) if dense else None
    t_events, y_events = (None, None) if log is None else (event_arrays(log.ts), event_arrays(log.ys))
    fields = {"t": ts, "y": ys, "sol": sol, "t_events": t_events, "y_events": y_events}
    if isinstance(solver, ExplicitSolver):
        return explicit_result(solver.stepper, path, status, 0 if log is None else log.nfev, **fields)
    return scipys_result(solver, path, status, message, **fields)


class Track:
    """The points that are kept of a solve, and its interpolants.

    Parameters
    ----------
    t, y : float, array (n,)
        The start.
    times : array, optional
        Output times in the direction of integration; by default the ends of steps are kept.
    direction : float
        1 or -1.

    Attributes
    ----------
    ends, pieces : list
        Ends of the steps, and the interpolants between them for dense output.
    """

    def __init__(self, t: float, y: np.ndarray, times: np.ndarray | None, direction: float) -> None:
        self.ends, self.states, self.pieces = [t], [y], []
        self.times, self.direction, self.passed = times, direction, 0
        self.blocks: list[tuple[np.ndarray, np.ndarray]] = []

    def passes_output(self, t: float) -> bool:
        """Whether there is an output time in the step that ends at t."""
        return self.times is not None and self._reached(t) > self.passed

    def _reached(self, t: float) -> int:
        return int(np.searchsorted(self.times * self.direction, t * self.direction, side="right"))

    def add(self, t: float, y: np.ndarray, piece: Any) -> None:
        """Keep what is wanted of a step that ends at (t, y)."""
        self.ends.append(t)
        if self.times is None:
            self.states.append(y)
        elif self.passes_output(t):
            block = self.times[self.passed : self._reached(t)]
            self.blocks.append((block, piece(block)))
            self.passed += len(block)

    def points(self) -> tuple[Any, Any]:
        """Times and states (n, points); where no output time was reached two empty lists, as in SciPy."""
        if self.times is None:
            return np.array(self.ends), np.vstack(self.states).T
        if not self.blocks:
            return [], []
        ts, ys = zip(*self.blocks, strict=True)
        return np.hstack(ts), np.hstack(ys)
