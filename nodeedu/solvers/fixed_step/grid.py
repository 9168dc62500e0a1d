"""Steps that are known before they are made: each interval of ts is cut into equal steps, forwards and backwards.

Methods of fixed steps whose step is their own affair (symplectic.py, reversible.py) share what surrounds the step
(solve.py): the grid, outputs, counters, records, dense output. All samples make their k-th step together, those
with the most steps first, so that the rows of the samples that still run have no gaps. Going back, the same grid gives
the same times and sizes bit for bit: nothing about it is stored.

B samples of D components, T times, m blocks of D numbers that a step starts from, R steps of all samples together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.solvers.status import NON_FINITE
from nodeedu.solvers.step_control import EPS, equal_step

Array = np.ndarray


class Times(NamedTuple):
    """Output times and the number of steps between them, shared (1, ...) or (B, ...)."""

    ts: Array  # (1 or B, T)
    counts: Array  # (1 or B, T - 1), float64 as a count may exceed all integers


class Grid(NamedTuple):
    """Where each of n lanes is; the sample of lane b is sample[b]."""

    sample: Array  # (n,)
    steps: Array  # (n,) how many it makes
    output: Array  # (n,) the output at the end of the interval that it is in
    substep: Array  # (n,) steps made in that interval, before the present one
    running: Array  # (n,) 1, or 0 once it has failed: then its row is computed on, but not looked at
    t: Array  # (n,) where its step begins
    h: Array  # (n,) its signed size
    t1: Array  # (n,) where it ends


class Trail(NamedTuple):
    """The states at the ends of all steps, for `discrete` and dense output; without rows if they are not kept."""

    row: Array  # (B,) row of each sample's first step, those of its others follow
    states: Array  # (R, m, D)

    @property
    def stored_states(self) -> int:
        """How many states of D numbers are kept."""
        return self.states.shape[0] * self.states.shape[1]


def make_times(ts: Array, step_size: float) -> Times:
    """Cut each interval into the fewest equal steps; `fixed_step_count` of step_control.py, for all intervals."""
    start, stop = ts[:, :-1], ts[:, 1:]
    length = abs(stop - start) - 4.0 * EPS * np.maximum(abs(start), abs(stop))
    return Times(ts, np.maximum(1.0, np.ceil(length / step_size)))


def make_grid(sample: Array, steps: Array, times: Times, at_end: bool) -> Grid:
    """Put samples into lanes, before their first step or before going back over their last."""
    n = len(sample)
    output, substep = np.ones(n, np.int64), np.zeros(n, np.int64)
    if at_end:
        output[:] = times.ts.shape[1] - 1
        substep[:] = times.counts[sample if len(times.counts) > 1 else 0, -1] - 1
    return Grid(sample, steps[sample], output, substep, np.ones(n, np.int64), *np.empty((3, n)))


@core
def place(n, times, grid):
    """Set t, h and t1 of the step that each lane is about to make, or to go back over."""
    for b in range(n):
        row = grid.sample[b] if times.ts.shape[0] > 1 else 0
        j, substep = grid.output[b], grid.substep[b]
        start = times.ts[row, j - 1]
        grid.h[b], grid.t1[b] = equal_step(start, times.ts[row, j], times.counts[row, j - 1], substep)
        grid.t[b] = start if substep == 0 else start + substep * grid.h[b]


@core
def moments(n, offset, grid, t):
    """Set ``t = t + offset h``, with both ends exact: a field may not be defined one rounding beyond the end."""
    for b in range(n):
        t[b] = grid.t1[b] if offset == 1.0 else grid.t[b] + offset * grid.h[b]


@core
def finish(n, made, evaluations, states, x, times, grid, outputs, trail, samples):
    """Look at the new state x[:states] of every lane: count, keep, write outputs; return how many have steps left.

    ``made`` is how many steps each of the n lanes has now made.
    """
    running, rest = 0, n
    for b in range(n):
        if not grid.running[b]:
            continue
        sample = samples[grid.sample[b]]
        sample.nfev += evaluations
        sample.t, sample.h = grid.t[b], abs(grid.h[b])
        total = 0.0  # a sum with a nan or an infinity in it
        for m in range(states):
            for i in range(x.shape[2]):
                total += 0.0 * x[m, b, i]
        if total != 0.0:
            sample.component = first_nonfinite(states, b, x)
            sample.rejected += 1
            sample.f_rejected += evaluations
            sample.status = NON_FINITE
            grid.running[b] = 0
            continue
        sample.accepted += 1
        sample.t = grid.t1[b]
        running += 1
    if trail.states.shape[0] > 0:
        keep(n, made, states, x, grid, trail)
    land(n, x, times, grid, outputs)
    while rest > 0 and grid.steps[rest - 1] == made:
        rest -= 1
    return rest if running > 0 else 0


@core
def first_nonfinite(states, b, x):
    """Return the first component of a lane that is nan or infinite, or -1."""
    for i in range(x.shape[2]):
        for m in range(states):
            if not abs(x[m, b, i]) < math.inf:
                return i
    return -1


@core
def keep(n, made, states, x, grid, trail):
    """Store the states at the ends of the steps."""
    for b in range(n):
        row = trail.row[grid.sample[b]] + made - 1
        for m in range(states):
            for i in range(x.shape[2]):
                trail.states[row, m, i] = x[m, b, i]


@core
def land(n, x, times, grid, outputs):
    """Write the states that are outputs, and move on to the next step."""
    for b in range(n):
        if not grid.running[b]:
            continue
        sample, j = grid.sample[b], grid.output[b]
        grid.substep[b] += 1
        if grid.substep[b] >= times.counts[sample if times.ts.shape[0] > 1 else 0, j - 1]:
            for i in range(x.shape[2]):
                outputs[j, sample, i] = x[0, b, i]
            grid.substep[b] = 0
            grid.output[b] += 1


@core
def go_back(n, gone, states, stored, x, y_bar, zs_bar, times, grid, trail):
    """Prepare the step before: its times, the cotangents of the output at its end, and, if stored, its end x[:states].

    ``gone`` is how many steps have been undone. Returns how many of the n lanes have steps before this one.
    """
    place(n, times, grid)
    for b in range(n):
        sample = grid.sample[b]
        row = sample if times.ts.shape[0] > 1 else 0
        j = grid.output[b]
        if grid.substep[b] + 1 >= times.counts[row, j - 1]:
            for i in range(x.shape[2]):
                y_bar[b, i] += zs_bar[j, sample, i]
        if stored:
            kept = trail.states[trail.row[sample] + grid.steps[b] - gone - 1]
            for m in range(states):
                for i in range(x.shape[2]):
                    x[m, b, i] = kept[m, i]
        if grid.substep[b] > 0:
            grid.substep[b] -= 1
        elif j > 1:
            grid.output[b] -= 1
            grid.substep[b] = times.counts[row, j - 2] - 1
    rest = n
    while rest > 0 and grid.steps[rest - 1] == gone + 1:
        rest -= 1
    return rest
