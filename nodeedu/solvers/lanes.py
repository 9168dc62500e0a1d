"""What a solve works on.

A *sample* is a trajectory that was asked for; a *lane* is the row where it is being computed. The active lanes are the
first n rows of every block: when a sample is done, the last active lane takes over its row, so that a kernel always
sees contiguous rows. Nothing that is computed for a lane depends on its row or on the other lanes.

B samples, D components, M blocks of a system (systems.py), s stages, T output times, R records.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nodeedu.solvers.core import core, with_attributes
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
    ("older_ratio", "f8"),  # of the one before
    ("beyond", "f8"),     # what is added to t for the first slope: not 0 where t is a jump
    ("ahead", "f8"),      # what is subtracted from t1 for the last slope: not 0 where t1 is a jump
    ("substep", "f8"),    # steps since the last output time
    ("sample", "i8"),     # which sample it is
    ("record", "i8"),     # row of the record of its last accepted step, or -1
    ("output", "i8"),     # index of its next output time
    ("jump", "i8"),       # how many jumps are behind it
    ("known", "i8"),      # whether its first slope is known
    ("rejected", "i8"),   # whether its last trial step was rejected
    ("fate", "i8"),       # RUNNING or how it ended (status.py)
])
# Every evaluation of f counts in nfev and, by its purpose, in one f_..., unless it belongs to an accepted step: the
# rest are those. So it is for all methods; tally.py says which purpose is which.
SAMPLE = np.dtype([
    ("t", "f8"),          # where it ended
    ("h", "f8"),          # the step size that would have been tried next
    ("nfev", "i8"),
    ("f_rejected", "i8"),
    ("f_initial", "i8"),
    ("f_dense", "i8"),
    ("f_event", "i8"),
    ("f_newton", "i8"),
    ("f_adjoint", "i8"),
    ("f_trace", "i8"),
    ("accepted", "i8"),   # steps
    ("rejected", "i8"),
    ("njev", "i8"),       # Jacobians and LU decompositions of implicit methods
    ("nlu", "i8"),
    ("status", "i8"),
    ("component", "i8"),  # the first non-finite component where it failed, or -1
    ("record", "i8"),     # row of the record of its last accepted step, or -1
])
STEP = np.dtype([         # an accepted step
    ("t", "f8"),
    ("h", "f8"),          # signed
    ("first", "f8"),      # time of its first slope: t, or just beyond a jump
    ("last", "f8"),       # time of slopes at its end: the end, or just before a jump
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
    min_step: float
    exponent: float  # 1/q, and the others of step_control.py
    beta1: float
    beta2: float
    beta3: float
    norm: int  # RMS, MAX or OWN of norms.py
    callee: Any  # of the user's own norm, as of a kernel
    jumps: Array  # (J,) increasing: where steps end and the first slope is evaluated anew


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


@lru_cache
def _new_lanes(n: int) -> bytes:  # bytes, as NumPy copies records field by field
    """Put sample b into lane b."""
    lanes = np.zeros(n, LANE)
    lanes["sample"] = np.arange(n)
    lanes["output"], lanes["fate"], lanes["record"] = 1, RUNNING, -1
    lanes["old_ratio"] = lanes["older_ratio"] = 1.0
    return lanes.tobytes()


def make_lanes(first: int, starts: Array, first_steps: Any) -> Array:
    """Let sample ``first + b`` start in lane b, at starts (n,); a first step of 0 is chosen by the solver."""
    lanes = with_attributes(np.frombuffer(bytearray(_new_lanes(len(starts))), LANE))
    lanes["t"], lanes["h"] = starts, first_steps
    if first:
        lanes["sample"] += first
    return lanes


@lru_cache
def _new_samples(n: int) -> bytes:
    samples = np.zeros(n, SAMPLE)
    samples["component"] = samples["record"] = -1
    return samples.tobytes()


def make_samples(n: int) -> Array:
    """Allocate the counters."""
    return with_attributes(np.frombuffer(bytearray(_new_samples(n)), SAMPLE))


def copy_samples(samples: Array) -> Array:
    """Copy the counters: as bytes, as NumPy copies records field by field."""
    return np.frombuffer(bytearray(samples), SAMPLE)


def make_rows(y0: Array, stages: int, atol: Any, powers: int) -> Array:
    """Allocate the array x of runge_kutta.py as (rows, M, B, D), with state and tolerance filled in.

    Behind the slopes come as many rows as dense output has powers of theta.
    """
    x = np.empty((K + max(stages + powers, 2), *y0.shape), y0.dtype)  # the second slope takes in newcomers', too
    x[Y], x[ATOL] = y0, atol
    return x


def make_records(rows: int, stages: int, size: int, dtype: Any) -> Records:
    """Allocate room for accepted steps."""
    steps, states = with_attributes(np.empty(rows, STEP)), np.empty((rows, 1 + stages, size), dtype)
    return Records(np.zeros(1, np.int64), steps, states)


def grow(records: Any) -> Any:
    """Return records of any method, a tuple of their count and of arrays, in arrays of twice the length."""
    count, *arrays = records
    return type(records)(count, *map(_twice, arrays))


def _twice(array: Array) -> Array:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return with_attributes(larger) if array.dtype.names else larger


def join(parts: list[tuple[slice, Records]], samples: Array) -> Records:
    """Return the records of chunks as one, with ``record`` of samples (B,) of SAMPLE pointing into it."""
    if len(parts) == 1:
        return parts[0][1]
    total, steps, rows = 0, [], []
    for members, records in parts:
        count = int(records.count[0])
        own, last = records.steps[:count], samples["record"][members]
        own["previous"][own["previous"] >= 0] += total
        last[last >= 0] += total
        steps.append(own)
        rows.append(records.rows[:count])
        total += count
    return Records(np.array([total]), with_attributes(np.concatenate(steps)), np.concatenate(rows))


def own_scratch(adjoint: Adjoint, n: int) -> Adjoint:
    """Return a copy that writes to arrays of its own, for a chunk of n samples."""
    (_, _, size), real, rows = adjoint.zs.shape, adjoint.zs.dtype, len(adjoint.nodes) * n
    z, a = np.empty((2, rows, size), real)
    return adjoint._replace(
        p_bar=np.zeros_like(adjoint.p_bar), t=np.empty(rows), z=z, a=a, work=np.empty_like(adjoint.work)
    )


@core
def first_nonfinite(rows):
    """Return the first component that is nan or infinite in any of the rows (n, D), or -1."""
    for q in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            if not abs(rows[q, i]) < math.inf:
                return i
    return -1


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
