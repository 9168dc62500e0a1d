"""What a solve works on.

A *sample* is a trajectory that was asked for; a *lane* is the row where it is being computed. The active lanes are the
first n rows of every block: when a sample is done, the last active lane takes over its row, so that a kernel always
sees contiguous rows. Nothing that is computed for a lane depends on its row or on the other lanes.

B samples, D components, M blocks of a system (systems.py), s stages, T output times, R records.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import JIT
from nodeedu.solvers.core import core
from nodeedu.solvers.runge_kutta import ATOL, K, Y
from nodeedu.solvers.status import RUNNING

Array = np.ndarray

# fmt: off
LANE = np.dtype([
    ("t", "f8"),
    ("step", "f8"),       # signed size of the trial step, clipped to the next time that it must land on
    ("t1", "f8"),         # where the trial step ends
    ("h", "f8"),          # the size that the controller chose
    ("ratio", "f8"),      # error ratio of the trial step
    ("old_ratio", "f8"),  # of the last accepted step
    ("substep", "f8"),    # steps since the last output time
    ("sample", "i8"),     # which sample it is
    ("record", "i8"),     # row of the record of its last accepted step, or -1
    ("output", "i8"),     # index of its next output time
    ("known", "i8"),      # whether its first slope is known
    ("rejected", "i8"),   # whether its last trial step was rejected
    ("fate", "i8"),       # RUNNING or how it ended (status.py)
])
SAMPLE = np.dtype([
    ("t", "f8"),          # where it ended
    ("h", "f8"),          # the step size that would have been tried next
    ("nfev", "i8"),
    ("accepted", "i8"),
    ("rejected", "i8"),
    ("status", "i8"),
    ("component", "i8"),  # the first non-finite component where it failed, or -1
    ("record", "i8"),     # row of the record of its last accepted step, or -1
])
STEP = np.dtype([         # an accepted step
    ("t", "f8"),
    ("h", "f8"),          # signed
    ("sample", "i8"),
    ("previous", "i8"),   # row of the record of the same sample's step before, or -1: a linked list for each sample
])
# fmt: on


class Control(NamedTuple):
    """How steps are chosen."""

    fixed: bool  # equal steps between output times; else adaptive
    lands: bool  # steps end at every output time; else only at the last
    step_size: float  # of fixed steps
    max_step: float
    max_steps: int
    rtol: float
    exponent: float  # 1/q and the damping of step_control.py
    damping: float


class Records(NamedTuple):
    """The accepted steps of all samples, in the order of acceptance."""

    count: Array  # (1,) how many there are
    steps: Array  # (R,) of STEP
    rows: Array  # (R, 1 + s, D) the state at the start, then the slopes

    @property
    def stored_states(self) -> int:
        """How many states and slopes of D numbers are kept."""
        return int(self.count[0]) * self.rows.shape[1]


class Adjoint(NamedTuple):
    """What ADJOINT needs beyond its right-hand side; zs and zs_bar run forward in time."""

    zs: Array  # (T, B, D) states of the forward solve
    zs_bar: Array  # (T, B, D)
    callee: Any  # of the kernel vjp_theta
    p_bar: Array  # (P,)
    nodes: Array  # (N,) of the quadrature for theta, between 0 and 1
    states: Array  # (N, s) weights of the slopes in the states at the nodes
    omega: Array  # (N,) weights of the quadrature
    t: Array  # (N B,) rows for the kernel: the nodes of accepted steps
    z: Array  # (N B, D)
    a: Array  # (N B, D)
    work: Array


def _attributes(array: Array) -> Array:
    """Let cores read the fields of records as attributes: numba gives them to any array, NumPy to a recarray only."""
    return array if JIT else array.view(np.recarray)


@lru_cache
def _new_lanes(n: int) -> bytes:  # bytes, as NumPy copies records field by field
    """Put sample b into lane b."""
    lanes = np.zeros(n, LANE)
    lanes["sample"] = np.arange(n)
    lanes["output"], lanes["old_ratio"], lanes["fate"], lanes["record"] = 1, 1.0, RUNNING, -1
    return lanes.tobytes()


def make_lanes(first: int, starts: Array, first_steps: Array) -> Array:
    """Let sample ``first + b`` start in lane b, at starts (n,); a first step of 0 is chosen by the solver."""
    lanes = _attributes(np.frombuffer(bytearray(_new_lanes(len(starts))), LANE))
    lanes["t"], lanes["h"] = starts, first_steps
    lanes["sample"] += first
    return lanes


@lru_cache
def _new_samples(n: int) -> bytes:
    samples = np.zeros(n, SAMPLE)
    samples["component"] = samples["record"] = -1
    return samples.tobytes()


def make_samples(n: int) -> Array:
    """Allocate the counters."""
    return _attributes(np.frombuffer(bytearray(_new_samples(n)), SAMPLE))


def make_rows(y0: Array, stages: int, atol: Any) -> Array:
    """Allocate the array x of runge_kutta.py as (rows, M, B, D), with state and tolerance filled in."""
    x = np.empty((K + max(stages, 2), *y0.shape), y0.dtype)  # two slopes at least: the second takes in newcomers'
    x[Y], x[ATOL] = y0, atol
    return x


def make_records(rows: int, stages: int, size: int, dtype: Any) -> Records:
    """Allocate room for accepted steps."""
    return Records(np.zeros(1, np.int64), _attributes(np.empty(rows, STEP)), np.empty((rows, 1 + stages, size), dtype))


def grow(records: Records) -> Records:
    """Return the records in arrays of twice the length."""
    n = len(records.steps)
    larger = make_records(2 * n, records.rows.shape[1] - 1, records.rows.shape[2], records.rows.dtype)
    larger.steps[:n], larger.rows[:n] = records.steps, records.rows
    return larger._replace(count=records.count)


@core
def copy_lane(x, row, b, new_row, new_b):
    """Copy lane b of one row of x into lane new_b of another row, in all blocks."""
    for m in range(x.shape[1]):
        for i in range(x.shape[3]):
            x[new_row, m, new_b, i] = x[row, m, b, i]


@core
def retire(n, x, lanes, samples):
    """Report the lanes that have ended and close the gaps; return how many still run."""
    # Backwards: the lane that moves into a gap has already been looked at.
    for b in range(n - 1, -1, -1):
        lane = lanes[b]
        if lane.fate != RUNNING:
            sample = samples[lane.sample]
            sample.status, sample.t, sample.h, sample.record = lane.fate, lane.t, lane.h, lane.record
            n -= 1
            lanes[b] = lanes[n]
            copy_lane(x, Y, n, Y, b)
            copy_lane(x, K, n, K, b)
    return n
