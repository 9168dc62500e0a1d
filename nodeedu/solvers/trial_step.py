"""Trial steps of all lanes: first slopes, where to go, stages, error ratios."""

from __future__ import annotations

import math

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.core import core
from nodeedu.solvers.lanes import copy_lane
from nodeedu.solvers.norms import RMS, measure, root_mean_square
from nodeedu.solvers.runge_kutta import SPARE, Y1, H, K, Y, add_scaled, combine, scale_errors, scale_values
from nodeedu.solvers.status import NON_FINITE
from nodeedu.solvers.step_control import (
    clipped_step,
    equal_step,
    first_step_size,
    fixed_step_count,
    nudge,
    smallest_step,
    trial_guess,
)
from nodeedu.solvers.systems import evaluate


@core
def first_slopes(n, fsal, problem, x, t, lanes, samples):
    """Evaluate ``k_1 = f(t, y)`` for the newcomers, the lanes that do not know it; return `DONE` or 0."""
    newcomers = gather_newcomers(n, x, t, lanes)
    if newcomers == 0:
        return DONE
    if newcomers == n:
        done = evaluate(problem, n, t, x[Y], x[K])
    else:
        done = evaluate(problem, newcomers, t, x[Y1], x[K + 1])
        scatter_newcomers(n, newcomers, x, lanes)
    for b in range(n):
        lane = lanes[b]
        if not lane.known:
            lane.known = 1
            sample = samples[lane.sample]
            sample.nfev += 1
            # Without FSAL, every step has a first slope of its own, which counts as the step's.
            if fsal or sample.accepted == 0 or lane.beyond != 0.0:
                sample.f_initial += 1
            sample.component = first_nonfinite(x[K : K + 1], b)
            if sample.component >= 0:
                lane.fate = NON_FINITE  # no step size can help; the lane retires after this round
    return done


@core
def gather_newcomers(n, x, t, lanes):
    """Collect times and states of newcomers in t and x[Y1], which kernels need without gaps; return their number."""
    newcomers = 0
    for b in range(n):
        if not lanes[b].known:
            t[newcomers] = lanes[b].t + lanes[b].beyond
            newcomers += 1
    if newcomers < n:
        row = newcomers
        for b in range(n - 1, -1, -1):
            if not lanes[b].known:
                row -= 1
                copy_lane(x, Y, b, Y1, row)
    return newcomers


@core
def scatter_newcomers(n, newcomers, x, lanes):
    """Move the slopes of newcomers from x[K + 1] to their lanes in x[K]."""
    row = newcomers
    for b in range(n - 1, -1, -1):
        if not lanes[b].known:
            row -= 1
            copy_lane(x, K + 1, row, K, b)


@core
def first_nonfinite(slopes, b):
    """Return the first component of a lane's first stage with a slope that is nan or infinite, or -1."""
    for q in range(slopes.shape[0]):
        for i in range(slopes.shape[3]):
            for m in range(slopes.shape[1]):
                if not abs(slopes[q, m, b, i]) < math.inf:
                    return i
    return -1


@core
def probe_first_steps(n, control, ts, x, flat, t, lanes):
    """Set times and states of an explicit Euler step of every lane, Hairer's probe for the first step size."""
    for b in range(n):
        lane = lanes[b]
        stop = ts[lane.sample if ts.shape[0] > 1 else 0, ts.shape[1] - 1]
        jump = next_jump(stop, control.jumps, lane)
        reach = (jump if jump == jump else stop) - lane.t
        lane.step = math.copysign(min(abs(reach), control.max_step), reach)  # the longest, until the probe is judged
        extent, slope = lane_norm(flat[Y], b, control, x, flat, t), lane_norm(flat[K], b, control, x, flat, t)
        lane.h = trial_guess(extent, slope, abs(lane.step))
        h = math.copysign(lane.h, reach)
        t[b] = lane.t + h
        for m in range(x.shape[1]):
            for i in range(x.shape[3]):
                x[Y1, m, b, i] = x[Y, m, b, i] + h * x[K, m, b, i]


@core
def choose_first_steps(n, control, x, flat, t, lanes, samples):
    """Choose every lane's first step size from the change of slope over the probe, the slopes of which are x[K + 1]."""
    for b in range(n):
        lane = lanes[b]
        samples[lane.sample].nfev += 1
        samples[lane.sample].f_initial += 1
        for m in range(x.shape[1]):
            for i in range(x.shape[3]):
                x[K + 1, m, b, i] -= x[K, m, b, i]
        slope, change = lane_norm(flat[K], b, control, x, flat, t), lane_norm(flat[K + 1], b, control, x, flat, t)
        h = first_step_size(lane.h, slope, change / lane.h, control.exponent, abs(lane.step))
        lane.h = max(h, max(control.min_step, smallest_step(lane.t)))


@core
def lane_norm(values, b, control, x, flat, t):
    """Return the largest scaled norm of a lane's blocks, for values (M B D); flat is x as (rows, M B D)."""
    _, blocks, samples, size = x.shape
    worst = 0.0
    for m in range(blocks):
        start = (m * samples + b) * size
        scale_values(flat, values, control.rtol, start, start + size)
        norm = measure(control.norm, control.callee, t, m, b, x, flat)
        worst = norm if norm > worst or norm != norm else worst  # nan is the worst of all
    return worst


@core
def aim(n, nodes, control, ts, x, t, lanes):
    """Set the end t1 and the signed size of every lane's trial step, and the times of its stages, t (s, B)."""
    blocks, size, last = x.shape[1], x.shape[3], ts.shape[1] - 1
    for b in range(n):
        lane = lanes[b]
        row = lane.sample if ts.shape[0] > 1 else 0
        if control.fixed:
            start, stop = ts[row, lane.output - 1], ts[row, lane.output]
            count = fixed_step_count(start, stop, control.step_size)
            lane.step, lane.t1 = equal_step(start, stop, count, lane.substep)
        else:
            stop = ts[row, lane.output if control.lands else last]
            jump = math.nan
            if control.jumps.shape[0] > 0:
                jump = next_jump(stop, control.jumps, lane)
                stop = jump if abs(jump - lane.t) < abs(stop - lane.t) else stop
            lane.step, lane.t1 = clipped_step(lane.t, stop, min(lane.h, control.max_step))
            lane.ahead = nudge(stop, stop - lane.t) if lane.t1 == jump else 0.0
        for m in range(blocks):
            for i in range(size):
                x[H, m, b, i] = lane.step
        for q in range(1, nodes.shape[0]):
            t[q, b] = stage_time(nodes[q], lane)


@core
def next_jump(stop, jumps, lane):
    """Return the first jump between a lane and stop, or at stop, or nan; the lane keeps count of those behind it."""
    direction, count = math.copysign(1.0, stop - lane.t), jumps.shape[0]
    while lane.jump < count:
        jump = jumps[lane.jump if direction > 0.0 else count - 1 - lane.jump]
        if (jump - lane.t) * direction > 0.0:
            return jump if (stop - jump) * direction >= 0.0 else math.nan
        lane.jump += 1
    return math.nan


@core
def stage_time(c, lane):
    """Return ``t + c h``, and t1 itself where c = 1: a field may not be defined one rounding beyond the end.

    At a jump, the first and the last stage keep to their own side of it.
    """
    if c == 1.0:
        return lane.t1 - lane.ahead
    return lane.t + lane.beyond if c == 0.0 else lane.t + c * lane.step


@core
def stage_states(n, weights, count, x, flat, out):
    """Set ``out = y + h sum_{j<count} weights_j k_j`` for the first n lanes of every block."""
    _, blocks, samples, size = x.shape
    for m in range(blocks):
        start = m * samples * size
        combine(flat, weights, count, start, start + n * size, out)
        add_scaled(flat, start, start + n * size, out)


@core
def error_ratios(n, e, control, x, flat, t, lanes):
    """Set every lane's error ratio, the largest scaled norm of the error estimate among its blocks.

    Return `DONE`, or 0 if the user's own norm raised an exception.
    """
    _, blocks, samples, size = x.shape
    done = DONE
    for m in range(blocks):
        start = m * samples * size
        combine(flat, e, e.shape[0], start, start + n * size, flat[SPARE])
        scale_errors(flat, control.rtol, start, start + n * size)
        if control.norm == RMS:  # on its own: the loop over lanes with other norms in it takes half as long again
            for b in range(n):
                raise_ratio(m, root_mean_square(flat, start + b * size, start + (b + 1) * size), lanes[b])
        else:
            done = min(done, other_ratios(n, m, control.norm, control.callee, x, flat, t, lanes))
    return done


@core
def other_ratios(n, m, norm, callee, x, flat, t, lanes):
    """Raise the ratios to those of block m in another norm than the root mean square; return `DONE` or 0."""
    done = DONE
    for b in range(n):
        ratio = measure(norm, callee, t, m, b, x, flat)
        if ratio < 0.0:
            done = 0
        raise_ratio(m, ratio, lanes[b])
    return done


@core
def raise_ratio(m, ratio, lane):
    """Set the lane's error ratio to that of block m, if it is larger than those of the blocks before."""
    if m == 0 or ratio > lane.ratio or ratio != ratio:  # nan is the worst of all
        lane.ratio = ratio


@core
def finite_ratios(n, x, lanes):
    """Set the ratio of every lane, which makes a fixed step, to 0, or to nan if its new state is not finite."""
    for b in range(n):
        total = 0.0
        for m in range(x.shape[1]):
            for i in range(x.shape[3]):
                total += 0.0 * x[Y1, m, b, i]
        lanes[b].ratio = total
