"""Backpropagation through the accepted steps: the exact gradient of what the solver computed, step sizes held constant.

A step computes ``y_q = y + h sum_r A_qr k_r``, ``k_q = f(t + c_q h, y_q)``, ``y1 = y + h sum_r b_r k_r`` and outputs
``z = y + h sum_j theta^j c_j``, ``c_j = sum_r P_rj k_r`` inside it. Backwards, with a bar for dL/d(...) (a row),
starting from y1_bar:

    c_j_bar = h sum_outputs theta^j z_bar,
    k_r_bar = h (b_r y1_bar + sum_{q>r} A_qr y_q_bar) + sum_j P_rj c_j_bar,      y_q_bar = k_q_bar f_z(y_q),
    y_bar   = y1_bar + sum_outputs z_bar + sum_q y_q_bar,                      theta_bar += k_q_bar f_theta(y_q).

With FSAL, ``y_s = y1`` and k_s is the first slope of the next step, whose k_1_bar comes back as an addition to k_s_bar.
Hager, Numer. Math. 87 (2000) 247, shows that this is again a Runge-Kutta method for the adjoint ODE.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nodeedu.compile.kernels import DONE, call_vjp
from nodeedu.solvers.core import core, driver
from nodeedu.solvers.integrate import ROUNDS
from nodeedu.solvers.runge_kutta import SPARE, Y1, H, K, Y, add_scaled, combine

Array = np.ndarray

LANE = np.dtype([
    ("sample", "i8"),  # which sample it is
    ("left", "i8"),    # steps that it has still to go back
    ("record", "i8"),  # row of the record of the next one
    ("output", "i8"),  # the latest output whose cotangent has not been added
    ("t", "f8"),       # where its step begins
    ("t_first", "f8"), # time of its first slope, and of those at its end: not t and t1 where these are jumps
    ("t_last", "f8"),
])  # fmt: skip


OTHERS = ("y_bar", "direct", "z_bar", "dz", "t_bar")  # the last rows of the workspace, see Sweep


class Sweep(NamedTuple):
    """What the reverse sweep works on, one lane a sample; rows are (B D,), lanes and components in one axis."""

    lanes: Array  # (B,) of LANE, those with the most steps first
    t: Array  # (B,) times of a stage
    x: Array  # (K + s, B D) rows of runge_kutta.py
    k_bar: Array  # (s, B D)
    c_bar: Array  # (m, B D)
    y_bar: Array  # (B D,)
    direct: Array  # (B D,) cotangents of the outputs inside the step
    z_bar: Array  # (B D,) results of the kernel, as are dz and t_bar
    dz: Array
    t_bar: Array  # (B,)


@driver
def go_back(
    n, started, callee, p, p_bar, work, method, lands, ts, zs_bar, records, samples, members, lanes, t, rows, a
):  # fmt: skip
    """Take the first n lanes back, step by step; return how many have steps left after `ROUNDS`, or -1 on failure."""
    size, done = a.shape[1], DONE
    sweep = divide(method.b.shape[0], method.interpolant.shape[1], lanes, t, rows)
    if not started:
        n = start(n, ts, samples, members, sweep)
    for _ in range(ROUNDS):
        if n == 0 or done != DONE:
            break
        rest = load(n, size, method.fsal, records, sweep)
        done = undo(rest, n, size, method, callee, p, p_bar, work, lands, ts, zs_bar, sweep, a)
        n = rest
    return n if done == DONE else -1


@core
def undo(rest, n, size, method, callee, p, p_bar, work, lands, ts, zs_bar, sweep, a):
    """Go back over one step of the first n lanes, of which `rest` have further ones; return `DONE` or 0."""
    stages, done = method.b.shape[0], DONE
    if seed(n, size, method.interpolant, lands, ts, zs_bar, sweep):
        for j in range(method.interpolant.shape[1]):
            distribute(method.interpolant[:, j], stages, 0, n * size, sweep.c_bar[j], sweep.k_bar)
    if not method.fsal:
        spread(method.b, stages, 0, n * size, sweep, sweep.y_bar)
    for q in range(stages - 1, -1, -1):
        # The first slope of a step is the last of the step before, where its cotangent is carried to.
        first = rest if method.fsal and q == 0 else 0
        if first < n:
            stage(first, n, size, method.A[q], q, method.c[q], sweep)
            done = min(done, pull(first, n, size, callee, q, p, p_bar, work, sweep))
            # With FSAL, the state of the last stage is y1.
            collect(first * size, n * size, method.fsal and q == stages - 1, sweep)
            spread(method.A[q], q, first * size, n * size, sweep, sweep.z_bar)
    if method.fsal:  # but not behind a jump
        done = min(done, pull_behind_jumps(rest, size, method, callee, p, p_bar, work, sweep))
    finish(rest, n, size, sweep, a)
    return done


@core
def divide(stages, powers, lanes, t, rows):
    """Divide the workspace."""
    x, k_bar = rows[: K + stages], rows[K + stages : K + 2 * stages]
    c_bar, rest = rows[K + 2 * stages : K + 2 * stages + powers], rows[K + 2 * stages + powers :]
    return Sweep(lanes, t, x, k_bar, c_bar, rest[0], rest[1], rest[2], rest[3], rest[4])


@core
def start(n, ts, samples, members, sweep):
    """Put the samples into lanes, each behind its last step; return how many have made any."""
    running = 0
    for b in range(n):
        lane, sample = sweep.lanes[b], samples[members[b]]
        lane.sample, lane.left, lane.record, lane.output = members[b], sample.accepted, sample.record, ts.shape[1] - 1
        if lane.left > 0:
            running += 1
    for i in range(sweep.y_bar.shape[0]):
        sweep.y_bar[i] = 0.0
        sweep.k_bar[0, i] = 0.0
    return running


@core
def pull_behind_jumps(n, size, method, callee, p, p_bar, work, sweep):
    """Pull through the first slopes that were evaluated anew behind a jump: the steps before do not share them."""
    done = DONE
    for b in range(n):
        if sweep.lanes[b].t_first != sweep.lanes[b].t:
            stage(b, b + 1, size, method.A[0], 0, 0.0, sweep)
            done = min(done, pull(b, b + 1, size, callee, 0, p, p_bar, work, sweep))
            collect(b * size, (b + 1) * size, False, sweep)
            for i in range(b * size, (b + 1) * size):
                sweep.k_bar[0, i] = 0.0
    return done


@core
def pull(first, n, size, callee, q, p, p_bar, work, sweep):
    """Evaluate ``y_q_bar = k_q_bar f_z`` into z_bar and add ``k_q_bar f_theta`` to p_bar; return `DONE` or 0."""
    start, stop, shape = first * size, n * size, (n - first, size)
    y, k_bar = sweep.x[Y1, start:stop].reshape(shape), sweep.k_bar[q, start:stop].reshape(shape)
    dz, z_bar = sweep.dz[start:stop].reshape(shape), sweep.z_bar[start:stop].reshape(shape)
    t, t_bar = sweep.t[first:n], sweep.t_bar[first:n]
    return call_vjp(callee, n - first, t, y, k_bar, p, dz, t_bar, z_bar, p_bar, work)


@core
def collect(start, stop, is_end, sweep):
    """Add the cotangent of a stage state to that of the state; at the end of the step, their sum is what spreads."""
    y_bar, z_bar = sweep.y_bar[start:stop], sweep.z_bar[start:stop]
    for i in range(y_bar.shape[0]):
        y_bar[i] += z_bar[i]
        if is_end:
            z_bar[i] = y_bar[i]


@core
def load(n, size, fsal, records, sweep):
    """Move every lane to its step before: state and slopes into x; k_bar is zero, but for what FSAL carries over.

    Returns how many lanes, the first ones, have further steps.
    """
    x, k_bar, stages, rest = sweep.x, sweep.k_bar, sweep.k_bar.shape[0], 0
    for q in range(1, stages):
        for i in range(n * size):
            k_bar[q, i] = k_bar[0, i] if fsal and q == stages - 1 else 0.0
    for i in range(n * size):
        k_bar[0, i] = sweep.direct[i] = 0.0
    for j in range(sweep.c_bar.shape[0]):
        for i in range(n * size):
            sweep.c_bar[j, i] = 0.0
    for b in range(n):
        lane = sweep.lanes[b]
        row = lane.record
        step = records.steps[row]
        lane.record, lane.t, lane.t_first, lane.t_last = step.previous, step.t, step.first, step.last
        lane.left -= 1
        rest += 1 if lane.left > 0 else 0
        for i in range(size):
            x[Y, b * size + i] = records.rows[row, 0, i]
            x[H, b * size + i] = step.h
            for q in range(stages):
                x[K + q, b * size + i] = records.rows[row, 1 + q, i]
    return rest


@core
def seed(n, size, interpolant, lands, ts, zs_bar, sweep):
    """Add the cotangents of the outputs that each lane's step has written (emit in solvers/advance.py).

    Returns whether any of them was inside a step.
    """
    last, inside = ts.shape[1] - 1, False
    for b in range(n):
        lane, at = sweep.lanes[b], b * size
        h = sweep.x[H, at]
        row, direction = lane.sample if ts.shape[0] > 1 else 0, math.copysign(1.0, h)
        while lane.output > 0 and (ts[row, lane.output] - lane.t) * direction > 0.0:
            bar, output = zs_bar[lane.output, lane.sample], lane.output
            lane.output -= 1
            if lands or output == last:
                for i in range(size):
                    sweep.y_bar[at + i] += bar[i]
                continue
            inside = True
            theta = (ts[row, output] - lane.t) / h
            weight = h
            for j in range(interpolant.shape[1]):
                weight *= theta
                for i in range(size):
                    sweep.c_bar[j, at + i] += weight * bar[i]
            for i in range(size):
                sweep.direct[at + i] += bar[i]
    return inside


@core
def stage(first, n, size, weights, count, c, sweep):
    """Compute time and state of a stage again, for the lanes from first to n."""
    x = sweep.x
    combine(x, weights, count, first * size, n * size, x[Y1])
    add_scaled(x, first * size, n * size, x[Y1])
    for b in range(first, n):
        lane = sweep.lanes[b]
        if c == 1.0:
            sweep.t[b] = lane.t_last
        else:
            sweep.t[b] = lane.t_first if c == 0.0 else lane.t + c * x[H, b * size]


@core
def spread(weights, count, start, stop, sweep, y_bar):
    """Add ``h weights_r y_bar`` to the cotangents of the first slopes, over the elements from start to stop."""
    h, cotangent, scaled = sweep.x[H, start:stop], y_bar[start:stop], sweep.x[SPARE, start:stop]
    for i in range(scaled.shape[0]):
        scaled[i] = h[i] * cotangent[i]
    distribute(weights, count, start, stop, sweep.x[SPARE], sweep.k_bar)


@core
def distribute(weights, count, start, stop, bar, k_bar):
    """Add ``weights_r bar`` to the cotangents of the first slopes, over the elements from start to stop."""
    source = bar[start:stop]
    for r in range(count):
        weight = weights[r]
        if weight != 0.0:
            total = k_bar[r, start:stop]
            for i in range(total.shape[0]):
                total[i] += weight * source[i]


@core
def finish(rest, n, size, sweep, a):
    """Add what did not go through the slopes, and hand over the results of the lanes that have no further steps."""
    for i in range(n * size):
        sweep.y_bar[i] += sweep.direct[i]
    for b in range(rest, n):
        for i in range(size):
            a[sweep.lanes[b].sample, i] = sweep.y_bar[b * size + i]
