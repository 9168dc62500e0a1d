"""What an accepted step leaves behind: a record, outputs, the new state and, for the adjoint, quadrature and jumps."""

from __future__ import annotations

import math

from nodeedu.solvers.core import core
from nodeedu.solvers.lanes import copy_lane
from nodeedu.solvers.runge_kutta import SPARE, Y1, K, Y, combine
from nodeedu.solvers.status import SUCCESS
from nodeedu.solvers.trial_step import stage_states, stage_time


@core
def record(n, stages, x, lanes, records):
    """Append the accepted steps."""
    count = records.count[0]
    for b in range(n):
        lane = lanes[b]
        if lane.ratio <= 1.0:
            step = records.steps[count]
            step.t, step.h, step.sample, step.previous = lane.t, lane.step, lane.sample, lane.record
            step.first, step.last = stage_time(0.0, lane), stage_time(1.0, lane)
            lane.record = count
            for i in range(x.shape[3]):
                records.rows[count, 0, i] = x[Y, 0, b, i]
            for q in range(stages):
                for i in range(x.shape[3]):
                    records.rows[count, 1 + q, i] = x[K + q, 0, b, i]
            count += 1
    records.count[0] = count


@core
def emit(n, interpolant, lands, ts, x, flat, lanes, outputs):
    """Write the outputs that the accepted steps have reached, and end the lanes that have reached their last."""
    last, expanded = ts.shape[1] - 1, False
    for b in range(n):
        lane = lanes[b]
        if not lane.ratio <= 1.0:
            continue
        row = lane.sample if ts.shape[0] > 1 else 0
        direction = math.copysign(1.0, lane.step)  # not the step itself: a product of two small times underflows
        lane.substep += 1.0
        while lane.output <= last and (ts[row, lane.output] - lane.t1) * direction <= 0.0:
            out = outputs[lane.output, :, lane.sample]
            if lands or lane.output == last:
                for m in range(x.shape[1]):
                    for i in range(x.shape[3]):
                        out[m, i] = x[Y1, m, b, i]
            else:
                if not expanded:
                    expand(n, interpolant, x, flat)
                    expanded = True
                interpolate(interpolant.shape, (ts[row, lane.output] - lane.t) / lane.step, lane.step, b, x, out)
            lane.output += 1
            lane.substep = 0.0
        if lane.output > last:
            lane.fate = SUCCESS


@core
def expand(n, interpolant, x, flat):
    """Set the rows behind the slopes to ``c_j = sum_q P_qj k_q``, so that ``z = y + h sum_j theta^j c_j`` in a step."""
    _, blocks, samples, size = x.shape
    stages, powers = interpolant.shape
    for j in range(powers):
        for m in range(blocks):
            start = m * samples * size
            combine(flat, interpolant[:, j], stages, start, start + n * size, flat[K + stages + j])


@core
def interpolate(shape, theta, step, b, x, out):
    """Write the state of a lane at ``t + theta h`` to out (M, D); shape (s, m) is that of the interpolant."""
    stages, powers = shape
    for m in range(x.shape[1]):
        for i in range(x.shape[3]):
            total = 0.0
            for j in range(powers - 1, -1, -1):
                total = (total + x[K + stages + j, m, b, i]) * theta
            out[m, i] = x[Y, m, b, i] + step * total


@core
def accept(n, stages, fsal, x, flat, lanes):
    """Move the lanes to the ends of their accepted steps; with FSAL, the last slope becomes the first."""
    accepted = 0
    for b in range(n):
        lane = lanes[b]
        if lane.ratio <= 1.0:
            accepted += 1
            lane.t = lane.t1
            lane.beyond = lane.ahead
            lane.known = fsal and lane.beyond == 0.0  # the last slope belongs to the near side of a jump
    _, blocks, samples, size = x.shape
    if accepted == n:  # all at once: half the time of a small batch went into one lane after the other
        for m in range(blocks):
            start = m * samples * size
            copy(flat[Y1], start, start + n * size, flat[Y])
            if fsal:
                copy(flat[K + stages - 1], start, start + n * size, flat[K])
        return
    for b in range(n):
        if lanes[b].ratio <= 1.0:
            copy_lane(x, Y1, b, Y, b)
            if fsal:
                copy_lane(x, K + stages - 1, b, K, b)


@core
def copy(source, start, stop, target):
    """Copy the elements from start to stop."""
    for i in range(start, stop):
        target[i] = source[i]


@core
def gather_nodes(n, x, flat, lanes, adjoint):
    """Collect the nodes of accepted steps for ``dL/dtheta = -int a f_theta dt``, each a times its weight ``-h omega``.

    The sum over rows of ``a f_theta`` is then the quadrature; it runs backwards in time, hence the minus. Returns the
    number of rows.
    """
    rows = 0
    for q in range(adjoint.omega.shape[0]):
        stage_states(n, adjoint.states[q], adjoint.states.shape[1], x, flat, flat[SPARE])
        for b in range(n):
            lane = lanes[b]
            if lane.ratio <= 1.0:
                weight = -lane.step * adjoint.omega[q]
                adjoint.t[rows] = stage_time(adjoint.nodes[q], lane)
                for i in range(x.shape[3]):
                    adjoint.z[rows, i] = x[SPARE, 0, b, i]
                    adjoint.a[rows, i] = weight * x[SPARE, 1, b, i]
                rows += 1
    return rows


@core
def jump(n, x, lanes, adjoint):
    """At an observation, reset z to the stored state and add the loss gradient to a: Algorithm 2 of arXiv 1806.07366.

    The observation at the earliest time is left out: dL/dt0 needs a without it.
    """
    for b in range(n):
        lane = lanes[b]
        j = adjoint.zs.shape[0] - lane.output
        if lane.ratio <= 1.0 and lane.substep == 0.0 and j > 0:
            lane.known = 0
            for i in range(x.shape[3]):
                x[Y, 0, b, i] = adjoint.zs[j, lane.sample, i]
                x[Y, 1, b, i] += adjoint.zs_bar[j, lane.sample, i]
