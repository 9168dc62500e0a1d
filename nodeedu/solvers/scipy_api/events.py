"""Events: zeros of functions ``g(t, y)`` along a solution, located on the dense output of each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

ROUND_OFF = 4 * np.finfo(float).eps


class EventLog:
    """The events of one solve: what is watched, and what has been found.

    Parameters
    ----------
    events : callable or sequence of callables
        Each has the attributes ``terminal`` (bool, or the number of occurrences that end the solve) and ``direction``
        (the sign of the crossing, 0 for both), if it wants others than False and 0.
    args : tuple
        What the functions get after t and y.
    t0, y0 : float, array (n,)
        The start.

    Attributes
    ----------
    ts, ys : list of list
        Times and states of the occurrences of each event.
    nfev : int
        Evaluations of f that locating events took.

    Raises
    ------
    ValueError
        ``terminal`` is neither a boolean nor a positive integer.
    """

    def __init__(
        self, events: Callable[..., float] | Sequence[Callable[..., float]], args: tuple[Any, ...], t0: float, y0: Any
    ) -> None:
        self.functions = (events,) if callable(events) else tuple(events)
        self.args, self.nfev = args, 0
        self.limits = [_limit(getattr(event, "terminal", None)) for event in self.functions]
        self.directions = [getattr(event, "direction", 0) for event in self.functions]
        self.ts: list[list[float]] = [[] for _ in self.functions]
        self.ys: list[list[np.ndarray]] = [[] for _ in self.functions]
        self.values = self._evaluate(t0, y0)

    def _evaluate(self, t: float, y: np.ndarray) -> list[float]:
        return [event(t, y, *self.args) for event in self.functions]

    def crossed(self, t: float, y: np.ndarray) -> list[int]:
        """Return which events have a zero in the step that ends at (t, y), and go on to its end."""
        before, self.values = self.values, self._evaluate(t, y)
        return [i for i, old in enumerate(before) if _crosses(old, self.values[i], self.directions[i])]

    def locate(
        self, crossed: list[int], solution: Callable[[float], np.ndarray], t_old: float, t: float
    ) -> float | None:
        """Find and keep the zeros of a step; return the time of the one that ends the solve, if any does.

        Zeros are kept in the order of the events. Only where the solve ends, they are taken in the order of time, and
        those after the end are dropped.
        """
        found = [(self._root(i, solution, t_old, t), i) for i in crossed]
        counts = {i: len(self.ts[i]) + 1 for i in crossed}
        ends = any(counts[i] >= self.limits[i] for i in crossed)
        if ends:
            found.sort(key=lambda event: event[0] if t > t_old else -event[0])
        for time, i in found:
            self.ts[i].append(time)
            self.ys[i].append(solution(time))
            if ends and counts[i] >= self.limits[i]:
                return time
        return None

    def _root(self, i: int, solution: Callable[[float], np.ndarray], t_old: float, t: float) -> float:
        event = self.functions[i]
        return brentq(lambda s: event(s, solution(s), *self.args), t_old, t, xtol=ROUND_OFF, rtol=ROUND_OFF)


def _limit(terminal: Any) -> float:
    """Return the number of occurrences after which an event ends the solve."""
    if terminal is None or terminal == 0:
        return np.inf
    if int(terminal) == terminal and terminal > 0:
        return int(terminal)
    raise ValueError("The `terminal` attribute of each event must be a boolean or positive integer.")


def _crosses(old: float, new: float, direction: float) -> bool:
    up, down = old <= 0 <= new, old >= 0 >= new
    if direction == 0:
        return bool(up or down)
    return bool(up if direction > 0 else down)
