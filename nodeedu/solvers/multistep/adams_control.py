"""How the Adams method chooses its steps and orders, as Shampine & Gordon do (see adams.py)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.solvers.multistep.adams_step import DIFFERENCES, MAX_ORDER, SCALE
from nodeedu.solvers.norms import scaled_norm
from nodeedu.solvers.status import NON_FINITE, UNDERFLOW
from nodeedu.solvers.step_control import SLIVER, smallest_step

STRETCH = 1.1  # the last step may be so much longer than was chosen, rather than leave a short one

STATE = np.dtype([
    ("t", "f8"), ("t1", "f8"),  # where the trial step begins and ends
    ("h", "f8"),  # size that was chosen
    ("last", "f8"),  # signed size of the last accepted step
    ("sample", "i8"),
    ("order", "i8"),
    ("equal", "i8"),  # accepted steps of that size in a row
    ("rising", "i8"),  # whether step and order still rise as at the start
    ("failures", "i8"),  # of this step
    ("output", "i8"),  # index of the next output time
    ("fate", "i8"),  # RUNNING or how it ended
    ("fresh", "i8"),  # whether the sample has still to be started
])  # fmt: skip


class Control(NamedTuple):
    """How steps are chosen."""

    rtol: float
    first_step: float  # 0: automatic
    max_step: float
    max_steps: int


@core
def aim(control, end, state):
    """Set the end t1 of the trial step and return its signed size."""
    reach = end - state.t
    h = min(state.h, control.max_step)
    if max(h, min(STRETCH * h, control.max_step)) >= abs(reach) * (1.0 - SLIVER):
        state.t1 = end
        return reach
    h = math.copysign(h, reach)
    state.t1 = state.t + h
    return h


@core
def reject(error, lower, state, sample):
    """Shorten the step: half of it, at order 1 from the third failure on, where differences seem to say nothing."""
    sample.rejected += 1
    state.failures += 1
    state.rising = 0
    factor = 0.5
    if not error < math.inf:
        factor = 0.2
    elif state.failures > 3:
        factor = min(0.5, math.sqrt(0.5 / error))
    state.h = abs(state.t1 - state.t) * factor
    if state.failures >= 3:
        state.order = 1
    elif lower:
        state.order -= 1
    if not state.h > smallest_step(state.t):
        state.fate = UNDERFLOW if error < math.inf else NON_FINITE


@core
def choose(k, size, error, below, lower, work):
    """Choose order and size of the next step; x holds the differences at its start."""
    state = work.state[0]
    if lower or k == MAX_ORDER:
        state.rising = 0
    if state.rising:
        state.order, state.h = k + 1, 2.0 * size
        return
    if lower:
        state.order, error = k - 1, below
    elif k < state.equal:
        above = size * abs(work.gamma[k + 1]) * scaled_norm(work.x[DIFFERENCES + k + 1], work.x[SCALE, 0])
        if k > 1 and below <= min(error, above):
            state.order, error = k - 1, below
        elif k < MAX_ORDER and above < (0.5 * error if k == 1 else error):
            state.order, error = k + 1, above
    state.h = size
    exponent = state.order + 1.0
    if error * 2.0**exponent <= 0.5:
        state.h = 2.0 * size
    elif error > 0.5:
        state.h = size * max(0.5, min(0.9, (0.5 / error) ** (1.0 / exponent)))
