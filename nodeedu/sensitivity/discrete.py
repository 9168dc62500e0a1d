"""Backpropagation through the accepted steps: the exact gradient of what the solver computed, step sizes held constant.

A step computes ``y_q = y + h sum_r A_qr k_r``, ``k_q = f(t + c_q h, y_q)``, ``y1 = y + h sum_r b_r k_r`` and outputs
``z = y + h sum_r w_r k_r`` inside it. Backwards, with a bar for dL/d(...) (a row), starting from y1_bar:

    k_r_bar = h (b_r y1_bar + sum_outputs w_r z_bar + sum_{q>r} A_qr y_q_bar),      y_q_bar = k_q_bar f_z(y_q),
    y_bar   = y1_bar + sum_outputs z_bar + sum_q y_q_bar,                        theta_bar += k_q_bar f_theta(y_q).

With FSAL, ``y_s = y1`` and k_s is the first slope of the next step, whose k_1_bar comes back as an addition to k_s_bar.
Hager, Numer. Math. 87 (2000) 247, shows that this is again a Runge-Kutta method for the adjoint ODE.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_vjp
from nodeedu.errors import SolverError
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.dense_output import interpolation_weight
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.runge_kutta import SPARE, Y1, H, K, Y, add_scaled, combine
from nodeedu.solvers.solution import Solution
from nodeedu.solvers.solve import lanes_at_once
from nodeedu.solvers.status import CAUSES, KERNEL_FAILED

Array = np.ndarray


class Sweep(NamedTuple):
    """What the reverse sweep works on: one lane a sample, those with the most steps first."""

    sample: Array  # (B,) which sample a lane is
    left: Array  # (B,) steps that it has still to go back
    record: Array  # (B,) row of the record of the next one
    output: Array  # (B,) the latest output whose cotangent has not been added
    t: Array  # (B,) where its step begins
    stage_t: Array  # (B,)
    t_bar: Array  # (B,) result of the kernel, as are z_bar and dz
    x: Array  # (K + s, B, D) rows of runge_kutta.py
    k_bar: Array  # (s, B, D)
    y_bar: Array  # (B, D)
    direct: Array  # (B, D) cotangents of the outputs inside the step
    z_bar: Array  # (B, D)
    dz: Array  # (B, D)


class Flat(NamedTuple):
    """The same arrays with lanes and components in one axis."""

    x: Array  # (K + s, B D)
    k_bar: Array  # (s, B D)
    y_bar: Array  # (B D,)
    direct: Array
    z_bar: Array


def discrete(solution: Solution, zs_bar: Array) -> tuple[Array, Array, Array]:
    """Backpropagate through a solve that was recorded.

    Parameters
    ----------
    solution : Solution
        With records.
    zs_bar : array (T, B, D)
        dL/dz(t_i).

    Returns
    -------
    a : array (B, D)
        a(t0+), which leaves out the observation at t0.
    p_bar : array (P,)
        dL/dtheta, summed over samples.
    nfev : array (B,)
        Evaluations of f with its derivatives.

    Raises
    ------
    SolverError
        If a compiled kernel raises an exception.
    """
    inputs, method, counts = solution._inputs, solution._method, solution._samples
    kernel = inputs.field.kernel("vjp", inputs.z0.dtype)
    p_bar = np.zeros(inputs.field.n_params, inputs.z0.dtype)
    work = np.empty(kernel.work_size, inputs.z0.dtype)
    a = np.zeros_like(inputs.z0)
    by_steps = np.argsort(-counts["accepted"], kind="stable")
    chunk = lanes_at_once(2 * len(method.b), inputs.z0[None])  # slopes and their cotangents
    for first in range(0, len(a), chunk):
        sweep, flat = _start(solution, by_steps[first : first + chunk])
        n = np.count_nonzero(sweep.left)
        while n > 0:
            n = go_back(
                n, kernel.callee, inputs.p, p_bar, work, method, solution._options.fixed, inputs.ts, zs_bar,
                solution._records, sweep, flat,
            )  # fmt: skip
        if n < 0:
            cause, text = CAUSES[KERNEL_FAILED]
            method_name, t = solution._options.method, float(sweep.t[0])
            raise SolverError(
                f"discrete: {method_name} stopped at t = {t:.6g}: {text}", t=t, method=method_name, cause=cause
            )
        a[sweep.sample] = sweep.y_bar
    steps, stages = counts["accepted"], len(method.b)
    return a, p_bar, steps * (stages - 1) + (steps > 0) if method.fsal else steps * stages


def _start(solution: Solution, sample: Array) -> tuple[Sweep, Flat]:
    """Put the given samples into lanes, each behind its last step."""
    counts, s, z0 = solution._samples, len(solution._method.b), solution._inputs.z0
    n, dtype = len(sample), z0.dtype
    rows = np.zeros((K + 2 * s + 4, n, z0.shape[1]), dtype)
    last = np.full(n, solution._inputs.ts.shape[1] - 1)
    t, stage_t = np.empty((2, n))
    lanes = sample, counts["accepted"][sample], counts["record"][sample], last, t, stage_t, np.empty(n, dtype)
    x, k_bar, rest = rows[: K + s], rows[K + s : -4], rows[-4:]
    flat = rows.reshape(len(rows), -1)
    return Sweep(*lanes, x, k_bar, *rest), Flat(flat[: K + s], flat[K + s : -4], flat[-4], flat[-3], flat[-2])


@driver
def go_back(n, callee, p, p_bar, work, method, lands, ts, zs_bar, records, sweep, flat):
    """Take the first n lanes back, step by step; return how many have steps left after `ROUNDS`, or -1 on failure."""
    stages, size = method.b.shape[0], sweep.x.shape[2]
    done = DONE
    for _ in range(ROUNDS):
        load(n, method.fsal, records, sweep)
        seed(n, method.interpolant, lands, ts, zs_bar, sweep)
        rest = n  # lanes that have further steps
        while rest > 0 and sweep.left[rest - 1] == 0:
            rest -= 1
        if not method.fsal:
            spread(method.b, stages, 0, n * size, flat.x, flat.y_bar, flat.k_bar)
        for q in range(stages - 1, -1, -1):
            # The first slope of a step is the last of the step before, where its cotangent is carried to.
            start = rest if method.fsal and q == 0 else 0
            if start < n:
                stage(start, n, method.A[q], q, method.c[q], sweep, flat.x)
                done = min(done, pull(start, n, callee, q, p, p_bar, work, sweep))
                # With FSAL, the state of the last stage is y1.
                collect(start * size, n * size, method.fsal and q == stages - 1, flat)
                spread(method.A[q], q, start * size, n * size, flat.x, flat.z_bar, flat.k_bar)
        for i in range(n * size):
            flat.y_bar[i] += flat.direct[i]
        n = rest
        if n == 0 or done != DONE:
            break
    return n if done == DONE else -1


@core
def pull(start, n, callee, q, p, p_bar, work, sweep):
    """Evaluate ``y_q_bar = k_q_bar f_z`` into z_bar and add ``k_q_bar f_theta`` to p_bar; return `DONE` or 0."""
    return call_vjp(callee, n - start, sweep.stage_t[start:], sweep.x[Y1, start:], sweep.k_bar[q, start:], p,
                    sweep.dz[start:], sweep.t_bar[start:], sweep.z_bar[start:], p_bar, work)  # fmt: skip


@core
def collect(start, stop, is_end, flat):
    """Add the cotangent of a stage state to that of the state; at the end of the step, their sum is what spreads."""
    y_bar, z_bar = flat.y_bar[start:stop], flat.z_bar[start:stop]
    for i in range(y_bar.shape[0]):
        y_bar[i] += z_bar[i]
        if is_end:
            z_bar[i] = y_bar[i]


@core
def load(n, fsal, records, sweep):
    """Move every lane to its step before: state and slopes into x; k_bar is zero, but for what FSAL carries over."""
    x, k_bar, stages = sweep.x, sweep.k_bar, sweep.k_bar.shape[0]
    for b in range(n):
        row = sweep.record[b]
        step = records.steps[row]
        sweep.left[b] -= 1
        sweep.record[b], sweep.t[b], h = step.previous, step.t, step.h
        for i in range(x.shape[2]):
            x[Y, b, i] = records.rows[row, 0, i]
            x[H, b, i] = h
            sweep.direct[b, i] = 0.0
            carried = k_bar[0, b, i]
            for q in range(stages):
                x[K + q, b, i] = records.rows[row, 1 + q, i]
                k_bar[q, b, i] = 0.0
            if fsal:
                k_bar[stages - 1, b, i] = carried


@core
def seed(n, interpolant, lands, ts, zs_bar, sweep):
    """Add the cotangents of the outputs that each lane's step has written (emit in solvers/advance.py)."""
    last = ts.shape[1] - 1
    for b in range(n):
        sample = sweep.sample[b]
        t, h = sweep.t[b], sweep.x[H, b, 0]
        row, direction = sample if ts.shape[0] > 1 else 0, math.copysign(1.0, h)
        while sweep.output[b] > 0 and (ts[row, sweep.output[b]] - t) * direction > 0.0:
            j = sweep.output[b]
            sweep.output[b] -= 1
            if lands or j == last:
                for i in range(zs_bar.shape[2]):
                    sweep.y_bar[b, i] += zs_bar[j, sample, i]
                continue
            for q in range(interpolant.shape[0]):
                weight = h * interpolation_weight(interpolant, q, (ts[row, j] - t) / h)
                for i in range(zs_bar.shape[2]):
                    sweep.k_bar[q, b, i] += weight * zs_bar[j, sample, i]
            for i in range(zs_bar.shape[2]):
                sweep.direct[b, i] += zs_bar[j, sample, i]


@core
def stage(start, n, weights, count, c, sweep, x):
    """Compute time and state of a stage again, for the lanes from start to n."""
    size = sweep.x.shape[2]
    combine(x, weights, count, start * size, n * size, x[Y1])
    add_scaled(x, start * size, n * size, x[Y1])
    for b in range(start, n):
        sweep.stage_t[b] = sweep.t[b] + c * x[H, b * size]


@core
def spread(weights, count, start, stop, x, y_bar, k_bar):
    """Add ``h weights_r y_bar`` to the cotangents of the first slopes, over the elements from start to stop."""
    h, cotangent, scaled = x[H, start:stop], y_bar[start:stop], x[SPARE, start:stop]
    for i in range(scaled.shape[0]):
        scaled[i] = h[i] * cotangent[i]
    for r in range(count):
        weight = weights[r]
        if weight != 0.0:
            total = k_bar[r, start:stop]
            for i in range(total.shape[0]):
                total[i] += weight * scaled[i]
