"""What an accepted step of the Adams method leaves behind: outputs inside it and, if they are kept, its polynomial.

With the g_j(theta) that `integrals` in adams_step.py sets,

    y(t_n + theta h) = y_n + h (sum_{j<k} g_j(theta) Phi*_j + g_k(theta) d).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.solvers.core import core, with_attributes
from nodeedu.solvers.dense_output import find_steps
from nodeedu.solvers.multistep.adams_step import MAX_ORDER, STAR, D, Y, integrals

Array = np.ndarray
FIRST_RECORDS = 32  # room for so many steps; it doubles when it is full

STEP = np.dtype([
    ("t", "f8"),
    ("h", "f8"),  # signed
    ("order", "i8"),
    ("sample", "i8"),
])  # fmt: skip


class Records(NamedTuple):
    """The accepted steps, sample after sample."""

    count: Array  # (1,) how many there are
    steps: Array  # (R,) of STEP
    nodes: Array  # (R, MAX_ORDER) the last times t_n, t_{n-1}, ...
    rows: Array  # (R, MAX_ORDER + 2, D) y_n, then Phi*_0, ..., Phi*_{k-1}, d


def make_records(rows: int, z0: Array) -> Records:
    """Allocate room for steps of z0 (B, D)."""
    steps, slopes = with_attributes(np.zeros(rows, STEP)), np.zeros((rows, MAX_ORDER + 2, z0.shape[1]), z0.dtype)
    return Records(np.zeros(1, np.int64), steps, np.zeros((rows, MAX_ORDER)), slopes)


@core
def record(k, h, t, nodes, x, sample, records):
    """Append the step from t."""
    count = records.count[0]
    step = records.steps[count]
    step.t, step.h, step.order, step.sample = t, h, k, sample
    for j in range(MAX_ORDER):
        records.nodes[count, j] = nodes[j]
    for i in range(x.shape[2]):
        records.rows[count, 0, i] = x[Y, 0, i]
        for j in range(k):
            records.rows[count, 1 + j, i] = x[STAR + j, 0, i]
        records.rows[count, 1 + k, i] = x[D, 0, i]
    records.count[0] = count + 1


@core
def emit(k, h, t1, first, ts, ahead, work, outputs):
    """Write the outputs from the index `first` on that the step has reached; return the index of the next one."""
    x, nodes, last, output = work.x, work.nodes, ts.shape[0] - 1, first
    direction = math.copysign(1.0, h)
    while output <= last and (ts[output] - t1) * direction <= 0.0:
        if output == last:
            for i in range(x.shape[2]):
                outputs[output, i] = x[ahead, 0, i]
        else:
            integrals((ts[output] - nodes[0]) / h, k, h, nodes, work.c, work.g)
            for i in range(x.shape[2]):
                total = work.g[k] * x[D, 0, i]
                for j in range(k - 1, -1, -1):
                    total += work.g[j] * x[STAR + j, 0, i]
                outputs[output, i] = x[Y, 0, i] + h * total
        output += 1
    return output


def interpolate(times: Array, records: Records, z0: Array) -> Array:
    """Evaluate recorded solves at any times (n,) between their ends; returns (n, B, D). z0 is (B, D)."""
    out = np.repeat(z0[None], len(times), axis=0)
    steps = records.steps[: records.count[0]]
    weigh = getattr(integrals, "py_func", integrals)
    c, g = np.zeros(MAX_ORDER + 3), np.zeros(MAX_ORDER + 1)
    for b in range(len(z0)):
        own = np.flatnonzero(steps["sample"] == b)
        if not len(own):  # a single output time: nothing was solved
            continue
        t, h = steps["t"][own], steps["h"][own]
        for n, i in enumerate(own[find_steps(times, t, h[0])]):
            k, rows = int(steps["order"][i]), records.rows[i]
            weigh((times[n] - steps["t"][i]) / steps["h"][i], k, steps["h"][i], records.nodes[i], c, g)
            out[n, b] = rows[0] + steps["h"][i] * (g[: k + 1] @ rows[1 : k + 2])
    return out
