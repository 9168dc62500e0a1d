"""Implicit methods: what a solve remembers between steps, and how its iterations and step sizes are controlled.

The step size follows Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8: with the error ratio r
of this step and r_old of the one before, whose sizes are h and h_old,

    h_new = h fac min(r^-1/4, (h / h_old) (r_old / r^2)^1/4),     fac = 0.9 (2 k_max + 1) / (2 k_max + k)

after k iterations of at most k_max. The second is Gustafsson's predictive controller (ACM TOMS 20 (1994) 496): it
takes the trend of the error into account.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.core import core
from nodeedu.solvers.step_control import clipped_step, equal_step, fixed_step_count

Array = np.ndarray

SAFETY = 0.9
MIN_FACTOR, MAX_FACTOR = 0.2, 8.0
KEEP_BELOW = 1.2  # a step that could grow by less is kept, and with it the LU decompositions
SMALLEST_OLD_RATIO = 1e-2
EXPONENT = 0.25  # 1/q of the error estimate, which has order 3

MISSING, OLD, FRESH = 0, 1, 2  # the Jacobian: none, of an earlier step, of this one
GOOD_RATE, FEW_ITERATIONS = 1e-3, 2.0  # iterations that converge as fast as this need no new Jacobian
UNKNOWN_RATE = 1.0

# fmt: off
WALK = np.dtype([          # one sample on its way
    ("t", "f8"),
    ("step", "f8"),        # signed size of the trial step
    ("t1", "f8"),          # where it ends
    ("h", "f8"),           # the size that the controller chose
    ("last_step", "f8"),   # signed size of the last accepted step, the slopes of which are kept; 0 before the first
    ("last_size", "f8"),   # its size, or 0 where the controller shall not look back
    ("ratio", "f8"),       # error ratio of the trial step
    ("old_ratio", "f8"),   # of the last accepted step
    ("contraction", "f8"), # rate / (1 - rate) of the last iteration: the error left, in units of the last change
    ("rate", "f8"),        # by which the last iteration converged
    ("iterations", "f8"),
    ("factored", "f8"),    # step size of the LU decompositions, 0 without
    ("substep", "f8"),     # steps since the last output time
    ("sample", "i8"),
    ("record", "i8"),      # row of the record of its last accepted step, or -1
    ("output", "i8"),      # index of its next output time
    ("jacobian", "i8"),    # MISSING, OLD or FRESH
    ("known", "i8"),       # whether its first slope is known
    ("rejected", "i8"),    # whether its last trial step was rejected
    ("fate", "i8"),        # RUNNING or how it ended (status.py)
])
# fmt: on


class StiffControl(NamedTuple):
    """How steps and iterations are controlled."""

    fixed: bool  # equal steps between output times; else adaptive
    step_size: float  # of fixed steps
    max_step: float
    max_steps: int
    rtol: float
    tolerance: float  # of an iteration, in units of its scale
    most_iterations: int
    epsilon: float  # spacing of the numbers in which f is computed


class States(NamedTuple):
    """States of one sample; real is float64 or float32."""

    t: Array  # (1,)
    y: Array  # (1, D) real, at the start of the step
    slope: Array  # (1, D) real, f(t, y)
    y1: Array  # (1, D) real, at the end of the step
    old: Array  # (1, D) real, at the start of the last accepted step
    k: Array  # (s, D) real, its slopes
    probe: Array  # (1, D) real, a state to evaluate f at
    probe_slope: Array  # (1, D) real
    atol: Array  # (D,)
    scale: Array  # (D,)
    error: Array  # (1, D)


def make_states(s: int, size: int, dtype: Any, atol: Any) -> States:
    """Allocate."""
    y, slope, y1, old, probe, probe_slope = np.zeros((6, 1, size), dtype)
    tolerances = np.empty(size)
    tolerances[:] = atol
    return States(
        np.zeros(1), y, slope, y1, old, np.zeros((s, size), dtype), probe, probe_slope, tolerances, np.zeros(size),
        np.zeros((1, size)),
    )  # fmt: skip


@core
def aim(control, ts, walk):
    """Set the end t1 and the signed size of the trial step; equal steps cut an interval of fixed steps."""
    row = walk.sample if ts.shape[0] > 1 else 0
    if control.fixed:
        start, stop = ts[row, walk.output - 1], ts[row, walk.output]
        count = fixed_step_count(start, stop, control.step_size)
        walk.step, walk.t1 = equal_step(start, stop, count, walk.substep)
    else:
        walk.step, walk.t1 = clipped_step(walk.t, ts[row, ts.shape[1] - 1], min(walk.h, control.max_step))


@core
def scales(control, y, Z, atol, scale):
    """Set what changes of the stages are measured by: the tolerances, or for fixed steps the stages themselves.

    Fixed steps iterate down to round-off. Small components are not asked to be more exact than the large ones allow.
    """
    largest = 0.0
    for i in range(scale.shape[0]):
        if control.fixed:
            size = abs(y[0, i])
            for q in range(Z.shape[0]):
                size = max(size, abs(y[0, i] + Z[q, i]))
            scale[i] = size
            largest = max(largest, size)
        else:
            scale[i] = atol[i] + control.rtol * abs(y[0, i])
    if control.fixed:
        for i in range(scale.shape[0]):
            scale[i] += math.sqrt(control.epsilon) * largest


@core
def keeps_jacobian(walk):
    """Whether the last iteration converged so fast that the next step can do with the same Jacobian."""
    return walk.rate <= GOOD_RATE or walk.iterations <= FEW_ITERATIONS


@core
def next_size(control, walk):
    """Choose the step size after a trial step whose iteration converged; see above."""
    size, most = abs(walk.step), 2.0 * control.most_iterations
    factor = MAX_FACTOR
    if walk.ratio > 0.0:
        factor = walk.ratio**-EXPONENT
        if walk.ratio <= 1.0 and walk.last_size > 0.0:
            factor = min(factor, size / walk.last_size * (walk.old_ratio / walk.ratio**2) ** EXPONENT)
        factor *= SAFETY * (most + 1.0) / (most + walk.iterations)
    largest = 1.0 if walk.rejected or walk.ratio > 1.0 else MAX_FACTOR
    factor = min(largest, max(MIN_FACTOR, factor))
    if walk.ratio <= 1.0 and keeps_jacobian(walk) and 1.0 <= factor <= KEEP_BELOW:
        factor = 1.0
    # A step that was clipped in order to land says nothing against the size that the controller had chosen.
    return max(walk.h, size * factor) if size < walk.h and walk.ratio <= 1.0 else size * factor
