"""Trial steps of all lanes: first slopes, where to go, stages, error ratios."""

from __future__ import annotations

import math

from nodeedu.compile.kernels import DONE
from nodeedu.solvers.core import core
from nodeedu.solvers.lanes import copy_lane
from nodeedu.solvers.runge_kutta import SPARE, Y1, H, K, Y, add_scaled, combine, error_squares, root_mean, scaled_norm
from nodeedu.solvers.status import NON_FINITE
from nodeedu.solvers.step_control import SLIVER, first_step_size, fixed_step_count, smallest_step, trial_guess
from nodeedu.solvers.systems import evaluate


@core
def first_slopes(n, problem, x, t, lanes, samples):
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
            t[newcomers] = lanes[b].t
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
        reach = ts[lane.sample if ts.shape[0] > 1 else 0, ts.shape[1] - 1] - lane.t
        lane.step = math.copysign(min(abs(reach), control.max_step), reach)  # the longest, until the probe is judged
        extent, slope = lane_norm(flat[Y], b, control.rtol, x, flat), lane_norm(flat[K], b, control.rtol, x, flat)
        lane.h = trial_guess(extent, slope, abs(lane.step))
        h = math.copysign(lane.h, reach)
        t[b] = lane.t + h
        for m in range(x.shape[1]):
            for i in range(x.shape[3]):
                x[Y1, m, b, i] = x[Y, m, b, i] + h * x[K, m, b, i]


@core
def choose_first_steps(n, control, x, flat, lanes, samples):
    """Choose every lane's first step size from the change of slope over the probe, the slopes of which are x[K + 1]."""
    for b in range(n):
        lane = lanes[b]
        samples[lane.sample].nfev += 1
        for m in range(x.shape[1]):
            for i in range(x.shape[3]):
                x[K + 1, m, b, i] -= x[K, m, b, i]
        slope, change = lane_norm(flat[K], b, control.rtol, x, flat), lane_norm(flat[K + 1], b, control.rtol, x, flat)
        h = first_step_size(lane.h, slope, change / lane.h, control.exponent, abs(lane.step))
        lane.h = max(h, smallest_step(lane.t))


@core
def lane_norm(values, b, rtol, x, flat):
    """Return the largest scaled norm of a lane's blocks, for values (M B D); flat is x as (rows, M B D)."""
    _, blocks, samples, size = x.shape
    worst = 0.0
    for m in range(blocks):
        start = (m * samples + b) * size
        norm = scaled_norm(flat, values, rtol, start, start + size)
        worst = norm if norm > worst or norm != norm else worst  # nan is the worst of all
    return worst


@core
def aim(n, control, ts, x, lanes):
    """Set the end t1 and the signed size of every lane's trial step."""
    blocks, size, last = x.shape[1], x.shape[3], ts.shape[1] - 1
    for b in range(n):
        lane = lanes[b]
        row = lane.sample if ts.shape[0] > 1 else 0
        if control.fixed:
            start, stop = ts[row, lane.output - 1], ts[row, lane.output]
            count = fixed_step_count(start, stop, control.step_size)
            lane.step = (stop - start) / count
            done = lane.substep + 1.0
            lane.t1 = stop if done >= count else start + done * lane.step
        else:
            stop = ts[row, lane.output if control.lands else last]
            reach = stop - lane.t
            h = min(lane.h, control.max_step)
            lands = h >= abs(reach) * (1.0 - SLIVER)
            lane.step = reach if lands else math.copysign(h, reach)
            lane.t1 = stop if lands else lane.t + lane.step
        for m in range(blocks):
            for i in range(size):
                x[H, m, b, i] = lane.step


@core
def stage_times(n, c, t, lanes):
    """Set ``t = t + c h``, and t1 itself where c = 1: a field may not be defined one rounding beyond the end."""
    for b in range(n):
        t[b] = lanes[b].t1 if c == 1.0 else lanes[b].t + c * lanes[b].step


@core
def stage_states(n, weights, count, x, flat, out):
    """Set ``out = y + h sum_{j<count} weights_j k_j`` for the first n lanes of every block."""
    _, blocks, samples, size = x.shape
    for m in range(blocks):
        start = m * samples * size
        combine(flat, weights, count, start, start + n * size, out)
        add_scaled(flat, start, start + n * size, out)


@core
def error_ratios(n, e, rtol, x, flat, lanes):
    """Set every lane's error ratio, the largest scaled norm of the error estimate among its blocks."""
    _, blocks, samples, size = x.shape
    for m in range(blocks):
        start = m * samples * size
        combine(flat, e, e.shape[0], start, start + n * size, flat[SPARE])
        error_squares(flat, rtol, start, start + n * size)
        for b in range(n):
            lane = lanes[b]
            ratio = root_mean(flat[SPARE], start + b * size, start + (b + 1) * size)
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
