"""Events of one trajectory: zeros of functions ``g(t, z)``, located on the dense output of the accepted steps.

The *side* of an event is the sign of its g. An event occurs in a step at the end of which it is on another side than
before: a function that changes its sign twice within a step goes unnoticed, as in SciPy. Where g is zero at a start, as
it is for a ball that the floor has just thrown back, the sign there is that of round-off; the side is then that of the
first value in the step ahead that rises above round-off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nodeedu.errors import SolverError
from nodeedu.solvers.events.checks import Event
from nodeedu.solvers.step_control import EPS

Array = np.ndarray

ROUND_OFF = 4 * EPS  # of the root finder, relative to the time
SAME_TIME = 16 * EPS  # times that are no farther apart, relative to their size, are one
NOISE = 4  # round-off of a state, relative to its terms, in eps; and of the slope of g, relative to a difference of it
RISE = 256  # how far g must rise above its round-off between two resets
FIRST_LOOK = -30  # power of 2: the fraction of a step at which g is looked at first, if it is zero at the start


@dataclass(frozen=True, eq=False)
class Step:
    """An accepted step of one sample; calling it interpolates.

    Parameters
    ----------
    t, t1, h : float
        Start, end, and signed size.
    y, y1 : array (D,)
        State at start and end.
    k : array (s, D)
        Slopes.
    interpolant : array (s, m)
        See dense_output.py.
    """

    t: float
    t1: float
    h: float
    y: Array
    y1: Array
    k: Array
    interpolant: Array

    @property
    def round_off(self) -> float:
        """Distance of times that the root finder can hardly tell apart."""
        return SAME_TIME * max(abs(self.t), abs(self.t1))

    def __call__(self, t: float) -> Array:
        """Return the state (D,) at t."""
        if t == self.t or t == self.t1:
            return self.y if t == self.t else self.y1
        powers = ((t - self.t) / self.h) ** np.arange(1, self.interpolant.shape[1] + 1)
        return (self.y + self.h * (self.interpolant @ powers @ self.k)).astype(self.y.dtype)


@dataclass(frozen=True, eq=False)
class Occurrence:
    """An event that happened.

    Parameters
    ----------
    event : int
        Which one.
    t : float
        When.
    before : array (D,)
        State there.
    after : array (D,) or None
        What its reset made of it; None without. Of several resets at one time, each is given what the one before left.
    ends : bool
        Whether it ended the solve.
    record : int
        Row of the record of the step that holds t. That step is kept whole, and so reaches beyond a reset.
    """

    event: int
    t: float
    before: Array
    after: Array | None
    ends: bool
    record: int


@dataclass(frozen=True, eq=False)
class Cut:
    """Where a step was cut short: the time, the state from there on (D,), and whether the solve ends."""

    t: float
    z: Array
    ends: bool


class Watch:
    """What is known of the events of one sample while it is solved.

    Parameters
    ----------
    events : tuple of Event
        What is watched.
    times : array (T,)
        Output times. An event within round-off of one happens at it.
    method : str
        Named in errors.
    sample : int or None
        Named in errors, where there is a batch.

    Attributes
    ----------
    occurrences : list of Occurrence
        In the order of the solve.
    """

    def __init__(self, events: tuple[Event, ...], times: Array, method: str, sample: int | None) -> None:
        n = len(events)
        self.events, self.times, self.forward = events, times, math.copysign(1.0, times[-1] - times[0])
        self.method, self.sample = method, sample
        self.occurrences: list[Occurrence] = []
        self.counts = [0] * n  # of occurrences
        self.noise = [0.0] * n  # round-off of g at the start
        self.peaks = [math.inf] * n  # largest |g| since the last reset of the same event
        self.values, self.sides, self.began = [0.0] * n, [0.0] * n, times[0]

    def start(self, t: float, z: Array, step: Step | None = None) -> None:
        """Begin at (t, z), at first or after a reset in a step; what a reset does to g is no crossing."""
        self.began = t
        size = abs(z) if step is None else abs(z) + abs(step.h) * abs(step.k).max(axis=0)
        # By another part of its round-off for each component, lest g = z[0] - z[1] stay as it is.
        shaken = (z + NOISE * np.finfo(z.dtype).eps * size * np.cos(np.arange(len(z)))).astype(z.dtype)
        for i, event in enumerate(self.events):
            value = event.value(t, z)
            self.noise[i] = abs(event.value(t, shaken) - value)
            if step is not None:
                self.noise[i] += NOISE * step.round_off * _slope(event, step, t)
            self.values[i], self.sides[i] = value, float(np.sign(value)) if abs(value) > self.noise[i] else 0.0
            self.peaks[i] = max(self.peaks[i], abs(value))

    def take(self, step: Step, record: int) -> Cut | None:
        """Note the events in a step, up to the first that resets the state or ends the solve, which cuts it short."""
        found = self._crossings(step)
        t_cut = next((t for t, i in found if self._ends(i) or self.events[i].reset), None)
        at_cut = sorted(i for t, i in found if t_cut is not None and abs(t - t_cut) <= step.round_off)
        for t, i in found:
            if t_cut is None or (i not in at_cut and self.forward * (t - t_cut) < 0.0):
                self._note(i, t, step(t), None, False, record)
        if t_cut is None:
            return None
        z, last = step(t_cut), [i for i in at_cut if self._ends(i)]
        for i in at_cut:
            after = None
            if self.events[i].reset and not last:
                self._require_rise(i, t_cut, step)
                after = self.events[i].state_after(t_cut, z)
            self._note(i, t_cut, z, after, i in last, record)
            z = z if after is None else after
        return Cut(t_cut, z, bool(last))

    def _crossings(self, step: Step) -> list[tuple[float, int]]:
        """Return the zeros in a step as (t, index of the event), in the order of the solve, and go on to its end."""
        found = []
        for i, event in enumerate(self.events):
            lower, old, value = step.t, self.values[i], event.value(step.t1, step.y1)
            if step.t1 == self.times[-1] and self._crosses_just_beyond(i, step, value):
                value = 0.0
            if self.sides[i] == 0.0:
                lower, old = self._leave_zero(i, step, value)
                self.sides[i] = float(np.sign(old))
            before, side = self.sides[i], float(np.sign(value)) if self.sides[i] else 0.0
            if side != before and event.direction * before <= 0.0:
                t = self._at_output(_root(event, step, lower, old, value), step)
                if abs(t - self.began) > step.round_off:  # else it was zero at the start, but for round-off
                    found.append((t, i))
            self.peaks[i] = max(self.peaks[i], abs(value)) if side == before else self.peaks[i]
            self.values[i], self.sides[i] = value, side
        return sorted(found, key=lambda crossing: (self.forward * crossing[0], crossing[1]))

    def _leave_zero(self, i: int, step: Step, value: float) -> tuple[float, float]:
        """Return where in a step g first rises above its round-off, and its value there; 0 if it does not."""
        for power in range(FIRST_LOOK, 0, 2):
            t = step.t + 2.0**power * step.h
            g = self.events[i].value(t, step(t))
            if abs(g) > self.noise[i]:
                return t, g
        return step.t1, value if abs(value) > self.noise[i] else 0.0

    def _crosses_just_beyond(self, i: int, step: Step, value: float) -> bool:
        """Whether g is zero at the end of a step but for round-off; at the last output time, no later step can tell."""
        t = step.t1 + self.forward * step.round_off
        return value * self.sides[i] > 0.0 >= value * self.events[i].value(t, step(t))

    def _at_output(self, t: float, step: Step) -> float:
        """Return the output time that t is, but for round-off, or t."""
        nearest = float(self.times[np.abs(self.times - t).argmin()])
        return nearest if abs(nearest - t) <= step.round_off else t

    def _ends(self, i: int) -> bool:
        """Whether the next occurrence of an event ends the solve."""
        return self.counts[i] + 1 >= self.events[i].limit

    def _note(self, i: int, t: float, before: Array, after: Array | None, ends: bool, record: int) -> None:
        self.counts[i] += 1
        self.occurrences.append(Occurrence(i, t, before, after, ends, record))

    def _require_rise(self, i: int, t: float, step: Step) -> None:
        """Raise SolverError if g has not risen above its round-off since the event's last reset.

        The resets of a ball that loses speed pile up before a finite time, infinitely many of them, and round-off would
        at last let it through the floor.
        """
        middle = step.t + (t - step.t) / 2
        peak, self.peaks[i] = max(self.peaks[i], abs(self.events[i].value(middle, step(middle)))), 0.0
        if peak > RISE * self.noise[i]:
            return
        who = "" if self.sample is None else f"sample {self.sample}: "
        raise SolverError(
            f"{who}{self.method} stopped at t = {t:.6g}: chattering; reset number {self.counts[i] + 1} of "
            f"{self.events[i].name} follows the one before so closely that round-off cannot tell them apart; let the "
            "event be terminal after some occurrences, or let reset bring the state to rest",
            t=t, method=self.method, cause="chattering", sample=self.sample,
        )  # fmt: skip


def _slope(event: Event, step: Step, t: float) -> float:
    """Return the absolute slope of g around t, from values within the step."""
    low, high = sorted((step.t, step.t1))
    d = abs(step.h) / 1024
    low, high = max(low, t - d), min(high, t + d)
    return abs(event.value(high, step(high)) - event.value(low, step(low))) / (high - low)


def _root(event: Event, step: Step, lower: float, old: float, value: float) -> float:
    """Return the zero between lower, where g is old, and the end of the step, where it is value."""
    if value == 0.0:
        return step.t1
    ends = {lower: old, step.t1: value}  # dense output may differ there by a rounding, and g change its sign by it

    from scipy.optimize import brentq  # only here: importing it takes a sixth of a second

    def g(t: float) -> float:
        return ends[t] if t in ends else event.value(t, step(t))

    precision = max(ROUND_OFF * max(abs(step.t), abs(step.t1)), np.finfo(float).tiny)
    # A multiple root takes Brent's method some hundred iterations.
    return float(brentq(g, lower, step.t1, xtol=precision, rtol=ROUND_OFF, maxiter=10_000))
