"""Backpropagation through implicit steps: the exact gradient of what was computed, step sizes held constant.

A step solves ``k_i = f(t + c_i h, Y_i)``, ``Y_i = y + h sum_j A_ij k_j`` and ends at ``y1 = y + h sum_i b_i k_i``; its
outputs are ``z = y + h sum_i w_i k_i``. By the implicit function theorem the cotangents of the slopes solve a linear
system with the transposed matrix of Newton's method, taken at the stages,

    k_i_bar - h sum_j A_ji k_j_bar f_z(Y_j) = h (b_i y1_bar + sum_outputs w_i z_bar),
    y_bar = y1_bar + sum_outputs z_bar + sum_i k_i_bar f_z(Y_i),          theta_bar += k_i_bar f_theta(Y_i).

With A strictly lower triangular this is the sweep of sensitivity/discrete.py (Hager, Numer. Math. 87 (2000) 247).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_jvp, call_vjp
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.dense_output import interpolation_weight
from nodeedu.solvers.implicit.lu import factor, substitute
from nodeedu.solvers.integrate import ROUNDS

Array = np.ndarray


class Sweep(NamedTuple):
    """What the way back works on; s stages, D components, real is float64 or float32."""

    row: Array  # (1,) record of the step to go back over
    output: Array  # (1,) the latest output whose cotangent has not been added
    y_bar: Array  # (D,)
    direct: Array  # (D,) cotangents of the outputs inside the step
    t: Array  # (s,)
    Y: Array  # (s, D) real
    k_bar: Array  # (s, D) real
    dz: Array  # (s, D) real, what the kernel computes
    t_bar: Array  # (s,) real
    z_bar: Array  # (s, D) real
    matrix: Array  # (s D, s D)
    pivots: Array  # (s D,)
    rhs: Array  # (s D,)
    row_t: Array  # (s D,) rows for the Jacobians
    row_z: Array  # (s D, D) real
    unit: Array  # (s D, D) real
    row_dz: Array  # (s D, D) real
    row_jacobian: Array  # (s D, D) real, transposed


def make_sweep(s: int, size: int, dtype: Any) -> Sweep:
    """Allocate."""
    Y, k_bar, dz, z_bar = np.zeros((4, s, size), dtype)
    row_z, row_dz, row_jacobian = np.zeros((3, s * size, size), dtype)
    unit = np.ascontiguousarray(np.tile(np.eye(size, dtype=dtype), (s, 1)))
    rows = s * size
    return Sweep(
        np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(size), np.zeros(size), np.zeros(s), Y, k_bar, dz,
        np.zeros(s, dtype), z_bar, np.zeros((rows, rows)), np.zeros(rows, np.int64), np.zeros(rows), np.zeros(rows),
        row_z, unit, row_dz, row_jacobian,
    )  # fmt: skip


@driver
def go_back(system, vjp, vjp_work, method, tableau, lands, ts, zs_bar, records, sweep, a, p_bar):
    """Go back over the recorded steps, the last first; return how many are left after `ROUNDS`, or -1 on failure.

    Parameters
    ----------
    system, method : System, Implicit
        Of newton.py.
    vjp, vjp_work
        Callee of the kernel vjp, and its workspace.
    tableau : (array (s, s), array (s,))
        A and b.
    lands : bool
        Whether steps end at the outputs.
    ts, zs_bar : array (1, T) or (B, T), array (T, B, D)
        Output times and dL/dz there.
    records, sweep : Records, Sweep
        Of lanes.py, and above.
    a : array (B, D)
        Filled with dL/dz0.
    p_bar : array (P,)
        dL/dtheta is added.
    """
    A, b = tableau
    for _ in range(ROUNDS):
        row = sweep.row[0]
        if row < 0:
            return 0
        step = records.steps[row]
        seed(step, method, b, lands, ts, zs_bar, sweep)
        set_stages(step, method, A, records.rows[row], sweep)
        done = solve_transposed(step.h, system, A, sweep)
        done = min(done, call_vjp(vjp, sweep.t.shape[0], sweep.t, sweep.Y, sweep.k_bar, system.p, sweep.dz,
                                  sweep.t_bar, sweep.z_bar, p_bar, vjp_work))  # fmt: skip
        if done != DONE:
            return -1
        for i in range(sweep.y_bar.shape[0]):
            sweep.y_bar[i] += sweep.direct[i]
            for q in range(sweep.t.shape[0]):
                sweep.y_bar[i] += sweep.z_bar[q, i]
        sweep.row[0] = row - 1
        if step.previous < 0:  # the first step of this sample; the records of samples follow each other
            for i in range(sweep.y_bar.shape[0]):
                a[step.sample, i] = sweep.y_bar[i]
                sweep.y_bar[i] = 0.0
            sweep.output[0] = ts.shape[1] - 1
    return sweep.row[0] + 1


@core
def seed(step, method, b, lands, ts, zs_bar, sweep):
    """Set the right-hand side from the cotangents of the end of the step and of the outputs that it has written."""
    s, size, last = sweep.t.shape[0], sweep.y_bar.shape[0], ts.shape[1] - 1
    row, direction = step.sample if ts.shape[0] > 1 else 0, math.copysign(1.0, step.h)
    for i in range(size):
        sweep.direct[i] = 0.0
        for q in range(s):
            sweep.rhs[q * size + i] = 0.0
    while sweep.output[0] > 0 and (ts[row, sweep.output[0]] - step.t) * direction > 0.0:
        j = sweep.output[0]
        sweep.output[0] -= 1
        if lands or j == last:
            for i in range(size):
                sweep.y_bar[i] += zs_bar[j, step.sample, i]
            continue
        for i in range(size):
            sweep.direct[i] += zs_bar[j, step.sample, i]
        for q in range(s):
            weight = step.h * interpolation_weight(method.interpolant, q, (ts[row, j] - step.t) / step.h)
            for i in range(size):
                sweep.rhs[q * size + i] += weight * zs_bar[j, step.sample, i]
    for q in range(s):
        for i in range(size):
            sweep.rhs[q * size + i] += step.h * b[q] * sweep.y_bar[i]


@core
def set_stages(step, method, A, recorded, sweep):
    """Compute times and states of the stages from the recorded state and slopes (1 + s, D)."""
    for q in range(sweep.t.shape[0]):
        sweep.t[q] = step.last if method.c[q] == 1.0 else step.t + method.c[q] * step.h
        for i in range(sweep.Y.shape[1]):
            total = 0.0
            for r in range(sweep.t.shape[0]):
                total += A[q, r] * recorded[1 + r, i]
            sweep.Y[q, i] = recorded[0, i] + step.h * total


@core
def solve_transposed(h, system, A, sweep):
    """Solve for the cotangents k_bar of the slopes; return `DONE`, or 0 on failure."""
    s, size = sweep.Y.shape
    for q in range(s):
        for a in range(size):
            sweep.row_t[q * size + a] = sweep.t[q]
            for i in range(size):
                sweep.row_z[q * size + a, i] = sweep.Y[q, i]
    done = call_jvp(system.jvp, s * size, sweep.row_t, sweep.row_z, sweep.unit, system.p, system.p_dot, sweep.row_dz,
                    sweep.row_jacobian, system.jvp_work)  # fmt: skip
    for q in range(s):
        for a in range(size):
            for r in range(s):
                for i in range(size):
                    same = 1.0 if q == r and a == i else 0.0
                    sweep.matrix[q * size + a, r * size + i] = same - h * A[r, q] * sweep.row_jacobian[r * size + a, i]
    if not factor(sweep.matrix, sweep.pivots):
        return 0
    substitute(sweep.matrix, sweep.pivots, sweep.rhs)
    for q in range(s):
        for i in range(size):
            sweep.k_bar[q, i] = sweep.rhs[q * size + i]
    return done
