"""The way of one sample, followed once more with all its steps: what the failure microscope looks at.

A solve keeps no steps, so the sample is solved again, alone. Its steps are recorded in portions, of which little is
kept: a solve of 100 000 steps in 10 000 components does not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nodeedu.solvers.arguments import Inputs, Options
from nodeedu.solvers.solve import solve
from nodeedu.solvers.status import SUCCESS, TOO_MANY_STEPS

Array = np.ndarray
Slopes = Callable[[float, Array], Array]

PORTION = 1000  # trial steps that are recorded at a time
NUMBERS = 2**23  # that the records of a portion, or the states at the end of the trail, may take


@dataclass(frozen=True, eq=False)
class Trail:
    """The accepted steps of one sample, n of them, and its states at the last m.

    Parameters
    ----------
    t, h : array (n,)
        Start and signed size of each step.
    z_size, f_size : array (n,)
        Largest component of the state and of the slope at the start of each step, in magnitude.
    zs, fs : array (m, D)
        States and slopes at the starts of the last steps.
    marks : list of (int, array (D,))
        Indices of some steps, at most `PORTION` apart, and the states at their starts.
    end_t, end_z, next_h : float, array (D,), float
        Where it ended, and the size of the step that would have been tried next, without a sign.
    trials, status : int
        Trial steps, and how it ended.
    """

    t: Array
    h: Array
    z_size: Array
    f_size: Array
    zs: Array
    fs: Array
    marks: list[tuple[int, Array]]
    end_t: float
    end_z: Array
    next_h: float
    trials: int
    status: int


def slopes_of(inputs: Inputs) -> Slopes:
    """Return ``f(t, z)`` for one state (D,), nan where it raises an exception: probes lead where no solve went."""
    dtype, size = inputs.z0.dtype, inputs.field.size
    kernel = inputs.field.kernel("f", dtype)
    work = np.empty(kernel.work_size, dtype)

    def f(t: float, z: Array) -> Array:
        row, dz = np.array(z, dtype).reshape(1, size), np.full((1, size), np.nan, dtype)
        try:
            kernel.function(np.array([t], np.float64), row, inputs.p, dz, work)
        except Exception:
            dz[:] = np.nan
        return dz[0].astype(np.float64)

    return f


def from_here(inputs: Inputs, t: float, z: Array) -> Inputs:
    """Return the problem of one sample from (t, z) on; its times are those ahead."""
    ts = inputs.ts[0]
    rest = np.concatenate([[t], ts[(ts - t) * np.sign(ts[-1] - ts[0]) > 0]])
    return replace(inputs, z0=z.reshape(1, -1).astype(inputs.z0.dtype), ts=rest[None])


def follow(inputs: Inputs, options: Options, trials: int) -> Trail:
    """Solve for one sample again, for at most so many trial steps."""
    stages, size = options.tableau.stages, inputs.field.size
    room = NUMBERS // size
    portion = int(min(PORTION, max(16, room // (stages + 2))))
    keep = min(PORTION, max(16, room))
    t, z, h = float(inputs.ts[0, 0]), inputs.z0, options.first_step
    done, status = 0, TOO_MANY_STEPS
    rows: list[Array] = []
    zs = fs = np.empty((0, size))
    marks: list[tuple[int, Array]] = []
    while status == TOO_MANY_STEPS and done < trials:
        marks.append((sum(map(len, rows)), z[0].astype(np.float64)))
        limits = replace(options, max_steps=min(portion, trials - done), first_step=h)
        part = solve(from_here(inputs, t, z), limits, record=True)
        steps, states = _accepted(part)
        rows.append(steps)
        if len(steps):
            zs = np.concatenate([zs, states[:, 0].astype(np.float64)])[-keep:]
            fs = np.concatenate([fs, states[:, 1].astype(np.float64)])[-keep:]
            z = _end(part, states[-1], options.tableau.b, steps[-1, 1])
        last = part._samples[0]
        done += int(last["accepted"] + last["rejected"])
        t, status, h = float(last["t"]), int(last["status"]), options.first_step if options.fixed else float(last["h"])
    t_h_sizes = np.concatenate([*rows, np.empty((0, 4))]).T
    return Trail(*t_h_sizes, zs, fs, marks, t, z[0].astype(np.float64), float(h), done, status)


def _accepted(part: Any) -> tuple[Array, Array]:
    """Return the accepted steps as rows (t, h, size of z, size of f), and their states and slopes (n, 1 + s, D)."""
    count = int(part._records.count[0])
    steps, states = part._records.steps[:count], part._records.rows[:count]
    sizes = abs(states[:, :2]).max(axis=2).astype(np.float64)
    return np.column_stack([steps["t"], steps["h"], sizes]), states


def _end(part: Any, row: Array, b: Array, h: float) -> Array:
    """Return the state (1, D) after the last accepted step."""
    if part._samples[0]["status"] == SUCCESS:
        return part.zs[-1].reshape(1, -1)
    with np.errstate(all="ignore"):
        return (row[0] + h * np.tensordot(b, row[1 : 1 + len(b)], 1)).astype(row.dtype)[None]
